"""Functions of FC3 behind HTTP triggers: a real server, a real runtime, a real client."""

import base64
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fc_runtime.service.errors import ApiError
from support.http_service import HttpService


def test_a_request_is_an_event_and_a_result_a_response(
    service: HttpService, handlers: Path
) -> None:
    """What the client sent arrives, odd as it may be; what the function returned comes back."""
    url = service.add(handlers / "http_event")
    reply = service.post(
        f"{url}/a%20b/%E4%B8%AD%2F%3F//c?q=1&m=a&m=b&empty=&plus=a+b",
        content=b"grosse",
        headers=[("X-Multi", "v1"), ("X-Multi", "v2"), ("Content-Type", "text/plain")],
    )
    told = reply.json()

    assert 200 == reply.status_code
    assert "/a%20b/%E4%B8%AD%2F%3F//c" == told["rawPath"]
    assert "/a b/中/?//c" == told["requestContext"]["http"]["path"]
    assert {"q": "1", "m": "a,b", "empty": "", "plus": "a b"} == told["queryParameters"]
    assert ("v1,v2", "text/plain") == (told["headers"]["X-Multi"], told["headers"]["Content-Type"])
    assert ("grosse", False) == (told["body"], told["isBase64Encoded"])
    assert "http" == told["requestContext"]["domainPrefix"]
    assert reply.headers["x-fc-request-id"] == told["requestContext"]["requestId"]


def test_bytes_there_and_back(service: HttpService, handlers: Path) -> None:
    """All 256 values, both ways, under a type that is no text."""
    url = service.add(handlers / "http_event")
    content = bytes(range(256)) * 2000  # more than is encoded on the loop
    reply = service.post(f"{url}/binary", content=content, headers={"Content-Type": "image/png"})

    assert content == reply.content
    assert "image/png" == reply.headers["content-type"]


def test_as_large_as_allowed(service: HttpService, handlers: Path) -> None:
    """A binary body of 32 MB arrives, although its event is a third larger."""
    url = service.add(handlers / "http_event", memorySize=1024, timeout=30)
    content = b"\xff" * (32 * 1024 * 1024)
    reply = service.post(f"{url}/size", content=content, headers={"Content-Type": "image/png"})

    assert (200, str(len(content))) == (reply.status_code, reply.text)


def test_headers_of_the_response(service: HttpService, handlers: Path) -> None:
    """The function's, less those that are not its to set, and the platform's own."""
    reply = service.get(service.add(handlers / "http_event") + "/headers")

    assert "five!" == reply.text
    assert ["a=1", "b=2"] == reply.headers.get_list("set-cookie")
    assert "forged" != reply.headers["x-fc-request-id"]
    assert "never" not in reply.headers["date"]
    assert "mine" != reply.headers.get("server")
    assert reply.headers["x-fc-instance-id"]
    assert 0 <= float(reply.headers["x-fc-invocation-duration"])
    assert 0 < float(reply.headers["x-fc-max-memory-usage"])


def test_other_results(service: HttpService, handlers: Path) -> None:
    """Text is a default reply; a redirect passes; headers beyond 8 KB are a 502."""
    url = service.add(handlers / "http_event")
    plain = service.get(f"{url}/plain")
    away = service.get(f"{url}/redirect")
    large = service.get(f"{url}/large-header")

    assert ("just text", "application/json") == (plain.text, plain.headers["content-type"])
    assert (302, "https://example.org/") == (away.status_code, away.headers["location"])
    assert (502, "BadResponse") == (large.status_code, large.headers["x-fc-error-type"])


@pytest.mark.parametrize(
    ("path", "message"), [("/raise", "on purpose"), ("/exit", "Process exited unexpectedly")]
)
def test_a_function_that_fails(
    service: HttpService, handlers: Path, path: str, message: str
) -> None:
    """502 with FC's error body, named in a header; the next request is served."""
    url = service.add(handlers / "http_event")
    reply = service.get(url + path)

    assert 502 == reply.status_code
    assert message in reply.json()["errorMessage"]
    assert "UnhandledInvocationError" == reply.headers["x-fc-error-type"]
    assert 200 == service.get(f"{url}/plain").status_code


def test_the_tail_of_the_log(service: HttpService, handlers: Path) -> None:
    """Comes on request only."""
    url = service.add(handlers / "http_event") + "/printed"
    asked = service.get(url, headers={"X-Fc-Log-Type": "Tail"})

    assert b"seen /printed" in base64.b64decode(asked.headers["x-fc-log-result"])
    assert "x-fc-log-result" not in service.get(url).headers


