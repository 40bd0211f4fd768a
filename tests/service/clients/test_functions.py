"""What users do with functions, through each official client, unmodified and signed."""

import re
from collections import Counter

import httpx
import pytest
from fastcrc import crc64
from service.clients.conftest import Client  # type: ignore[import-not-found]
from support.daemon import zipped
from support.serving import LONG_S
from support.stage import until

# aliyun-fc2 does not close the zip that it was given the name of.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
ALL_BYTES = bytes(range(256))
ALIAS_CALLS = 200
MISBEHAVES = """
import os, time

def handler(event, context):
    if event == b"raise":
        raise LookupError("nothing of that name")
    if event == b"exit":
        os._exit(3)
    if event == b"sleep":
        time.sleep(60)
    return event
"""
# Of an HTTP trigger: FC2's functions are WSGI applications, FC3's get an event (spec 4).
WSGI = """
def handler(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("201 Created", [("X-Way", "wsgi"), ("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode(), b"|", environ["QUERY_STRING"].encode(), b"|", body]
"""
HTTP_EVENT = """
import json

def handler(event, context):
    told = json.loads(event)
    path, query = told["requestContext"]["http"]["path"], told["queryParameters"]
    body = path + "|" + "&".join(f"{k}={v}" for k, v in query.items()) + "|" + told["body"]
    headers = {"X-Way": "event", "Content-Type": "text/plain"}
    return {"statusCode": 201, "headers": headers, "body": body}
"""


def says(word: str) -> bytes:
    """Code that answers with *word*."""
    return zipped(index=f"def handler(event, context):\n    return {word!r}\n")


def test_life_of_a_function(client: Client) -> None:
    """Created from a zip, invoked, given new code that the next call runs, deleted."""
    old = zipped()
    client.create("echo", old)

    answer = client.invoke("echo", ALL_BYTES)
    assert ALL_BYTES == answer.body
    assert str(crc64.xz(old)) == client.shown("echo")["codeChecksum"]
    assert str(crc64.xz(old)) == answer.headers["x-fc-code-checksum"]
    shape = r"1(-[0-9a-f]+){3}" if client.base == "/2023-03-30" else r".{36}"  # spec 6.9
    assert re.fullmatch(shape, answer.headers["x-fc-request-id"])
    assert float(answer.headers["x-fc-invocation-duration"]) >= 0
    assert float(answer.headers["x-fc-max-memory-usage"]) > 0
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "x-fc-error-type" not in answer.headers

    client.update("echo", says("new"))
    answer = client.invoke("echo", ALL_BYTES)
    assert b"new" == answer.body
    assert str(crc64.xz(says("new"))) == client.shown("echo")["codeChecksum"]
    assert str(crc64.xz(says("new"))) == answer.headers["x-fc-code-checksum"]

    client.delete("echo")
    with client.refused(404, "FunctionNotFound"):
        client.invoke("echo", b"")


def test_no_event_is_an_empty_one(client: Client) -> None:
    """The handler gets ``b""`` (spec 1.2)."""
    client.create("f", zipped(index="def handler(event, context): return repr(event)\n"))

    assert b"b''" == client.invoke("f").body


def test_tail_of_the_log(client: Client) -> None:
    """What the call has written comes along if it is asked for, and only then (spec 6.7)."""
    client.create("f", zipped(index="def handler(event, context):\n    print(event.decode())\n"))

    asked = client.invoke("f", "so say I \N{SNOWMAN}".encode(), tail=True)
    not_asked = client.invoke("f", b"nor this")

    request_id = asked.headers["x-fc-request-id"]
    said = [line for line in asked.log.splitlines() if "inited" not in line]
    assert f"FC Invoke Start RequestId: {request_id}" == said[0]
    assert "so say I \N{SNOWMAN}" == said[1]
    assert f"FC Invoke End RequestId: {request_id}" == said[2]
    assert "x-fc-log-result" not in not_asked.headers


