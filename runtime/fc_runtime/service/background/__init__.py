"""
What the daemon does that nobody waits for: asynchronous invocations, timers; on `fc_runtime.tasks`.

    accepting   a request becomes a task, by the rules of its function
    attempting  a task is run
    telling     its outcome goes to a destination
    background  all of it, from start to stop
"""

from fc_runtime.service.background.background import Background

__all__ = ["Background"]
