"""Who may call an HTTP trigger: everybody, who can sign, or who has a token."""

import base64
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fc_runtime.service.auth import (
    AccessKey,
    Authenticator,
    Request,
    authorize_http,
    check_auth_config,
)
from fc_runtime.service.errors import ApiError
from support.signed import KEY, authenticator, fc2_signed, tea_signed

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DAY_S = 24 * 3600  # times are made when the tests are collected: the whole run may come in between


def jwk(private=PRIVATE, algorithm: str = "RS256", **more) -> dict:
    """The public part, as a trigger is configured with it."""
    made = {
        "RS": jwt.algorithms.RSAAlgorithm,
        "PS": jwt.algorithms.RSAAlgorithm,
        "ES": jwt.algorithms.ECAlgorithm,
        "Ed": jwt.algorithms.OKPAlgorithm,
    }[algorithm[:2]].to_jwk(private.public_key(), as_dict=True)
    return {**made, "alg": algorithm, "use": "sig", **more}


def config(*keys, **more) -> dict:
    return {
        "jwks": {"keys": list(keys) or [jwk()]},
        "tokenLookup": "header:Authorization:Bearer",
        **more,
    }


def token(claims: dict | None = None, private=PRIVATE, algorithm: str = "RS256", **headers) -> str:
    claims = {"exp": time.time() + 60} if claims is None else claims
    return jwt.encode(claims, private, algorithm, headers)


