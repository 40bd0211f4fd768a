"""Which cgroups this process is in, as read from what the kernel tells (cgroups(7))."""

import os
from pathlib import Path

import pytest
from fc_runtime.isolation import cgroups
from fc_runtime.isolation.cgroups import Hierarchies, find_hierarchies

TOP = "/sys/fs/cgroup"


def mount(kind: str, point: str, *, root: str = "/", options: str = "rw", more: str = "") -> str:
    """A line of mountinfo; *more* are its optional fields."""
    return f"31 23 0:28 {root} {point} rw,nosuid{more} - {kind} {kind} {options}\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    return tmp_path


def find(proc: Path, cgroup: str, mountinfo: str) -> Hierarchies:
    (proc / "cgroup").write_text(cgroup)
    (proc / "mountinfo").write_text(
        mount("ext4", "/") + mount("tmpfs", TOP, more=" shared:9") + mountinfo
    )
    return find_hierarchies(proc)


def test_version_2_alone(proc: Path) -> None:
    """One line, ``0::``, as on any distribution of today."""
    found = find(
        proc,
        "0::/user.slice/user-1000.slice/session-2.scope\n",
        mount("cgroup2", TOP, more=" shared:4 master:1", options="rw,nsdelegate"),
    )

    own = Path(TOP, "user.slice/user-1000.slice/session-2.scope")
    assert Hierarchies(unified=own, unified_top=Path(TOP)) == found


def test_version_1_alone(proc: Path) -> None:
    """A mount for each controller; one may be in different cgroups of each."""
    found = find(
        proc,
        "9:name=systemd:/init\n8:pids:/a\n4:memory:/a/b\n",
        mount("cgroup", f"{TOP}/memory", options="rw,memory")
        + mount("cgroup", f"{TOP}/pids", options="rw,pids")
        + mount("cgroup", f"{TOP}/systemd", options="rw,xattr,name=systemd"),
    )

    assert found.unified is None
    assert found.unified_top is None
    assert Path(TOP, "memory/a/b") == found.own["memory"]
    assert Path(TOP, "pids/a") == found.own["pids"]
    assert Path(TOP, "pids") == found.tops["pids"]
    assert {"memory", "pids", "name=systemd"} == found.own.keys() == found.tops.keys()


def test_both_at_once(proc: Path) -> None:
    """Hybrid: the controllers in version 1, version 2 beside it for what ``0::`` says."""
    found = find(
        proc,
        "4:memory:/job\n0::/unit\n",
        mount("cgroup", f"{TOP}/memory", options="rw,memory") + mount("cgroup2", f"{TOP}/unified"),
    )

    assert {"memory": Path(TOP, "memory/job")} == found.own
    assert Path(TOP, "unified/unit") == found.unified
    assert Path(TOP, "unified") == found.unified_top


def test_controllers_mounted_together(proc: Path) -> None:
    """``cpu,cpuacct``: both are there, in the same folder."""
    found = find(
        proc,
        "3:cpu,cpuacct:/job\n",
        mount("cgroup", f"{TOP}/cpu,cpuacct", options="rw,cpu,cpuacct"),
    )

    assert dict.fromkeys(("cpu", "cpuacct"), Path(TOP, "cpu,cpuacct/job")) == found.own


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/docker/c0ffee", ""),
        ("/docker/c0ffee/inner", "inner"),
        ("/", ""),  # with a cgroup namespace: paths are relative already
        ("/docker/c0ffee2", "docker/c0ffee2"),  # no more than a common beginning
    ],
)
def test_container_whose_mount_has_a_root_of_its_own(proc: Path, path: str, below: str) -> None:
    """Docker mounts the container's own cgroup; /proc/self/cgroup still says the host's path."""
    found = find(
        proc,
        f"4:memory:{path}\n0::{path}\n",
        mount("cgroup", f"{TOP}/memory", root="/docker/c0ffee", options="ro,memory")
        + mount("cgroup2", f"{TOP}/unified", root="/docker/c0ffee"),
    )

    assert Path(TOP, "memory", below) == found.own["memory"]
    assert Path(TOP, "unified", below) == found.unified


def test_mounted_but_not_in_it(proc: Path) -> None:
    """A hierarchy that /proc/self/cgroup does not tell of is not used."""
    found = find(
        proc,
        "4:memory:/\n",
        mount("cgroup2", f"{TOP}/unified") + mount("cgroup", f"{TOP}/cpu", options="rw,cpu"),
    )

    assert Hierarchies() == found


def test_nothing_is_mounted(proc: Path) -> None:
    """As in a bare chroot."""
    assert Hierarchies() == find(proc, "0::/\n", "")


def test_path_may_have_colons(proc: Path) -> None:
    """Only the first two of a line separate."""
    found = find(proc, "0::/a:b/c::d\n", mount("cgroup2", TOP))

    assert Path(TOP, "a:b/c::d") == found.unified


def test_fields_of_a_control_file(tmp_path: Path) -> None:
    """``name number`` a line; others are passed over, and a second look sees what has changed."""
    path = tmp_path / "memory.events"
    path.write_text("low 0\noom_kill 3\nunder oom 1\nname text\n\n")
    with path.open() as file:
        assert {b"low": 0, b"oom_kill": 3} == cgroups.read_fields(file.fileno())
        path.write_text("low 7\n")
        assert {b"low": 7} == cgroups.read_fields(file.fileno())


def test_bases_of_one_program_differ(tmp_path: Path) -> None:
    """Two runtimes in one program, each with a folder of its own that names the program."""
    one, other = cgroups.make_base(tmp_path), cgroups.make_base(tmp_path)

    assert one != other
    assert one.is_dir()
    assert other.is_dir()
    assert one.name.startswith(f"fc-runtime-{os.getpid()}-")
