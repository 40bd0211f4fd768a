"""The ``context`` argument (spec 2.A, 2.C)."""

import copy
import json
import logging
import pickle
import time
from typing import Any

import pytest
from fc_worker.context import Context, ContextFactory, Credentials
from fc_worker.messages import WorkerConfig

CREDENTIALS = ["LTAIkey", "s3cret-of-key", "t0ken-of-role"]


def config(**changes: Any) -> WorkerConfig:
    values: dict[str, Any] = {
        "function": "hello",
        "code": "/code",
        "handler": "index.handler",
        "initializer": None,
        "timeout_s": 30.0,
        "memory_mb": 256,
        "environment": {},
        "preload": (),
        "layers": (),
        "max_response_bytes": 1,
    }
    return WorkerConfig(**{**values, **changes})


def make(**changes: Any) -> Context:
    factory = ContextFactory(
        config(
            region="cn-hangzhou",
            account_id="123",
            service="svc",
            qualifier="prod",
            version_id="7",
            log_project="project",
            log_store="store",
        )
    )
    values: dict[str, Any] = {
        "request_id": "1-64f6cd87",
        "credentials": CREDENTIALS,
        "deadline_ns": time.monotonic_ns(),
        "retry_count": 2,
    }
    return factory.make(**{**values, **changes})


def bare() -> Context:
    """Of a function about which only the least is known."""
    return ContextFactory(config()).make(request_id="r", credentials=None, deadline_ns=0)


def test_every_attribute_of_2a() -> None:
    """2.A: names, types and values."""
    context = make()

    assert (context.request_id, context.requestId) == ("1-64f6cd87", "1-64f6cd87")
    assert (context.region, context.account_id, context.retry_count) == ("cn-hangzhou", "123", 2)
    function = context.function
    assert (
        function.name,
        function.handler,
        function.memory,
        function.timeout,
    ) == ("hello", "index.handler", 256, 30)
    assert vars(context.service) == {
        "name": "svc",
        "log_project": "project",
        "log_store": "store",
        "qualifier": "prod",
        "version_id": "7",
    }
    assert vars(context.tracing) == {"span_context": "", "jaeger_endpoint": "", "span_baggages": {}}


def test_every_attribute_of_2c() -> None:
    """2.C: what python3.12 has elsewhere is there, too, so that its handlers run."""
    context = make()

    assert (context.log_project, context.log_store) == ("project", "store")
    assert (context.function.qualifier, context.function.version_id) == ("prod", "7")


def test_memory_and_timeout_are_ints() -> None:
    """2.A. A timeout of half a second must not read 0: it is rounded up."""
    context = ContextFactory(config(timeout_s=0.5)).make(
        request_id="", credentials=None, deadline_ns=0
    )

    assert (int, int, 1) == (
        type(context.function.memory),
        type(context.function.timeout),
        context.function.timeout,
    )


def test_credentials_by_both_spellings() -> None:
    """2.A: snake_case attributes, camelCase properties, camelCase keys."""
    credentials = make().credentials

    assert list(vars(credentials).values()) == CREDENTIALS
    assert [
        credentials.accessKeyId,
        credentials.accessKeySecret,
        credentials.securityToken,
    ] == CREDENTIALS
    assert credentials.to_dict() == {
        "accessKeyId": "LTAIkey",
        "accessKeySecret": "s3cret-of-key",
        "securityToken": "t0ken-of-role",
    }


@pytest.mark.parametrize("name", ["accessKeyId", "accessKeySecret", "securityToken"])
def test_camel_case_credentials_are_read_only(name: str) -> None:
    """2.A: properties, while the snake_case names are plain attributes."""
    credentials = make().credentials
    credentials.access_key_id = "another"

    assert credentials.accessKeyId == "another"
    with pytest.raises(AttributeError):
        setattr(credentials, name, "x")


def test_missing_values_are_empty_strings() -> None:
    """2.A: '', never None."""
    context = bare()

    assert list(vars(context.credentials).values()) == ["", "", ""]
    assert [context.region, context.account_id] == ["", ""]
    assert {"", "LATEST"} == set(vars(context.service).values())
    assert context.retry_count == 0


def test_logger_is_always_a_logger() -> None:
    """Superset of 2.A: never None, and it writes in Function Compute's format: the root logger."""
    context = bare()

    assert logging.getLogger() is context.logger
    assert context.getLogger() is context.logger


