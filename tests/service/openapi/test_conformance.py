"""
The daemon does what its description says, whatever it is sent: requests made from the description,
right ones and wrong ones, and every reply held against it.

``FC_RUNTIME_EXAMPLES`` is how many requests are made of each operation, and then of all three
generations; without it, a few, of two.
"""

import os
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from fc_runtime.service.account import Account
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.accounts import base64_zip
from support.furnished import furnish

WANTED = os.environ.get("FC_RUNTIME_EXAMPLES")
EXAMPLES = int(WANTED or 2)
PARTS = 4  # of an API's operations, each a test: none takes long
APIS = ("/2016-08-15", "/2023-03-30", *(["/2021-04-06"] * bool(WANTED)))
EACH = [(prefix, part) for prefix in APIS for part in range(PARTS)]
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,  # of a refusal: all five keys
]


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


class Exercise:
    """One operation, and what it answered to what is sent."""

    def __init__(self, operation, account: Account, session: requests.Session, url: str) -> None:
        self._operation = operation
        self._account = account
        self._session = session
        self._url = url
        self._prefix = operation.path[: len(APIS[0])]
        self.furnished = furnish(account, self._prefix)
        if "/layers/" in operation.path:
            self.furnished["version"] = self.furnished["layer version"]
        self.answered: set[int] = set()

    @property
    def is_refused(self) -> bool:
        return "501" in self._responses and not self._succeeds

    @property
    def needs_success(self) -> bool:
        return self._succeeds and "501" not in self._responses

    @property
    def _responses(self):
        return self._operation.definition.raw["responses"]

    @property
    def _succeeds(self) -> bool:
        return bool({"200", "204"} & set(self._responses))

    def right(self) -> None:
        """As described; for things that there are, and for others."""
        if self.is_refused:
            self._send(GenerationMode.POSITIVE, 1)
        else:
            self._send(GenerationMode.POSITIVE, EXAMPLES)
            self._send(GenerationMode.POSITIVE, EXAMPLES, self._known, self._help)

    def wrong(self) -> None:
        """Against the description, in one thing or in several."""
        if self.is_refused or not self._can_be_wrong:
            return
        self._send(GenerationMode.NEGATIVE, EXAMPLES)
        if self._operation.body and self._known:  # what is wrong comes as far as the body
            self._send(GenerationMode.NEGATIVE, EXAMPLES, self._known)

    @property
    def _known(self) -> dict[str, str]:
        names = {parameter.name for parameter in self._operation.path_parameters}
        return {name: self.furnished[name] for name in names & self.furnished.keys()}

    @property
    def _can_be_wrong(self) -> bool:
        """Not where any text will do."""
        given = [*self._operation.query, *self._operation.path_parameters]
        schemas = [parameter.definition.get("schema", {"a": "list"}) for parameter in given]
        any_text = {"type", "minLength", "description"}
        return bool(self._operation.body) or any(set(schema) - any_text for schema in schemas)

    def _send(self, mode: GenerationMode, most: int, known=None, change=lambda _case: None) -> None:
        checks = [server_erred, *CHECKS]
        if mode.is_negative:
            checks.append(wrong_was_refused)

        @given(case=self._operation.as_strategy(mode, path_parameters=known or None))
        @settings(
            max_examples=most,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def send(case) -> None:
            change(case)
            response = case.call(base_url=self._url, session=self._session)
            self.answered.add(response.status_code)
            case.validate_response(response, checks=checks)

        send()

    def _help(self, case) -> None:
        """What no schema says: zips, versions and resources that there are."""
        furnish(self._account, self._prefix)
        case.headers.pop("If-Match", None)
        right = {
            "code": {"zipFile": base64_zip()},
            "handler": "index.handler",
            "layers": [],
            "instanceLifecycleConfig": {},
            "versionId": self.furnished["version"],
            "additionalVersionWeight": {},
            "triggerConfig": "{}",
            "triggerType": "oss",
            "qualifier": "LATEST",
            "target": 1,
            "resourceArn": self.furnished["tagged"],
            "ResourceId": [self.furnished["tagged"]],
        }
        if isinstance(case.body, dict):
            case.body |= right
        kept = {"resourceArn": right["resourceArn"], "ResourceId": f'["{right["resourceArn"]}"]'}
        names = {parameter.name for parameter in self._operation.query}
        case.query = {name: value for name, value in kept.items() if name in names}
        if "TagKey" in names:
            case.query["TagKey"] = '["a"]'
        if "acl" in names:
            case.query["acl"] = "1"


def server_erred(ctx, response, case) -> None:
    """As Schemathesis has it, but that 501 is a refusal like others, where it is described."""
    if response.status_code != 501:
        not_a_server_error(ctx, response, case)


def wrong_was_refused(ctx, response, case) -> None:
    """As Schemathesis has it; an If-Match that is not the ETag is looked at before the body."""
    if response.status_code != 412:
        negative_data_rejection(ctx, response, case)


@pytest.fixture
def exercises(request, account: Account, session: requests.Session, url: str) -> Iterator[Exercise]:
    """Of a part of the operations of an API; invocations are none of them."""
    prefix, part = request.param
    schema = schemathesis.openapi.from_url(f"{url}/_fc/openapi.json")
    found = [
        operation
        for operation in (result.ok() for result in schema.get_all_operations())
        if operation.path.startswith(prefix) and not operation.path.endswith("/invocations")
    ]
    return (Exercise(operation, account, session, url) for operation in found[part::PARTS])


@pytest.mark.parametrize("exercises", EACH, indirect=True, ids=str)
def test_what_is_described_is_answered_as_described(exercises: Iterator[Exercise]) -> None:
    """No error of ours; no status, header or body but those described; and it can succeed."""
    failed = []
    for exercise in exercises:
        try:
            exercise.right()
        except Exception as error:  # noqa: BLE001 (all are told, at the end)
            failed.append(error)
        assert not exercise.needs_success or exercise.answered & {200, 204}, (
            exercise._operation.label
        )
    if failed:
        raise ExceptionGroup(f"{len(failed)} operations", failed)


@pytest.mark.parametrize("exercises", EACH, indirect=True, ids=str)
def test_what_is_against_the_description_is_refused(exercises: Iterator[Exercise]) -> None:
    """With a 4xx and its five keys, never with an error of ours."""
    failed = []
    for exercise in exercises:
        try:
            exercise.wrong()
        except Exception as error:  # noqa: BLE001 (all are told, at the end)
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{len(failed)} operations", failed)
