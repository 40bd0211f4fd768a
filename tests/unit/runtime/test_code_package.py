"""Code in a .zip: looked at without unpacking, unpacked without trusting it."""

import errno
import os
import stat
import struct
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from fc_runtime import code_package
from fc_runtime.code_package import check_zip, has_module, unpack
from fc_runtime.errors import InvalidFunctionError, OverloadedError
from hypothesis import given, strategies as st

Entry = tuple[str | zipfile.ZipInfo, bytes]


def entry(name: str, mode: int, content: bytes = b"") -> Entry:
    """One with a file's type and permissions, as Unix zip programs write it."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info, content


def make_zip(path: Path, *entries: Entry, compression: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # duplicate names are what we came for
        for name, content in entries:
            archive.writestr(name, content)
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tmp_path / "code.zip"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "unpacked" / "here"


def tree_of(folder: Path) -> dict[str, bytes | None]:
    """Every path below *folder* with its content; None for a folder."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def test_a_package_is_unpacked_as_it_is(package: Path, folder: Path) -> None:
    """Files, folders with and without entries of their own, empty ones too; in a new folder."""
    make_zip(
        package,
        ("index.py", b"x = 1"),
        ("empty/", b""),
        ("deep/er/main.py", b""),
        ("deep/", b""),
        ("./dotted.py", b"y = 2"),
        ("ünïcode.txt", b"\xff"),
        (" ", b"a space"),
        compression=zipfile.ZIP_DEFLATED,
    )
    unpack(package, folder)

    assert {
        "index.py": b"x = 1",
        "empty": None,
        "deep": None,
        "deep/er": None,
        "deep/er/main.py": b"",
        "dotted.py": b"y = 2",
        "ünïcode.txt": b"\xff",
        " ": b"a space",
    } == tree_of(folder)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0o100644, 0o644),
        (0o100755, 0o755),
        (0o100600, 0o644),  # whoever runs it must be able to read it
        (0o100000, 0o644),
        (0o104755, 0o755),  # set-uid
        (0o102755, 0o755),  # set-gid
        (0o101777, 0o755),  # sticky, writable by all
        (0, 0o644),  # made where there are no such permissions
        (0o755, 0o755),  # permissions without a type
    ],
)
def test_permissions(package: Path, folder: Path, given: int, expected: int) -> None:
    """Readable for all, executable if it was, writable for the owner, and nothing more."""
    make_zip(package, entry("program", given))
    before = os.umask(0)
    try:
        unpack(package, folder)
    finally:
        os.umask(before)

    assert expected == stat.S_IMODE((folder / "program").stat().st_mode)


OUTSIDE = "outside the code folder"
SPECIAL = "is a special file"
LEADS_OUT = "is a link that leads outside"
BAD: dict[str, tuple[list[Entry], str]] = {
    "absolute": ([("/etc/passwd", b"")], OUTSIDE),
    "absolute folder": ([("/etc/", b"")], OUTSIDE),
    "root": ([("/", b"")], OUTSIDE),
    "two slashes": ([("//etc/passwd", b"")], OUTSIDE),
    "parent": ([("../evil.py", b"")], OUTSIDE),
    "parent inside": ([("a/../../evil.py", b"")], OUTSIDE),
    "parent that stays inside": ([("a/../b.py", b"")], OUTSIDE),
    "parent at the end": ([("a/..", b"")], OUTSIDE),
    "parent folder": ([("../", b"")], OUTSIDE),
    "backslash": ([("..\\evil.py", b"")], OUTSIDE),
    "backslash inside": ([("a\\b.py", b"")], OUTSIDE),
    "symlink": ([entry("link", stat.S_IFLNK | 0o777, b"/etc/passwd")], LEADS_OUT),
    "symlink named as a folder": ([entry("link/", stat.S_IFLNK | 0o777, b"/etc")], LEADS_OUT),
    "fifo": ([entry("fifo", stat.S_IFIFO | 0o644)], SPECIAL),
    "block device": ([entry("sda", stat.S_IFBLK | 0o644)], SPECIAL),
    "character device": ([entry("null", stat.S_IFCHR | 0o644)], SPECIAL),
    "socket": ([entry("socket", stat.S_IFSOCK | 0o644)], SPECIAL),
    "duplicate": ([("a.py", b"1"), ("a.py", b"2")], "in it twice"),
    "duplicate by another spelling": ([("a.py", b"1"), ("./a.py", b"2")], "in it twice"),
    "duplicate by two slashes": ([("d/a.py", b"1"), ("d//a.py", b"2")], "in it twice"),
    "file after a folder of its name": ([("a/", b""), ("a", b"")], "in it twice"),
    "dot": ([(".", b"")], "no file's name"),
}


