"""The official clients, unmodified, over real connections: each is known by what it signed."""

import gc
import io
import json
from contextlib import suppress
from email.utils import formatdate

import pytest
import requests
from alibabacloud_credentials.client import Client as Credentials
from alibabacloud_credentials.models import Config as CredentialsConfig
from alibabacloud_fc20230330 import client as fc3, models as fc3_models
from alibabacloud_fc_open20210406 import client as fc2021, models as fc2021_models
from alibabacloud_gateway_fc_util.client import Client as Gateway
from alibabacloud_tea_openapi.models import Config
from darabonba.core import DaraCore
from fc2 import Client as Fc2
from fc_runtime.service.auth import AccessKey, AccessKeys
from support.signed import KEY, TEMPORARY, Doorkeeper, serving

pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning",
    "ignore:Call to deprecated function:DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
)
WRONG = AccessKey(KEY.id, "wrong")
KEYS = pytest.mark.parametrize(
    ("key", "known"),
    [(KEY, True), (TEMPORARY, True), (WRONG, False)],
    ids=lambda v: getattr(v, "id", v),
)


@pytest.fixture
def door():
    with serving(AccessKeys([KEY, TEMPORARY])) as keeper:
        yield keeper
        for session in DaraCore._sessions.values():  # the newer SDKs keep connections for ever
            session.close()
        DaraCore._sessions.clear()
        gc.collect()  # and answers that they did not read to the end


@pytest.fixture
def answered(door: Doorkeeper):
    """Checks what the server made of everything that the test has sent."""

    def check(key: AccessKey, known: bool, times: int) -> None:
        wanted = {"caller": key.id} if known else {"Code": "SignatureNotMatch"}
        assert times == len(door.answers)
        assert all(wanted.items() <= answer.items() for answer in door.answers), door.answers

    return check


def trying(call) -> None:
    """The answer is not what a client waits for; `answered` sees what came to the server."""
    with suppress(Exception):
        call()


@KEYS
def test_aliyun_fc2(door, answered, key, known) -> None:
    """API 2016-08-15: management, invocation, and HTTP triggers with their query."""
    client = Fc2(
        endpoint=door.url,
        accessKeyID=key.id,
        accessKeySecret=key.secret,
        securityToken=key.security_token,
    )

    trying(lambda: client.list_services(limit=3, prefix="a b"))
    trying(lambda: client.create_service("s", description="ü"))
    trying(lambda: client.invoke_function("s", "f", b"\0event", headers={"x-fc-log-type": "Tail"}))
    trying(
        lambda: client.do_http_request(
            "GET", "s", "f", "/a%20b/ü", params={"q": ["1", "b&c"], "z": "a=+ ü"}
        )
    )
    trying(lambda: client.do_http_request("POST", "s", "f", "", body=b"x"))

    answered(key, known, 5)


def _config(door: Doorkeeper, key: AccessKey) -> Config:
    return Config(
        access_key_id=key.id,
        access_key_secret=key.secret,
        security_token=key.security_token or None,
        endpoint=door.host,
        protocol="http",
    )


@KEYS
def test_alibabacloud_fc20230330(door, answered, key, known) -> None:
    """API 2023-03-30: bodies of bytes, JSON and nothing; odd names; queries."""
    client = fc3.Client(_config(door, key))
    event = fc3_models.InvokeFunctionRequest(body=io.BytesIO(b"\0event"), qualifier="a b/ü~")
    created = fc3_models.CreateFunctionInput(function_name="f", description="ü")

    trying(lambda: client.invoke_function("a b/ü~*", event))
    trying(lambda: client.create_function(fc3_models.CreateFunctionRequest(body=created)))
    trying(lambda: client.list_functions(fc3_models.ListFunctionsRequest(limit=3, prefix="x=&y +")))
    trying(lambda: client.delete_function("f"))

    answered(key, known, 4)


@KEYS
def test_alibabacloud_fc_open20210406(door, answered, key, known) -> None:
    """API 2021-04-06, whose byte bodies have no content type."""
    client = fc2021.Client(_config(door, key))
    event = fc2021_models.InvokeFunctionRequest(body=b"\0event", qualifier="LATEST")

    trying(lambda: client.invoke_function("s", "f", event))
    trying(lambda: client.list_services(fc2021_models.ListServicesRequest(limit=3, prefix="ü")))
    trying(lambda: client.delete_service("s"))

    answered(key, known, 3)


@KEYS
def test_the_gateway_signer_of_http_triggers(door, answered, key, known) -> None:
    """For FC3's HTTP triggers with ``authType: function``; it does not sort the query."""
    config = CredentialsConfig(
        type="sts" if key.security_token else "access_key",
        access_key_id=key.id,
        access_key_secret=key.secret,
        security_token=key.security_token or None,
    )
    client = Gateway(Credentials(config))

    for path in ("/trigger/a%20b", "/trigger/x?z=1&a=b%20c&flag", "/trigger/?%C3%BC=1"):
        client.invoke_httptrigger(door.url + path, "POST", b"x", {"content-type": "text/plain"})

    answered(key, known, 3)


def test_a_request_of_the_sdk_that_is_sent_again(door) -> None:
    """Byte by byte the same, once it has been let in: refused."""
    sent: list[requests.PreparedRequest] = []
    client = fc3.Client(_config(door, KEY))
    with pytest.MonkeyPatch.context() as patch:
        send = requests.Session.send
        patch.setattr(
            requests.Session, "send", lambda s, r, **more: (sent.append(r), send(s, r, **more))[1]
        )
        trying(lambda: client.get_function("f", fc3_models.GetFunctionRequest()))
    with requests.Session() as session:
        again = session.send(sent[0])

    assert {"caller": KEY.id} == door.answers[-2]
    assert (403, "AccessDenied") == (again.status_code, again.json()["ErrorCode"])


def test_without_a_signature(door) -> None:
    """The error has the keys of every API's clients (spec 5.D)."""
    answer = requests.get(
        f"{door.url}/2023-03-30/functions", headers={"date": formatdate(usegmt=True)}, timeout=10
    )

    assert 400 == answer.status_code
    assert {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"} == set(
        json.loads(answer.text)
    )
