"""
Each instance's own /tmp (``scratch=``) in every tier. Where the host allows no mount, and in the
portable tier, a folder named by ``TMPDIR`` stands in for it; handlers that ask ``tempfile`` need not
know.
"""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fc_runtime.isolation import host
from support.callers import Deployed, SyncCaller
from support.sealed import REFUSED, ask
from support.stage import Recorder, until

Deploy = Callable[..., Deployed]
LITTER = 8


@pytest.fixture
def scratch(deploy: Deploy) -> Deploy:
    """As `deploy`, of ``handlers/scratch``."""

    def register(keep: str = "keep", **options: Any) -> Deployed:
        return deploy("scratch", "index.do", **{"scratch": keep, "timeout": 20.0, **options})

    return register


@pytest.fixture
def in_memory(isolation: str) -> bool:
    """Is it a /tmp of its own, rather than a folder of the host's?"""
    return isolation != "portable" and host.tried().mounts is None


def ours() -> set[str]:
    """What runtimes of this program may have put into the host's /tmp."""
    return {str(path) for path in Path(tempfile.gettempdir()).glob("fc-runtime-*")}


def test_kept_for_the_next_invocation_of_the_instance(scratch: Deploy) -> None:
    """As in FC: what a warm instance has cached is there."""
    function = scratch("keep")

    ask(function, "leave", name="nested/cache", text="kept")

    assert ["nested/cache"] == ask(function, "seen")


@pytest.mark.parametrize("sandbox", ["standard", "strict"])
def test_empty_is_emptied_after_every_invocation(scratch: Deploy, sandbox: str) -> None:
    """
    Nested, read-only, unreadable, links, a fifo, names that are no text; in the same process. Under
    strict it is somebody who has to unlock a folder before he can empty it, not root.
    """
    if sandbox == "strict" and REFUSED is not None:
        pytest.skip(f"this host cannot do strict: {REFUSED}")
    function = scratch("empty", sandbox=sandbox)
    before = ask(function, "number")

    for _ in range(3):
        assert LITTER == ask(function, "litter")
        assert [] == ask(function, "entries")

    assert before == ask(function, "number")
    assert ask(function, "linked")  # a link is removed, not what it leads to


def test_empty_leaves_code_that_lies_below_it(deploy: Deploy) -> None:
    """Code in /tmp is shown in the function's own: not the handler's, and not emptied."""
    source = Path(__file__).parents[1] / "handlers" / "scratch" / "index.py"
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        code = Path(made, "below", "code")
        code.mkdir(parents=True)
        (code / "index.py").write_bytes(source.read_bytes())
        function = deploy(code, "index.do", scratch="empty", timeout=20.0)

        for _ in range(2):
            ask(function, "leave", name="x", text="gone")
            assert "x" not in ask(function, "entries")
        assert (code / "index.py").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("keep", ["keep", "empty", "host"])
def test_code_in_tmp_is_found(deploy: Deploy, keep: str) -> None:
    """Whatever is mounted over /tmp, also when the module is imported late."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made, "late.py").write_text("VALUE = 'late'\n")
        Path(made, "index.py").write_text(
            "import os\n"
            "def handler(event, context):\n"
            "    import late\n"
            "    return f'{late.VALUE} {os.getcwd()}'\n"
        )
        function = deploy(made, "index.handler", scratch=keep)

        assert f"late {made}" == function().text
        assert f"late {made}" == function().text


def test_private_between_instances_and_functions(scratch: Deploy) -> None:
    """Two instances at a time, and another function: nobody sees what another has left."""
    one, other = scratch(max_instances=2), scratch()

    def fill(number: int) -> None:
        ask(one, "leave", name=f"of-{number}", text="mine")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(fill, range(8)))
        ask(other, "leave", name="theirs", text="theirs")
        seen = list(threads.map(lambda _: ask(one, "whose"), range(8)))

    assert ["theirs"] == ask(other, "seen")
    assert all("theirs" not in names for _, names in seen)
    for instance, names in seen:
        assert all(set(names).isdisjoint(more) for another, more in seen if another != instance)


def test_fresh_instance_has_an_empty_one(scratch: Deploy) -> None:
    """Nothing outlives the instance that has written it."""
    function = scratch(max_invocations=1)

    for _ in range(3):
        assert [] == ask(function, "entries")
        ask(function, "leave", name="x", text="gone")


def test_gone_with_the_instance(
    scratch: Deploy, caller: SyncCaller, log: Recorder, in_memory: bool
) -> None:
    """In memory there never was anything on the host; else the folder is removed."""
    function = scratch()
    path = Path(ask(function, "leave", name="x", text="here"))

    assert in_memory is (path == Path("/tmp/x"))
    assert in_memory is not path.exists()
    caller.unregister(function.name)
    log.wait_for("instance.exited", function=function.name)
    until(lambda: not path.parent.exists() or in_memory, what="its folder is removed")
    assert not path.exists()


def test_tmp_of_the_host_is_not_touched(isolation: str) -> None:
    """A file of the same name is neither seen nor overwritten, and nothing is left beside it."""
    before = ours()
    with tempfile.NamedTemporaryFile(dir="/tmp", prefix="of-the-host-") as file:
        file.write(b"the host's")
        file.flush()
        caller = SyncCaller(isolation=isolation)
        caller.register(
            "f",
            code=Path(__file__).parents[1] / "handlers" / "scratch",
            handler="index.do",
            scratch="empty",
        )
        function = Deployed(caller, "f")
        name = Path(file.name).name

        assert name not in ask(function, "entries")
        ask(function, "leave", name=name, text="the function's")
        caller.close(0.0)

        assert b"the host's" == Path(file.name).read_bytes()
    assert before == ours()


def test_host_is_the_hosts_own(scratch: Deploy, tmp_path: Path) -> None:
    """``scratch="host"``: nothing is hidden, nothing emptied."""
    function = scratch("host")
    with tempfile.NamedTemporaryFile(dir="/tmp", prefix="of-the-host-") as file:
        assert Path(file.name).name in ask(function, "entries")
        left = Path(ask(function, "leave", name=f"left-{os.getpid()}", text="for the host"))

    assert "for the host" == left.read_text()
    assert left.name in ask(function, "entries")
    left.unlink()


def test_full_scratch_is_an_error_of_the_handlers(deploy: Deploy, in_memory: bool) -> None:
    """
    ENOSPC where it is in memory; where it is a folder of the host's, one file may not be larger
    (EFBIG, a MiB later).
    """
    function = deploy("sealed", "index.do", scratch_mb=4, timeout=20.0)
    folder = "/tmp" if in_memory else ask(function, "environment")["TMPDIR"]

    expected = [4, "ENOSPC"] if in_memory else [5, "EFBIG"]
    assert expected == ask(function, "fill", folder=folder, mib=10)
