"""What a handler returns, and the bytes that the caller gets (spec 1.3 to 1.10)."""

from collections.abc import Callable

import pytest
from fc_runtime import ResponseError, ResponseRejected, Returned
from support.callers import Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]


VERBATIM = {
    "'text'": b"text",
    "''": b"",
    "'h\\u00e9 \\u4f60\\u597d \\U0001f600'": "hé 你好 😀".encode(),
    '\'{"b": 1, "a": 2}\'': b'{"b": 1, "a": 2}',
    "Text('a subclass of str')": b"a subclass of str",
    "b'bytes'": b"bytes",
    "b''": b"",
    "bytes(range(256))": bytes(range(256)),
}


def test_text_and_bytes_are_answered_verbatim(deploy: Deploy) -> None:
    """str is answered as UTF-8 without quotes, bytes as they are (spec 1.3)."""
    function = deploy("values")

    results = {returned: function(returned) for returned in VERBATIM}

    assert VERBATIM == {returned: result.payload for returned, result in results.items()}
    assert {Returned()} == {result.outcome for result in results.values()}
    assert all(result.ok for result in results.values())


AS_JSON = {
    "None": b"null",
    "True": b"true",
    "42": b"42",
    "-0.5": b"-0.5",
    "float('nan')": b"NaN",
    "float('inf')": b"Infinity",
    "{}": b"{}",
    "[]": b"[]",
    "{'b': 1, 'a': 2}": b'{\n    "a": 2,\n    "b": 1\n}',
    "{'a': {'b': [1]}}": b'{\n    "a": {\n        "b": [\n            1\n        ]\n    }\n}',
    "(1, 'two')": b'[\n    1,\n    "two"\n]',
    "{2: 'b', 1: 'a'}": b'{\n    "1": "a",\n    "2": "b"\n}',
    "['h\\u00e9']": b'[\n    "h\\u00e9"\n]',
    "Colour.RED": b"1",
    "collections.OrderedDict(b=1, a=2)": b'{\n    "a": 2,\n    "b": 1\n}',
}


def test_anything_else_is_answered_as_json(deploy: Deploy) -> None:
    """Anything else becomes JSON: ASCII, keys sorted, an indent of four (spec 1.4)."""
    function = deploy("values")

    results = {returned: function(returned) for returned in AS_JSON}

    assert AS_JSON == {returned: result.payload for returned, result in results.items()}


OWN_JSON = {
    "decimal.Decimal('1.50')": b"1.5",
    "datetime.datetime(2024, 2, 29, 12, 30)": b'"2024-02-29T12:30:00"',
    "datetime.date(2024, 2, 29)": b'"2024-02-29"',
    "Money(7)": b"7",
    "Money({'amount': 7})": b'{\n    "amount": 7\n}',
    "Money('seven')": b'"seven"',
    "[Money(Money(7))]": b"[\n    7\n]",
}


def test_some_types_know_their_json(deploy: Deploy) -> None:
    """Decimal, dates, and objects with to_json have a JSON of their own (spec 1.5)."""
    function = deploy("values")

    results = {returned: function(returned) for returned in OWN_JSON}

    assert OWN_JSON == {returned: result.payload for returned, result in results.items()}


@pytest.mark.parametrize(
    ("returned", "error_type", "message"),
    [
        ("{'a': b'x'}", "TypeError", "b'x' is not JSON serializable"),
        ("bytearray(b'x')", "TypeError", "bytearray(b'x') is not JSON serializable"),
        ("{1}", "TypeError", "{1} is not JSON serializable"),
        ("types", "TypeError", "is not JSON serializable"),
        ("(n for n in [1])", "TypeError", "> is not JSON serializable"),
        ("[coroutine]", "TypeError", "> is not JSON serializable"),
        ("{'a': 1, 2: 3}", "TypeError", "'<' not supported between instances of"),
        ("{(1, 2): 3}", "TypeError", "keys must be str, int, float, bool or None"),
        ("cycle()", "ValueError", "Circular reference detected"),
        ("nested(100_000)", "RecursionError", "maximum recursion depth exceeded"),
        ("'\\ud800'", "UnicodeEncodeError", "surrogates not allowed"),
        ("Unwilling()", "LookupError", "no JSON today"),
        ("Unspeakable()", "LookupError", "no repr either"),
    ],
)
def test_what_cannot_be_encoded_is_an_error_that_names_the_type(
    deploy: Deploy, returned: str, error_type: str, message: str
) -> None:
    """
    The outcome says which type it was, the payload is FC's error body, and the instance goes on
    serving (spec 1.6 to 1.8).
    """
    function = deploy("values", memory_mb=2048)  # 3.13 takes 600 MB to find a list too deep

    with pytest.raises(ResponseError) as caught:
        function(returned)

    result = caught.value.result
    assert isinstance(result.outcome, ResponseRejected)
    assert error_type == result.outcome.error_type
    assert message in result.outcome.message
    assert message in str(caught.value)
    body = result.json()
    assert {"errorMessage", "errorType", "stackTrace"} == set(body)
    assert error_type == body["errorType"]
    assert message in body["errorMessage"]
    assert b"[ERROR]" in result.log  # spec 6.2
    again = function("'well'")
    assert b"well" == again.payload
    assert not again.cold_start


def test_result_offers_text_and_json(deploy: Deploy) -> None:
    """`Result.text` is the payload as UTF-8, escaped where it is none; `json()` parses it."""
    function = deploy("values")

    assert {"a": [1, "é"]} == function("{'a': [1, 'é']}").json()
    assert "h\\xff" == function("b'h\\xff'").text
    with pytest.raises(ValueError, match="Expecting value"):
        function("'no JSON'").json()


def test_result_tells_what_the_call_cost(deploy: Deploy) -> None:
    """A cold call tells its initialization, a warm one has none; both tell duration and usage."""
    function = deploy("values")

    cold, warm = function("1"), function("sum(range(10**6))")

    assert cold.cold_start
    assert not warm.cold_start
    assert cold.init_duration_ms is not None
    assert cold.init_duration_ms > 0
    assert warm.init_duration_ms is None
    assert warm.duration_ms > 0
    assert warm.usage.user_s + warm.usage.system_s > 0
    assert warm.usage.peak_memory_bytes > 5 * 2**20  # an interpreter has more
    assert function.name == warm.function
    assert cold.request_id != warm.request_id