def test_an_asynchronous_call_is_refused(service: HttpService, handlers: Path) -> None:
    """Clearly, and not accepted and dropped."""
    url = service.add(handlers / "http_event")
    reply = service.post(url, headers={"X-Fc-Invocation-Type": "Async"})

    assert (501, "NotImplemented") == (reply.status_code, reply.json()["Code"])


def test_methods_of_the_trigger(service: HttpService, handlers: Path) -> None:
    """Others are refused, with those that are allowed; a preflight is answered all the same."""
    url = service.add(handlers / "http_event", methods=("GET", "POST"))
    refused = service.delete(url)
    preflight = service.options(
        url,
        headers={
            "Origin": "https://a.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-mine",
        },
    )

    assert (405, "GET, POST") == (refused.status_code, refused.headers["allow"])
    assert "MethodNotAllowed" == refused.json()["ErrorCode"]
    assert 204 == preflight.status_code
    assert "https://a.example" == preflight.headers["access-control-allow-origin"]
    assert "GET,POST" == preflight.headers["access-control-allow-methods"]
    assert "x-mine" == preflight.headers["access-control-allow-headers"]


def test_limits_of_a_request(service: HttpService, handlers: Path) -> None:
    """Large headers, a long path, a body beyond 32 MB: 400, on a connection that is still there."""
    url = service.add(handlers / "http_event")
    headers = service.get(url, headers={"X-Large": "a" * 8200})
    path = service.get(f"{url}/{'a' * 4100}")
    body = service.post(url, content=b"x" * (32 * 1024 * 1024 + 1))

    assert (400, "InvalidArgument") == (headers.status_code, headers.json()["Code"])
    assert (400, "InvalidArgument") == (path.status_code, path.json()["Code"])
    assert (400, "EntityTooLarge") == (body.status_code, body.json()["Code"])
    assert 200 == service.get(url).status_code


def test_head_has_no_body(service: HttpService, handlers: Path) -> None:
    """HEAD is answered with headers alone, and the connection goes on."""
    url = service.add(handlers / "http_event")

    assert b"" == service.head(f"{url}/headers").content
    assert 200 == service.get(f"{url}/plain").status_code


def test_unknown_functions_and_triggers(service: HttpService, handlers: Path) -> None:
    """404, each by its own name."""
    service.add(handlers / "http_event")
    base = f"{service.base}/_fc/http"

    assert "FunctionNotFound" == service.get(f"{base}/http.nobody/").json()["Code"]
    assert "TriggerNotFound" == service.get(f"{base}/other.app/").json()["Code"]
    assert "InvalidArgument" == service.get(f"{base}/app/").json()["Code"]
    reply = service.get(f"{service.base}/2016-08-15/proxy/nobody/nothing/")
    assert (404, "ServiceNotFound") == (reply.status_code, reply.json()["Code"])


def test_hosts(service: HttpService, handlers: Path) -> None:
    """A trigger answers at ``TRIGGER-FUNCTION.localhost``, and where a custom domain leads to it."""
    service.add(handlers / "http_event")
    service.account.create_domain(
        {
            "domainName": "shop.example",
            "routeConfig": {"routes": [{"path": "/app/*", "functionName": "app"}]},
        }
    )
    local = service.get(f"{service.base}/a", headers={"Host": "HTTP-app.localhost:1"})
    custom = service.get(f"{service.base}/app/b?c=d", headers={"Host": "shop.example:80"})
    nowhere = service.get(f"{service.base}/else", headers={"Host": "shop.example"})
    unknown = service.get(f"{service.base}/a", headers={"Host": "no.localhost"})

    assert "/a" == local.json()["rawPath"]
    assert "/app/b" == custom.json()["rawPath"]
    assert "shop" == custom.json()["requestContext"]["domainPrefix"]
    assert "shop.example" == custom.json()["requestContext"]["domainName"]
    assert (404, "Not Found") == (nowhere.status_code, nowhere.text)
    assert (404, "TriggerNotFound") == (unknown.status_code, unknown.json()["Code"])
    assert 200 == service.get(f"{service.base}/healthz").status_code


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "daemon.example"])
@pytest.mark.parametrize(
    ("verb", "path"),
    [("GET", "/"), ("PUT", "/2099-01-01/functions"), ("POST", "/healthz"), ("GET", "/_fc/nothing")],
)
def test_what_is_nobodys(service: HttpService, host: str, verb: str, path: str) -> None:
    """Neither a trigger's nor the API's: refused as what is below the API's own paths."""
    reply = service.client.request(verb, f"{service.base}{path}", headers={"Host": host})
    told = reply.json()

    assert (400, "PathNotSupported") == (reply.status_code, told["ErrorCode"])
    assert f"'{verb}' against '{path}' is not supported" == told["ErrorMessage"]
    assert told["RequestId"] == reply.headers["x-fc-request-id"]


