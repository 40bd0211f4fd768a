"""Where a function's code may come from, and what is refused."""

import base64
import io
import stat
import zipfile
from pathlib import Path

import pytest
from fc_runtime.service.account import Account
from fc_runtime.service.errors import ApiError
from support import daemon
from support.daemon import ECHO, base64_zip, zipped

SETTINGS = {"runtime": "python3.10", "handler": "index.handler"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "code of mine"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "index.pyc").write_bytes(b"of no use")
    (folder / "index.py").write_text(ECHO)
    return folder


def create(account: Account, code: object, name: str = "echo"):
    return account.create_function("", name, {**SETTINGS, "code": code})


def refused(status: int, code: str, words: str | None = None):
    return pytest.raises(
        ApiError, match=words, check=lambda error: (status, code) == (error.status, error.code)
    )


def test_zip_is_unpacked_for_whoever_serves_it(account: Account) -> None:
    """The document names a package of which folder and zip are there."""
    code = create(account, {"zipFile": base64_zip()}).document["code"]

    assert ECHO == (account.packages.folder(code["digest"]) / "index.py").read_text()
    assert zipped() == account.packages.zip(code["digest"]).read_bytes()
    assert len(zipped()) == code["size"]


@pytest.mark.parametrize(
    "code",
    [None, {}, {"zipFile": ""}, {"zipFile": None}, {"ossBucketName": "b"}, {"digest": "0" * 64}],
    ids=str,
)
def test_code_has_to_come_from_somewhere(account: Account, code: object) -> None:
    """In FC's own words; nobody names a package of ours from outside."""
    words = "Either ossBucketName/ossObjectName or zipFile must be set"

    with refused(400, "InvalidArgument", words):
        create(account, code)


@pytest.mark.parametrize(
    "code", ["text", 5, [], {"zipFile": "no base64!"}, {"zipFile": "bm8gemlw"}]
)
def test_what_is_no_zip_is_refused(account: Account, code: object) -> None:
    """400, and no function is left behind."""
    with pytest.raises(ApiError, check=lambda error: error.status == 400):
        create(account, code)

    assert [] == account.functions()


def hostile_zip(name: str, mode: int = 0) -> dict[str, str]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, "../../outside")
    return {"zipFile": base64.b64encode(packed.getvalue()).decode()}


@pytest.mark.parametrize(
    "code",
    [
        hostile_zip("/etc/passwd"),
        hostile_zip("../outside.py"),
        hostile_zip("link", stat.S_IFLNK | 0o777),
    ],
    ids=["absolute", "dots", "link"],
)
def test_zip_that_reaches_out_of_its_folder_is_refused(
    account: Account, tmp_path: Path, code: dict[str, str]
) -> None:
    """Nothing of it is written anywhere."""
    with refused(400, "InvalidArgument"):
        create(account, code)

    assert [] == list((tmp_path / "packages").iterdir())


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a" * 300], f"File name too long: '{'a' * 300}'"),
        (["a", "a/b"], "File exists: 'a'"),
    ],
    ids=["long", "clash"],
)
def test_names_that_no_folder_takes_are_told_as_the_zip_has_them(
    account: Account, tmp_path: Path, names: list[str], told: str
) -> None:
    """400 with the name, and without the folder of the daemon in which it was to be."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, "")

    with pytest.raises(ApiError) as caught:
        create(account, {"zipFile": base64.b64encode(packed.getvalue()).decode()})

    assert (400, "InvalidArgument") == (caught.value.status, caught.value.code)
    assert f"code.zipFile: cannot be unpacked: {told}" == caught.value.message
    assert [] == list((tmp_path / "packages").iterdir())


def test_checksum_that_was_told_has_to_be_right(account: Account) -> None:
    """``code.checksum`` is the CRC-64 of the zip (spec 7.C)."""
    right = create(account, {"zipFile": base64_zip()}).document["code"]["checksum"]

    create(account, {"zipFile": base64_zip(), "checksum": right}, "right")
    with refused(400, "InvalidArgument", "checksum"):
        create(account, {"zipFile": base64_zip(), "checksum": "1"}, "wrong")


def test_code_in_oss_is_refused_clearly_where_there_is_none(account: Account) -> None:
    """With what would do instead."""
    with refused(501, "NotImplemented", "oss://bucket/code.zip.*zipFile"):
        create(account, {"ossBucketName": "bucket", "ossObjectName": "code.zip"})


def test_code_in_oss_is_read_where_there_is_some(tmp_path: Path) -> None:
    """By whatever the daemon was given for it."""
    objects = {("bucket", "code.zip"): zipped()}
    with daemon.account_in(tmp_path, oss=lambda *where: objects[where]) as account:
        code = create(account, {"ossBucketName": "bucket", "ossObjectName": "code.zip"})

        assert len(zipped()) == code.document["code"]["size"]


def test_folder_is_refused_unless_the_daemon_allows_it(account: Account, folder: Path) -> None:
    """A daemon that others reach does not run what lies about on its machine."""
    with refused(400, "InvalidArgument", "folders"):
        create(account, {"folder": str(folder)})


def test_folder_may_be_the_code(tmp_path: Path, folder: Path) -> None:
    """Where it lies, as it is; but it has to be there, and named in full."""
    with daemon.account_in(tmp_path, local_code=True) as account:
        assert {"folder": str(folder)} == create(account, {"folder": str(folder)}).document["code"]

        for wrong in ("code of mine", str(folder / "index.py"), str(folder / "none")):
            with refused(400, "InvalidArgument", "absolute path"):
                create(account, {"folder": wrong}, "wrong")


def test_our_own_program_may_name_a_folder(account: Account, folder: Path) -> None:
    """As a Path, which no request can be: ``fc-runtime serve`` has it from its user."""
    assert {"folder": str(folder)} == create(account, folder).document["code"]


@pytest.mark.parametrize("service", ["", "demo"], ids=["fc3", "fc2"])
def test_version_of_a_folder_is_a_copy(account: Account, folder: Path, service: str) -> None:
    """Published, it does not change with the folder; and a changed folder is something new."""
    account.create_service("demo", {})
    account.create_function(service, "echo", {**SETTINGS, "code": folder})
    account.publish_version(service, "echo")
    (folder / "index.py").write_text("changed = True\n")

    code = account.targets(service, "echo", "1")[0][0].document["code"]
    unpacked = account.packages.folder(code["digest"])

    assert [ECHO] == [path.read_text() for path in unpacked.iterdir()]
    assert "2" == account.publish_version(service, "echo").name
    with refused(400, "VersionPublishError"):
        account.publish_version(service, "echo")


def test_container_has_no_code(account: Account) -> None:
    """It is stored; that it cannot be run here is said when it is invoked."""
    container = {"runtime": "custom-container", "customContainerConfig": {"image": "some/image"}}
    entry = account.create_function("", "boxed", container)

    assert {} == entry.document["code"]
    assert "1" == account.publish_version("", "boxed").name
