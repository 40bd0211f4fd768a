"""Cases of handlers whose process ends before they answer."""

from functools import partial
from typing import Final

from fc_runtime.torture.case import Case, crashed, either, returned, timed_out

_death: Final = partial(Case, handler="deaths")

CASES: Final = (
    _death(
        name="segmentation-fault",
        row=13,
        what="reads address 0",
        deed="segv",
        expect=crashed(signal=11),
    ),
    _death(name="abort", row=13, what="aborts", deed="abort", expect=crashed(signal=6)),
    _death(
        name="illegal-instruction",
        row=13,
        what="gets SIGILL",
        deed="illegal",
        expect=crashed(signal=4),
    ),
    _death(
        name="kills-itself",
        row=13,
        what="kills itself with SIGKILL",
        deed="killing_itself",
        expect=crashed(signal=9),
    ),
    _death(
        name="kills-its-group",
        what="kills its whole process group",
        deed="killing_its_group",
        expect=crashed(signal=9),
    ),
    _death(
        name="exit-0",
        row=14,
        what="exits with code 0, which is no success",
        deed="exiting_well",
        expect=crashed(exit_code=0),
    ),
    _death(
        name="exit-3",
        row=14,
        what="exits with code 3",
        deed="exiting_badly",
        expect=crashed(exit_code=3),
    ),
    _death(
        name="sys-exit",
        row=15,
        what="calls sys.exit",
        deed="sys_exit",
        expect=crashed(exit_code=5, reason="SystemExit"),
    ),
    _death(
        name="keyboard-interrupt",
        row=15,
        what="raises KeyboardInterrupt",
        deed="keyboard_interrupt",
        expect=crashed(exit_code=130, reason="KeyboardInterrupt"),
    ),
    _death(
        name="generator-exit",
        row=15,
        what="raises GeneratorExit",
        deed="generator_exit",
        expect=crashed(exit_code=1, reason="GeneratorExit"),
    ),
    _death(
        name="base-exception",
        row=15,
        what="raises a BaseException of its own",
        deed="own_exception",
        expect=crashed(exit_code=1, reason="Own"),
    ),
    _death(
        name="exit-hooks",
        row=15,
        what="calls sys.exit, with an exit hook and a thread that hang",
        deed="exiting_with_hooks",
        expect=crashed(exit_code=6, reason="SystemExit"),
    ),
    _death(
        name="exit-in-encoding",
        row=15,
        what="returns something that exits while it is encoded",
        deed="exit_in_encoding",
        expect=crashed(exit_code=7, reason="SystemExit"),
    ),
    _death(
        name="another-program",
        row=14,
        what="becomes another program, which ends well",
        deed="becoming_another_program",
        expect=crashed(),
    ),
    _death(
        name="closes-everything",
        row=17,
        what="closes every descriptor and waits",
        deed="closing_everything",
        timeout=60.0,
        within_s=-50.0,
        expect=crashed(),
    ),
    _death(
        name="out-of-cpu-time",
        what="sets a limit to its CPU time, and uses it up",
        deed="out_of_cpu_time",
        timeout=10.0,
        expect=either(crashed(signal=24), crashed(signal=9)),
    ),
    _death(
        name="locked-up",
        what="forbids itself every system call but read, write and exit",
        deed="locking_itself_up",
        expect=either(crashed(signal=9), crashed(signal=31), returned(b"has a filter already")),
    ),
    _death(
        name="memory-overwritten",
        what="overwrites memory of the interpreter",
        deed="changing_its_memory",
        expect=either(crashed(), timed_out()),
    ),
    _death(
        name="no-main-thread",
        what="ends the thread that was to answer, and lives on in another",
        deed="ending_the_main_thread",
        timeout=0.5,
        expect=either(crashed(), timed_out()),
    ),
)