@pytest.mark.parametrize("name", ["app.localhost", "app.shop.localhost", "http-app.localhost"])
def test_a_domain_below_localhost(service: HttpService, handlers: Path, name: str) -> None:
    """What ``auto`` of a manifest makes, or by the name of a trigger: its routes are what counts."""
    service.add(handlers / "http_event")
    route = {"path": "/only/*", "functionName": "app"}
    service.account.create_domain({"domainName": name, "routeConfig": {"routes": [route]}})
    there = service.get(f"{service.base}/only/b", headers={"Host": f"{name}:9000"})
    beside = service.get(f"{service.base}/b", headers={"Host": name})

    assert ("/only/b", name) == (
        there.json()["rawPath"],
        there.json()["requestContext"]["domainName"],
    )
    assert beside.status_code == (200 if name == "http-app.localhost" else 404)


def test_the_daemon_keeps_its_own_hosts(service: HttpService, handlers: Path) -> None:
    """No domain can have the name of an address: the API stays where it is."""
    service.add(handlers / "http_event")
    for host in ("127.0.0.1", "localhost"):
        route = {"path": "/*", "functionName": "app"}
        with pytest.raises(ApiError, match="domainName"):
            service.account.create_domain({"domainName": host, "routeConfig": {"routes": [route]}})
        reply = service.get(f"{service.base}/healthz", headers={"Host": host})
        assert {"status": "up"} == reply.json()


def test_a_changed_trigger_counts_at_once(service: HttpService, handlers: Path) -> None:
    """Its methods are those of the request's own time; and so is whether its URL is disabled."""
    url = service.add(handlers / "http_event", methods=("GET",))
    before = (service.get(url).status_code, service.post(url).status_code)

    def change(**config: object) -> None:
        whole = {"authType": "anonymous", "methods": ["POST"], **config}
        service.account.update_trigger("", "app", "http", {"triggerConfig": whole})

    change()
    after = (service.get(url).status_code, service.post(url).status_code)
    change(disableURLInternet=True)
    disabled = service.post(url)

    assert ((200, 405), (405, 200)) == (before, after)
    assert (403, "AccessDenied") == (disabled.status_code, disabled.json()["Code"])


def test_a_client_that_leaves(handlers: Path, tmp_path: Path) -> None:
    """Its invocation is ended, the place free for the next, and it counts as a 499."""
    with HttpService(max_instances=1) as service:
        leave_while_it_runs(service, handlers, tmp_path)


def leave_while_it_runs(service: HttpService, handlers: Path, tmp_path: Path) -> None:
    url = httpx.URL(
        service.add(
            handlers / "http_event",
        )
    )
    begun, go = tmp_path / "begun", tmp_path / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        target = f"{url.path}/wait?begun={begun}&go={go}"
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        begun.read_text()

    assert 200 == service.get(f"{url}/plain").status_code
    assert 'http_requests_total{class="499",kind="http"} 1.0' in service.metrics()


def test_many_at_once_are_not_crossed(service: HttpService, handlers: Path) -> None:
    """Every client gets the answer to its own request."""
    url = service.add(handlers / "http_event")
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(16) as pool:

        def ask(number: int) -> bool:
            reply = client.post(f"{url}/n/{number}", content=str(number))
            told = json.loads(reply.text)
            return (told["rawPath"], told["body"]) == (f"/n/{number}", str(number))

        assert all(pool.map(ask, range(200)))


def test_a_daemon_that_stops(handlers: Path, tmp_path: Path) -> None:
    """A request under way is answered before it ends."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    with HttpService() as service, ThreadPoolExecutor(1) as pool:
        url = service.add(handlers / "http_event", timeout=30)
        asked = pool.submit(service.get, f"{url}/wait?begun={begun}&go={go}")
        begun.read_text()
        service.stop()
        go.write_text("")

        assert 200 == asked.result(30).status_code