def request(*, query: bytes = b"", path: bytes = b"/", **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request("GET", path, query, pairs)


def bearer(text: str) -> Request:
    return request(authorization=f"Bearer {text}")


def let_in(auth_config: object, asking: Request, path: str = "/"):
    return authorize_http("jwt", auth_config, asking, authenticator(), path=path)


def refusal(auth_config: object, asking: Request, path: str = "/") -> ApiError:
    with pytest.raises(ApiError) as raised:
        let_in(auth_config, asking, path)
    assert (403, "AccessDenied") == (raised.value.status, raised.value.code)
    return raised.value


def test_anonymous() -> None:
    """Everybody, with whatever in their headers."""
    admitted = authorize_http(
        "anonymous", None, request(authorization="nonsense"), authenticator(), path="/"
    )

    assert admitted.pending is None


def test_an_auth_type_that_we_do_not_have() -> None:
    """Lets nobody in; a trigger with it is refused when it is created."""
    for auth_type in ("basic", "bearer", ""):
        with pytest.raises(ApiError) as raised:
            authorize_http(auth_type, None, request(), authenticator(), path="/")
        assert 403 == raised.value.status
        with pytest.raises(ApiError) as raised:
            check_auth_config(auth_type, None)
        assert 501 == raised.value.status


def test_function_takes_either_scheme() -> None:
    """FC's signature, with the query in it, by whatever path, and ACS3, whose body is to come."""
    fc = fc2_signed("GET", "/hello", query={"a": "1"}, signs_query=True).request()
    acs3 = tea_signed("POST", "/hello", body=b"x").request()

    by_fc, by_acs3 = (
        authorize_http("function", None, r, authenticator(), path="/hello") for r in (fc, acs3)
    )

    assert by_fc.pending is not None
    assert by_fc.pending.body_sha256 is None
    assert KEY.id == by_fc.pending.caller.access_key_id
    assert by_acs3.pending is not None
    with pytest.raises(ApiError, match="body"):
        by_acs3.pending.finish("0" * 64)


@pytest.mark.parametrize("kind", ["nothing", "forged", "query changed"])
def test_function_refuses_with_403(kind) -> None:
    """Also where nothing was signed at all, which is a 400 of the management API."""
    wire = fc2_signed("GET", "/hello", query={"a": "1"}, signs_query=True)
    if kind == "nothing":
        del wire.headers["authorization"]
    elif kind == "forged":
        wire = fc2_signed("GET", "/hello", signs_query=True, key=AccessKey(KEY.id, "wrong"))
    else:
        wire.query = b"a=2"

    with pytest.raises(ApiError) as raised:
        authorize_http("function", None, wire.request(), authenticator(), path="/hello")

    assert 403 == raised.value.status


def test_function_where_nobody_has_to_sign() -> None:
    """A daemon without authentication does not ask for it here either; a token it does ask for."""
    off = Authenticator(None, account="1")

    assert authorize_http("function", None, request(), off, path="/").pending is not None
    with pytest.raises(ApiError):
        authorize_http("jwt", config(), request(), off, path="/")


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [
        (PRIVATE, "RS256"),
        (PRIVATE, "RS512"),
        (PRIVATE, "PS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_token_by_any_algorithm_of_public_keys(private, algorithm) -> None:
    """The key says which."""
    rules = config(jwk(private, algorithm))

    let_in(rules, bearer(token(private=private, algorithm=algorithm)))
    refusal(rules, bearer(token(private=OTHER)))


def test_a_token_does_not_choose_its_algorithm() -> None:
    """Neither none, nor the public key taken for a shared secret, nor another of its family."""
    public = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = jwt.encode({"sub": "me"}, None, "none")
    by_secret = token({"sub": "me"}, b"s" * 32, "HS256").rpartition(".")[0]
    forged = base64.urlsafe_b64encode(hmac.digest(public, by_secret.encode(), "sha256"))

    for text in (unsigned, f"{by_secret}.{forged.rstrip(b'=').decode()}", f"{by_secret}."):
        refusal(config(), bearer(text))
    assert "algorithm" in refusal(config(), bearer(token(algorithm="RS512"))).message


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({}, True),
        ({"exp": time.time() + DAY_S}, True),
        ({"exp": time.time() - 1}, False),
        ({"nbf": time.time() + DAY_S}, False),
        ({"exp": "soon"}, False),
        ({"aud": "somebody", "iss": "else", "sub": 7, "iat": time.time() + DAY_S}, True),
    ],
)
def test_what_is_checked_of_the_claims(claims, good) -> None:
    """When it begins and ends, where it says so; the rest cannot be configured."""
    text = (
        jwt.encode(claims, PRIVATE, "RS256") if claims.get("sub") != 7 else _with_any_claims(claims)
    )

    if good:
        let_in(config(), bearer(text))
    else:
        refusal(config(), bearer(text))


def _with_any_claims(claims: dict) -> str:
    """The library does not make a token with a subject that is no text."""
    return jwt.api_jws.encode(json.dumps(claims).encode(), PRIVATE, "RS256")


def test_the_key_of_that_id() -> None:
    """A token that names its key is checked with that one, or with one without a name."""
    rules = config(jwk(OTHER, kid="1"), jwk(PRIVATE, kid="2"))

    let_in(rules, bearer(token(kid="2")))
    let_in(rules, bearer(token()))
    let_in(config(jwk()), bearer(token(kid="9")))
    assert "kid" in refusal(rules, bearer(token(kid="3"))).message
    assert "signature" in refusal(rules, bearer(token(kid="1"))).message


@pytest.mark.parametrize(
    ("lookup", "asking"),
    [
        ("header:Authorization:Bearer", {"authorization": "Bearer {}"}),
        ("header:Authorization:Bearer ", {"authorization": "bearer {}"}),
        ("header:X-Token", {"x_token": "{}"}),
        ("query:token", {"query": "a=1&token={}"}),
        ("cookie:auth", {"cookie": "a=1; auth={}; b=2"}),
        ("header:Authorization:Bearer,cookie:auth", {"cookie": "auth={}"}),
        ("header:Authorization:Bearer, query:t", {"authorization": "Basic x", "query": "t={}"}),
        ([{"readPosition": "header", "parameterName": "Authorization", "prefix": "Bearer "}], {"authorization": "Bearer {}"}),
        (["cookie:auth", {"readPosition": "query", "parameterName": "t"}], {"query": "t={}"}),
    ],
)  # fmt: skip
def test_where_a_token_is_looked_for(lookup, asking) -> None:
    """In the order of the configuration; the first that is there counts."""
    filled = {name: text.format(token()) for name, text in asking.items()}
    filled = {name: text.encode() if name == "query" else text for name, text in filled.items()}

    let_in(config(tokenLookup=lookup), request(**filled))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x.y.z",
        "Bearer ...",
        "Basic YTpi",
        "Bearer \u00fc.\u00fc.\u00fc",
        "Bearer " + "a." * 5000,
    ],
)
def test_what_is_no_token(text) -> None:
    """Is refused, whatever it is."""
    refusal(config(), request(authorization=text))


def test_paths_that_need_no_token() -> None:
    """A whitelist: exactly, or what begins so."""
    rules = config(whitelist=["/login", "/public/*"])

    for path in ("/login", "/public/", "/public/a/b"):
        let_in(rules, request(), path)
    for path in ("/", "/login/", "/public", "/login2"):
        refusal(rules, request(), path)


def test_paths_that_need_one() -> None:
    """A blacklist: the others do not."""
    rules = config(blacklist=["/admin/*"])

    let_in(rules, request(), "/")
    refusal(rules, request(), "/admin/x")
    let_in(rules, bearer(token()), "/admin/x")


