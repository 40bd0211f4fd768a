"""The life of a service and its functions through ``alibabacloud_fc_open20210406``."""

import httpx
import pytest
from alibabacloud_fc_open20210406 import models
from alibabacloud_fc_open20210406.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_util.models import RuntimeOptions
from support.daemon import base64_zip, zipped


@pytest.fixture
def client(v2021: Client) -> Client:
    """Of an account with the service ``demo`` and its function ``echo``."""
    v2021.create_service(models.CreateServiceRequest(service_name="demo", description="of tests"))
    v2021.create_function(
        "demo",
        models.CreateFunctionRequest(
            function_name="echo",
            runtime="python3.9",
            handler="index.handler",
            code=models.Code(zip_file=base64_zip()),
            instance_lifecycle_config=models.InstanceLifecycleConfig(
                pre_stop=models.LifecycleHook(handler="index.stop", timeout=4)
            ),
        ),
    )
    return v2021


def refused(status: int, code: str):
    return pytest.raises(
        ClientException, check=lambda error: (status, code) == (error.status_code, error.code)
    )


def test_concurrency_is_taken_in_capitals_too(client: Client) -> None:
    """The client's UpdateFunction writes InstanceConcurrency (spec 7.D)."""
    client.update_function("demo", "echo", models.UpdateFunctionRequest(instance_concurrency=10))

    found = client.get_function("demo", "echo", models.GetFunctionRequest()).body
    assert 10 == found.instance_concurrency


def test_hooks_and_initializer_do_not_disturb_each_other(client: Client) -> None:
    """An initializer comes and goes, the pre-stop hook stays, and the other way round."""
    client.update_function("demo", "echo", models.UpdateFunctionRequest(initializer="index.init"))
    found = client.get_function("demo", "echo", models.GetFunctionRequest()).body
    assert ("index.init", 3) == (found.initializer, found.initialization_timeout)
    assert "index.stop" == found.instance_lifecycle_config.pre_stop.handler

    hooks = models.InstanceLifecycleConfig(
        pre_freeze=models.LifecycleHook(handler="index.freeze", timeout=2)
    )
    client.update_function(
        "demo", "echo", models.UpdateFunctionRequest(instance_lifecycle_config=hooks)
    )
    found = client.get_function("demo", "echo", models.GetFunctionRequest()).body
    assert "index.init" == found.initializer
    assert found.instance_lifecycle_config.pre_stop is None
    assert 2 == found.instance_lifecycle_config.pre_freeze.timeout


def test_etag_is_asked_for(client: Client) -> None:
    """If-Match as this client sends it."""
    reply = client.get_function("demo", "echo", models.GetFunctionRequest())
    old = reply.headers["etag"]

    def update(timeout: int) -> None:
        client.update_function_with_options(
            "demo",
            "echo",
            models.UpdateFunctionRequest(timeout=timeout),
            models.UpdateFunctionHeaders(if_match=old),
            RuntimeOptions(),
        )

    update(5)
    with refused(412, "PreconditionFailed"):
        update(6)


def test_checksum_of_the_code_is_checked(client: Client) -> None:
    """A zip that is not what the header says it is, is refused."""

    def update(checksum: str) -> None:
        client.update_function_with_options(
            "demo",
            "echo",
            models.UpdateFunctionRequest(code=models.Code(zip_file=base64_zip())),
            models.UpdateFunctionHeaders(x_fc_code_checksum=checksum),
            RuntimeOptions(),
        )

    with refused(400, "InvalidArgument"):
        update("1")
    right = client.get_function("demo", "echo", models.GetFunctionRequest()).body.code_checksum
    update(right)


def test_qualifier_is_in_the_query(client: Client) -> None:
    """Version and alias, of service, function, list and code."""
    published = client.publish_service_version("demo", models.PublishServiceVersionRequest()).body
    assert "1" == published.version_id
    client.create_alias("demo", models.CreateAliasRequest(alias_name="prod", version_id="1"))
    client.update_service("demo", models.UpdateServiceRequest(description="later"))
    client.delete_function("demo", "echo")

    for qualifier in ("1", "prod"):
        service = client.get_service("demo", models.GetServiceRequest(qualifier=qualifier)).body
        function = client.get_function(
            "demo", "echo", models.GetFunctionRequest(qualifier=qualifier)
        ).body
        functions = client.list_functions(
            "demo", models.ListFunctionsRequest(qualifier=qualifier)
        ).body.functions
        code = client.get_function_code(
            "demo", "echo", models.GetFunctionCodeRequest(qualifier=qualifier)
        ).body

        assert "of tests" == service.description
        assert "python3.9" == function.runtime
        assert ["echo"] == [found.function_name for found in functions]
        assert zipped() == httpx.get(code.url).content


def test_the_rest_of_a_service_life(client: Client) -> None:
    """Lists, an alias that changes, deletes that answer 204, and 404 afterwards."""
    client.publish_service_version("demo", models.PublishServiceVersionRequest(description="v"))
    versions = client.list_service_versions("demo", models.ListServiceVersionsRequest()).body
    assert [("1", "v")] == [(found.version_id, found.description) for found in versions.versions]
    client.create_alias("demo", models.CreateAliasRequest(alias_name="prod", version_id="1"))
    client.update_alias("demo", "prod", models.UpdateAliasRequest(description="d"))
    aliases = client.list_aliases("demo", models.ListAliasesRequest()).body.aliases
    assert [("prod", "1", "d")] == [
        (found.alias_name, found.version_id, found.description) for found in aliases
    ]
    assert ["demo"] == [
        found.service_name
        for found in client.list_services(models.ListServicesRequest()).body.services
    ]

    assert 204 == client.delete_alias("demo", "prod").status_code
    assert 204 == client.delete_service_version("demo", "1").status_code
    assert 204 == client.delete_function("demo", "echo").status_code
    assert 204 == client.delete_service("demo").status_code

    with refused(404, "ServiceNotFound"):
        client.get_service("demo", models.GetServiceRequest())
