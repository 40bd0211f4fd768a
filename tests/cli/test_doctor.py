"""``fc-runtime doctor`` as a shell runs it: text, JSON, requirements, and as a user without rights."""

import ctypes
import json
import os
import re
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fc_runtime
import fc_worker
import pytest
from fc_runtime.isolation import doctor, host, tiers

COMMAND = [sys.executable, "-m", "fc_runtime", "doctor"]
LONG_S = 60.0
NOBODY = 65534
CLONE_NEWUSER = 0x1000_0000
KEYS = {"ok", "isolation", "host", "tiers", "sandboxes", "findings", "unmet"}
HOST_KEYS = {"kernel", "machine", "python", "user", "container"}
TIER_KEYS = {"name", "available", "chosen", "reason", "mend", "promises"}
SANDBOX_KEYS = {"name", "available", "whole", "reason", "mend", "gives"}
FINDING_KEYS = {"key", "what", "available", "reason", "mend", "gives"}
Run = Callable[..., subprocess.CompletedProcess[bytes]]


def run(*command: str, **options) -> subprocess.CompletedProcess[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    options.setdefault("env", {**kept, "LANG": "C.UTF-8"})
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LONG_S,
        check=False,
        **options,
    )


def examine(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return run(*COMMAND, *arguments)


def cgroups(pid: int) -> list[Path]:
    """Folders that process *pid* has made, in any hierarchy."""
    return list(Path("/sys/fs/cgroup").rglob(f"fc-runtime-{pid}-*"))


def by_name(parts: list[dict], key: str = "name") -> dict[str, dict]:
    return {part[key]: part for part in parts}


def test_text() -> None:
    """The host, tiers, sandboxes and rights; one tier is what auto takes; plain when piped."""
    done = examine()

    assert (0, b"") == (done.returncode, done.stderr)
    text = done.stdout.decode()
    assert re.match(r"Linux \S+, \S+, Python 3\.\d+\.\d+, as (root|user \d+)", text)
    for heading in (r"tier +here +tree +memory +processes +cpu", "sandbox +here", "right +here"):
        assert 1 == len(re.findall(rf"^ {heading}", text, re.MULTILINE))
    (chosen,) = re.findall(r"^ (\w+) +yes, auto takes it", text, re.MULTILINE)
    assert tiers.available()[0] == chosen
    for name in doctor.REQUIREMENTS:
        assert name in text
    assert re.search(
        r"^(Missing, and what would give it:|Nothing is missing\.)$", text, re.MULTILINE
    )
    assert text.endswith("\n")
    assert "\x1b" not in text


def test_json() -> None:
    """One object, with the documented keys; it agrees with what the runtime itself finds."""
    done = examine("--json")

    told = json.loads(done.stdout)
    assert (0, b"") == (done.returncode, done.stderr)
    assert (KEYS, HOST_KEYS) == (set(told), set(told["host"]))
    assert (True, []) == (told["ok"], told["unmet"])
    for part, keys in (
        ("tiers", TIER_KEYS),
        ("sandboxes", SANDBOX_KEYS),
        ("findings", FINDING_KEYS),
    ):
        assert [keys] * len(told[part]) == [set(one) for one in told[part]]
    assert list(tiers.TIERS) == [tier["name"] for tier in told["tiers"]]
    available = [tier["name"] for tier in told["tiers"] if tier["available"]]
    assert tiers.available() == tuple(available)
    assert told["isolation"] == available[0]
    tried = host.tried()
    findings, sandboxes = by_name(told["findings"], "key"), by_name(told["sandboxes"])
    assert (host.strict_refusal() is None) == sandboxes["strict"]["available"]
    assert (tried.mounts or "") == findings["mount_namespace"]["reason"]
    assert (tried.inner_user_namespace is None) == findings["user_namespace"]["available"]
    for one in (*told["tiers"], *told["findings"]):
        assert one["available"] == (one["reason"] == "") == (one["mend"] == "")


@pytest.mark.parametrize("name", doctor.REQUIREMENTS)
def test_requirement(name: str) -> None:
    """0 if it is met, else 1 with the reason and the mend on standard error."""
    done = examine("--require", name, "--json")

    told = json.loads(done.stdout)
    tier = next(tier for tier in told["tiers"] if tier["chosen"])
    met = {
        **{tier["name"]: tier["available"] for tier in told["tiers"]},
        **{one["name"]: one["whole"] for one in told["sandboxes"]},
        **{power: held == "by the kernel" for power, held in tier["promises"].items()},
    }
    if name == "strict":
        assert (host.strict_refusal() is None) == met[name]
    assert (met[name], 0 if met[name] else 1) == (told["ok"], done.returncode)
    assert ([] if met[name] else [name]) == [one["name"] for one in told["unmet"]]
    said = done.stderr.decode()
    if met[name]:
        assert "" == said
    else:
        assert re.fullmatch(rf"error: --require {name}: .+\n  what would give it: .+\n", said)


def test_all_requirements_are_told() -> None:
    """The first that is not met does not hide the next."""
    every = [word for name in doctor.REQUIREMENTS for word in ("--require", name)]
    done = examine("--json", *every)

    told = [one["name"] for one in json.loads(done.stdout)["unmet"]]
    said = re.findall(r"^error: --require (\w+): ", done.stderr.decode(), re.MULTILINE)
    assert told == said == [name for name in doctor.REQUIREMENTS if name in said]
    assert (1 if said else 0) == done.returncode


def test_bad_usage_in_one_line() -> None:
    """What cannot be required is told with what can, and nothing is examined."""
    done = examine("--require", "strict", "--require", "nonsense")

    assert (2, b"") == (done.returncode, done.stdout)
    said = "error: --require 'nonsense': one of cgroup2, cgroup1, pidns, portable, none, standard, "
    assert done.stderr.decode().startswith(said)
    assert 1 == done.stderr.count(b"\n")


def test_nothing_is_left_on_the_host() -> None:
    """No cgroup, no mount, no setting; that no process is left, the guard sees to."""
    mounts = Path("/proc/self/mountinfo").read_text()
    pid_max = Path("/proc/sys/kernel/pid_max").read_text()

    with subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL) as doctor_process:
        assert 0 == doctor_process.wait(LONG_S)
    assert mounts == Path("/proc/self/mountinfo").read_text()
    assert [] == cgroups(doctor_process.pid)
    assert pid_max == Path("/proc/sys/kernel/pid_max").read_text()


