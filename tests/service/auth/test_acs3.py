"""ACS3-HMAC-SHA256: what the newer SDKs sign is let in once, anything else is not."""

import hashlib
from datetime import UTC, datetime

import pytest
from alibabacloud_openapi_util.client import Client as OpenApiUtil
from alibabacloud_tea_openapi.utils import Utils
from fc_runtime.service.auth import AccessKey, Authenticator, Request
from fc_runtime.service.auth.nonces import Nonces
from fc_runtime.service.errors import ApiError
from hypothesis import given, strategies as st
from support.signed import KEY, NOW, TEMPORARY, Wire, authenticator, encoded, tea_signed

ODD = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_.~", min_size=1, max_size=10)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)


def caller(wire: Wire, checks: Authenticator | None = None) -> str:
    return (checks or authenticator()).check(wire.request(), wire.body_sha256).access_key_id


def refusal(wire: Wire, checks: Authenticator | None = None) -> ApiError:
    with pytest.raises(ApiError) as raised:
        caller(wire, checks)
    return raised.value


@pytest.mark.parametrize("utils", [Utils, OpenApiUtil], ids=["tea-openapi", "openapi-util"])
def test_what_the_signers_of_the_sdks_sign(utils) -> None:
    """The two that the FC SDKs have used."""
    wire = tea_signed(query={"qualifier": "LATEST"}, body=b"event", utils=utils)

    assert KEY.id == caller(wire)


@given(
    name=ODD,
    query=st.dictionaries(NAMES, ODD, max_size=5),
    headers=st.dictionaries(NAMES, VALUES, max_size=4),
    body=st.binary(max_size=50),
)
def test_any_request_of_the_sdk(name, query, headers, body) -> None:
    """The path is signed as sent, the query sorted, and whatever headers the SDK sends."""
    wire = tea_signed(
        path="/2023-03-30/functions/" + encoded(name),
        query=query,
        headers={f"x-fc-{n}": value for n, value in headers.items()},
        body=body,
    )

    assert KEY.id == caller(wire)


def test_names_of_the_query_that_were_encoded() -> None:
    """The rules of the service encode them; the Python SDK does not. Both are accepted."""
    wire = tea_signed("GET", query={"tag%5B1%5D": "a"})

    wire.query = b"tag%5B1%5D=a"

    assert KEY.id == caller(wire)


def test_only_some_headers_signed() -> None:
    """Other SDKs sign host, content-type and x-acs-* alone; the list is the request's own."""
    wire = tea_signed(body=b"{}", headers={"content-type": "application/json"})
    more = {"user-agent": "changed on the way", "accept": "*/*"}
    signing = {
        name: value
        for name, value in wire.headers.items()
        if name in ("host", "content-type") or name.startswith("x-acs-")
    }
    again = tea_signed_with_exactly(signing, wire)
    again.headers |= more

    assert KEY.id == caller(again)


def tea_signed_with_exactly(headers: dict[str, str], wire: Wire) -> Wire:
    from types import SimpleNamespace

    signing = SimpleNamespace(
        method=wire.method, pathname=wire.path.decode(), query={}, headers=headers
    )
    made = Utils.get_authorization(
        signing, "ACS3-HMAC-SHA256", wire.body_sha256, KEY.id, KEY.secret
    )
    return Wire(wire.method, wire.path, b"", {**headers, "authorization": made}, wire.body)


