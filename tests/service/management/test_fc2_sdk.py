"""The life of a service and its functions through ``aliyun-fc2``, as its users have it."""

import json
from pathlib import Path

import fc2
import httpx
import pytest
from fastcrc import crc64
from fc2.fc_exceptions import FcError
from support.daemon import zipped

# The client does not close the zip that it was given the name of.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture
def code(tmp_path: Path) -> str:
    path = tmp_path / "code.zip"
    path.write_bytes(zipped())
    return str(path)


@pytest.fixture
def client(v2016: fc2.Client) -> fc2.Client:
    """Of an account with the service ``demo``."""
    v2016.create_service("demo", description="of tests")
    return v2016


def create(client: fc2.Client, code: str, name: str = "echo", **fields):
    given = {"runtime": "python3", "handler": "index.handler", "codeZipFile": code, **fields}
    return client.create_function("demo", name, **given)


def refused(status: int, code: str):
    return pytest.raises(
        FcError, check=lambda error: (status, code) == (error.status_code, error.err_code)
    )


def test_service_comes_back_as_it_was_made(v2016: fc2.Client) -> None:
    """What was given is shown, with an id, both times and an ETag."""
    log = {"project": "p", "logstore": "l"}
    made = v2016.create_service("demo", description="d", logConfig=log, role="acs:ram::1:role/r")

    found = v2016.get_service("demo")

    assert found.data == made.data
    assert found.headers["etag"] == made.headers["etag"]
    assert ("demo", "d", log, "acs:ram::1:role/r") == tuple(
        found.data[name] for name in ("serviceName", "description", "logConfig", "role")
    )
    assert found.data["serviceId"]
    assert found.data["createdTime"] == found.data["lastModifiedTime"]


def test_update_of_a_service_asks_for_the_right_etag(client: fc2.Client) -> None:
    """If-Match of what is there is taken, of what was there before is 412; so with a delete."""
    old = client.get_service("demo").headers["etag"]
    new = client.update_service("demo", description="new", headers={"if-match": old})

    assert "new" == new.data["description"]
    assert old != new.headers["etag"]
    with refused(412, "PreconditionFailed"):
        client.update_service("demo", description="newer", headers={"if-match": old})
    with refused(412, "PreconditionFailed"):
        client.delete_service("demo", headers={"if-match": old})
    assert "new" == client.get_service("demo").data["description"]
    client.delete_service("demo", headers={"if-match": new.headers["etag"]})
    with refused(404, "ServiceNotFound"):
        client.get_service("demo")


def test_services_are_listed_a_page_at_a_time(v2016: fc2.Client) -> None:
    """By name; nextToken wins over startKey, and the prefix still filters (spec 7.D)."""
    for name in ("ab", "ac", "ad", "b"):
        v2016.create_service(name)

    first = v2016.list_services(limit=2, prefix="a").data
    rest = v2016.list_services(
        limit=2, prefix="a", startKey="aa", nextToken=first["nextToken"]
    ).data
    from_key = v2016.list_services(startKey="ad").data

    def names(page) -> list[str]:
        return [found["serviceName"] for found in page["services"]]

    assert ["ab", "ac"] == names(first)
    assert ["ad"] == names(rest)
    assert "nextToken" not in rest
    assert ["ad", "b"] == names(from_key)


def test_service_with_functions_is_not_deleted(client: fc2.Client, code: str) -> None:
    """First they go, then it does."""
    create(client, code)

    with refused(409, "ServiceNotEmpty"):
        client.delete_service("demo")
    client.delete_function("demo", "echo")
    client.delete_service("demo")


def test_function_has_the_names_of_fc2(client: fc2.Client, code: str) -> None:
    """The initializer in its own two fields, the checksum of the zip, the defaults of FC2."""
    made = create(client, code, initializer="index.init", initializationTimeout=7, memorySize=0)

    found = client.get_function("demo", "echo")

    assert found.data == made.data
    expected = {
        "functionName": "echo",
        "runtime": "python3",
        "handler": "index.handler",
        "initializer": "index.init",
        "initializationTimeout": 7,
        "memorySize": 128,
        "timeout": 60,
        "codeSize": len(zipped()),
        "codeChecksum": str(crc64.xz(zipped())),
        "layers": [],
        "instanceConcurrency": 1,
    }
    assert expected == {name: found.data[name] for name in expected}
    assert not found.data.get("instanceLifecycleConfig")
    assert {"state", "functionArn", "internetAccess"}.isdisjoint(found.data)


def test_update_of_a_function_asks_for_the_right_etag(client: fc2.Client, code: str) -> None:
    """As with a service; what is not given stays."""
    old = create(client, code, environmentVariables={"A": "1"}).headers["etag"]

    new = client.update_function("demo", "echo", timeout=9, headers={"if-match": old})

    assert (9, {"A": "1"}) == (new.data["timeout"], new.data["environmentVariables"])
    with refused(412, "PreconditionFailed"):
        client.update_function("demo", "echo", timeout=10, headers={"if-match": old})
    with refused(412, "PreconditionFailed"):
        client.delete_function("demo", "echo", headers={"if-match": old})
    client.delete_function("demo", "echo", headers={"if-match": new.headers["etag"]})
    with refused(404, "FunctionNotFound"):
        client.get_function("demo", "echo")