def test_nobody_reads_it() -> None:
    """A reader that has gone is told of as by any other program."""
    out, into = os.pipe()
    os.close(out)
    try:
        done = subprocess.run(
            COMMAND, stdin=subprocess.DEVNULL, stdout=into, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(into)

    assert (141, b"") == (done.returncode, done.stderr)


def test_help() -> None:
    """It teaches what may be required, and names options and exit codes."""
    overview = run(sys.executable, "-m", "fc_runtime", "--help")
    text = examine("--help").stdout.decode()

    assert b"doctor" in overview.stdout
    for word in ("--require", "--json", *doctor.REQUIREMENTS):
        assert word in text
    assert ["0", "1", "2", "130"] == re.findall(r"^ +(\d+)  \S", text, re.MULTILINE)


def test_documented() -> None:
    """docs/operations.md names every requirement, every right and every key of the object."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

    names = {right.key for right in doctor.RIGHTS} | set(doctor.REQUIREMENTS)
    keys = KEYS | HOST_KEYS | TIER_KEYS | SANDBOX_KEYS | FINDING_KEYS
    assert [] == [name for name in sorted(names | keys) if f"`{name}`" not in text]


# -- as somebody else --------------------------------------------------------------------------


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


@pytest.fixture
def as_nobody() -> Run:
    """Runs ``fc-runtime doctor`` as a user without any right, with an interpreter it may read."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    ours = [str(Path(module.__file__).parent.parent) for module in (fc_runtime, fc_worker)]
    paths = [*ours, *site.getsitepackages()]
    env = {"PYTHONPATH": os.pathsep.join(paths), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    other = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    everything = ("-c", "import fc_runtime.cli.app, msgpack, rich")
    options = {"env": env, "cwd": "/"}
    for interpreter in (sys.executable, other):
        try:
            tried = run(interpreter, *everything, preexec_fn=become_nobody, **options)
        except OSError:
            continue
        if tried.returncode == 0:
            break
    else:
        pytest.skip("no interpreter with our packages is readable for everybody")

    def examine_as(*arguments: str, before: Callable[[], None] = become_nobody):
        command = (interpreter, "-m", "fc_runtime", "doctor", *arguments)
        return run(*command, preexec_fn=before, **options)

    return examine_as


def test_user_without_rights(as_nobody: Run) -> None:
    """Says what that user may, not what root may; whatever is not to be had has a mend."""
    done = as_nobody("--json", "--require", "strict")

    told = json.loads(done.stdout)
    strict = by_name(told["sandboxes"])["strict"]
    assert NOBODY == told["host"]["user"]
    assert (0 if strict["available"] else 1) == done.returncode
    assert not by_name(told["tiers"])["cgroup1"]["available"]
    assert "idmapped_mounts" not in by_name(told["findings"], "key")
    for one in (*told["tiers"], *told["sandboxes"], *told["findings"]):
        assert one.get("whole", one["available"]) or (one["reason"] and one["mend"]), one
    assert b"fc-runtime-" not in done.stdout  # folders that could not be made


def test_user_without_namespaces(as_nobody: Run) -> None:
    """Where a setting is in the way, that very setting is the mend, and little is left."""
    done = as_nobody("--json", "--require", "strict", before=become_nobody_without_namespaces)

    told = json.loads(done.stdout)
    sandboxes, all_tiers = by_name(told["sandboxes"]), by_name(told["tiers"])
    setting = "sysctl -w user.max_user_namespaces=10000"
    assert (1, NOBODY) == (done.returncode, told["host"]["user"])
    assert f"what would give it: {setting}\n".encode() in done.stderr
    assert setting == sandboxes["strict"]["mend"] == all_tiers["pidns"]["mend"]
    assert (True, False) == (sandboxes["standard"]["available"], sandboxes["standard"]["whole"])
    assert "portable" == told["isolation"]


def become_nobody_without_namespaces() -> None:
    """In a user namespace, like any other but that no more of them can be made in it."""
    me = os.getpid()
    ready_out, ready_in = os.pipe()
    helper = os.fork()
    if helper == 0:  # of the host, and so able to show all its users inside
        try:
            os.read(ready_out, 1)
            for kind in ("uid_map", "gid_map"):
                Path(f"/proc/{me}/{kind}").write_text("0 0 100000")
        finally:
            os._exit(0)
    if ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
        raise OSError("no user namespace")
    os.write(ready_in, b".")
    os.waitpid(helper, 0)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    become_nobody()
