"""
``sandbox="strict"`` in every tier: a function is nobody, and sees nothing but itself, its code and
the interpreter (docs/security.md). What an enemy may try is in tests/adversarial; that ordinary
programs run as ever, in test_strict_life.
"""

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from fc_runtime import InitializationError
from fc_runtime.isolation import host
from fc_runtime.isolation.profiles import DEVICES, FIRST_IDENTITY
from support.callers import Deployed, SyncCaller
from support.sealed import REFUSED, ask
from support.stage import Recorder

if REFUSED is not None:
    pytest.skip(f"this host cannot do strict: {REFUSED}", allow_module_level=True)

ARRAY = {"do": "array"}
EXAMPLES = Path(__file__).parents[2] / "examples"
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, to own what others may not read"
)
Deploy = Callable[..., Deployed]
Do = Callable[..., Any]


# -- who it is ---------------------------------------------------------------------------------


def test_it_is_nobody(do: Do) -> None:
    """User fc on host fc, with no capability, alone in /proc, to itself and to its children."""
    told = do("identity")

    expected = {"user": 1000, "group": 1000, "name": "fc", "home": "/tmp", "host": "fc"}
    assert expected == {key: told[key] for key in expected}
    assert {"0000000000000000"} == {told["capabilities"], told["bounding"]}
    assert ["1", "2"] == [told["no_new_privs"], told["seccomp"]]
    assert set(told["groups"]) <= {1000, 65534}
    assert ["fc", "fc"] == told["shell"]
    assert [2, [1, 2]] == do("processes")  # 1 holds the namespace, 2 is the worker
    assert None not in do("attempt_mount")  # the filter is on; for all of it, see test_seccomp


