"""What a function may do in the cloud: where the credentials of its role come from."""

import json
import traceback
from types import SimpleNamespace

import pytest
from alibabacloud_credentials import client as aliyun
from fc_runtime.credentials import Credentials, Renewing
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.service.errors import ApiError
from fc_runtime.service.identity import RoleCredentials
from structlog.testing import capture_logs

ROLE = "acs:ram::123456789012:role/reader"
ENVIRONMENT = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIenv",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cret",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "t0ken",
}


class Chain:
    """Stands in for the client of alibabacloud-credentials: fails, or finds, as it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.problem: Exception | None = None

    def get_credential(self) -> SimpleNamespace:
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        return SimpleNamespace(
            access_key_id=f"STS.{self.asked}", access_key_secret="s3cret", security_token=None
        )


@pytest.fixture
def chain(monkeypatch) -> Chain:
    made = Chain()
    monkeypatch.setattr(aliyun, "Client", lambda: made)
    return made


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def given(source: object) -> Credentials:
    return source if isinstance(source, Credentials) else Renewing(source).get()  # as the core does


def answer_of_sts(file, key_id: str = "STS.file", **more: str) -> None:
    triple = {"AccessKeyId": key_id, "AccessKeySecret": "s3cret", "SecurityToken": "t0ken"}
    file.write_text(json.dumps({"Credentials": {**triple, **more}}), "utf-8")


def test_nothing_is_configured() -> None:
    """Then no function has credentials, whatever its role, as in a local run of the tools."""
    identity = RoleCredentials(environ={})

    assert identity.source(ROLE) is None
    assert identity.source("") is None


def test_the_environment() -> None:
    """The names that all of Alibaba Cloud's SDKs read."""
    wanted = Credentials(
        access_key_id="LTAIenv", access_key_secret="s3cret", security_token="t0ken"
    )

    assert wanted == RoleCredentials(environ=ENVIRONMENT).source("")
    assert RoleCredentials(environ={"ALIBABA_CLOUD_ACCESS_KEY_ID": "a"}).source(ROLE) is None


def test_a_file_comes_before_the_environment(tmp_path) -> None:
    """The whole answer of the Security Token Service, or the triple alone."""
    file = tmp_path / "sts.json"
    answer_of_sts(file, Expiration="2030-01-31T12:00:00Z")

    found = given(RoleCredentials(file=file, environ=ENVIRONMENT).source(ROLE))

    assert ("STS.file", "t0ken", 1896091200.0) == (
        found.access_key_id,
        found.security_token,
        found.expires_at,
    )


def test_a_file_that_is_replaced(tmp_path) -> None:
    """Is read again when what it gave is about to expire; not before."""
    file = tmp_path / "sts.json"
    answer_of_sts(file, "one", Expiration="2020-01-31T12:00:00Z")
    renewing = Renewing(RoleCredentials(file=file).source(ROLE))
    assert "one" == renewing.get().access_key_id

    answer_of_sts(file, "two", Expiration="2999-01-31T12:00:00Z")
    assert "two" == renewing.get().access_key_id
    answer_of_sts(file, "three")

    assert "two" == renewing.get().access_key_id


@pytest.mark.parametrize(
    "text",
    [
        '{"AccessKeyId": "s3cret"',
        "[]",
        "{}",
        '{"AccessKeyId": "a", "AccessKeySecret": ["s3cret"]}',
        '{"AccessKeyId": "a", "AccessKeySecret": "s3cret", "Expiration": "soon"}',
    ],
)
def test_a_file_that_will_not_do(tmp_path, text) -> None:
    """Is refused at the start, and the message shows nothing of it."""
    file = tmp_path / "sts.json"
    file.write_text(text)

    with pytest.raises(InvalidFunctionError, match=r"sts\.json") as raised:
        RoleCredentials(file=file)

    assert "s3cret" not in "".join(traceback.format_exception(raised.value))
    with pytest.raises(InvalidFunctionError, match="No such file"):
        RoleCredentials(file=tmp_path / "none")


