"""FC's own signature: what aliyun-fc2 and @alicloud/fc2 sign is let in, anything else is not."""

import base64
import hashlib
import hmac
from email.utils import formatdate
from urllib.parse import quote

import pytest
from fc_runtime.service.auth import AccessKey, AccessKeys, Caller, Request
from fc_runtime.service.errors import ApiError
from hypothesis import given, strategies as st
from support.signed import ACCOUNT, EMPTY, KEY, NOW, TEMPORARY, Wire, authenticator, fc2_signed

PROXY = "/2016-08-15/proxy/service/function"
# Anything but what would end a line of the text that is signed, or change its encoding.
ODD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
PLAIN = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=10)


def caller(wire: Wire, **more: bool) -> Caller:
    return authenticator().check(wire.request(), EMPTY, **more)


def refusal(wire: Wire, now: float = NOW, **more: bool) -> ApiError:
    with pytest.raises(ApiError) as raised:
        authenticator(now).check(wire.request(), EMPTY, **more)
    return raised.value


def test_who_signed_it_is_known() -> None:
    """The caller is the access key, in the daemon's one account."""
    assert Caller(KEY.id, ACCOUNT) == caller(fc2_signed())


@given(
    path=ODD,
    headers=st.dictionaries(NAMES, PLAIN, max_size=4),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
)
def test_any_path_and_headers_that_the_sdk_signs(path, headers, method) -> None:
    """The path is signed decoded, every x-fc- header with its value."""
    wire = fc2_signed(
        method,
        "/2016-08-15/services/" + quote(path, safe="/~"),
        headers={f"x-fc-{name}": value for name, value in headers.items()},
    )

    assert KEY.id == caller(wire).access_key_id


@given(
    query=st.dictionaries(
        ODD.filter(bool), st.one_of(ODD, st.lists(ODD, min_size=1, max_size=3)), max_size=4
    )
)
def test_any_query_of_an_http_trigger(query) -> None:
    """It is signed too there, decoded and sorted, with every one of several values."""
    wire = fc2_signed("GET", PROXY + "/a%20b", query=query, signs_query=True)

    assert KEY.id == caller(wire).access_key_id


def test_a_query_in_the_order_it_was_sent() -> None:
    """The gateway's signer for triggers does not sort; both orders are accepted (spec 8.A)."""
    date = formatdate(NOW, usegmt=True)
    text = f"GET\n\n\n{date}\n/hello\nz=1\na=b c\nflag"
    signature = base64.b64encode(hmac.digest(KEY.secret.encode(), text.encode(), "sha256")).decode()
    headers = {"date": date, "authorization": f"FC {KEY.id}:{signature}"}

    wire = Wire("GET", b"/hello", b"z=1&a=b%20c&flag", headers)

    assert KEY.id == caller(wire, http_trigger=True).access_key_id


def test_the_javascript_client() -> None:
    """Its content-md5 is the base64 of the hex digest; its host has no port; both as sent."""
    body = b'{"serviceName":"s"}'
    md5 = base64.b64encode(hashlib.md5(body).hexdigest().encode()).decode()
    date = formatdate(NOW, usegmt=True)
    text = f"POST\n{md5}\napplication/json\n{date}\nx-fc-account-id:{ACCOUNT}\n/2016-08-15/services"
    signature = base64.b64encode(hmac.digest(KEY.secret.encode(), text.encode(), "sha256")).decode()
    headers = {
        "host": "127.0.0.1",
        "date": date,
        "content-type": "application/json",
        "content-md5": md5,
        "x-fc-account-id": ACCOUNT,
        "authorization": f"FC {KEY.id}:{signature}",
    }

    assert KEY.id == caller(Wire("POST", b"/2016-08-15/services", b"", headers)).access_key_id


