"""The data folder: who may read it, and what happens when it cannot be written."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from service.hostile.conftest import function  # type: ignore[import-not-found]
from support.serving import LONG_S, Served, refused

FUNCTIONS = "/2023-03-30/functions"
LOOK = """
import json, os

def handler(event, context):
    seen = {}
    for path in json.loads(event):
        try:
            seen[path] = os.listdir(path) if os.path.isdir(path) else bool(open(path, "rb").read(1))
        except OSError:
            seen[path] = None
    return json.dumps(seen)
"""


def small_disk(folder: Path) -> list[str]:
    """A command that runs another with a file system of 2 MiB at *folder*."""
    mount = 'mount -t tmpfs -o size=2m tmpfs "$1" && shift && exec "$@"'
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    under = [*alone, "sh", "-c", mount, "sh", str(folder)]
    tried = subprocess.run([*under, "true"], capture_output=True, check=False, timeout=LONG_S)
    if tried.returncode:
        pytest.skip(f"no mounts here: {tried.stderr.decode()}")
    return under


def create(url: str, name: str, **files: str | bytes) -> httpx.Response:
    return httpx.post(url + FUNCTIONS, json=function(name, **files), timeout=LONG_S)


def test_private(home: Path, tmp_path: Path) -> None:
    """Nobody else reads keys, environments or code, though the folder was there and is open."""
    data = tmp_path / "data"
    (data / "packages").mkdir(parents=True)
    data.chmod(0o755)
    with Served(home, "--data-dir", data) as served:
        names = {path.name: path.stat().st_mode & 0o777 for path in data.iterdir()}

        assert served.wait_for("functions can read it: for those not trusted, --sandbox strict")
    assert {"account.db", "packages", "access-keys", "lock"} <= names.keys()
    assert names.pop("packages") == 0o700
    assert set(names.values()) == {0o600}


def test_strict_does_not_see_it(home: Path, tmp_path: Path) -> None:
    """Under ``strict`` a handler sees of the data folder its own code, by no path any more."""
    data = home / "data"
    with Served(home, "--data-dir", data, "--no-auth", "--sandbox", "strict") as served:
        (data / "access-keys").write_text("id:secret\n")
        assert create(served.url, "spy", index=LOOK).status_code == 200
        assert create(served.url, "other", index="SECRET = 1\n").status_code == 200
        codes = {path.name for path in (data / "packages").iterdir() if path.is_dir()}
        paths = [
            *(data / name for name in ("access-keys", "account.db", "account.db-wal", "lock")),
            *(data / "packages" / name for name in codes),
            Path(f"/proc/{served.process.pid}/environ"),
            Path(f"/proc/{served.process.pid}/root"),
        ]
        asked = httpx.post(
            f"{served.url}{FUNCTIONS}/spy/invocations", json=list(map(str, paths)), timeout=LONG_S
        )
        seen = [path for path, content in asked.json().items() if content is not None]

    assert len(codes) == 2
    assert len(seen) == 1, seen
    assert Path(seen[0]).name in codes


def test_no_room(home: Path) -> None:
    """
    Code for which there is no room is refused as such, and leaves nothing behind; what is there
    goes on, and what is small enough is taken.
    """
    data = home / "data"
    data.mkdir()
    with Served(home, "--data-dir", data, "--no-auth", under=small_disk(data)) as served:
        inside = Path(f"/proc/{served.process.pid}/root{data}/packages")
        assert create(served.url, "first").status_code == 200
        before = sorted(path.name for path in inside.iterdir())
        large = create(served.url, "large", index=os.urandom(1024 * 1024 * 3))
        after = sorted(path.name for path in inside.iterdir())

        assert (503, "ServiceUnavailable") == (large.status_code, large.json()["ErrorCode"])
        assert "No space left" in large.json()["ErrorMessage"]
        assert before == after
        assert served.invoke("first", b"event").content == b"event"
        assert served.invoke("large").status_code == 404
        assert create(served.url, "second").status_code == 200


def test_no_room_for_the_account(home: Path) -> None:
    """Likewise when it is the database that cannot grow; once there is room, all goes on."""
    data = home / "data"
    data.mkdir()
    with Served(home, "--data-dir", data, "--no-auth", under=small_disk(data)) as served:
        inside = Path(f"/proc/{served.process.pid}/root{data}")
        assert create(served.url, "first").status_code == 200
        filler = inside / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as out:
            while True:
                out.write(b"x" * 4096)
                out.flush()
        told = [
            httpx.put(
                f"{served.url}{FUNCTIONS}/first",
                json={"description": f"{number}" * 80},
                timeout=LONG_S,
            )
            for number in range(100, 200)
        ]
        statuses = {reply.status_code for reply in told}
        refusals = [reply.json() for reply in told if reply.status_code == 503]
        description = httpx.get(f"{served.url}{FUNCTIONS}/first").json()["description"]
        filler.unlink()
        healed = httpx.put(f"{served.url}{FUNCTIONS}/first", json={"description": "healed"})

        assert statuses <= {200, 503}
        assert refusals
        assert all("nothing was changed" in refusal["ErrorMessage"] for refusal in refusals)
        kept = [reply.json()["description"] for reply in told if reply.status_code == 200]
        assert description == (kept[-1] if kept else "")
        assert healed.status_code == 200
        assert served.invoke("first", b"event").content == b"event"


@pytest.mark.parametrize("name", ["packages", "account.db", "lock"])
def test_something_else_is_there(home: Path, name: str) -> None:
    """A folder that cannot be used is one line."""
    data = home / "data"
    data.mkdir()
    if name == "packages":
        (data / name).write_text("")
    else:
        (data / name).mkdir()
    code, said = refused(home, "--data-dir", data, "--no-auth")

    assert code == 74
    assert str(data) in said
    assert len(said.splitlines()) == 1


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def overwrite(file: Path) -> None:
    """But for the first page."""
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def break_a_document(file: Path) -> None:
    """As a bad sector would: SQLite itself sees nothing wrong."""
    content = file.read_bytes()
    assert b'"functionId"' in content
    file.write_bytes(content.replace(b'"functionId"', b"\xa5" * 12))


@pytest.mark.parametrize("harm", [cut, overwrite, break_a_document])
def test_a_damaged_account(home: Path, harm: Callable[[Path], None]) -> None:
    """It is one line that names the file, and no code of its functions is removed."""
    data = home / "data"
    with Served(home, "--data-dir", data, "--no-auth") as served:
        assert create(served.url, "hello").status_code == 200
        assert served.stop() == 0
    code_before = sorted((data / "packages").iterdir())
    harm(data / "account.db")
    code, said = refused(home, "--data-dir", data, "--no-auth")

    assert code == 74
    assert str(data / "account.db") in said
    assert len(said.splitlines()) == 1
    assert "[SQL" not in said
    assert code_before == sorted((data / "packages").iterdir())


def test_an_emptied_account(home: Path) -> None:
    """It is a new one, but the code of the old stays, which is told; restored, it is as it was."""
    data = home / "data"
    with Served(home, "--data-dir", data, "--no-auth") as served:
        assert create(served.url, "hello").status_code == 200
        assert served.stop() == 0
    backup = (data / "account.db").read_bytes()
    os.truncate(data / "account.db", 0)
    for _ in range(2):
        with Served(home, "--data-dir", data, "--no-auth") as served:
            told = json.loads(served.wait_for("packages.kept"))
            assert ("warning", 1) == (told["level"], told["packages"])
            assert "restore account.db" in told["mend"]
            assert served.invoke("hello").status_code == 404
            assert create(served.url, "other", index="x = 1\n").status_code in (200, 409)
            assert served.stop() == 0
    (data / "account.db").write_bytes(backup)
    with Served(home, "--data-dir", data, "--no-auth") as served:
        assert served.invoke("hello", b"event").content == b"event"
        assert served.events("packages.kept") == []


@pytest.mark.parametrize("verb", ["PUT", "POST"])
def test_damaged_code(home: Path, verb: str) -> None:
    """Deployed again from the same zip it works again, though it was tried meanwhile."""
    data = home / "data"
    with Served(home, "--data-dir", data, "--no-auth") as served:
        assert create(served.url, "hello").status_code == 200
        assert served.stop() == 0
    (unpacked,) = [path for path in (data / "packages").iterdir() if path.is_dir()]
    os.truncate(unpacked / "index.py", 0)
    with Served(home, "--data-dir", data, "--no-auth") as served:
        assert "HandlerNotFound" in served.invoke("hello").text
        if verb == "POST":
            assert httpx.delete(f"{served.url}{FUNCTIONS}/hello", timeout=LONG_S).is_success
            assert create(served.url, "hello").status_code == 200
        else:
            code = {"code": function("hello")["code"]}
            changed = httpx.put(f"{served.url}{FUNCTIONS}/hello", json=code, timeout=LONG_S)
            assert changed.status_code == 200
        assert served.invoke("hello", b"event").content == b"event"


def test_two_daemons(home: Path) -> None:
    """The second is told so, and does no harm to the first; nor does one that is gone for good."""
    data = home / "data"
    with Served(home, "--data-dir", data, "--no-auth") as first:
        assert create(first.url, "hello").status_code == 200
        code, said = refused(home, "--data-dir", data, "--no-auth")
        assert first.invoke("hello", b"event").content == b"event"
        first.process.kill()
        first.wait()
    with Served(home, "--data-dir", data, "--no-auth") as next_one:
        assert next_one.invoke("hello", b"event").content == b"event"

    assert code == 74
    assert "another fc-runtime serve lives there" in said
    shutil.rmtree(data)