def test_functions_are_listed_a_page_at_a_time(client: fc2.Client, code: str) -> None:
    """Of that service alone."""
    client.create_service("other")
    client.create_function("other", "zz", "python3", "index.handler", codeZipFile=code)
    for name in ("a", "b", "c"):
        create(client, code, name)

    first = client.list_functions("demo", limit=2).data
    rest = client.list_functions("demo", limit=2, nextToken=first["nextToken"]).data

    assert ["a", "b"] == [found["functionName"] for found in first["functions"]]
    assert ["c"] == [found["functionName"] for found in rest["functions"]]
    assert "nextToken" not in rest


def test_code_is_fetched_by_its_url(client: fc2.Client, code: str) -> None:
    """Byte for byte, without a key."""
    create(client, code)

    found = client.get_function_code("demo", "echo").data

    assert zipped() == httpx.get(found["url"]).content
    assert str(crc64.xz(zipped())) == found["checksum"]


def test_version_is_of_the_whole_service(client: fc2.Client, code: str) -> None:
    """Service and functions are as they were, whatever becomes of them."""
    create(client, code, "echo", timeout=5)
    create(client, code, "gone")
    assert "1" == client.publish_version("demo", "first").data["versionId"]
    client.update_service("demo", description="later")
    client.update_function("demo", "echo", timeout=6)
    client.delete_function("demo", "gone")
    create(client, code, "new")

    assert "of tests" == client.get_service("demo", qualifier="1").data["description"]
    assert 5 == client.get_function("demo", "echo", qualifier="1").data["timeout"]
    assert 6 == client.get_function("demo", "echo").data["timeout"]
    assert ["echo", "gone"] == [
        found["functionName"]
        for found in client.list_functions("demo", qualifier="1").data["functions"]
    ]
    with refused(404, "FunctionNotFound"):
        client.get_function("demo", "new", qualifier="1")
    code_then = client.get_function_code("demo", "gone", qualifier="1").data
    assert zipped() == httpx.get(code_then["url"]).content


def test_versions_are_listed_and_deleted(client: fc2.Client, code: str) -> None:
    """The newest first, or from one on; nothing has changed, nothing is published."""
    for number in range(1, 4):
        client.update_service("demo", description=f"of {number}")
        client.publish_version("demo", f"number {number}")

    with refused(400, "VersionPublishError"):
        client.publish_version("demo")
    listed = client.list_versions("demo").data
    assert ["3", "2", "1"] == [found["versionId"] for found in listed["versions"]]
    assert ("BACKWARD", "number 3") == (listed["direction"], listed["versions"][0]["description"])
    forward = client.list_versions("demo", direction="FORWARD", startKey="2").data
    assert ["2", "3"] == [found["versionId"] for found in forward["versions"]]

    client.delete_version("demo", "3")
    client.update_service("demo", description="of 4")
    assert "4" == client.publish_version("demo").data["versionId"]


def test_publishing_asks_for_the_right_etag(client: fc2.Client) -> None:
    """If-Match is of the service."""
    with refused(412, "PreconditionFailed"):
        client.publish_version("demo", headers={"if-match": "0" * 32})
    right = client.get_service("demo").headers["etag"]

    assert "1" == client.publish_version("demo", headers={"if-match": right}).data["versionId"]


def test_alias_of_a_service(client: fc2.Client, code: str) -> None:
    """Created with weights, read, changed, listed, used as a qualifier, deleted."""
    create(client, code, timeout=5)
    client.publish_version("demo")
    client.update_function("demo", "echo", timeout=6)
    client.publish_version("demo")

    made = client.create_alias("demo", "prod", "1", additionalVersionWeight={"2": 0.1})
    assert ("prod", "1", {"2": 0.1}) == tuple(
        made.data[name] for name in ("aliasName", "versionId", "additionalVersionWeight")
    )
    assert made.data == client.get_alias("demo", "prod").data
    assert 5 == client.get_function("demo", "echo", qualifier="prod").data["timeout"]
    with refused(409, "VersionInUse"):
        client.delete_version("demo", "2")
    with refused(412, "PreconditionFailed"):
        client.update_alias("demo", "prod", "2", headers={"if-match": "0"})
    changed = client.update_alias("demo", "prod", "2", headers={"if-match": made.headers["etag"]})
    assert {} == changed.data["additionalVersionWeight"]
    assert 6 == client.get_function("demo", "echo", qualifier="prod").data["timeout"]
    client.create_alias("demo", "beta", "1")
    listed = client.list_aliases("demo", limit=1).data
    assert ["beta"] == [found["aliasName"] for found in listed["aliases"]]
    client.delete_alias("demo", "prod")
    with refused(404, "AliasNotFound"):
        client.get_alias("demo", "prod")


def test_what_is_not_there_or_is_there_already(client: fc2.Client, code: str) -> None:
    """Spec 5.D: the code and status of each."""
    with refused(409, "ServiceAlreadyExists"):
        client.create_service("demo")
    with refused(404, "ServiceNotFound"):
        client.create_function("none", "f", "python3", "index.handler", codeZipFile=code)
    with refused(404, "ServiceNotFound"):
        client.list_functions("none")
    with refused(404, "FunctionNotFound"):
        client.update_function("demo", "none", timeout=1)
    create(client, code)
    with refused(409, "FunctionAlreadyExists"):
        create(client, code)
    with refused(404, "VersionNotFound"):
        client.get_service("demo", qualifier="3")
    with refused(404, "AliasNotFound"):
        client.list_functions("demo", qualifier="prod")


def test_error_names_the_request(client: fc2.Client) -> None:
    """The client copies the id of the reply's header into what it raises."""
    with refused(404, "FunctionNotFound") as told:
        client.get_function("demo", "none")

    assert 36 == len(told.value.request_id)
    assert json.loads(told.value.message)["RequestId"] == told.value.request_id