@pytest.mark.parametrize("how", ["asked for", "environment"])
def test_the_chain_is_for_functions_with_a_role(chain, how) -> None:
    """When it is asked for, or when the environment tells it where to look."""
    if how == "asked for":
        identity = RoleCredentials(environ={}, chain=True)
    else:
        identity = RoleCredentials(environ={"ALIBABA_CLOUD_CREDENTIALS_URI": "http://127.0.0.1:1/"})

    assert "STS.1" == given(identity.source(ROLE)).access_key_id
    assert identity.source("") is None


def test_the_chain_renews_what_it_keeps(chain) -> None:
    """It does not say when that expires, so it is asked each time."""
    renewing = Renewing(RoleCredentials(environ={}, chain=True).source(ROLE))

    assert ["STS.1", "STS.2"] == [renewing.get().access_key_id for _ in range(2)]


def test_a_chain_that_fails_is_not_asked_each_time(chain) -> None:
    """Again after 1 s, 2 s, 4 s; in between each invocation is told why at once."""
    clock = Clock()
    source = RoleCredentials(environ={}, chain=True, clock=clock).source(ROLE)
    chain.problem = ConnectionError("metadata service: no route to host")

    asked = []
    for _ in range(64):
        with pytest.raises(ApiError, match="no route to host") as raised:
            given(source)
        assert (503, "ServiceUnavailable") == (raised.value.status, raised.value.code)
        asked.append(chain.asked)
        clock.now += 0.125

    # At 0, 1.0, 3.0 and 7.0 s.
    assert [1] * 8 + [2] * 16 + [3] * 32 + [4] * 8 == asked


def test_a_chain_that_works_again(chain) -> None:
    """Is used at once, and its next failure waits a second again."""
    clock = Clock()
    source = RoleCredentials(environ={}, chain=True, clock=clock).source(ROLE)
    for _ in range(3):
        chain.problem = ConnectionError("down")
        with pytest.raises(ApiError) as raised:
            given(source)
        assert "1" == raised.value.headers["Retry-After"]
        chain.problem = None
        clock.now += 1.01

        assert given(source).access_key_id.startswith("STS.")


def test_no_secret_of_a_failing_chain_is_shown(chain) -> None:
    """Its messages may quote what it was sent; neither log nor error does."""
    chain.problem = RuntimeError('bad answer: {"AccessKeySecret": "fMqCvN3pQ8wEr5TyU1iO"}')

    with (
        capture_logs() as logs,
        pytest.raises(ApiError, match="RuntimeError: bad answer") as raised,
    ):
        given(RoleCredentials(environ={}, chain=True).source(ROLE))

    assert ["credentials.unavailable"] == [entry["event"] for entry in logs]
    told = str(logs) + "".join(traceback.format_exception(raised.value))
    assert "fMqCvN3pQ8wEr5TyU1iO" not in told.replace(repr(chain.problem), "")


def test_a_chain_that_finds_no_key(chain, monkeypatch) -> None:
    """A bearer token, say, is not what a handler can be given."""
    monkeypatch.setattr(
        chain, "get_credential", lambda: SimpleNamespace(access_key_id=None, access_key_secret=None)
    )

    with pytest.raises(ApiError, match="no access key"):
        given(RoleCredentials(environ={}, chain=True).source(ROLE))


def test_the_chain_without_its_package(monkeypatch) -> None:
    """Says what to install, when the daemon starts."""
    import sys

    monkeypatch.setitem(sys.modules, "alibabacloud_credentials.client", None)

    with pytest.raises(InvalidFunctionError, match=r"pip install 'fc-runtime\[aliyun\]'"):
        RoleCredentials(environ={}, chain=True)
    assert RoleCredentials(environ={}).source(ROLE) is None
