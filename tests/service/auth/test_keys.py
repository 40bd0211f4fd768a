"""The access keys: from the environment or a file, and no secret in any message."""

import os
import traceback

import pytest
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.service.auth import AccessKey, AccessKeys
from fc_runtime.service.auth.keys import LOOK_AGAIN_S
from structlog.testing import capture_logs


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def write(file, text: str, mode: int = 0o600) -> None:
    """As a careful tool does it: whole or not at all."""
    beside = file.with_suffix(".new")
    beside.write_text(text, "utf-8")
    beside.chmod(mode)
    os.replace(beside, file)


def test_keys_of_the_environment() -> None:
    """Pairs, separated by commas; a third part is the token of a temporary one."""
    environ = {"FC_RUNTIME_ACCESS_KEYS": "a:1, b:2 ,STS.c:3:t/+=,"}

    keys = AccessKeys.load(environ)

    assert 3 == len(keys)
    assert AccessKey("a", "1") == keys.get("a")
    assert AccessKey("b", "2") == keys.get("b")
    assert AccessKey("STS.c", "3", "t/+=") == keys.get("STS.c")
    assert keys.get("d") is None


def test_the_variable_is_taken_out() -> None:
    """Whatever the daemon starts later does not inherit the keys."""
    environ = {"FC_RUNTIME_ACCESS_KEYS": "a:1", "HOME": "/"}

    AccessKeys.load(environ)

    assert {"HOME": "/"} == environ


def test_no_keys_at_all() -> None:
    """Is a set of none; what that means is the daemon's to say."""
    assert 0 == len(AccessKeys.load({}))


def test_keys_of_a_file_come_beside_those_of_the_environment(tmp_path) -> None:
    """One a line; empty lines and comments do not count."""
    file = tmp_path / "keys"
    write(file, "# mine\n\n  b:2  \n#c:3\n")

    keys = AccessKeys.load({"FC_RUNTIME_ACCESS_KEYS": "a:1"}, file)

    assert 2 == len(keys)
    assert AccessKey("b", "2") == keys.get("b")


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        ":hunter2",
        "id:",
        "id:hunter2:",
        "id:hunter2:t:x",
        "i d:hunter2",
        "id:hun ter2",
        "ï:hunter2",
        "a:1,hunter2",
    ],
)
def test_what_is_no_key_is_told_by_its_place_alone(text) -> None:
    """Not by its text: that may be the secret. Nor does the traceback have it."""
    with pytest.raises(InvalidFunctionError, match=r"FC_RUNTIME_ACCESS_KEYS, entry [12]") as raised:
        AccessKeys.load({"FC_RUNTIME_ACCESS_KEYS": text})

    told = "".join(traceback.format_exception(raised.value))
    assert "hunter2" not in told.replace(repr(text), "")
    assert "hunter2" not in str(raised.value)


def test_a_line_that_is_no_key(tmp_path) -> None:
    """The file and the line are named."""
    file = tmp_path / "keys"
    write(file, "a:1\n\nhunter2\n")

    with pytest.raises(InvalidFunctionError, match="keys, line 3") as raised:
        AccessKeys.load({}, file)

    assert "hunter2" not in str(raised.value)


def test_one_id_twice(tmp_path) -> None:
    """Which secret would count is not a thing to guess."""
    file = tmp_path / "keys"
    write(file, "a:2\n")

    with pytest.raises(InvalidFunctionError, match="one secret for one id"):
        AccessKeys.load({"FC_RUNTIME_ACCESS_KEYS": "a:1"}, file)


def test_a_file_that_cannot_be_read(tmp_path) -> None:
    """Says why; so does one that is not text, without showing it."""
    with pytest.raises(InvalidFunctionError, match="No such file"):
        AccessKeys.load({}, tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"id:\xff\xfe")

    with pytest.raises(InvalidFunctionError, match="UTF-8") as raised:
        AccessKeys.load({}, tmp_path / "binary")

    assert "xff" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("mode", "warns"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)]
)
def test_a_file_that_others_can_read_is_warned_about(tmp_path, mode, warns) -> None:
    """And used: a mounted secret of a cluster is often like that."""
    file = tmp_path / "keys"
    write(file, "a:1\n", mode)

    with capture_logs() as logs:
        keys = AccessKeys.load({}, file)

    assert keys.get("a") is not None
    assert warns == any(entry["event"] == "access_keys.exposed" for entry in logs)


def test_a_file_that_changes_is_read_again(tmp_path) -> None:
    """Within a second of lookups: a key that was taken out is not let in any more."""
    file, clock = tmp_path / "keys", Clock()
    write(file, "a:1\n")
    keys = AccessKeys(file=file, clock=clock)
    write(file, "b:2\n")

    assert keys.get("a") is not None
    clock.now += LOOK_AGAIN_S

    assert keys.get("a") is None
    assert AccessKey("b", "2") == keys.get("b")


@pytest.mark.parametrize("change", ["broken", "gone"])
def test_a_file_that_became_wrong_changes_nothing(tmp_path, change) -> None:
    """The keys stay as they were, the log says so, once, and the next good file counts."""
    file, clock = tmp_path / "keys", Clock()
    write(file, "a:1\n")
    keys = AccessKeys(file=file, clock=clock)
    write(file, "hunter2\n") if change == "broken" else file.unlink()
    clock.now += LOOK_AGAIN_S

    with capture_logs() as logs:
        assert keys.get("a") is not None

    assert ["access_keys.kept"] == [entry["event"] for entry in logs]
    assert "hunter2" not in str(logs)
    write(file, "b:2\n")
    clock.now += LOOK_AGAIN_S
    assert keys.get("b") is not None


def test_a_key_shows_its_id_alone() -> None:
    """A repr ends up in logs sooner or later."""
    assert "AccessKey(id='a')" == repr(AccessKey("a", "s3cret", "t0ken"))
