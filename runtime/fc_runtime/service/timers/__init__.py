"""Timer triggers: when they are due (`schedule`), and the loop that makes them fire (`running`)."""

from fc_runtime.service.timers.running import MISSED, Fire, Timers
from fc_runtime.service.timers.schedule import Schedule, ScheduleError, schedule
from fc_runtime.service.timers.timer import Timer

__all__ = ["MISSED", "Fire", "Schedule", "ScheduleError", "Timer", "Timers", "schedule"]
