"""The API as HTTP: what no client would send, and what every reply has."""

import concurrent.futures
import json

import httpx
import pytest
from fc_runtime.errors import OverloadedError
from fc_runtime.service.account import Account
from support.daemon import base64_zip

KEYS = {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"}
FUNCTION = {
    "functionName": "echo",
    "runtime": "python3.10",
    "handler": "index.handler",
    "code": {"zipFile": base64_zip()},
}


def check_refusal(reply: httpx.Response, status: int, code: str) -> str:
    """All five keys, whoever reads them (spec 5.D); the message."""
    body = reply.json()
    assert (status, code) == (reply.status_code, body["Code"]), reply.text
    assert set(body) == KEYS
    assert (body["Code"], body["Message"]) == (body["ErrorCode"], body["ErrorMessage"])
    assert body["RequestId"] == reply.headers["x-fc-request-id"]
    return body["Message"]


def test_every_reply_has_an_id_and_changes_an_etag(http: httpx.Client) -> None:
    """Of what is shown; lists and deletions have none."""
    made = http.post("/2023-03-30/functions", json=FUNCTION)
    shown = http.get("/2023-03-30/functions/echo")
    listed = http.get("/2023-03-30/functions")
    deleted = http.delete("/2023-03-30/functions/echo", headers={"If-Match": made.headers["etag"]})

    assert [200, 200, 200, 204] == [r.status_code for r in (made, shown, listed, deleted)]
    assert made.headers["etag"] == shown.headers["etag"]
    assert "etag" not in listed.headers
    assert b"" == deleted.content
    ids = {r.headers["x-fc-request-id"] for r in (made, shown, listed, deleted)}
    assert 4 == len(ids)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"5",
        b"null",
        b"\xff\xfe",
        b'{"description": "\\ud800"}',
        b'{"x": NaN}',
        b'{"x": Infinity}',
        b"[" * 100_000,
        b'{"x": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_body_that_is_no_json_object_is_refused(http: httpx.Client, body: bytes) -> None:
    """400, never a broken connection or a 500."""
    check_refusal(http.post("/2016-08-15/services", content=body), 400, "InvalidArgument")


@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_is_too_large_is_refused(http: httpx.Client, chunked: bool) -> None:
    """It is read to its end, so that the client, which is still sending, hears why."""
    size, part = 3 * 1024 * 1024, b" " * 65_536
    content = (part for _ in range(size // len(part))) if chunked else b" " * size

    reply = http.post("/2016-08-15/services", content=content)

    check_refusal(reply, 400, "EntityTooLarge")
    assert 200 == http.get("/2016-08-15/services").status_code


def test_code_may_be_larger_than_other_bodies(http: httpx.Client) -> None:
    """A zip of some megabytes goes through."""
    text = "".join(f"{number:x}" for number in range(400_000))
    zip_file = base64_zip(index=f"TEXT = '{text}'\n")
    assert len(zip_file) > 2 * 1024 * 1024

    reply = http.post("/2023-03-30/functions", json={**FUNCTION, "code": {"zipFile": zip_file}})

    assert 200 == reply.status_code
    assert len(zip_file) * 3 // 4 - 2 <= reply.json()["codeSize"] <= len(zip_file) * 3 // 4


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "²", "9" * 5000])
def test_limit_of_a_list_is_from_1_to_100(http: httpx.Client, limit: str) -> None:
    """Anything else is refused."""
    reply = http.get("/2023-03-30/functions", params={"limit": limit})

    assert "limit" in check_refusal(reply, 400, "InvalidArgument")


def test_lists_have_20_on_a_page_unless_told(http: httpx.Client, account: Account) -> None:
    """And the pages make the whole, none twice."""
    for number in range(25):
        account.create_service(f"s{number:02}", {})

    first = http.get("/2016-08-15/services").json()
    rest = http.get("/2016-08-15/services", params={"nextToken": first["nextToken"]}).json()

    names = [found["serviceName"] for found in first["services"] + rest["services"]]
    assert [f"s{number:02}" for number in range(25)] == names
    assert (20, 5) == (len(first["services"]), len(rest["services"]))


@pytest.mark.parametrize("token", ["é", "%%%", "a", "_-_-", "AAAA\n"])
def test_token_that_nobody_gave_is_refused(http: httpx.Client, token: str) -> None:
    """Or taken for a name that nothing has; never an error of ours."""
    reply = http.get("/2023-03-30/functions", params={"nextToken": token})

    assert reply.status_code in {200, 400}
    if reply.status_code == 400:
        check_refusal(reply, 400, "InvalidArgument")


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/2023-03-30/no-such-thing"),
        ("PATCH", "/2023-03-30/functions"),
        ("DELETE", "/2016-08-15/services"),
        ("POST", "/2023-03-30/functions/echo"),
        ("GET", "/2023-03-30/services"),
        ("GET", "/2016-08-15/functions"),
        ("GET", "/2021-04-06/"),
    ],
)
def test_what_the_api_does_not_have_is_refused(http: httpx.Client, verb: str, path: str) -> None:
    """In FC's words, with verb and path."""
    message = check_refusal(http.request(verb, path), 400, "PathNotSupported")

    assert f"'{verb}' against '{path}' is not supported" == message


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/2023-03-30/no-such%0Athing", "PathNotSupported"),
        ("/2023-03-30/%0D%0A", "PathNotSupported"),
        ("/2023-03-30/layerarn/a%0Ab", "InvalidArgument"),
    ],
)
def test_a_path_with_line_ends_is_a_path(http: httpx.Client, path: str, code: str) -> None:
    """Refused as any other, and not by what the API is built of."""
    check_refusal(http.get(path), 400, code)