@pytest.mark.parametrize(
    "part",
    [
        "method",
        "path",
        "query",
        "date",
        "content-type",
        "content-md5",
        "x-fc-log-type",
        "a new header",
        "a header gone",
        "signature",
        "key id",
    ],
)
def test_nothing_that_is_signed_can_be_changed(part) -> None:
    """Each part of an intercepted request, changed by a little, is refused."""
    headers = {"content-md5": "abc", "x-fc-log-type": "Tail", "x-fc-trace-id": "1"}
    wire = fc2_signed(
        "GET", PROXY + "/p", query={"a": "1", "b": "2"}, signs_query=True, headers=headers
    )
    caller(wire)
    match part:
        case "method":
            wire.method = "POST"
        case "path":
            wire.path += b"x"
        case "query":
            wire.query = b"a=1&b=3"
        case "date":
            wire.headers["date"] = formatdate(NOW + 1, usegmt=True)
        case "a new header":
            wire.headers["x-fc-invocation-type"] = "Async"
        case "a header gone":
            del wire.headers["x-fc-trace-id"]
        case "signature":
            wire.headers["authorization"] = wire.headers["authorization"][:-2] + "A="
        case "key id":
            wire.headers["authorization"] = wire.headers["authorization"].replace(
                KEY.id, TEMPORARY.id
            )
            wire.headers["x-fc-security-token"] = TEMPORARY.security_token
        case _:
            wire.headers[part] += "x"

    error = refusal(wire)

    assert (403, "SignatureNotMatch") == (error.status, error.code)
    assert KEY.secret not in error.message


@pytest.mark.parametrize("query", [b"a=1%26b=2", b"b=2&a=1&a=1", b"a=1", b"a=1&b=2&c="])
def test_a_query_cannot_be_cut_anew(query) -> None:
    """What was two parameters does not pass for one that holds an ampersand, and so on."""
    wire = fc2_signed("GET", PROXY + "/", query={"a": "1", "b": "2"}, signs_query=True)

    wire.query = query

    assert "SignatureNotMatch" == refusal(wire).code


def test_a_trigger_is_not_called_by_the_signature_of_its_path_alone() -> None:
    """Otherwise any query could be put behind it."""
    assert "SignatureNotMatch" == refusal(fc2_signed("GET", PROXY + "/", query={"a": "1"})).code


def test_a_parameter_cannot_become_a_part_of_the_path() -> None:
    """A line break in a path would make it one; such a path is refused."""
    wire = fc2_signed("GET", PROXY + "/", query={"a": "1", "b": "2"}, signs_query=True)

    wire.path, wire.query = wire.path + b"%0Aa=1", b"b=2"

    assert "AccessDenied" == refusal(wire).code


@pytest.mark.parametrize(
    ("off_by", "fits"), [(900, True), (-900, True), (901, False), (-901, False)]
)
def test_a_clock_may_be_a_quarter_of_an_hour_off(off_by, fits) -> None:
    """Either way, to the second."""
    wire = fc2_signed(now=NOW + off_by)

    if fits:
        assert KEY.id == caller(wire).access_key_id
    else:
        assert (403, "AccessDenied") == (refusal(wire).status, refusal(wire).code)


@pytest.mark.parametrize(
    "date",
    [
        "yesterday",
        "Tue, 99 Nov 2023 22:13:20 GMT",
        "\u00fc",
        "Tue, 14 Nov 99999 22:13:20 GMT",
        "2023-11-14",
    ],
)
def test_what_is_no_date(date) -> None:
    """Is refused like any other wrong one, never a failure of ours."""
    wire = fc2_signed(headers={"date": "x"})
    wire.headers["date"] = date

    assert "AccessDenied" == refusal(wire).code


@pytest.mark.parametrize("name", ["date", "authorization"])
def test_a_header_that_is_missing_is_named(name) -> None:
    """400, with the words of the service (spec 5.D)."""
    wire = fc2_signed()
    del wire.headers[name]

    error = refusal(wire)

    assert (400, "MissingRequiredHeader") == (error.status, error.code)
    assert f"required HTTP header {name.capitalize()} was not specified" == error.message


@pytest.mark.parametrize("name", [b"authorization", b"date", b"x-fc-log-type", b"content-type"])
def test_a_header_sent_twice_is_refused(name) -> None:
    """Which of them the signature was for, and which the service would follow, is anybody's guess."""
    wire = fc2_signed(headers={"x-fc-log-type": "None"})
    pairs = [(k.encode(), v.encode()) for k, v in wire.headers.items()]

    with pytest.raises(ApiError, match="more than once"):
        authenticator().check(Request("GET", wire.path, b"", [*pairs, (name, b"Tail")]), EMPTY)


def test_a_key_that_nobody_configured() -> None:
    """Is named in the answer."""
    error = refusal(fc2_signed(key=AccessKey("stranger", "s")))

    assert (403, "InvalidAccessKeyID") == (error.status, error.code)
    assert "invalid access key ID 'stranger'" == error.message


