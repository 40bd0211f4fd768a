"""The life of a function through ``alibabacloud_fc20230330``, as its users have it."""

import hashlib
import re

import httpx
import pytest
from alibabacloud_fc20230330 import models
from alibabacloud_fc20230330.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from fastcrc import crc64
from support.daemon import base64_zip, zipped


def create(client: Client, name: str = "echo", **fields) -> models.Function:
    given = {"runtime": "python3.10", "handler": "index.handler", **fields}
    given.setdefault("code", models.InputCodeLocation(zip_file=base64_zip()))
    body = models.CreateFunctionInput(function_name=name, **given)
    return client.create_function(models.CreateFunctionRequest(body=body)).body


def update(client: Client, name: str = "echo", **fields) -> models.Function:
    body = models.UpdateFunctionInput(**fields)
    return client.update_function(name, models.UpdateFunctionRequest(body=body)).body


def get(client: Client, qualifier: str | None = None) -> models.Function:
    return client.get_function("echo", models.GetFunctionRequest(qualifier=qualifier)).body


def publish(client: Client, description: str = "") -> str:
    body = models.PublishVersionInput(description=description)
    request = models.PublishFunctionVersionRequest(body=body)
    return client.publish_function_version("echo", request).body.version_id


def alias(client: Client, name: str, version: str, **weights: float) -> models.Alias:
    body = models.CreateAliasInput(
        alias_name=name,
        version_id=version,
        additional_version_weight={key.strip("v"): weight for key, weight in weights.items()},
    )
    return client.create_alias("echo", models.CreateAliasRequest(body=body)).body


def refused(status: int, code: str):
    return pytest.raises(
        ClientException, check=lambda error: (status, code) == (error.status_code, error.code)
    )


def test_created_function_is_shown_with_all_that_is_known_of_it(v2023: Client) -> None:
    """What was given comes back, defaults are filled in, and it is ready at once (spec 7.C)."""
    made = create(v2023, description="says it again", environment_variables={"A": "1"}, timeout=20)

    assert "acs:fc:local:123456789012:functions/echo" == made.function_arn
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made.function_id)
    assert ("says it again", {"A": "1"}, 20) == (
        made.description,
        made.environment_variables,
        made.timeout,
    )
    assert (512, 1, True) == (made.memory_size, made.instance_concurrency, made.internet_access)
    assert ("Active", "Successful") == (made.state, made.last_update_status)
    assert (len(zipped()), str(crc64.xz(zipped()))) == (made.code_size, made.code_checksum)
    assert made.created_time == made.last_modified_time
    assert made.to_map() == get(v2023).to_map()


def test_code_is_fetched_by_its_url_without_any_key(v2023: Client) -> None:
    """GetFunctionCode names a URL that a plain GET answers with the zip, byte for byte."""
    create(v2023)

    found = v2023.get_function_code("echo", models.GetFunctionCodeRequest()).body

    assert zipped() == httpx.get(found.url).content
    assert str(crc64.xz(zipped())) == found.checksum


def test_url_of_code_is_good_for_that_code_alone(v2023: Client) -> None:
    """Another digest, a later end or another token is refused."""
    create(v2023)
    url = v2023.get_function_code("echo", models.GetFunctionCodeRequest()).body.url
    digest = hashlib.sha256(zipped()).hexdigest()
    assert digest in url

    for wrong in (
        url.replace(digest, "0" * 64),
        re.sub(r"expires=\d", "expires=9", url),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.partition("?")[0],
    ):
        assert 403 == httpx.get(wrong).status_code, wrong


def test_update_changes_what_it_is_given_and_keeps_the_rest(v2023: Client) -> None:
    """A PUT is of fields, not of the whole; new code has a new checksum."""
    before = create(v2023, environment_variables={"A": "1"})

    after = update(v2023, timeout=60)
    again = update(v2023, code=models.InputCodeLocation(zip_file=base64_zip(index="x = 1\n")))

    assert (60, {"A": "1"}) == (after.timeout, after.environment_variables)
    assert before.function_id == after.function_id
    assert before.code_checksum == after.code_checksum != again.code_checksum
    assert before.created_time == again.created_time < again.last_modified_time


def test_functions_are_listed_a_page_at_a_time(v2023: Client) -> None:
    """In the order of names; the token leads on; the prefix filters."""
    for name in ("b2", "a1", "b1", "b3", "c"):
        create(v2023, name)

    first = v2023.list_functions(models.ListFunctionsRequest(limit=2, prefix="b")).body
    rest = v2023.list_functions(
        models.ListFunctionsRequest(limit=2, prefix="b", next_token=first.next_token)
    ).body

    assert ["b1", "b2"] == [found.function_name for found in first.functions]
    assert ["b3"] == [found.function_name for found in rest.functions]
    assert rest.next_token is None