@pytest.mark.parametrize(
    "name", ["host", "x-acs-action", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"]
)
def test_headers_that_must_be_signed(name) -> None:
    """A signature that leaves one of them out would leave it open to change."""
    wire = tea_signed()
    signed = {
        n: v for n, v in wire.headers.items() if n not in (name, "authorization", "content-length")
    }
    again = tea_signed_with_exactly(signed, wire)
    again.headers[name] = wire.headers[name]

    error = refusal(again)

    assert (403, "AccessDenied") == (error.status, error.code)
    assert name in error.message


@pytest.mark.parametrize(
    "name", ["x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256", "accept"]
)
def test_a_header_that_is_missing_is_named(name) -> None:
    """400, with the words of the service; also for one that was signed and then lost."""
    wire = tea_signed()
    del wire.headers[name]

    error = refusal(wire)

    assert (400, "MissingRequiredHeader") == (error.status, error.code)
    assert f"required HTTP header {name} was not specified" == error.message


@pytest.mark.parametrize(
    "part",
    [
        "method",
        "path",
        "query value",
        "query name",
        "query order",
        "host",
        "x-acs-action",
        "x-acs-signature-nonce",
        "x-fc-log-type",
        "signature",
        "signed names",
        "key id",
    ],
)
def test_nothing_that_is_signed_can_be_changed(part) -> None:
    """Each part of an intercepted request, changed by a little, is refused."""
    wire = tea_signed(query={"a": "1", "b": "2"}, headers={"x-fc-log-type": "None"})
    authorization = wire.headers["authorization"]
    match part:
        case "method":
            wire.method = "GET"
        case "path":
            wire.path = wire.path.replace(b"hello", b"%68ello")
        case "query value":
            wire.query = b"a=1&b=3"
        case "query name":
            wire.query = b"a=1&c=2"
        case "query order":
            wire.query = b"a=1%26b=2"
        case "signature":
            flipped = "0" if authorization[-1] != "0" else "1"
            wire.headers["authorization"] = authorization[:-1] + flipped
        case "signed names":
            wire.headers["authorization"] = authorization.replace("accept;", "")
        case "key id":
            wire.headers["authorization"] = authorization.replace(KEY.id, "STS.key")
            wire.headers["x-acs-security-token"] = TEMPORARY.security_token
        case _:
            wire.headers[part] += "x"

    error = refusal(wire)

    assert 403 == error.status
    assert error.code in ("SignatureNotMatch", "AccessDenied")
    assert KEY.secret not in error.message


def test_a_parameter_cannot_hide_in_the_name_of_another() -> None:
    """The SDK does not encode names, so "a=1&b" with "2" would be signed like a=1&b=2."""
    wire = tea_signed(query={"a": "1", "b": "2"})

    wire.query = b"a%3D1%26b=2"

    assert "SignatureNotMatch" == refusal(wire).code


def test_the_body_must_be_the_one_that_was_signed() -> None:
    """Its hash is compared with that of what came."""
    wire = tea_signed(body=b"event")
    wire.body = b"evenT"

    error = refusal(wire)

    assert (403, "AccessDenied") == (error.status, error.code)
    assert "body" in error.message


def test_the_body_may_come_later() -> None:
    """The head is settled first; it says which hash the body has to have, and it takes no other."""
    wire = tea_signed(body=b"event")

    pending = authenticator().begin(wire.request())

    assert hashlib.sha256(b"event").hexdigest() == pending.body_sha256
    with pytest.raises(ApiError, match="body"):
        pending.finish(hashlib.sha256(b"other").hexdigest())
    assert KEY.id == pending.finish(wire.body_sha256).access_key_id


@pytest.mark.parametrize(
    ("off_by", "fits"), [(900, True), (-900, True), (901, False), (-901, False)]
)
def test_a_clock_may_be_a_quarter_of_an_hour_off(off_by, fits) -> None:
    """Either way, to the second."""
    date = datetime.fromtimestamp(NOW + off_by, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    wire = tea_signed(date=date)

    if fits:
        assert KEY.id == caller(wire)
    else:
        assert (403, "AccessDenied") == (refusal(wire).status, refusal(wire).code)


@pytest.mark.parametrize(
    "date",
    [
        "now",
        "2023-11-14 22:13:20",
        "2023-13-14T22:13:20Z",
        "2023-11-14T22:13:20+00:00",
        "0000-00-00T00:00:00Z",
    ],
)
def test_what_is_no_date(date) -> None:
    """Is refused like any other wrong one, never a failure of ours."""
    assert "AccessDenied" == refusal(tea_signed(date=date)).code


def test_a_replayed_request_is_refused() -> None:
    """A nonce counts once; with another, the same request is another."""
    checks = authenticator()
    assert KEY.id == caller(tea_signed(nonce="one"), checks)

    error = refusal(tea_signed(nonce="one"), checks)

    assert (403, "AccessDenied") == (error.status, error.code)
    assert "nonce" in error.message
    assert KEY.id == caller(tea_signed(nonce="two"), checks)


def test_a_replay_while_the_first_body_is_still_coming() -> None:
    """The nonce is used up by the head, not by the end of the body."""
    checks = authenticator()
    checks.begin(tea_signed(nonce="one").request())

    assert "nonce" in refusal(tea_signed(nonce="one"), checks).message


def test_a_nonce_has_a_length() -> None:
    """What is remembered is bounded, and so is what is hashed for it."""
    assert KEY.id == caller(tea_signed(nonce="n" * 512))
    assert "longer" in refusal(tea_signed(nonce="n" * 513)).message


def test_a_header_that_is_listed_twice() -> None:
    """Is refused by that, before any signature is made."""
    wire = tea_signed()
    authorization = wire.headers["authorization"]
    wire.headers["authorization"] = authorization.replace("host;", "host;host;")

    assert "twice" in refusal(wire).message


def test_a_forged_request_uses_up_no_nonce() -> None:
    """Otherwise anybody could lock out a client by guessing its nonces."""
    checks = authenticator()
    refusal(tea_signed(nonce="one", key=AccessKey(KEY.id, "wrong")), checks)

    assert KEY.id == caller(tea_signed(nonce="one"), checks)


def test_the_same_nonce_of_two_keys() -> None:
    """Is two nonces."""
    checks = authenticator()

    assert KEY.id == caller(tea_signed(nonce="one"), checks)
    assert TEMPORARY.id == caller(tea_signed(nonce="one", key=TEMPORARY), checks)


def test_a_temporary_key_comes_with_its_token() -> None:
    """A temporary key without its token, with another, or a lasting key with one is refused."""
    assert TEMPORARY.id == caller(tea_signed(key=TEMPORARY))
    for key in (
        AccessKey(TEMPORARY.id, TEMPORARY.secret),
        AccessKey(TEMPORARY.id, TEMPORARY.secret, "another"),
        AccessKey(KEY.id, KEY.secret, "a token"),
    ):
        assert "AccessDenied" == refusal(tea_signed(key=key)).code


@given(st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n"), max_size=80))
def test_an_authorization_that_is_none(rest) -> None:
    """Any text after the name of the scheme is refused, never a failure of ours."""
    wire = tea_signed()
    wire.headers["authorization"] = "ACS3-HMAC-SHA256 " + rest

    assert refusal(wire).status in (400, 403)


@given(
    path=st.binary(max_size=30),
    query=st.binary(max_size=30),
    names=st.binary(max_size=30).filter(lambda names: b"," not in names),
)
def test_a_request_of_any_bytes(path, query, names) -> None:
    """Whatever comes over the wire: refused, never a failure of ours."""
    wire = tea_signed()
    pairs = {name.encode(): value.encode() for name, value in wire.headers.items()}
    pairs[b"authorization"] = (
        b"ACS3-HMAC-SHA256 Credential=LTAIkey,SignedHeaders=" + names + b",Signature=" + b"0" * 64
    )

    with pytest.raises(ApiError):
        authenticator().begin(Request("GET", path, query, pairs.items()))


# What remembers the nonces.


def test_nonces_are_forgotten_when_they_would_be_refused_anyway() -> None:
    """The window of the clocks is how long a request could come again."""
    nonces = Nonces()
    assert nonces.use("k", b"1", int(NOW), NOW)
    assert not nonces.use("k", b"1", int(NOW), NOW + 900)

    assert nonces.use("k", b"2", int(NOW) + 902, NOW + 902)

    assert 1 == len(nonces)


def test_too_many_nonces_shut_out_the_old_and_never_let_one_in_twice() -> None:
    """Memory is bounded; what no longer fits can no longer be told, and so is refused."""
    nonces, start = Nonces(most=10), int(NOW)
    for second in range(100):
        assert nonces.use("k", b"%d" % second, start + second, NOW + second)

    assert 10 == len(nonces)
    assert not any(nonces.use("k", b"%d" % n, start + n, NOW + 99) for n in range(100))
    assert 10 == len(nonces)
    assert not nonces.use("k", b"new, but as old as what was forgotten", start + 50, NOW + 99)
    assert nonces.use("k", b"new", start + 99, NOW + 99)
