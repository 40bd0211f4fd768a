"""
Bodies that nobody means well with: refused with a 4xx and its five keys, never an error of ours,
and what is taken can be read again.
"""

import itertools
import json
from collections.abc import Iterator

import httpx
import jsonschema_rs
import pytest
from fc_runtime.service.account import Account
from fc_runtime.service.account.given import DEEPEST
from fc_runtime.service.api import OPERATIONS, openapi
from hypothesis import HealthCheck, given, settings, strategies as st
from support.furnished import FUNCTION, furnish

FUNCTIONS = "/2023-03-30/functions"
KEYS = {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"}
DOCUMENT = openapi.document(OPERATIONS)
TAKING_JSON = [
    (verb, path, described["requestBody"]["content"]["application/json"]["schema"]["$ref"])
    for path, verbs in DOCUMENT["paths"].items()
    for verb, described in verbs.items()
    if "application/json" in described.get("requestBody", {}).get("content", {})
    and not path.startswith("/2021")  # as 2016
]
ODD = [-1, 1.5, 10**40, True, "", "x" * 300, "\0", [1], {"": 1}]


def check_refused(reply: httpx.Response) -> str:
    """The message."""
    assert 400 <= reply.status_code < 500, reply.text
    assert set(reply.json()) == KEYS
    return reply.json()["Message"]


def with_value(text: str) -> bytes:
    """A service with a field of its own, whose value is that JSON text."""
    return b'{"serviceName": "s", "more": ' + text.encode("utf-8", "surrogatepass") + b"}"


NOT_FOR_ALL_THE_SAME = [
    *("1e999", "-1e999", "NaN", "-Infinity", "9" * 5000),
    *('{"a": 1, "a": 2}', '[{"a": {"b": 1, "b": 1}}]'),
    *('"\\ud800"', '{"\\udfff": 1}', '"\ud800"'),
    *("[" * DEEPEST + "]" * DEEPEST, "[" * 500_000, '{"a":' * 900 + "1" + "}" * 900),
    *("01", "'a'", '"\n"', "[1,]", "1 1", ""),
]
ODD_BUT_JSON = [
    *('"\\u0000"', "1e-999", "0.1", "-0", "9" * 4000, '"\\ud83d\\ude00"'),
    *("[]", "[" * 60 + "]" * 60, '[{"a": 1}, {"a": 1}]'),
]


def test_what_not_everybody_takes_for_the_same_json_is_refused(http: httpx.Client) -> None:
    """Numbers beyond all bounds, names that are there twice, half of a pair, a thousand lists …"""
    for value in NOT_FOR_ALL_THE_SAME:
        reply = http.post("/2016-08-15/services", content=with_value(value))
        assert "JSON" in check_refused(reply), value[:50]
    assert {"services": []} == http.get("/2016-08-15/services").json()


def test_json_is_in_utf_8(http: httpx.Client) -> None:
    """And in nothing else."""
    content = json.dumps({"serviceName": "s", "description": "é"}, ensure_ascii=False)

    for encoding in ("utf-16", "utf-32", "utf-8-sig", "latin-1"):
        check_refused(http.post("/2016-08-15/services", content=content.encode(encoding)))


def test_blanks_are_no_json(http: httpx.Client) -> None:
    """A body of nothing is an object of nothing; one of blanks is a mistake, and nothing is made."""
    assert http.post("/2016-08-15/services", json={"serviceName": "s"}).status_code == 200

    for content in (b" ", b"\n", b"\r\n\t "):
        assert "JSON" in check_refused(http.put("/2016-08-15/services/s", content=content))
    assert http.put("/2016-08-15/services/s", content=b"").status_code == 200


def test_what_is_odd_but_json_is_kept(http: httpx.Client) -> None:
    """And shown as it was."""
    for value in ODD_BUT_JSON:
        made = http.post("/2016-08-15/services", content=with_value(value))

        assert 200 == made.status_code, made.text
        assert json.loads(value) == made.json()["more"]
        assert made.json() == http.get("/2016-08-15/services/s").json()
        http.delete("/2016-08-15/services/s")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_any_value_of_any_field_is_taken_or_refused(account: Account, http: httpx.Client) -> None:
    """By all operations that take a body: 2xx, a refusal as all are, or what is not to be had here."""
    for verb, path, reference in TAKING_JSON:
        fields = sorted(schema_of(reference)["properties"])
        whole = path.format(**furnish(account, prefix_of(path)))
        any_value_is_heard(http, verb, whole, fields)


def any_value_is_heard(http: httpx.Client, verb: str, path: str, fields: list[str]) -> None:
    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(fields) | st.text(max_size=5), JSON, max_size=5))
    def send(body) -> None:
        content = json.dumps(body).encode("utf-8", "surrogatepass")
        reply = http.request(verb, path, content=content)
        if reply.status_code == 501:
            assert reply.json()["ErrorCode"] == "NotImplemented"
        elif not reply.is_success:
            check_refused(reply)

    send()


