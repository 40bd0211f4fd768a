"""A PostgreSQL of the tests' own: a cluster in a temporary folder, gone when they are done."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MISSING = "PostgreSQL is not installed here: apt-get install postgresql"


def _programs() -> Path | None:
    """Where ``initdb`` lies: on Debian not in PATH, but by version."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


def why_not() -> str:
    """What is missing for a cluster of our own; empty if nothing is."""
    if _programs() is None:
        return MISSING
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "root may not run PostgreSQL, and there is no user 'postgres'"
    return ""


@contextmanager
def cluster() -> Iterator[str]:
    """Its URL, with ``{}`` where a database's name goes; as superuser, through a socket."""
    programs = _programs()
    if programs is None:
        raise RuntimeError(MISSING)
    user = "postgres" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="fc-pg-", dir="/tmp"))  # short: it is a socket's name too
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [programs / program, *arguments],
                user=user,
                group=user,
                extra_groups=[] if user else None,
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=120,
            )

        run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -k {folder} -c max_connections=60"
        log = str(folder / "log")
        run("pg_ctl", "-D", str(data), "-w", "-s", "-l", log, "-o", options, "start")
        try:
            yield f"postgresql+psycopg://postgres@/{{}}?host={folder}"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-s", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
