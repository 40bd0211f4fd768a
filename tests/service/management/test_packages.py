"""Code on the disk: there as a whole, and whole again after damage."""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime.service import folders
from fc_runtime.service.account import Account
from fc_runtime.service.errors import ApiError
from fc_runtime.service.packages import Packages
from structlog.testing import capture_logs
from support.accounts import ECHO, base64_zip, zipped
from support.resources import document, fc3_function

ZIP = zipped(index=ECHO, helper="x = 1\n")


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    return Packages(tmp_path / "packages")


def empty_a_file(folder: Path) -> None:
    (folder / "index.py").write_text("")


def remove_a_file(folder: Path) -> None:
    (folder / "index.py").unlink()


def make_a_folder_of_a_file(folder: Path) -> None:
    remove_a_file(folder)
    (folder / "index.py").mkdir()


def make_a_link_of_a_file(folder: Path) -> None:
    (folder / "index.py").rename(folder / "elsewhere.py")
    (folder / "index.py").symlink_to("elsewhere.py")


def empty_it(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def cut_the_zip(folder: Path) -> None:
    os.truncate(folder.with_suffix(".zip"), 10)


def remove_the_zip(folder: Path) -> None:
    folder.with_suffix(".zip").unlink()


DAMAGES = [
    *(empty_a_file, remove_a_file, make_a_folder_of_a_file, make_a_link_of_a_file),
    *(empty_it, shutil.rmtree, cut_the_zip, remove_the_zip),
]


def check_whole(packages: Packages, digest: str) -> None:
    folder = packages.folder(digest)
    found = {path.name: path.read_text() for path in folder.iterdir() if not path.is_symlink()}

    assert {"index.py": ECHO, "helper.py": "x = 1\n"} == found
    assert ZIP == packages.zip(digest).read_bytes()


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_damaged_is_whole_when_it_is_added_again(
    packages: Packages, damage: Callable[[Path], None]
) -> None:
    """Files that are missing or of another size: a power failure leaves such ones."""
    digest = packages.add(ZIP).digest
    damage(packages.folder(digest))

    assert digest == packages.add(ZIP).digest
    check_whole(packages, digest)
    assert {digest} == packages.digests()


def test_what_is_whole_is_not_touched_when_it_is_added_again(packages: Packages) -> None:
    """Nor for what is there besides: instances run from it."""
    folder = packages.folder(packages.add(ZIP).digest)
    (folder / "more.txt").write_text("")
    before = folder.stat().st_ino

    packages.add(ZIP)
    assert before == folder.stat().st_ino
    assert {"index.py", "helper.py", "more.txt"} == set(os.listdir(folder))


@pytest.mark.parametrize("can_exchange", [True, False])
def test_whoever_runs_from_what_was_damaged_keeps_it(
    tmp_path: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    """Until the next start, which removes it: nothing is changed or taken away under him."""
    digest = packages.add(ZIP).digest
    folder = packages.folder(digest)
    empty_a_file(folder)
    his = os.open(folder, os.O_RDONLY)
    if not can_exchange:
        _without_exchange(monkeypatch)

    packages.add(ZIP)
    packages.sweep({digest})

    check_whole(packages, digest)
    assert {"index.py", "helper.py"} == set(os.listdir(his))
    with open("index.py", opener=lambda name, flags: os.open(name, flags, dir_fd=his)) as file:
        assert not file.read()
    check_whole(Packages(tmp_path / "packages"), digest)
    assert [] == os.listdir(his)
    os.close(his)


def _without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS."""
    really = folders._call

    def call(name: str, *arguments: int | bytes) -> None:
        if name == "renameat2":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        really(name, *arguments)

    monkeypatch.setattr(folders, "_call", call)


def test_nothing_is_in_its_place_before_it_is_on_the_disk(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was unpacked is waited for; if that fails, it is as if nothing had been sent."""
    seen = []

    def fail(folder: Path) -> None:
        seen.extend(sorted(path.name for path in folder.rglob("*")))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(folders, "make_durable", fail)

    with pytest.raises(ApiError, match="Input/output error", check=lambda e: e.status == 503):
        packages.add(ZIP)
    assert ["code", "code.zip", "helper.py", "index.py"] == seen
    assert [] == list((tmp_path / "packages").iterdir())


def test_making_durable_fails_where_the_system_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is syncfs that says so; a C library without it has sync, which never does."""
    folders.make_durable(tmp_path)
    with pytest.raises(FileNotFoundError):
        folders.make_durable(tmp_path / "nowhere")
    monkeypatch.setattr(os, "open", lambda *_: 10**6)
    monkeypatch.setattr(os, "close", lambda _: None)
    with pytest.raises(OSError, match="Bad file descriptor"):
        folders.make_durable(tmp_path)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    folders.make_durable(tmp_path)


def test_what_is_not_unpacked_any_more_is_at_the_next_start(account: Account) -> None:
    """From the zip, which is there still: who removes the folder has it made anew."""
    digest = fc3_function(account, code={"zipFile": base64_zip()}).document["code"]["digest"]
    folder = account.packages.folder(digest)
    shutil.rmtree(folder)

    with capture_logs() as told:
        account.sweep()
    assert [("package.unpacked", digest)] == [(e["event"], e["digest"]) for e in told]
    assert ECHO == (folder / "index.py").read_text()


@pytest.mark.parametrize("damage", [cut_the_zip, remove_the_zip])
def test_a_damaged_zip_is_not_unpacked(account: Account, damage: Callable[[Path], None]) -> None:
    """It is told, with what would help; the start goes on, and others have their code."""
    digest = fc3_function(account).document["code"]["digest"]
    other = document(code={"zipFile": base64_zip(index="x = 1\n")})
    whole = account.create_function("", "other", other).document["code"]["digest"]
    for each in (digest, whole):
        shutil.rmtree(account.packages.folder(each))
    damage(account.packages.folder(digest))

    with capture_logs() as told:
        account.sweep()
    assert {("package.not_unpacked", digest), ("package.unpacked", whole)} == {
        (event["event"], event["digest"]) for event in told
    }
    assert all("deploy it again" in event.get("mend", "deploy it again") for event in told)
    assert not account.packages.folder(digest).exists()
