"""What a function is to its handler, and what a runtime knows it by (spec 2.A, 9.B)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime import FunctionNotFoundError, HandlerError
from support.callers import Caller

TIERS_MATTER = False  # see conftest

OF_A_SERVICE = {
    "service": "shop",
    "qualifier": "prod",
    "version_id": "7",
    "region": "cn-hangzhou",
    "account_id": "42",
    "log_project": "project",
    "log_store": "store",
}


def test_context_and_environment_tell_of_service_and_version(
    open_caller: Callable[..., Caller], handlers: Path
) -> None:
    """What the function says wins over what the runtime says; the rest is the runtime's."""
    caller = open_caller(region="nowhere", account_id="0")
    code = handlers / "contexts"
    caller.register("f", code=code, **OF_A_SERVICE)
    caller.register("e", code=code, handler="index.environment", **OF_A_SERVICE)
    caller.register("plain", code=code)

    told = caller.invoke("f").json()
    seen = caller.invoke("e").json()
    plain = caller.invoke("plain").json()

    assert ["shop", "project", "store", "prod", "7"] == told["service"]
    assert ("cn-hangzhou", "42") == (told["region"], told["account_id"])
    assert ("shop", "prod", "7") == tuple(
        seen[name] for name in ("FC_SERVICE_NAME", "FC_QUALIFIER", "FC_VER_ID")
    )
    assert ("cn-hangzhou", "42") == (seen["FC_REGION"], seen["FC_ACCOUNT_ID"])
    assert ("nowhere", "0") == (plain["region"], plain["account_id"])
    assert ["", "", "", "LATEST", ""] == plain["service"]


def test_versions_of_one_function_live_side_by_side(caller: Caller, handlers: Path) -> None:
    """Each has a key of its own for every verb; to its handler it has the name that both have."""
    code = handlers / "contexts"
    for version in ("1", "2"):
        key = f"shop/f {version}"
        caller.register("f", code=code, known_as=key, version_id=version, min_instances=0)

    results = [caller.invoke(f"shop/f {version}") for version in "12"]
    caller.warm("shop/f 1")

    assert {"shop/f 1", "shop/f 2"} == set(caller.functions()) == set(caller.stats()["functions"])
    assert ["shop/f 1", "shop/f 2"] == [result.function for result in results]
    assert ["f", "f"] == [result.json()["function"][0] for result in results]
    assert ["1", "2"] == [result.json()["service"][4] for result in results]

    caller.unregister("shop/f 1")

    assert {"shop/f 2"} == set(caller.functions())
    with pytest.raises(FunctionNotFoundError, match="'f'"):
        caller.invoke("f")


def test_errors_name_the_key(caller: Caller, handlers: Path) -> None:
    """Who reads an error has to tell versions apart."""
    caller.register(
        "f", code=handlers / "contexts", handler="index.print_credentials", known_as="f@3"
    )

    with pytest.raises(HandlerError, match=r"^f@3: RuntimeError"):
        caller.invoke("f@3")