def test_environment_is_the_functions_own(strict: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    """FC's variables and the function's; nothing of the host program's."""
    monkeypatch.setenv("HOST_SECRET", "leaked")
    function = strict(environment={"MINE": "yes"}, memory_mb=256)

    told = ask(function, "environment")

    expected = {
        "MINE": "yes",
        "HOME": "/tmp",
        "FC_FUNCTION_NAME": function.name,
        "FC_FUNCTION_HANDLER": "index.do",
        "FC_FUNCTION_MEMORY_SIZE": "256",
    }
    assert expected == {key: told.get(key) for key in expected}
    assert told["FC_FUNC_CODE_PATH"].endswith("/handlers/sealed")
    assert "HOST_SECRET" not in told
    assert not {"FC_TEST_HOST", "PYTHONPATH", "VIRTUAL_ENV"} & told.keys()


# -- the network -------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    """A server of the host's on its loopback, that says hello."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with closing(server.accept()[0]) as there:
                there.sendall(b"hello")

        number: int = server.getsockname()[1]
        thread = threading.Thread(target=greet)
        thread.start()
        yield number
        with closing(socket.create_connection(("127.0.0.1", number))):
            thread.join()  # nobody may have called before


def test_default_network_reaches_nobody(do: Do, port: int) -> None:
    """Not even this machine: its loopback is the sandbox's own."""
    assert "ECONNREFUSED" == do("reach", port=port)
    assert ["lo"] == do("interfaces")


def test_network_host_reaches_the_host(strict: Deploy, port: int) -> None:
    """What was asked for, and no more: it is nobody all the same."""
    function = strict(network="host")

    assert "hello" == ask(function, "reach", port=port)
    assert 1000 == ask(function, "identity")["user"]


# -- what it sees ------------------------------------------------------------------------------


def test_writable_are_only_its_own_folders(do: Do, handlers: Path) -> None:
    """/tmp and /dev/shm, in memory; everything else is read-only, whoever asks."""
    own = ["/tmp/x", "/dev/shm/x", "/var/tmp/y"]
    others = [str(handlers / "sealed" / "x"), "/x", "/usr/x", "/etc/passwd", "/etc/x"]

    assert [None, None, None] == do("write", paths=own)
    assert {"EROFS", "EACCES"} >= set(do("write", paths=others))
    assert "EROFS" == do("write", paths=others)[0]
    for path in (*own[:2], *others[:3]):
        assert not Path(path).exists()


def test_only_its_own_code_is_shown(do: Do, handlers: Path) -> None:
    """Neither its neighbours, nor home folders, nor what the host has mounted, nor its old root."""
    beside, top, etc = do("listing", folders=[str(handlers), "/", "/etc"])

    assert ["sealed"] == beside
    distribution = "bin sbin lib lib32 lib64 libx32 usr opt etc dev proc sys tmp var".split()
    needed = {
        Path(path).parts[1] for path in (handlers, sys.prefix, sys.base_prefix, *sys.path) if path
    }
    assert set(top) <= {*distribution, *needed}
    assert {"shadow", "machine-id", "hostname"}.isdisjoint(etc)


def test_nothing_of_the_host_is_mounted(do: Do) -> None:
    """Every mount is memory of its own, its own /proc, or read-only."""
    for line in do("read", path="/proc/self/mountinfo").splitlines():
        point, options = line.split()[4:6]
        kind = line.partition(" - ")[2].split()[0]
        assert "ro" in options.split(",") or kind in {"tmpfs", "proc"} or point in DEVICES, line
        assert "nosuid" in options.split(","), line


@needs_root
def test_code_that_only_root_may_read_is_shown_as_its_own(strict: Deploy) -> None:
    """Mode 0700, owned by root: readable by the function, and still by nobody else."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        code = Path(made, "code")
        code.mkdir(mode=0o700)
        (code / "index.py").write_text(
            "import os\ndef handler(event, context):\n    return str(os.stat(__file__).st_uid)\n"
        )
        (code / "index.py").chmod(0o600)

        shown = host.try_plans({"it": [["owners_shown", str(code), FIRST_IDENTITY]]})["it"]
        if shown is not None:
            pytest.skip(f"the file system of {code} has no idmapped mounts: {shown}")

        assert "1000" == strict(code, "index.handler")().text


def test_layers_are_shown(strict: Deploy, tmp_path: Path) -> None:
    """``python/`` is importable, ``bin/`` on the path; both read-only."""
    layer = tmp_path / "layer"
    (layer / "python").mkdir(parents=True)
    (layer / "bin").mkdir()
    (layer / "python" / "from_layer.py").write_text("VALUE = 'layered'\n")
    (layer / "bin" / "from-layer").write_text("#!/bin/sh\necho run\n")
    (layer / "bin" / "from-layer").chmod(0o755)
    function = strict(layers=[layer])

    assert ["layered", "run"] == ask(function, "import_layer")
    assert ["EROFS"] == ask(function, "write", paths=[f"{layer}/python/x"])


def test_scratch_is_as_large_as_was_asked_for(strict: Deploy) -> None:
    """Then ENOSPC, which the handler can live with."""
    function = strict(scratch_mb=8)

    for folder in ("/tmp", "/dev/shm"):
        assert [8, "ENOSPC"] == ask(function, "fill", folder=folder, mib=20)
        assert [4, None] == ask(function, "fill", folder=folder, mib=4)


def test_code_may_lie_in_a_folder_that_is_covered(strict: Deploy) -> None:
    """Code below /tmp, /dev/shm or /var/tmp is shown where it is; beside it there is nothing."""
    for parent in ("/tmp", "/dev/shm", "/var/tmp"):
        with tempfile.TemporaryDirectory(dir=parent) as made:
            Path(made).chmod(0o755)
            Path(made, "index.py").write_text(
                "import os\n"
                "def handler(event, context):\n"
                "    return f'{os.getcwd()} {sorted(os.listdir(os.path.dirname(os.getcwd())))}'\n"
            )

            interpreters = Path(sys.prefix)  # it may lie there as well
            there = {Path(made).name}
            if interpreters.is_relative_to(parent):
                there.add(interpreters.relative_to(parent).parts[0])
            assert f"{made} {sorted(there)}" == strict(made, "index.handler")().text


# -- preload -----------------------------------------------------------------------------------


def test_preload_is_the_interpreters_own(strict: Deploy) -> None:
    """
    The zygote is outside: it imports nothing of the function's, be it named like a module of the
    standard library. The instance has what was preloaded.
    """
    preloaded = strict(preload=["json", "colorsys"])
    plain = strict()

    assert ask(preloaded, "whose_colorsys")[0] is None
    importer, worker = ask(plain, "whose_colorsys")
    assert worker == importer


def test_preload_of_the_code_folders_own_module_runs_inside(
    strict: Deploy, tmp_path: Path, caller: SyncCaller
) -> None:
    """A module that only the function has is not run by the zygote: no trace of it outside."""
    code, marker = tmp_path / "code", tmp_path / "marker"
    code.mkdir()
    (code / "only_here.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    (code / "index.py").write_text("def do(event, context): return 'served'\n")
    function = strict(code, "index.do", preload=["only_here"])

    with suppress(InitializationError):  # it cannot be preloaded, and may say so
        function()

    assert not marker.exists()


def test_instance_that_had_to_be_execd_is_as_strict(strict: Deploy, outside: Path) -> None:
    """A preload that starts threads forbids forking: what is exec'd goes through the same steps."""
    (outside / "starts_a_thread.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    function = strict(preload=["starts_a_thread"], initialization_timeout=60.0)

    told = ask(function, "identity")

    assert {"user": 1000, "seccomp": "2"} == {key: told[key] for key in ("user", "seccomp")}
    assert ["lo"] == ask(function, "interfaces")
    assert [2, [1, 2]] == ask(function, "processes")
    assert 132 == ask(function, "array")


# -- learned preload ---------------------------------------------------------------------------


def test_a_handler_has_no_say_in_what_the_zygote_imports(
    strict: Deploy, outside: Path, tmp_path: Path, log: Recorder
) -> None:
    """The zygote is outside of the walls: what instances import is learned in `standard` only."""
    (outside / "slow.py").write_text(
        "import time\nbegan = time.process_time()\nwhile time.process_time() < began + 0.08: pass\n"
    )
    (tmp_path / "index.py").write_text("import slow\ndef do(event, context): return event\n")
    sealed = strict(tmp_path)
    standard = strict(tmp_path, sandbox="standard")
    for function in (sealed, standard):
        function()

    log.wait_for("zygote.learned", within_s=40.0)  # the sealed one would have begun before

    assert {sealed.name: 1, standard.name: 2} == {
        name: len(log.of("zygote.started", function=name)) for name in (sealed.name, standard.name)
    }
