"""Who may call an HTTP trigger: as its configuration says, whoever else may call the API (4.C)."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import jwt
import pytest
from fc_runtime.service.auth import AccessKey, AccessKeys
from support.http_service import HttpService

KEY = AccessKey("id-of-a-test", "secret-of-a-test")
TOKEN_SECRET = b"a secret of thirty-two bytes, at the least"
TOKENS = {
    "jwks": {
        "keys": [
            {
                "kty": "oct",
                "alg": "HS256",
                "k": base64.urlsafe_b64encode(TOKEN_SECRET).rstrip(b"=").decode(),
            }
        ]
    },
    "tokenLookup": "header:Authorization:Bearer",
    "claimPassBy": "header:sub:X-User,query:sub:user",
}


@pytest.fixture
def service() -> Iterator[HttpService]:
    """One that knows an access key."""
    with HttpService(keys=AccessKeys([KEY])) as running:
        yield running


def signature(method: str, path: str, query: str, date: str) -> str:
    """FC's own, of a request for an HTTP trigger without x-fc- headers (spec 8.A)."""
    text = f"{method}\n\n\n{date}\n{path}\n{query}"
    made = hmac.new(KEY.secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"FC {KEY.id}:{base64.b64encode(made).decode()}"


def test_anonymous(service: HttpService, handlers: Path) -> None:
    """Nobody has to sign, although the service knows keys; what is sent is the function's."""
    url = service.add(handlers / "http_event")
    reply = service.get(url, headers={"Authorization": "Bearer of the function's own"})

    assert "Bearer of the function's own" == reply.json()["headers"]["Authorization"]


def test_signed(service: HttpService, handlers: Path) -> None:
    """Path and query are signed; without a signature, or with that of another query, 403."""
    url = service.add(handlers / "http_event", config={"authType": "function"})
    date = formatdate(usegmt=True)
    good = {"Date": date, "Authorization": signature("GET", "/_fc/http/http.app/a b", "q=1", date)}
    let_in = service.get(f"{url}/a%20b?q=1", headers=good)
    other = service.get(f"{url}/a%20b?q=2", headers=good)
    unsigned = service.get(f"{url}/a%20b?q=1")

    assert (200, "/a b") == (let_in.status_code, let_in.json()["requestContext"]["http"]["path"])
    assert (403, "SignatureNotMatch") == (other.status_code, other.json()["Code"])
    assert 403 == unsigned.status_code


def test_tokens(service: HttpService, handlers: Path) -> None:
    """A good token is let in, its claims are seen by the function, and cannot be pretended."""
    url = service.add(handlers / "http_event", config={"authType": "jwt", "authConfig": TOKENS})
    token = jwt.encode({"sub": "alice"}, TOKEN_SECRET, "HS256")
    forged = jwt.encode({"sub": "root"}, b"another secret of thirty-two bytes, at least", "HS256")
    pretended = {"Authorization": f"Bearer {token}", "X-User": "root"}
    let_in = service.get(f"{url}/a?user=root&b=c", headers=pretended)

    assert "alice" == let_in.json()["headers"]["X-User"]
    assert {"user": "alice", "b": "c"} == let_in.json()["queryParameters"]
    assert 403 == service.get(url, headers={"Authorization": f"Bearer {forged}"}).status_code
    assert 403 == service.get(url).status_code


def test_a_refused_caller_starts_nothing(service: HttpService, handlers: Path) -> None:
    """Not even the function is deployed for one who may not call it."""
    url = service.add(handlers / "http_event", config={"authType": "function"})

    assert 403 == service.post(url, content=b"x" * 1_000_000).status_code
    assert "fc_runtime_instances{" not in service.metrics()


def test_a_domain_with_rules_of_its_own(service: HttpService, handlers: Path) -> None:
    """They count before the trigger's; without any, the trigger's count there too."""
    service.add(handlers / "http_event", config={"authType": "function"})
    route = {"routes": [{"path": "/*", "functionName": "app"}]}
    tokens = {"authType": "jwt", "authInfo": TOKENS}
    for name, more in (("own.example", {"authConfig": tokens}), ("plain.example", {})):
        service.account.create_domain({"domainName": name, "routeConfig": route, **more})
    token = jwt.encode({"sub": "alice"}, TOKEN_SECRET, "HS256")

    def status(host: str, **headers: str) -> int:
        return service.get(f"{service.base}/a", headers={"Host": host, **headers}).status_code

    assert 200 == status("own.example", Authorization=f"Bearer {token}")
    assert 403 == status("own.example")
    assert 403 == status("plain.example")
