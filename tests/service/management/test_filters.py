"""FC3's ListFunctions: which functions are asked for, through the official client and as HTTP."""

import httpx
import pytest
from alibabacloud_fc20230330 import models as fc3
from alibabacloud_fc20230330.client import Client
from fc_runtime.service.account import Account
from support.accounts import base64_zip

FUNCTIONS = {
    "mail-in": {"runtime": "python3.10", "description": "reads letters"},
    "mail-out": {
        "runtime": "python3.12",
        "description": "sends letters",
        "tags": [{"key": "team", "value": "post"}],
    },
    "web": {"runtime": "python3.12", "gpuConfig": {"gpuType": "fc.gpu.tesla.1"}},
}


@pytest.fixture(autouse=True)
def functions(account: Account) -> None:
    code = {"zipFile": base64_zip()}
    for name, document in FUNCTIONS.items():
        account.create_function("", name, {"handler": "index.handler", "code": code, **document})
    account.tag("functions/web", {"team": "front", "tier": "1"})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["mail-in", "mail-out", "web"]),
        ({"function_name": "mail"}, ["mail-in", "mail-out"]),
        ({"description": "sends"}, ["mail-out"]),
        ({"runtime": "python3.12"}, ["mail-out", "web"]),
        ({"runtime": "python3"}, []),
        ({"gpu_type": "fc.gpu.tesla.1"}, ["web"]),
        ({"resource_group_id": "rg-1"}, []),
        ({"fc_version": "v3"}, ["mail-in", "mail-out", "web"]),
        ({"fc_version": "v2"}, []),
        ({"tags": [fc3.Tag(key="team")]}, ["mail-out", "web"]),
        ({"tags": [fc3.Tag(key="team", value="post")]}, ["mail-out"]),
        ({"tags": [fc3.Tag(key="team"), fc3.Tag(key="tier")]}, ["web"]),
        ({"runtime": "python3.12", "prefix": "m"}, ["mail-out"]),
    ],
    ids=str,
)
def test_functions_are_found_by_what_they_are(
    v2023: Client, asked: dict[str, object], found: list[str]
) -> None:
    """All that is asked for has to be so."""
    listed = v2023.list_functions(fc3.ListFunctionsRequest(**asked)).body

    assert found == [function.function_name for function in listed.functions or []]


def test_pages_of_what_is_found_are_full(v2023: Client) -> None:
    """What is passed over does not count; the token leads to the next that is found."""
    request = fc3.ListFunctionsRequest(runtime="python3.12", limit=1)
    first = v2023.list_functions(request).body
    request.next_token = first.next_token
    last = v2023.list_functions(request).body

    assert ["mail-out", "web"] == [page.functions[0].function_name for page in (first, last)]
    assert not last.next_token


@pytest.mark.parametrize("query", ["fcVersion=v1", "tags=no", "tags=[1]", 'tags=[{"key":1}]'])
def test_filter_that_means_nothing_is_refused(http: httpx.Client, query: str) -> None:
    """400, with its name."""
    reply = http.get(f"/2023-03-30/functions?{query}")

    assert 400 == reply.status_code
    assert (
        query.partition("=")[0].removesuffix("s") in reply.json()["Message"] or "key" in reply.text
    )
