"""What the gateway is told: which versions of a function serve a qualifier, and with what share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime.service.account import Account
from fc_runtime.service.errors import ApiError
from support.daemon import base64_zip

DOCUMENT = {
    "runtime": "python3.10",
    "handler": "index.handler",
    "timeout": 5,
    "code": {"zipFile": base64_zip()},
}
FC3, FC2 = "", "demo"
both_families = pytest.mark.parametrize("service", [FC3, FC2], ids=["fc3", "fc2"])


@pytest.fixture(autouse=True)
def _functions(account: Account) -> None:
    account.create_service(FC2, {"role": "first"})
    for service in (FC3, FC2):
        account.create_function(service, "echo", DOCUMENT)


def told(account: Account, service: str, qualifier: str | None) -> list[tuple[str, int, float]]:
    """Version, timeout and share of each target."""
    return [
        (target.version_id, target.document["timeout"], share)
        for target, share in account.targets(service, "echo", qualifier)
    ]


def refused(status: int, code: str):
    return pytest.raises(ApiError, check=lambda error: (status, code) == (error.status, error.code))


@both_families
@pytest.mark.parametrize("qualifier", [None, "", "LATEST"])
def test_latest_is_what_is_meant_without_a_qualifier(
    account: Account, service: str, qualifier: str | None
) -> None:
    """One target, all of the traffic."""
    assert [("LATEST", 5, 1.0)] == told(account, service, qualifier)
    assert "LATEST" == account.targets(service, "echo", qualifier)[0][0].qualifier


@both_families
def test_version_is_served_as_it_was_published(account: Account, service: str) -> None:
    """LATEST goes on; the version's etag never changes, LATEST's does."""
    account.publish_version(service, "echo")
    version = account.targets(service, "echo", "1")
    latest = account.targets(service, "echo", None)

    account.update_function(service, "echo", {"timeout": 6})

    assert version == account.targets(service, "echo", "1")
    assert [("1", 5, 1.0)] == told(account, service, "1")
    assert [("LATEST", 6, 1.0)] == told(account, service, None)
    assert latest[0][0].etag != account.targets(service, "echo", None)[0][0].etag


@both_families
def test_alias_shares_the_traffic(account: Account, service: str) -> None:
    """The main version has what the others leave; who has nothing is no target."""
    account.publish_version(service, "echo")
    account.update_function(service, "echo", {"timeout": 6})
    account.publish_version(service, "echo")

    def weights(**weights: float) -> list[tuple[str, int, float]]:
        account.update_alias(
            service,
            "echo",
            "prod",
            {"additionalVersionWeight": {name.strip("v"): w for name, w in weights.items()}},
        )
        return told(account, service, "prod")

    account.create_alias(service, "echo", "prod", {"versionId": "1"})
    assert [("1", 5, 1.0)] == told(account, service, "prod")
    assert [("1", 5, 0.75), ("2", 6, 0.25)] == weights(v2=0.25)
    assert [("1", 5, 1.0)] == weights(v2=0)
    assert [("2", 6, 1.0)] == weights(v2=1)
    assert [("1", 5, 0.5), ("LATEST", 6, 0.5)] == weights(vLATEST=0.5)
    assert {"prod"} == {target.qualifier for target, _ in account.targets(service, "echo", "prod")}


def test_service_is_part_of_a_target(account: Account) -> None:
    """FC2: role and logs are the service's, as they were in that version; and the etag knows."""
    account.publish_version(FC2, "echo")
    before = account.targets(FC2, "echo", None)[0][0]

    account.update_service(FC2, {"role": "second"})

    latest, version = (account.targets(FC2, "echo", q)[0][0] for q in (None, "1"))
    assert ("second", "first") == (
        latest.service_document["role"],
        version.service_document["role"],
    )
    assert before.etag != latest.etag
    assert {} == account.targets(FC3, "echo", None)[0][0].service_document


@both_families
def test_what_is_not_there(account: Account, service: str) -> None:
    """404, with the code of what is missing (spec 5.D)."""
    with refused(404, "FunctionNotFound"):
        account.targets(service, "none", None)
    with refused(404, "VersionNotFound"):
        account.targets(service, "echo", "1")
    with refused(404, "AliasNotFound"):
        account.targets(service, "echo", "prod")
    with refused(404, "ServiceNotFound"):
        account.targets("none", "echo", None)


def test_deleted_function_is_still_in_versions_of_its_service(account: Account) -> None:
    """FC2: what was published goes on being served."""
    account.publish_version(FC2, "echo")
    account.delete_function(FC2, "echo")

    assert [("1", 5, 1.0)] == told(account, FC2, "1")
    with refused(404, "FunctionNotFound"):
        account.targets(FC2, "echo", None)


CHANGES: dict[str, Callable[[Account], object]] = {
    "function": lambda account: account.update_function("", "echo", {"timeout": 7}),
    "service": lambda account: account.update_service("demo", {"role": "r"}),
    "version": lambda account: account.publish_version("", "echo"),
    "alias": lambda account: account.create_alias("", "echo", "a", {"versionId": "LATEST"}),
    "removal": lambda account: account.delete_function("", "echo"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_revision_grows_with_every_change(
    account: Account, change: Callable[[Account], object]
) -> None:
    """Whoever keeps what was read keeps it by the revision; reading is no change."""
    before = account.revision
    account.targets("", "echo", None)
    account.list_functions("")
    assert before == account.revision

    change(account)

    assert before < account.revision


def test_revision_stays_when_a_change_is_refused(account: Account) -> None:
    """Nothing has happened."""
    before = account.revision

    with refused(412, "PreconditionFailed"):
        account.update_function("", "echo", {"timeout": 7}, if_match="0")
    with refused(409, "FunctionAlreadyExists"):
        account.create_function("", "echo", DOCUMENT)

    assert before == account.revision


def test_functions_of_both_families_are_listed_together(account: Account) -> None:
    """For whoever prints them all."""
    assert [("", "echo"), ("demo", "echo")] == [
        (entry.scope, entry.name) for entry in account.functions()
    ]


def test_same_name_in_both_families_is_two_functions(account: Account) -> None:
    """Nor do versions and aliases of one show in the other."""
    account.publish_version(FC2, "echo")
    account.delete_function(FC3, "echo")

    assert "echo" == account.get_function(FC2, "echo").name
    account.create_function(FC3, "echo", DOCUMENT)
    with refused(404, "VersionNotFound"):
        account.targets(FC3, "echo", "1")


def test_sweep_leaves_what_is_used(account: Account, tmp_path: Path) -> None:
    """Code of LATEST and of versions stays, what nothing refers to goes."""
    account.publish_version(FC2, "echo")
    other = {"code": {"zipFile": base64_zip(index="x = 1\n")}}
    account.update_function(FC2, "echo", other)
    account.update_function(FC3, "echo", other)
    unused = account.packages.add_base64(base64_zip(index="x = 2\n"))

    account.sweep()

    assert not account.packages.folder(unused.digest).exists()
    assert not account.packages.zip(unused.digest).exists()
    for qualifier in (None, "1"):
        target = account.targets(FC2, "echo", qualifier)[0][0]
        assert (account.packages.folder(target.document["code"]["digest"]) / "index.py").is_file()