def schema_of(reference: str) -> dict:
    return DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]


def prefix_of(path: str) -> str:
    return path[: len("/2016-08-15")]


@pytest.mark.parametrize("prefix", ["/2016-08-15", "/2023-03-30"])
def test_every_field_is_checked(account: Account, http: httpx.Client, prefix: str) -> None:
    """A value that the description forbids is refused, whatever else is right."""
    furnished = furnish(account, prefix)
    needed = {
        **FUNCTION,
        "functionName": "new",
        "serviceName": "new",
        "aliasName": "new",
        "versionId": furnished["version"],
        "triggerName": "new",
        "triggerType": "oss",
        "domainName": "b.example",
        "reservedConcurrency": 1,
        "maximumInstanceCount": 1,
        "target": 1,
        "resourceArn": furnished["tagged"],
        "ResourceId": [furnished["tagged"]],
        "tags": {"a": "b"},
        "Tag": [{"Key": "a"}],
        "tagKeys": ["a"],
    }
    for verb, path, reference in TAKING_JSON:
        if prefix != prefix_of(path):
            continue
        schema = schema_of(reference)
        asked = {*schema.get("required", ())} | (
            {"handler", "code", "target"} & {*schema["properties"]}
        )
        right = {name: needed[name] for name in asked}
        whole = path.format(**furnished)
        for field, value in wrong_values(schema):
            reply = http.request(verb, whole, json={**right, field: value})
            said = f"{verb} {path}: {field}={value!r}: {reply.status_code} {reply.text}"
            assert 400 == reply.status_code, said
            check_refused(reply)
        made = http.request(verb, whole, json=right)
        assert made.is_success or "No changes were made" in made.text, f"{path}: {made.text}"


def wrong_values(schema: dict) -> Iterator[tuple[str, object]]:
    for field, rule in schema["properties"].items():
        valid = jsonschema_rs.validator_for(rule)
        for value in ODD:
            if not valid.is_valid(value):
                yield field, value


def test_body_of_150_megabytes_is_refused_not_cut_off(http: httpx.Client) -> None:
    """It is heard to its end, and the client is told; what comes after is served."""
    part = b" " * (1 << 20)

    reply = http.post(FUNCTIONS, content=(part for _ in range(151)))

    assert "maximum allowed size" in check_refused(reply)
    assert 200 == http.get(FUNCTIONS).status_code


def test_numbers_in_a_query_are_a_few_digits(account: Account, http: httpx.Client) -> None:
    """Anything else is refused."""
    furnish(account, "/2023-03-30")
    numbers = ("²", "9" * 5000, "0" * 8 + "1" + "0" * 5000, "٣", "-1", "1e2")

    for number, (path, name) in itertools.product(
        numbers,
        (
            ("functions/echo/versions", "startKey"),
            ("functions/echo/versions", "limit"),
            ("functions", "limit"),
            ("layers/lib/versions", "startVersion"),
            ("tags-v2", "Limit"),
            ("tags-v2", "NextToken"),
        ),
    ):
        check_refused(http.get(f"/2023-03-30/{path}", params={name: number}))


def test_odd_names_in_a_path_are_not_found(http: httpx.Client) -> None:
    """By any verb."""
    names = ("a%00b", "%ED%A0%80", "%FF", "..", "%2e%2e%2f", "a" * 5000, "%")
    for name, verb in itertools.product(names, ("GET", "PUT", "DELETE")):
        check_refused(http.request(verb, f"{FUNCTIONS}/{name}/code"))
        check_refused(http.request(verb, f"/2016-08-15/services/{name}/functions/x"))