def test_get_logger_follows_the_attribute() -> None:
    """2.A: a plain object; who puts a logger there gets it back."""
    context = bare()
    context.logger = own = logging.getLogger("own")

    assert own is context.getLogger()


def test_to_json_has_exactly_the_keys_of_2a() -> None:
    """2.A: a JSON string; the extras are not in it."""
    text = make().to_json()

    assert json.loads(text) == {
        "requestId": "1-64f6cd87",
        "credentials": {
            "accessKeyId": "LTAIkey",
            "accessKeySecret": "s3cret-of-key",
            "securityToken": "t0ken-of-role",
        },
        "function": {"name": "hello", "handler": "index.handler", "memory": 256, "timeout": 30},
        "service": {
            "name": "svc",
            "logProject": "project",
            "logStore": "store",
            "qualifier": "prod",
            "versionId": "7",
        },
        "region": "cn-hangzhou",
        "accountId": "123",
        "retryCount": 2,
        "tracing": {
            "openTracingSpanContext": "",
            "openTracingSpanBaggages": {},
            "jaegerEndpoint": "",
        },
    }


def test_remaining_time_counts_down_to_the_deadline() -> None:
    """Whole milliseconds, from CLOCK_MONOTONIC."""
    context = make(deadline_ns=time.monotonic_ns() + 5_000_000_000)

    remaining = context.get_remaining_time_in_millis()

    assert int is type(remaining)
    assert 4_000 < remaining < 5_000


def test_remaining_time_is_never_negative() -> None:
    """A deadline that has passed leaves 0."""
    assert make(deadline_ns=time.monotonic_ns() - 1).get_remaining_time_in_millis() == 0


def test_nothing_that_prints_a_context_prints_a_secret() -> None:
    """Neither repr nor str shows secret or token, alone or within a container."""
    context = make()
    text = f"{context} {context!r} {context.credentials} {[context.credentials]}"

    assert "s3cret" not in text
    assert "t0ken" not in text
    assert "LTAIkey" in text
    assert "1-64f6cd87" in text


@pytest.mark.parametrize("prepared", [True, False])
def test_mutations_end_with_the_invocation(prepared: bool) -> None:
    """2.A: users may set attributes; the next context knows nothing of it."""
    factory = ContextFactory(config())
    first = factory.make(request_id="1", credentials=CREDENTIALS, deadline_ns=0)
    for part in (first, first.function, first.service, first.tracing, first.credentials):
        part.scratch = "x"
    first.function.name = first.service.name = first.region = "changed"
    first.credentials.access_key_id = "changed"
    first.tracing.span_baggages["k"] = "v"
    del first.service.log_store
    if prepared:
        factory.prepare()

    second = factory.make(request_id="2", credentials=CREDENTIALS, deadline_ns=0)

    assert "changed" not in second.to_json()
    assert second.tracing.span_baggages == {}
    assert not any(
        hasattr(part, "scratch")
        for part in (second, second.function, second.service, second.tracing, second.credentials)
    )


def test_what_was_prepared_is_handed_out_once() -> None:
    """Filled in with what this invocation has, and with nothing of the one before."""
    factory = ContextFactory(config())
    factory.prepare()
    first = factory.make(request_id="1", credentials=CREDENTIALS, deadline_ns=1, retry_count=3)
    second = factory.make(request_id="2", credentials=None, deadline_ns=2)
    factory.prepare()
    third = factory.make(request_id="3", credentials=None, deadline_ns=3)

    assert ("LTAIkey", 3) == (first.credentials.access_key_id, first.retry_count)
    for context, name in ((second, "2"), (third, "3")):
        assert (name, name, 0) == (context.request_id, context.requestId, context.retry_count)
        assert Credentials.to_dict(context.credentials) == dict.fromkeys(
            ("accessKeyId", "accessKeySecret", "securityToken"), ""
        )
    assert second is not third
    assert second.credentials is not third.credentials


def test_to_json_shows_what_the_user_set() -> None:
    """2.A: computed from the attributes when asked."""
    context = make()
    context.function.name = "renamed"

    assert json.loads(context.to_json())["function"]["name"] == "renamed"


@pytest.mark.parametrize(
    "through", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_context_can_be_copied_and_pickled(through: Any) -> None:
    """Handlers hand it to processes of their own."""
    twin = through(make())

    assert make().to_json() == twin.to_json()
    assert isinstance(twin.credentials, Credentials)
    assert twin.get_remaining_time_in_millis() == 0