def test_versions_are_not_changed(http: httpx.Client, account: Account) -> None:
    """What has a qualifier other than LATEST can only be read."""
    account.create_service("demo", {})
    account.publish_version("demo", "")

    for verb, path in (
        ("PUT", "/services/demo.1"),
        ("DELETE", "/services/demo.1"),
        ("POST", "/services/demo.1/functions"),
    ):
        message = check_refusal(
            http.request(verb, f"/2016-08-15{path}", json=FUNCTION), 400, "InvalidArgument"
        )
        assert "LATEST" in message
    assert 200 == http.put("/2016-08-15/services/demo.LATEST", json={}).status_code


def test_only_one_of_many_makes_it(http: httpx.Client, account: Account) -> None:
    """The same function from 16 at once: one 200, the others 409; and no lost update."""
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        replies = list(
            threads.map(lambda _: http.post("/2023-03-30/functions", json=FUNCTION), range(16))
        )
        etag = account.get_function("", "echo").etag
        changes = list(
            threads.map(
                lambda n: http.put(
                    "/2023-03-30/functions/echo",
                    json={"timeout": n + 1},
                    headers={"If-Match": etag},
                ),
                range(16),
            )
        )

    assert [200, *[409] * 15] == sorted(reply.status_code for reply in replies)
    assert [200, *[412] * 15] == sorted(reply.status_code for reply in changes)
    (taken,) = [reply for reply in changes if reply.status_code == 200]
    assert taken.json()["timeout"] == account.get_function("", "echo").document["timeout"]


def test_bug_of_ours_is_an_error_500_that_says_nothing(
    http: httpx.Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets JSON and an id; what happened is in the log alone."""
    monkeypatch.setattr(account, "list_services", lambda **_: 1 // 0)

    reply = http.get("/2016-08-15/services")

    check_refusal(reply, 500, "InternalServerError")
    assert "division" not in reply.text


def test_no_room_for_code_is_nothing_wrong_with_it(
    http: httpx.Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503: the same may do later; and no function is left without its code."""

    def no_room(_content: bytes) -> None:
        raise OverloadedError("no room")

    monkeypatch.setattr(account.packages, "add", no_room)

    check_refusal(http.post("/2023-03-30/functions", json=FUNCTION), 503, "ServiceUnavailable")
    assert [] == account.functions()


def test_text_that_is_not_ascii_goes_round(http: httpx.Client) -> None:
    """Descriptions are in any language."""
    made = http.post("/2016-08-15/services", json={"serviceName": "s", "description": "服务 😀"})

    assert "服务 😀" == made.json()["description"]
    assert "服务 😀" == json.loads(http.get("/2016-08-15/services/s").content)["description"]