@pytest.mark.parametrize(
    "path", ["/public/../admin", "/public/..", "/public/./x", "//admin", "/x//y", "/public/..\\x"]
)
@pytest.mark.parametrize("lists", [{"whitelist": ["/public/*"]}, {"blacklist": ["/admin/*"]}])
def test_paths_that_may_be_others(path, lists) -> None:
    """What a function may take for another path needs a token, whatever the lists say."""
    refusal(config(**lists), request(), path)
    let_in(config(**lists), bearer(token()), path)


@pytest.mark.parametrize("shape", ["object", "text", "capitals"])
def test_the_shapes_of_the_configuration(shape) -> None:
    """The API has it as a text, s.yaml as an object, and one description of it with capitals."""
    rules: object = config(claimPassBy="header:sub:X-User")
    if shape == "capitals":
        rules = {
            "JWKS": {"keys": [jwk()]},
            "TokenLookup": "header:Authorization:Bearer",
            "ClaimPassBy": "header:sub:X-User",
        }
    if shape != "object":
        rules = json.dumps(rules)

    admitted = let_in(rules, bearer(token({"sub": "me"})))

    assert ([(b"x-user", b"me")], b"") == admitted.rewrite([], b"")


def test_claims_that_the_function_sees() -> None:
    """As a header, a query parameter or a cookie; what is no text, in JSON."""
    rules = config(
        claimPassBy="header:sub:X-User,query:name:name,cookie:roles:roles,header:age:X-Age"
    )
    text = token({"sub": "me", "name": "ü & co", "roles": ["a", 1], "age": 7})

    headers, query = let_in(rules, bearer(text)).rewrite([(b"cookie", b"a=1")], b"q=1")

    assert [
        (b"x-user", b"me"),
        (b"cookie", b"a=1; roles=%5B%22a%22%2C1%5D"),
        (b"x-age", b"7"),
    ] == headers
    assert b"q=1&name=%C3%BC%20%26%20co" == query


@pytest.mark.parametrize("claims", [{"sub": "me"}, {}])
def test_nobody_can_pretend_to_have_a_claim(claims) -> None:
    """What the client sent under its name is gone, even if the token has no such claim."""
    rules = config(claimPassBy="header:sub:X-User,query:sub:user,cookie:sub:user")
    sent = [
        (b"X-User", b"root"),
        (b"x_user", b"root"),
        (b"cookie", b"user=root; b=2"),
        (b"accept", b"*/*"),
    ]

    headers, query = let_in(rules, bearer(token(claims))).rewrite(
        sent, b"user=root&%75ser=root&q=1"
    )

    assert b"root" not in query
    assert not any(b"root" in value for _, value in headers)
    assert (b"accept", b"*/*") in headers
    assert query.startswith(b"q=1")
    assert ((b"x-user", b"me") in headers) == bool(claims)


def test_nobody_can_pretend_where_no_token_is_needed() -> None:
    """A path of the whitelist gets no claim through either."""
    rules = config(claimPassBy="header:sub:X-User", whitelist=["/login"])

    admitted = let_in(rules, request(), "/login")

    assert ([], b"") == admitted.rewrite([(b"x-user", b"root")], b"")


def test_a_claim_cannot_break_out_of_its_header() -> None:
    """One with a line break is refused."""
    refusal(config(claimPassBy="header:sub:X-User"), bearer(token({"sub": "me\r\nX-Admin: 1"})))


@pytest.mark.parametrize(
    ("auth_config", "status"),
    [
        (None, 400),
        ("{", 400),
        ("[]", 400),
        ({}, 400),
        (config(jwks={"keys": []}), 400),
        ({"jwks": {"keys": [jwk()]}}, 400),
        (config({"kty": "RSA", "n": "x"}), 400),
        (config({"kty": "new"}), 400),
        (config("key"), 400),
        (config(tokenLookup="body:x"), 400),
        (config(tokenLookup="header"), 400),
        (config(tokenLookup=[7]), 400),
        (config(tokenLookup="form:token"), 501),
        (config(claimPassBy="form:a:b"), 501),
        (config(claimPassBy="header:a:b c"), 400),
        (config(claimPassBy="header:a:b\r\nc"), 400),
        (config(whitelist=["/a"], blacklist=["/b"]), 400),
        (config(whitelist="/a"), 400),
    ],
)  # fmt: skip
def test_a_configuration_that_will_not_do(auth_config, status) -> None:
    """Is refused when the trigger is created; one that is there all the same lets nobody in."""
    with pytest.raises(ApiError) as raised:
        check_auth_config("jwt", auth_config)
    assert status == raised.value.status

    with pytest.raises(ApiError):
        let_in(auth_config, bearer(token()))


def test_a_configuration_of_the_tools() -> None:
    """Serverless Devs writes "query::" where no claim is passed on."""
    check_auth_config("jwt", config(claimPassBy="query::"))
    check_auth_config("function", None)
    check_auth_config("anonymous", "")