@pytest.mark.parametrize(("entries", "mend"), BAD.values(), ids=BAD)
def test_what_is_refused_before_anything_is_written(
    package: Path, folder: Path, entries: list[Entry], mend: str
) -> None:
    """Paths that lead out, links, devices and duplicates: named, and nothing is unpacked."""
    make_zip(package, ("index.py", b""), *entries)

    with pytest.raises(InvalidFunctionError) as caught:
        check_zip(package)
    assert ("code", str(package)) == (caught.value.field, caught.value.value)
    assert mend in caught.value.mend
    with pytest.raises(InvalidFunctionError):
        unpack(package, folder)
    assert not folder.exists()


def test_a_name_of_nothing_is_refused(package: Path) -> None:
    """zipfile cuts names at a NUL, so a name can come out empty."""
    make_zip(package, ("Xab", b""))
    package.write_bytes(package.read_bytes().replace(b"Xab", b"\0ab"))

    with pytest.raises(InvalidFunctionError, match="no file's name"):
        check_zip(package)


@pytest.mark.parametrize(
    "entries",
    [
        [("a", b""), ("a/", b"")],
        [("a", b""), ("a/b", b"")],
        [("x" * 300, b"")],
        [(f"{'x' * 200}/" * 30, b"")],
    ],
    ids=["a file, then its folder", "a file as a folder", "a name too long", "a path too long"],
)
def test_what_the_file_system_refuses(package: Path, folder: Path, entries: list[Entry]) -> None:
    """What only shows while unpacking is the package's fault too, and said in the same words."""
    make_zip(package, *entries)

    with pytest.raises(InvalidFunctionError, match="cannot be unpacked"):
        unpack(package, folder)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["x/" * 129], "folders deep"),
        ([f"{number}/" + "x/" * 9 for number in range(3)], "more than 20 folders"),
    ],
    ids=["deep", "many"],
)
def test_folders(
    package: Path, monkeypatch: pytest.MonkeyPatch, folders: list[str], said: str
) -> None:
    """A name makes as many folders as it has slashes: they are counted, without unpacking."""
    monkeypatch.setattr(code_package, "MAX_ENTRIES", 20)
    make_zip(package, *[(name, b"") for name in folders])

    with pytest.raises(InvalidFunctionError, match=said):
        check_zip(package)


def test_size_by_claim(package: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than FC takes, by the package's own account: refused without unpacking."""
    monkeypatch.setattr(code_package, "MAX_UNPACKED_BYTES", 1000)
    make_zip(package, ("a", bytes(600)), ("b", bytes(400)), compression=zipfile.ZIP_DEFLATED)
    check_zip(package)

    make_zip(package, ("a", bytes(600)), ("b", bytes(401)), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InvalidFunctionError, match="unpacks to more than 1000 bytes"):
        unpack(package, folder)
    assert not folder.exists()


def test_size_in_truth(package: Path, folder: Path) -> None:
    """A bomb that claims to be small is cut off at what it claims, and refused for the lie."""
    bomb = make_zip(package, ("bomb", bytes(5_000_000)), compression=zipfile.ZIP_DEFLATED)
    honest = struct.pack("<I", 5_000_000)
    assert 2 == bomb.read_bytes().count(honest)
    bomb.write_bytes(bomb.read_bytes().replace(honest, struct.pack("<I", 10)))
    check_zip(bomb)

    with pytest.raises(InvalidFunctionError, match="cannot be unpacked: Bad CRC-32"):
        unpack(bomb, folder)
    assert (folder / "bomb").stat().st_size <= 10


def test_size_while_unpacking(package: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the claims had been believed, unpacking counts for itself."""
    make_zip(package, ("a", bytes(600)), ("b", bytes(600)))
    entries = code_package._checked_entries(package)
    monkeypatch.setattr(code_package, "_checked_entries", lambda _: entries)
    monkeypatch.setattr(code_package, "MAX_UNPACKED_BYTES", 1000)

    with pytest.raises(InvalidFunctionError, match="unpacks to more than 1000 bytes"):
        unpack(package, folder)
    assert 600 == sum(len(content or b"") for content in tree_of(folder).values())


def test_number_of_entries(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million empty files cost inodes, not bytes."""
    monkeypatch.setattr(code_package, "MAX_ENTRIES", 3)
    make_zip(package, *((f"{n}.py", b"") for n in range(3)))
    check_zip(package)

    make_zip(package, *((f"{n}.py", b"") for n in range(4)))
    with pytest.raises(InvalidFunctionError, match="more than 3 entries"):
        check_zip(package)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"import os\n", bytes(5000)])
