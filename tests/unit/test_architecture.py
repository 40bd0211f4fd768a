"""What must stay true of the whole, whoever edits a part: exports, imports, sizes, habits."""

import ast
import inspect
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import fc_runtime
import pytest
from fc_runtime import errors

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime" / "fc_runtime"
WORKER = ROOT / "worker" / "fc_worker"
ATTACKS = RUNTIME / "torture" / "attacks"  # handlers that go wrong on purpose; never imported here
SUPERVISOR = sorted(path for path in RUNTIME.rglob("*.py") if path.parent != ATTACKS)
PRODUCT = sorted([*SUPERVISOR, *WORKER.rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))

# Other people's programs are written against these: to take one away is to break them.
PUBLIC = {
    *("Runtime", "AsyncRuntime", "Function", "Credentials", "Result", "Usage", "Outcome"),
    *("HttpRequest", "HttpResponse"),
    *("Returned", "Raised", "InitializationFailed", "TimedOut", "OutOfMemory", "Crashed"),
    "ResponseRejected",
    *("FcRuntimeError", "RefusedError", "InvocationError", "InternalError"),
    *("FunctionNotFoundError", "InvalidFunctionError", "EventTooLargeError"),
    *("OverloadedError", "RuntimeClosedError"),
    *("HandlerError", "InitializationError", "TimedOutError", "OutOfMemoryError"),
    *("CrashedError", "ResponseError"),
    *("TaskExistsError", "TaskNotFoundError", "TaskEndedError", "StoreError"),
}
SYNC_VERBS = {
    *("register", "unregister", "functions", "warm", "invoke", "submit", "map", "stats", "close"),
    *("invoke_async", "task"),
}
MOST_LINES = 300
LONGER = {  # up to so many lines, and why they are not two files
    "isolation/doctor.py": (360, "one table of rights, and what is made of it"),
    "pool/supervisor.py": (350, "all that happens on the supervisor's one thread"),
    "pool/core.py": (400, "what all pools of a runtime share, from making to closing them"),
    "runtime.py": (480, "the public face: a third of it is its documentation"),
    "aio.py": (390, "the public face once more, awaited"),
    "serve.py": (
        420,
        "one invocation in the worker, written out for speed in the order it happens",
    ),
    "lean.py": (350, "one call's way from the queue to its landing, in the order it happens"),
    "pool/serving.py": (380, "one invocation from lease to release, for both faces"),
    "zygote.py": (375, "a single-threaded program, whose order of steps is its correctness"),
}
SHARED = {"lane", "messages", "tree", "wire"}
LIBRARIES = {"msgpack", "psutil", "structlog"}
CLI_LIBRARIES = {"typer", "rich", "click"}
SERVICE_LIBRARIES = {  # of the extra `serve`
    *("starlette", "uvicorn", "uvloop", "httptools", "sqlalchemy", "yaml", "watchfiles"),
    *("prometheus_client", "jwt", "fastcrc", "cronsim", "durationpy"),
}
TASKS_LIBRARIES = {"sqlalchemy", "alembic"}  # of the extra `tasks`
EXTRA_LIBRARIES = {  # of an extra of its own, and in one file only
    "isolation/seccomp.py": {"pyseccomp"},
    "service/identity.py": {"alibabacloud_credentials"},
    "service/telemetry/tracing.py": {"opentelemetry"},
}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every dotted name that is imported anywhere in the file, also inside functions."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def foreign(path: Path) -> set[str]:
    """What a file imports that is neither the standard library's nor ours."""
    ours = {*sys.stdlib_module_names, "fc_runtime", "fc_worker"}
    return {name.split(".")[0] for name, _ in imports(path)} - ours


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_product_file = pytest.mark.parametrize("path", PRODUCT, ids=relative)
each_worker_file = pytest.mark.parametrize("path", sorted(WORKER.rglob("*.py")), ids=relative)
each_runtime_file = pytest.mark.parametrize("path", SUPERVISOR, ids=relative)


def test_the_public_names() -> None:
    """The package exports what is promised, no more and no less, in an order to find it in."""
    assert PUBLIC == set(fc_runtime.__all__)
    assert len(PUBLIC) == len(fc_runtime.__all__)
    for name in fc_runtime.__all__:
        assert getattr(fc_runtime, name).__doc__ or name == "Outcome", f"{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'Pool'"):
        fc_runtime.Pool  # noqa: B018


def test_no_other_name_looks_public() -> None:
    """Besides its modules, the package holds nothing that a program might take for exported."""
    names = {
        name
        for name, value in vars(fc_runtime).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert {"TYPE_CHECKING", "Any"} >= names - PUBLIC


def test_every_error_is_exported() -> None:
    """Whatever is raised can be caught by name."""
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }

    assert raised <= PUBLIC


