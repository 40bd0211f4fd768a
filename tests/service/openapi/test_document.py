"""What the daemon says of itself: all of it, to anybody, and true of invocations too."""

from collections.abc import Callable

import httpx
import jsonschema_rs
import pytest
from fc_runtime.service.api import OPERATIONS, openapi
from fc_runtime.service.api.addresses import OF_FC2, OF_FC3
from fc_runtime.service.api.operations import FC3, Operation, Reply
from fc_runtime.service.errors import ApiError
from service.gateway.conftest import daemon_in  # type: ignore[import-not-found]

LOCATION = "/_fc/openapi.json"


def test_every_operation_is_described(http: httpx.Client) -> None:
    """Under each version of the API that has it, with a name of its own and what refuses it."""
    told = http.get(LOCATION)
    paths = told.json()["paths"]

    assert "application/json" == told.headers["content-type"]
    assert "3.1.0" == told.json()["openapi"]
    for operation in OPERATIONS:
        for prefix in operation.prefixes:
            path = prefix + operation.path.replace(":path}", "}")
            described = paths[path][operation.verb.lower()]
            assert described["operationId"].startswith(operation.name)
            assert {"400", "403", "500"} <= set(described["responses"])
    names = [each["operationId"] for verbs in paths.values() for each in verbs.values()]
    assert len(names) == len(set(names))


def test_every_schema_is_one(http: httpx.Client) -> None:
    """Of JSON Schema 2020-12, which OpenAPI 3.1 has."""
    for name, schema in http.get(LOCATION).json()["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        ), name


def test_operation_of_which_nothing_is_told_is_noticed() -> None:
    """Nobody adds one to the API and forgets it here."""
    added = Operation("InventMoney", "POST", "/money", lambda _call: Reply(), FC3)

    with pytest.raises(KeyError, match="InventMoney"):
        openapi.document([*OPERATIONS, added])


def test_it_needs_no_signature(tmp_path, handlers) -> None:
    """A client may have it made before it has a key; everything else stays closed."""

    def nobody(_scope) -> None:
        raise ApiError(403, "AccessDenied", "nobody")

    with daemon_in(tmp_path, handlers, begin=nobody) as daemon:
        assert 200 == daemon.client.get(LOCATION).status_code
        assert 403 == daemon.client.get("/2023-03-30/functions").status_code


@pytest.mark.parametrize("prefix", ["/2016-08-15", "/2021-04-06", "/2023-03-30"])
def test_invocations_answer_as_described(tmp_path, handlers, prefix: str) -> None:
    """Statuses, headers, and the body of a refusal."""
    below = "/functions/f" if prefix in FC3 else "/services/s/functions/f"
    with daemon_in(tmp_path, handlers) as daemon:
        if prefix in FC3:
            daemon.create("f")
        else:
            daemon.create_fc2("s", "f")
        document = daemon.client.get(LOCATION).json()
        template = OF_FC3 if prefix in FC3 else OF_FC2
        described = document["paths"][f"{prefix}{template}/invocations"]["post"]["responses"]
        error = jsonschema_rs.validator_for(document["components"]["schemas"]["Error"])
        path = f"{prefix}{below}/invocations"

        said = daemon.post(path, {"do": "echo", "say": 1}, X_Fc_Log_Type="Tail")
        refused = [
            daemon.post(path, b"", X_Fc_Invocation_Type="Async"),
            daemon.post(path, b"", X_Fc_Log_Type="All"),
            daemon.post(f"{path}?qualifier=none"),
            daemon.post(path.replace("/f/", "/none/")),
        ]

    not_here = {"X-Fc-Error-Type", "X-Fc-Code-Checksum"}  # no error, and the code is a folder
    assert set(described["200"]["headers"]) - not_here <= {n.title() for n in said.headers}
    assert [501, 400, 404, 404] == [reply.status_code for reply in refused]
    for reply in refused:
        assert str(reply.status_code) in described
        error.validate(reply.json())


def test_rule_is_the_same_for_the_check_and_for_the_description() -> None:
    """What a field's check takes, its schema does, and the other way round, at their bounds."""
    from fc_runtime.service.account.documents import FUNCTION_CHECKS

    for name, values in {
        "memorySize": [31, 32, 32_768, 32_769, "64", None, True, 1.5],
        "cpu": [0, 0.04, 0.05, 16, 16.1, "1"],
        "runtime": ["python3.10", "custom.debian12", "nodejs18", "", 3, "python 3"],
        "environmentVariables": [{}, {"A": "b"}, {"1": "b"}, {"FC_A": "b"}, {"A": 1}, {"A": "\0"}],
        "layers": [[], ["acs:fc:r:1:layers/a/versions/1"], ["a"], "a"],
        "instanceLifecycleConfig": [{}, {"preStop": None}, {"preStop": {"timeout": 91}}, []],
        "description": ["", "x" * 256, "x" * 257, "\x00", "a\nb", 1],
    }.items():
        check = FUNCTION_CHECKS[name]
        valid = jsonschema_rs.validator_for(check.schema)
        for value in values:
            assert takes(check, value) == valid.is_valid(value), f"{name}: {value!r}"


def takes(check: Callable[[str, object], None], value: object) -> bool:
    try:
        check("field", value)
    except ApiError:
        return False
    return True