def test_not_a_zip(package: Path, content: bytes) -> None:
    """Any other file is named as what it is not."""
    package.write_bytes(content)

    with pytest.raises(InvalidFunctionError, match=r"not a readable \.zip"):
        check_zip(package)


def test_a_zip_of_a_future_version(package: Path) -> None:
    """What our zipfile does not know yet is no fault of ours, and no crash."""
    make_zip(package, ("index.py", b""))
    data = bytearray(package.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 255  # the version needed to extract
    package.write_bytes(data)

    with pytest.raises(InvalidFunctionError, match=r"not a readable \.zip"):
        check_zip(package)


def test_nothing_there(package: Path) -> None:
    """A file that is gone since the function was made is an InvalidFunctionError too."""
    with pytest.raises(InvalidFunctionError, match=r"not a readable \.zip"):
        check_zip(package)


def test_an_encrypted_package(package: Path, folder: Path) -> None:
    """Nobody can give us the password."""
    make_zip(package, ("index.py", b"x = 1"))
    data = bytearray(package.read_bytes())
    data[6] |= 1  # the local header's flag, and the directory's
    data[data.index(b"PK\x01\x02") + 8] |= 1
    package.write_bytes(data)

    with pytest.raises(InvalidFunctionError, match="encrypted"):
        unpack(package, folder)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5),
    st.integers(0, 10**6),
)
def test_damage_is_an_invalid_function_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]], cut: int
) -> None:
    """Whatever bytes of a .zip are wrong: unpacked within its folder, or InvalidFunctionError."""
    place = tmp_path_factory.mktemp("damaged")
    package = make_zip(
        place / "code.zip",
        ("index.py", b"x = 1\n" * 100),
        ("dir/", b""),
        entry("dir/run.sh", 0o100755, b"ls -l"),
        compression=zipfile.ZIP_DEFLATED,
    )
    data = bytearray(package.read_bytes())
    for at, value in damage:
        data[at % len(data)] = value
    package.write_bytes(data[: max(len(data) - cut % (4 * len(data)), 0) or None])
    with suppress(InvalidFunctionError):
        unpack(package, place / "folder")

    assert {"code.zip", "folder"} >= {path.name for path in place.iterdir()}
    assert not any(path.is_symlink() for path in place.rglob("*"))


def test_has_module(tmp_path: Path, package: Path) -> None:
    """In a folder and in a .zip alike: source, bytecode, extension, or package."""
    names = ["a.py", "d/b.pyc", "c.so", "p/__init__.py", "data/x.txt"]
    folder = tmp_path / "folder"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    make_zip(package, *((name, b"") for name in names))

    for place in (folder, package):
        assert [True] * 4 == [has_module(place, stem) for stem in ("a", "d/b", "c", "p")]
        assert [False] * 4 == [has_module(place, stem) for stem in ("b", "d", "data", "data/x")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE])
def test_no_room_to_unpack_is_no_fault_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The host is told apart from the function: with room again the same package will do."""
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.py", "")

    def no_room(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_room)
        with pytest.raises(OverloadedError, match=os.strerror(number)):
            code_package.unpack(path, tmp_path / "first")

    code_package.unpack(path, tmp_path / "then")
    assert (tmp_path / "then" / "index.py").is_file()


def test_no_way_to_unpack_is_told(tmp_path: Path) -> None:
    """A folder that cannot be made is a refusal with the reason."""
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.py", "")
    (tmp_path / "in the way").touch()

    with pytest.raises(InvalidFunctionError, match=r"cannot be unpacked: .*Not a directory"):
        code_package.unpack(path, tmp_path / "in the way" / "folder")
