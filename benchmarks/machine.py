"""What the figures were measured on: nothing that names the machine or a folder on it."""

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

PACKAGES = (
    *("fc-runtime", "msgpack", "psutil", "uvloop", "numpy", "oss2", "matplotlib"),
    *("pebble", "billiard", "loky", "functions-framework", "gunicorn", "awslambdaric", "ray"),
)


def stamp():
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count(),
        "cpus_allowed": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_compiler": platform.python_compiler(),
        "python_build_flags": build_flags(),
        "privileged": os.geteuid() == 0,
        "isolation": tiers(),
        "revision": revision(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def cpu_model():
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields.get("model name") or fields.get("CPU part") or platform.processor()


def build_flags():
    """Configure options and optimisation flags; what holds a path is left out."""
    words = f"{sysconfig.get_config_var('CONFIG_ARGS')} {sysconfig.get_config_var('OPT')}"
    flags = [word for word in words.replace("'", " ").split() if "/" not in word]
    return sorted({one for one in flags if one.startswith(("--enable", "--with", "-O", "-g"))})


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def revision():
    argv = ["git", "--no-optional-locks", "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(
            argv, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def tiers():
    """The isolation tiers of this host, the best first."""
    try:
        from fc_runtime.isolation.tiers import available
    except ImportError:
        return []
    return list(available())


class CpuTimes:
    """Shares of CPU time between two instants: what others, and the host, took from us."""

    def __init__(self):
        self._at_start = self._read()

    @staticmethod
    def _read():
        words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        return [int(word) for word in words]

    def shares(self):
        now = self._read()
        user, nice, system, idle, wait, irq, softirq, steal = (
            after - before for before, after in zip(self._at_start, now, strict=True)
        )
        busy = user + nice + system + irq + softirq + steal
        total = busy + idle + wait
        return {
            "steal_of_busy": round(steal / busy, 4) if busy else 0.0,
            "busy_of_all": round(busy / total, 4) if total else 0.0,
        }


if __name__ == "__main__":
    import json

    json.dump(stamp(), sys.stdout, indent=2)