def test_both_faces_have_the_same_verbs() -> None:
    """Whoever knows one knows the other: same names, same arguments, same defaults."""
    for verb in SYNC_VERBS:
        sync = inspect.signature(getattr(fc_runtime.Runtime, verb))
        awaited = inspect.signature(getattr(fc_runtime.AsyncRuntime, verb))

        assert list(sync.parameters.values()) == list(awaited.parameters.values()), verb
    for face in (fc_runtime.Runtime, fc_runtime.AsyncRuntime):
        assert SYNC_VERBS == {name for name in vars(face) if not name.startswith("_")}


def test_importing_is_cheap() -> None:
    """A program that needs one face does not pay for asyncio, nor for the command line's libraries."""
    program = "import sys, fc_runtime; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=30
    )

    costly = {"asyncio", *CLI_LIBRARIES, *SERVICE_LIBRARIES, *TASKS_LIBRARIES}.union(
        *EXTRA_LIBRARIES.values()
    )
    assert costly.isdisjoint(told.stdout.split())


@each_worker_file
def test_the_worker_stands_alone(path: Path) -> None:
    """What runs beside user code imports the standard library and msgpack, and nothing of ours."""
    assert foreign(path) <= {"msgpack"}
    assert not [name for name, _ in imports(path) if name.startswith("fc_runtime")]


@each_runtime_file
def test_the_runtime_sees_little_of_the_worker(path: Path) -> None:
    """Only what both sides share: the wire, the lane, the messages, the process trees."""
    seen = {name.split(".")[1] for name, _ in imports(path) if name.startswith("fc_worker.")}

    assert seen <= SHARED


def test_extras_are_for_who_asks() -> None:
    """Neither the daemon nor a custom runtime loads the library of an extra it may be without."""
    program = "import sys, fc_runtime.cli.serving, fc_runtime.service.custom; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    )

    loaded = set(told.stdout.split())
    assert set().union(*EXTRA_LIBRARIES.values()).isdisjoint(loaded)
    # Nor what only another database, a token or a first start wants: it takes half as long again.
    assert {"sqlalchemy.dialects.postgresql", "cryptography", "jwt", "alembic"}.isdisjoint(loaded)


def test_what_a_daemon_imports_is_not_looked_through() -> None:
    """No collection looks for garbage in it, then or later; in what comes after it they do."""
    program = (
        "import gc; from fc_runtime.cli import serve; before = gc.get_stats(); serve._serving();"
        "after = gc.get_stats(); print(gc.isenabled(), gc.get_freeze_count() > 100_000,"
        "after[2]['collections'] - before[2]['collections'])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    )

    assert ["True", "True", "0"] == told.stdout.split()


@each_runtime_file
def test_the_runtime_needs_three_libraries(path: Path) -> None:
    """Those of the wheel; the command line's and the service's there; an extra's in its file."""
    allowed = LIBRARIES | (CLI_LIBRARIES if path.is_relative_to(RUNTIME / "cli") else set())
    allowed |= SERVICE_LIBRARIES if path.is_relative_to(RUNTIME / "service") else set()
    allowed |= TASKS_LIBRARIES if path.is_relative_to(RUNTIME / "tasks") else set()
    allowed |= EXTRA_LIBRARIES.get(str(path.relative_to(RUNTIME)), set())

    assert foreign(path) <= allowed


def most_lines(path: Path) -> int:
    root = RUNTIME if path.is_relative_to(RUNTIME) else WORKER
    return LONGER.get(str(path.relative_to(root)), (MOST_LINES, ""))[0]


@each_product_file
def test_files_are_short(path: Path) -> None:
    """A file is read in one go: 300 lines, or a reason in the list above."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most_lines(path)


@each_product_file
def test_files_say_what_they_are(path: Path) -> None:
    """Each opens with what lives in it."""
    tree = parsed(path)

    assert not tree.body or ast.get_docstring(tree)


@each_product_file
def test_no_bare_except(path: Path) -> None:
    """What is caught is named."""
    bare = [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]

    assert [] == bare


@each_product_file
def test_no_sleep(path: Path) -> None:
    """
    The product waits for events, with a deadline; it never sleeps and looks again. `asyncio.sleep(0)`
    is no sleep: it lets others have their turn.
    """
    tree = parsed(path)
    turns = {
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node) == "asyncio.sleep(0)"
    }
    calls = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and isinstance(node.value, ast.Name)
        and node.value.id in ("time", "asyncio")
        and node not in turns
    ]

    assert [] == calls
    assert not [line for name, line in imports(path) if name in ("time.sleep", "asyncio.sleep")]


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_tests_read_like_a_contract(path: Path) -> None:
    """Every test states the rule that it holds the product to."""
    silent = [
        node.name
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert [] == silent


def test_types_are_shipped() -> None:
    """Type checkers of other projects read our annotations only if a marker says so."""
    assert (RUNTIME / "py.typed").exists()
    assert (WORKER / "py.typed").exists()
