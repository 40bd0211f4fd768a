"""Functions of FC2 behind HTTP triggers: WSGI, Flask and Django applications as they are (4.A)."""

import base64
from pathlib import Path

import fc2
import pytest
from fc_runtime.service.auth import AccessKey, AccessKeys
from support.http_service import HttpService

APPS = [("http_flask", "index.app"), ("http_django", "index.application")]
each_framework = pytest.mark.parametrize(("folder", "handler"), APPS, ids=["flask", "django"])


@each_framework
def test_an_application_unmodified(
    service: HttpService, handlers: Path, folder: str, handler: str
) -> None:
    """Routes, queries, forms, uploads, cookies, streams, and its own 404."""
    url = service.add(handlers / folder, handler, service="svc")
    user = service.get(f"{url}/users/J%C3%BCrgen%20%E4%B8%AD?tag=a&tag=b%26c")
    form = service.post(f"{url}/form", data={"name": "grün", "empty": ""})
    content = bytes(range(256)) * 5000
    upload = service.post(f"{url}/upload", files={"file": ("f.bin", content)})
    cookies = service.get(f"{url}/cookies", headers={"Cookie": "c=crumb; d=1"})
    stream = service.get(f"{url}/stream")

    assert ("Jürgen 中", ["a", "b&c"]) == (user.json()["name"], user.json()["tags"])
    assert {"name": "grün", "empty": ""} == form.json()
    assert content == upload.content
    assert "application/octet-stream" == upload.headers["content-type"]
    assert "crumb" == cookies.text
    assert ["a=1", "b=2"] == [
        one.partition(";")[0] for one in cookies.headers.get_list("set-cookie")
    ]
    assert "".join(f"line {n}\n" for n in range(1000)) == stream.text
    assert "text/plain" in stream.headers["content-type"]
    assert 404 == service.get(f"{url}/nowhere").status_code


def test_statuses_and_redirects_pass(service: HttpService, handlers: Path) -> None:
    """Whatever status the application chooses is the client's."""
    url = service.add(handlers / "http_flask", "index.app", service="svc")
    away = service.get(f"{url}/away")

    assert (302, "https://example.org/") == (away.status_code, away.headers["location"])
    assert 418 == service.get(f"{url}/teapot").status_code


def test_a_body_in_chunks(service: HttpService, handlers: Path) -> None:
    """A request without a length arrives as a whole, with one."""
    url = service.add(handlers / "http_flask", "index.app", service="svc")
    parts = [b"\x00\xff" * 1000] * 100
    reply = service.put(f"{url}/bytes", content=iter(parts))

    assert b"".join(parts) == reply.content
    assert "image/png" == reply.headers["content-type"]


def test_what_the_application_is_told(service: HttpService, handlers: Path) -> None:
    """The environment of spec 4.A, and the context with the request's id."""
    url = service.add(handlers / "http_flask", "index.app", service="svc")
    reply = service.get(
        f"{url}/environ?a=%20b&c",
        headers=[("X-Multi", "1"), ("X-Multi", "2"), ("X-Fc-Hidden", "x")],
    )
    environ, request_id = reply.json()

    assert ("GET", "/environ", "a=%20b&c") == (
        environ["REQUEST_METHOD"],
        environ["PATH_INFO"],
        environ["QUERY_STRING"],
    )
    assert "/2016-08-15/proxy/svc/app/environ?a=%20b&c" == environ["fc.request_uri"]
    assert ("1,2", "127.0.0.1") == (environ["HTTP_X_MULTI"], environ["REMOTE_ADDR"])
    assert f"127.0.0.1:{service.port}" == environ["HTTP_HOST"]
    assert not [name for name in environ if name.startswith("HTTP_X_FC_HIDDEN")]
    assert reply.headers["x-fc-request-id"] == request_id
    assert 36 == len(request_id)


def test_a_plain_handler(service: HttpService, handlers: Path) -> None:
    """A function of two arguments, as in FC's documents; the path without anything is a slash."""
    url = service.add(handlers / "http_wsgi", service="svc")
    reply = service.get(url)
    posted = service.post(f"{url}/a", content=b"posted")

    assert ("/", "/") == (reply.text, reply.headers["x-path"])
    assert "posted" == posted.text
    assert "LATEST" == reply.headers["x-fc-invocation-service-version"]
    assert b"no start_response" == service.get(f"{url}/silent").content


@pytest.mark.parametrize(
    ("path", "message"), [("/raise", "on purpose"), ("/nothing", "invalid response type")]
)
def test_a_handler_that_fails(
    service: HttpService, handlers: Path, path: str, message: str
) -> None:
    """502, the error in JSON without an ErrorCode, named in a header; the next call is served."""
    url = service.add(handlers / "http_wsgi", service="svc")
    reply = service.get(url + path, headers={"X-Fc-Log-Type": "Tail"})

    assert (502, "application/json") == (reply.status_code, reply.headers["content-type"])
    assert message == reply.json()["errorMessage"]
    assert "ErrorCode" not in reply.json()
    assert "UnhandledInvocationError" == reply.headers["x-fc-error-type"]
    assert b"FC Invoke End" in base64.b64decode(reply.headers["x-fc-log-result"])
    assert 200 == service.get(url).status_code


def test_code_that_cannot_be_loaded(service: HttpService, handlers: Path) -> None:
    """502 with FC's load error, whether the runtime or the worker finds it."""
    missing = service.add(handlers / "http_wsgi", "nothing.handler", service="one")
    unnamed = service.add(handlers / "http_wsgi", "index.missing", service="two")
    first, second = service.get(missing), service.get(unnamed)

    assert (502, "ImportModuleError") == (first.status_code, first.json()["errorType"])
    assert (502, "HandlerNotFound") == (second.status_code, second.json()["errorType"])
    assert first.headers["x-fc-request-id"]


def test_by_other_urls(service: HttpService, handlers: Path) -> None:
    """A trigger of a service has URLs of its own too; the application sees the same path."""
    service.add(handlers / "http_wsgi", service="svc")
    by_path = service.get(f"{service.base}/_fc/http/http.app.svc/a")
    by_host = service.get(f"{service.base}/a", headers={"Host": "http-app-svc.localhost"})

    assert ("/a", "/a") == (by_path.text, by_host.text)


def test_the_official_client(handlers: Path) -> None:
    """Of Python calls a signed trigger, unmodified; with another secret it is refused."""
    key = AccessKey("id-of-a-test", "secret-of-a-test")
    with HttpService(keys=AccessKeys([key])) as service:
        service.add(handlers / "http_wsgi", service="svc", config={"authType": "function"})

        def call(secret: str) -> tuple[int, str]:
            client = fc2.Client(endpoint=service.base, accessKeyID=key.id, accessKeySecret=secret)
            reply = client.do_http_request(
                "GET", "svc", "app", "/a%20b", params={"q": "1"}, headers={"X-Fc-Log-Type": "None"}
            )
            return reply.status_code, reply.text

        assert (200, "/a b") == call(key.secret)
        assert 403 == call("another")[0]