def test_failure_of_a_function(client: Client) -> None:
    """What it raised, that it died, that it took too long; the next call is served (spec 5)."""
    client.create("f", zipped(index=MISBEHAVES), timeout=1)

    raised = client.failing("f", b"raise")
    exited = client.failing("f", b"exit")
    late = client.failing("f", b"sleep")

    assert ("LookupError", "nothing of that name") == (
        raised.error["errorType"],
        raised.error["errorMessage"],
    )
    assert raised.error["stackTrace"][-1][-1].startswith("raise LookupError")
    assert "Process exited unexpectedly before completing request" in exited.error["errorMessage"]
    assert "Function timed out after 1 seconds" in late.error["errorMessage"]
    types = {failure.error_type for failure in (raised, exited, late)}
    assert types <= {"UnhandledInvocationError", None}
    assert (types == {None}) == (client.name == "aliyun-fc2")  # which raises, and does not show it
    assert b"well" == client.invoke("f", b"well").body


def test_version_is_asked_for_by_its_number(client: Client) -> None:
    """A published version goes on as it was, whatever becomes of LATEST."""
    client.create("f", says("one"))
    assert "1" == client.publish("f")
    client.update("f", says("two"))

    assert [b"one", b"two", b"two"] == [
        client.invoke("f", b"", qualifier).body for qualifier in ("1", "LATEST", None)
    ]
    assert client.shown("f", "1")["codeChecksum"] != client.shown("f")["codeChecksum"]
    with client.refused(404, "VersionNotFound"):
        client.invoke("f", b"", "7")


def test_alias_splits_the_calls(client: Client) -> None:
    """Of two hundred calls an additional version of weight 0.3 gets some sixty."""
    client.create("f", says("one"))
    client.publish("f")
    client.update("f", says("two"))
    client.publish("f")
    client.alias("f", "prod", "1", {"2": 0.3})

    said = Counter(client.invoke("f", b"", "prod").body for _ in range(ALIAS_CALLS))

    assert {b"one", b"two"} == said.keys()
    assert 20 < said[b"two"] < 110  # outside once in thousand millions
    with client.refused(404, "AliasNotFound"):
        client.invoke("f", b"", "beta")


def test_layer_is_importable(client: Client) -> None:
    """What lies in its ``python`` folder, as in ``/opt/python`` of the cloud (spec 1.B)."""
    if not client.has_layers:
        pytest.skip(f"{client.name} knows no layers")
    arn = client.layer("deps", zipped(**{"python/from_layer": "WORD = 'layered'\n"}))
    code = "import from_layer\ndef handler(event, context): return from_layer.WORD\n"
    client.create("f", zipped(index=code), layers=[arn])

    assert b"layered" == client.invoke("f").body
    assert [arn] == [
        layer if isinstance(layer, str) else layer["arn"] for layer in client.shown("f")["layers"]
    ]


def test_http_trigger_has_a_url(client: Client) -> None:
    """``urlInternet`` is good for anybody's GET and POST, and for no other method."""
    fc3 = client.base == "/2023-03-30"
    client.create("f", zipped(index=HTTP_EVENT if fc3 else WSGI))
    url = client.http_trigger("f", "web").rstrip("/")

    got = httpx.get(f"{url}/a%20b?q=1", timeout=LONG_S)
    posted = httpx.post(f"{url}/", content="said", timeout=LONG_S)
    put = httpx.put(url, timeout=LONG_S)

    way = "event" if fc3 else "wsgi"
    assert (201, "/a b|q=1|", way) == (got.status_code, got.text, got.headers["x-way"])
    assert (201, "/||said") == (posted.status_code, posted.text)
    assert 405 == put.status_code


def test_provisioned_instances_are_there(client: Client) -> None:
    """As many as are asked for come up without a call; the config counts them."""
    client.create("f", zipped())
    assert 0 == client.provisioned("f")[1]

    client.provision("f", 2)

    until(lambda: client.provisioned("f") == (2, 2), LONG_S, what="two are counted")
    client.provision("f", 0)
    assert 0 == client.provisioned("f")[0]