@pytest.mark.parametrize(
    "value", ["", "Basic YTpi", "FC", "FC ", "FC :", "FC x", "fc a:b", "ACS4 x", "FC \xff:\xff"]
)
def test_an_authorization_that_is_none(value) -> None:
    """Is a clear refusal, whatever it is."""
    wire = fc2_signed()
    wire.headers["authorization"] = value

    assert refusal(wire).status in (400, 403)


def test_a_temporary_key_comes_with_its_token() -> None:
    """A temporary key without its token, with another, or a lasting key with one is refused."""
    assert TEMPORARY.id == caller(fc2_signed(key=TEMPORARY)).access_key_id
    for key in (
        AccessKey(TEMPORARY.id, TEMPORARY.secret),
        AccessKey(TEMPORARY.id, TEMPORARY.secret, "another"),
        AccessKey(KEY.id, KEY.secret, "a token"),
    ):
        assert "AccessDenied" == refusal(fc2_signed(key=key)).code


# Signed URLs. The two signatures are those of the tests of aliyun/fc-go-sdk.

EXPIRES = 1583339600
GO_KEY = AccessKey("akid", "akSec")
URL = f"x-fc-access-key-id=akid&x-fc-expires={EXPIRES}"
SIGNED = f"{URL}&x-fc-signature=6Rc4KxEAv3%2BlHpbNQWceIUqWVWq3ewxhadlJBRzZ0XQ%3D"
SIGNED_WITH_TOKEN = f"{URL}&x-fc-security-token=stsToken&x-fc-signature=Yi0jCBQ6cTZc%2BtN8wtYUz9FbYNijx5jDiE3sVNW6XwA%3D"


def open_url(
    query: str,
    now: float = EXPIRES,
    token: str = "",
    path: bytes = b"/2016-08-15/proxy/service/func/",
) -> Caller:
    keys = AccessKeys([AccessKey(GO_KEY.id, GO_KEY.secret, token)])
    return authenticator(now, keys).check(
        Request("GET", path, query.encode(), [(b"host", b"h")]), EMPTY
    )


def test_a_signed_url() -> None:
    """Lets in whoever has it, until the second that it names, as often as one likes."""
    assert "akid" == open_url(SIGNED).access_key_id
    assert "akid" == open_url(SIGNED, now=0).access_key_id
    assert "akid" == open_url(SIGNED_WITH_TOKEN, token="stsToken").access_key_id


def test_a_signed_url_that_has_expired() -> None:
    """One second later it is refused."""
    with pytest.raises(ApiError, match="expired") as raised:
        open_url(SIGNED, now=EXPIRES + 1)

    assert 403 == raised.value.status


@pytest.mark.parametrize(
    "query",
    [
        SIGNED.replace(str(EXPIRES), str(EXPIRES + 1)),
        SIGNED.replace("akid", "other"),
        SIGNED.replace("6Rc4", "6Rc5"),
        SIGNED + "&more=1",
        SIGNED + f"&x-fc-expires={EXPIRES + 1}",
        SIGNED + "&x-fc-security-token=stsToken",
        SIGNED.replace(str(EXPIRES), "never"),
        SIGNED.replace(str(EXPIRES), "9" * 5000),
        SIGNED_WITH_TOKEN,
        "x-fc-signature=",
    ],
)
def test_a_signed_url_that_was_changed(query) -> None:
    """Its end, its key, its parameters: all of it is signed."""
    with pytest.raises(ApiError) as raised:
        open_url(query)

    assert 403 == raised.value.status


def test_a_parameter_of_a_signed_url_that_comes_twice() -> None:
    """Even signed so: which of them counts could be taken either way."""
    text = (
        f"GET\n\n\n{EXPIRES}\n/p\nx-fc-access-key-id=akid\nx-fc-expires=1\nx-fc-expires={EXPIRES}"
    )
    made = base64.b64encode(hmac.digest(GO_KEY.secret.encode(), text.encode(), "sha256")).decode()

    with pytest.raises(ApiError, match="more than once"):
        url = f"x-fc-expires=1&{URL}&x-fc-signature={quote(made, safe='')}"
        authenticator(0, AccessKeys([GO_KEY])).check(
            Request("GET", b"/p", url.encode(), []), EMPTY, http_trigger=True
        )


def test_a_signed_url_is_for_http_triggers_only() -> None:
    """The management API has no such thing."""
    with pytest.raises(ApiError) as raised:
        open_url(SIGNED, path=b"/2016-08-15/services")

    assert "MissingRequiredHeader" == raised.value.code