def test_version_stays_as_it_was_published(v2023: Client) -> None:
    """LATEST goes on, the version has the old code and settings."""
    create(v2023, timeout=5)
    assert "1" == publish(v2023, "first")
    update(v2023, timeout=6, code=models.InputCodeLocation(zip_file=base64_zip(index="x = 1\n")))
    assert "2" == publish(v2023)

    old, new = get(v2023, "1"), get(v2023)

    assert (5, 6) == (old.timeout, new.timeout)
    assert str(crc64.xz(zipped())) == old.code_checksum != new.code_checksum
    code = v2023.get_function_code("echo", models.GetFunctionCodeRequest(qualifier="1")).body
    assert zipped() == httpx.get(code.url).content


def test_publishing_what_has_not_changed_is_refused(v2023: Client) -> None:
    """Tools look for these words, to go on with the version that is there."""
    create(v2023)
    publish(v2023)

    with refused(400, "VersionPublishError") as told:
        publish(v2023)

    assert "No changes were made since last publish" in told.value.message


def test_versions_are_listed_by_number_the_newest_first(v2023: Client) -> None:
    """10 comes after 9, in both directions and over pages."""
    create(v2023)
    for timeout in range(1, 12):
        update(v2023, timeout=timeout)
        publish(v2023, f"with {timeout}")

    def pages(**query) -> list[str]:
        found, token = [], None
        while True:
            request = models.ListFunctionVersionsRequest(limit=4, next_token=token, **query)
            page = v2023.list_function_versions("echo", request).body
            found += [version.version_id for version in page.versions]
            token = page.next_token
            if token is None:
                return found

    numbers = [str(number) for number in range(1, 12)]
    assert numbers[::-1] == pages()
    assert numbers == pages(direction="FORWARD")


def test_alias_leads_to_versions_and_shares_traffic(v2023: Client) -> None:
    """It is created, shown, changed, listed; and it shows its main version's function."""
    create(v2023, timeout=5)
    publish(v2023)
    update(v2023, timeout=6)
    publish(v2023)

    made = alias(v2023, "prod", "1", v2=0.25)
    assert ("prod", "1", {"2": 0.25}) == (
        made.alias_name,
        made.version_id,
        made.additional_version_weight,
    )
    assert 5 == get(v2023, "prod").timeout
    body = models.UpdateAliasInput(version_id="2", additional_version_weight={})
    v2023.update_alias("echo", "prod", models.UpdateAliasRequest(body=body))

    assert 6 == get(v2023, "prod").timeout
    listed = v2023.list_aliases("echo", models.ListAliasesRequest()).body.aliases
    assert [("prod", "2")] == [(found.alias_name, found.version_id) for found in listed]
    assert listed[0].to_map() == v2023.get_alias("echo", "prod").body.to_map()


def test_version_that_an_alias_needs_cannot_be_deleted(v2023: Client) -> None:
    """Not as main, nor as additional one; after the alias is gone, it can."""
    create(v2023)
    publish(v2023)
    alias(v2023, "prod", "LATEST", v1=0.5)

    with refused(409, "VersionInUse"):
        v2023.delete_function_version("echo", "1")
    assert 204 == v2023.delete_alias("echo", "prod").status_code

    assert 204 == v2023.delete_function_version("echo", "1").status_code
    with refused(404, "VersionNotFound"):
        get(v2023, "1")


def test_deleted_function_takes_all_its_own_with_it(v2023: Client) -> None:
    """A function of the same name that comes later has none of its versions and aliases."""
    create(v2023)
    publish(v2023)
    alias(v2023, "prod", "1")

    assert 204 == v2023.delete_function("echo").status_code

    with refused(404, "FunctionNotFound"):
        get(v2023)
    create(v2023)
    with refused(404, "AliasNotFound"):
        get(v2023, "prod")
    assert (
        []
        == v2023.list_function_versions("echo", models.ListFunctionVersionsRequest()).body.versions
    )


def test_what_is_not_there_or_is_there_already(v2023: Client) -> None:
    """Spec 5.D: the code and status of each."""
    with refused(404, "FunctionNotFound"):
        get(v2023)
    with refused(404, "FunctionNotFound"):
        publish(v2023)
    with refused(404, "FunctionNotFound"):
        v2023.delete_function("echo")
    create(v2023)
    with refused(409, "FunctionAlreadyExists"):
        create(v2023)
    with refused(404, "VersionNotFound"):
        alias(v2023, "prod", "7")
    publish(v2023)
    alias(v2023, "prod", "1")
    with refused(409, "AliasAlreadyExists"):
        alias(v2023, "prod", "1")
