"""Async, provision, scaling, concurrency and on-demand configs (spec 7.B, 7.C, 7.D)."""

import fc2
import httpx
import pytest
from alibabacloud_fc20230330 import models as fc3
from alibabacloud_fc20230330.client import Client as Fc3Client
from alibabacloud_fc_open20210406 import models as open_models
from alibabacloud_fc_open20210406.client import Client as OpenClient
from alibabacloud_tea_openapi.exceptions import ClientException
from fc_runtime.service.account import Account
from support.resources import fc2_function, fc3_function, refused, refused_by

ARN = "acs:fc:local:123456789012:functions/echo"


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("async", {"maxAsyncRetryAttempts": 9}),
        ("async", {"maxAsyncRetryAttempts": -1}),
        ("async", {"maxAsyncEventAgeInSeconds": 0}),
        ("async", {"maxAsyncEventAgeInSeconds": 604_801}),
        ("async", {"asyncTask": 1}),
        ("async", {"destinationConfig": {"onSuccess": "arn"}}),
        ("provision", {}),
        ("provision", {"target": -1}),
        ("provision", {"target": True}),
        ("provision", {"target": "1"}),
        ("provision", {"target": 10_001}),
        ("concurrency", {"reservedConcurrency": 0}),
        ("concurrency", {}),
        ("scaling", {"minInstances": -1}),
        ("ondemand", {"maximumInstanceCount": -1}),
        ("ondemand", {}),
    ],
)
def test_what_is_out_of_range_is_refused(account: Account, kind: str, document: dict) -> None:
    """With 400; what held before still holds."""
    fc3_function(account)

    with refused("InvalidArgument"):
        account.put_config(kind, "", "echo", None, document)

    assert account.config(kind, "", "echo", "LATEST") is None


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("async", {"maxAsyncRetryAttempts": 0, "maxAsyncEventAgeInSeconds": 1}),
        ("async", {"maxAsyncRetryAttempts": 8, "maxAsyncEventAgeInSeconds": 604_800}),
        ("concurrency", {"reservedConcurrency": 1}),
    ],
)
def test_the_ends_of_the_ranges_are_within(account: Account, kind: str, document: dict) -> None:
    """And what was put is what holds."""
    fc3_function(account)

    account.put_config(kind, "", "echo", None, document)

    assert document == account.config(kind, "", "echo", "LATEST")


def test_instances_to_keep_warm_are_of_a_qualifier(account: Account) -> None:
    """What is provisioned for an alias is not for LATEST."""
    fc3_function(account)
    version = account.publish_version("", "echo", "").name
    account.create_alias("", "echo", "prod", {"versionId": version})

    account.put_config("provision", "", "echo", "prod", {"target": 2})

    assert 2 == account.config("provision", "", "echo", "prod")["target"]
    assert account.config("provision", "", "echo", "LATEST") is None
    with refused("AliasNotFound"):
        account.put_config("provision", "", "echo", "test", {"target": 1})


def test_least_instances_of_a_scaling_config_are_kept_warm_too(account: Account) -> None:
    """FC3 has two ways to say it: the greater of both holds."""
    fc3_function(account)
    account.put_config("scaling", "", "echo", None, {"minInstances": 3})
    assert 3 == account.config("provision", "", "echo", "LATEST")["target"]

    account.put_config("provision", "", "echo", None, {"defaultTarget": 5})

    assert 5 == account.config("provision", "", "echo", "LATEST")["target"]


def test_reserved_concurrency_is_of_the_whole_function(account: Account) -> None:
    """FC3: whichever version is invoked."""
    fc3_function(account)
    account.publish_version("", "echo", "")

    account.put_config("concurrency", "", "echo", None, {"reservedConcurrency": 4})

    for qualifier in ("LATEST", "1"):
        assert {"reservedConcurrency": 4} == account.config("concurrency", "", "echo", qualifier)


def test_most_instances_of_fc2_are_the_same_limit(account: Account) -> None:
    """FC2 says ``maximumInstanceCount``, for each qualifier; whoever runs it asks as for FC3."""
    fc2_function(account)

    account.put_config("ondemand", "svc", "echo", "LATEST", {"maximumInstanceCount": 7})

    assert {"reservedConcurrency": 7} == account.config("concurrency", "svc", "echo", "LATEST")
    assert account.config("concurrency", "", "echo", "LATEST") is None


def test_configs_go_with_their_function(account: Account) -> None:
    """One of the same name, made later, begins with none."""
    fc3_function(account)
    account.put_config("provision", "", "echo", None, {"target": 2})

    account.delete_function("", "echo")
    fc3_function(account)

    assert account.config("provision", "", "echo", "LATEST") is None


@pytest.mark.parametrize("service", ["", "svc"])
def test_configs_go_with_their_alias(account: Account, service: str) -> None:
    """One of the same name, made later, begins with none; others keep theirs."""
    (fc2_function if service else fc3_function)(account)
    version = account.publish_version(service, "echo", "").name
    for name in ("prod", "prod2"):
        account.create_alias(service, "echo", name, {"versionId": version})
        account.put_config("provision", service, "echo", name, {"target": 2})

    account.delete_alias(service, "echo", "prod")
    account.create_alias(service, "echo", "prod", {"versionId": version})

    assert account.config("provision", service, "echo", "prod") is None
    assert account.config("provision", service, "echo", "prod2") is not None


def test_a_change_is_seen_by_whoever_caches(account: Account) -> None:
    """Every change moves the revision; a refused one does not."""
    fc3_function(account)
    before = account.revision

    account.put_config("provision", "", "echo", None, {"target": 2})

    after = account.revision
    assert before < after
    with refused("InvalidArgument"):
        account.put_config("provision", "", "echo", None, {"target": -2})
    assert after == account.revision


def put_async(client: Fc3Client, **fields) -> fc3.AsyncConfig:
    body = fc3.PutAsyncInvokeConfigInput(**fields)
    request = fc3.PutAsyncInvokeConfigRequest(body=body)
    return client.put_async_invoke_config("echo", request).body


def test_async_config_through_fc3(account: Account, v2023: Fc3Client) -> None:
    """Put, get, list, delete; none is the code that the official tools look for."""
    fc3_function(account)
    with refused_by(ClientException, 404, "AsyncConfigNotExists"):
        v2023.get_async_invoke_config("echo", fc3.GetAsyncInvokeConfigRequest())
    failed = fc3.DestinationConfig(on_failure=fc3.Destination(destination="acs:mns:::queues/q"))

    made = put_async(v2023, async_task=True, max_async_retry_attempts=2, destination_config=failed)

    assert (True, 2, f"{ARN}/LATEST") == (
        made.async_task,
        made.max_async_retry_attempts,
        made.function_arn,
    )
    assert "acs:mns:::queues/q" == made.destination_config.on_failure.destination
    request = fc3.ListAsyncInvokeConfigsRequest(function_name="echo")
    assert [made.to_map()] == [
        one.to_map() for one in v2023.list_async_invoke_configs(request).body.configs
    ]
    v2023.delete_async_invoke_config("echo", fc3.DeleteAsyncInvokeConfigRequest())
    with refused_by(ClientException, 404, "AsyncConfigNotExists"):
        v2023.delete_async_invoke_config("echo", fc3.DeleteAsyncInvokeConfigRequest())


@pytest.mark.parametrize(
    ("destination", "noted"),
    [
        (None, False),
        ("acs:fc:cn-hangzhou:1:functions/other", False),
        ("acs:fc:cn-hangzhou:1:functions/other/prod", False),
        ("acs:fc:cn-hangzhou:1:services/svc.prod/functions/other", False),
        ("https://example.com/hook", False),
        ("acs:mns:cn-hangzhou:1:/queues/q/messages", True),
        ("acs:eventbridge:cn-hangzhou:1:eventbus/default", True),
        ("ftp://example.com/", True),
        ("https://[half", True),
    ],
)
def test_an_async_config_says_which_destination_is_not_told(
    account: Account, http: httpx.Client, destination: str | None, noted: bool
) -> None:
    """Functions and URLs are told; the cloud's own are kept, with a note."""
    fc3_function(account)
    told = {"destinationConfig": {"onFailure": {"destination": destination}}} if destination else {}

    reply = http.put("/2023-03-30/functions/echo/async-invoke-config", json=told)

    assert 200 == reply.status_code
    assert noted == ("stored only" in reply.headers.get("X-Fc-Runtime-Note", ""))


def test_provision_config_through_fc3(account: Account, v2023: Fc3Client) -> None:
    """There always is one, of none at first; ``current`` is what there is of the wanted."""
    fc3_function(account)
    account.provisioned = lambda *of: 2 if of == ("", "echo", "LATEST") else 0
    nothing = v2023.get_provision_config("echo", fc3.GetProvisionConfigRequest()).body
    assert (0, 0) == (nothing.target, nothing.current)  # those that there are serve on demand

    request = fc3.PutProvisionConfigRequest(body=fc3.PutProvisionConfigInput(default_target=3))
    made = v2023.put_provision_config("echo", request).body

    assert (3, 3, 2, f"{ARN}/LATEST") == (
        made.target,
        made.default_target,
        made.current,
        made.function_arn,
    )
    v2023.delete_provision_config("echo", fc3.DeleteProvisionConfigRequest())
    assert 0 == v2023.get_provision_config("echo", fc3.GetProvisionConfigRequest()).body.target


def test_concurrency_config_through_fc3(account: Account, v2023: Fc3Client) -> None:
    """None is told as FC's own limit of instances has it."""
    fc3_function(account)
    with refused_by(ClientException, 404, "OnDemandConfigNotFound"):
        v2023.get_concurrency_config("echo")

    body = fc3.PutConcurrencyInput(reserved_concurrency=4)
    v2023.put_concurrency_config("echo", fc3.PutConcurrencyConfigRequest(body=body))

    assert (4, ARN) == (
        v2023.get_concurrency_config("echo").body.reserved_concurrency,
        v2023.get_concurrency_config("echo").body.function_arn,
    )
    listed = v2023.list_concurrency_configs(fc3.ListConcurrencyConfigsRequest()).body.configs
    assert [4] == [one.reserved_concurrency for one in listed]
    assert 204 == v2023.delete_concurrency_config("echo").status_code


def test_scaling_config_through_fc3(account: Account, v2023: Fc3Client) -> None:
    """The least that is asked for, and how many there are."""
    fc3_function(account)
    body = fc3.PutScalingConfigInput(min_instances=2, enable_on_demand_scaling=True)

    made = v2023.put_scaling_config("echo", fc3.PutScalingConfigRequest(body=body)).body

    assert (2, 2, 0, True) == (
        made.min_instances,
        made.target_instances,
        made.current_instances,
        made.enable_on_demand_scaling,
    )
    listed = v2023.list_scaling_configs(fc3.ListScalingConfigsRequest()).body.scaling_configs
    assert [f"{ARN}/LATEST"] == [one.function_arn for one in listed]
    v2023.delete_scaling_config("echo", fc3.DeleteScalingConfigRequest())
    assert 0 == v2023.get_scaling_config("echo", fc3.GetScalingConfigRequest()).body.min_instances


def test_configs_of_all_functions_are_listed_a_page_at_a_time(
    account: Account, v2023: Fc3Client
) -> None:
    """By function; those of one function alone if it is named, and FC2's not at all."""
    for name in ("a", "b", "c"):
        fc3_function(account, name)
        account.put_config("provision", "", name, None, {"target": 1})
    fc2_function(account)
    account.put_config("provision", "svc", "echo", None, {"target": 1})

    first = v2023.list_provision_configs(fc3.ListProvisionConfigsRequest(limit=2)).body
    request = fc3.ListProvisionConfigsRequest(limit=2, next_token=first.next_token)
    rest = v2023.list_provision_configs(request).body

    names = [one.function_arn.split("/")[1] for one in first.provision_configs]
    assert ["a", "b"] == names
    assert ["c"] == [one.function_arn.split("/")[1] for one in rest.provision_configs]
    assert rest.next_token is None
    request = fc3.ListProvisionConfigsRequest(function_name="b")
    assert 1 == len(v2023.list_provision_configs(request).body.provision_configs)


def test_configs_through_2016_08_15(account: Account, v2016: fc2.Client) -> None:
    """The qualifier is in the path; FC2's own names in the replies (spec 7.D)."""
    fc2_function(account)
    given = {"maxAsyncRetryAttempts": 1, "statefulInvocation": True}

    kept = v2016.put_function_async_invoke_config("svc", "LATEST", "echo", given).data

    assert ("svc", "echo", "LATEST") == (kept["service"], kept["function"], kept["qualifier"])
    assert given == {name: kept[name] for name in given}
    assert kept == v2016.get_function_async_invoke_config("svc", "LATEST", "echo").data
    assert [kept] == v2016.list_function_async_invoke_configs("svc", "echo").data["configs"]
    v2016.delete_function_async_invoke_config("svc", "LATEST", "echo")
    with pytest.raises(fc2.fc_exceptions.FcError, match="AsyncConfigNotExists"):
        v2016.get_function_async_invoke_config("svc", "LATEST", "echo")

    provision = v2016.put_provision_config("svc", "LATEST", "echo", 2).data
    assert ("123456789012#svc#LATEST#echo", 2, 0) == (
        provision["resource"],
        provision["target"],
        provision["current"],
    )
    listed = v2016.list_provision_configs("svc", "LATEST").data["provisionConfigs"]
    assert [provision["resource"]] == [one["resource"] for one in listed]

    ondemand = v2016.put_on_demand_config("svc", "LATEST", "echo", 9).data
    assert {
        "resource": "services/svc.LATEST/functions/echo",
        "maximumInstanceCount": 9,
    } == ondemand
    assert ondemand == v2016.get_on_demand_config("svc", "LATEST", "echo").data
    assert [ondemand] == v2016.list_on_demand_config().data["configs"]
    v2016.delete_on_demand_config("svc", "LATEST", "echo")


def test_configs_through_2021_04_06(account: Account, v2021: OpenClient) -> None:
    """The qualifier is in the query."""
    fc2_function(account)
    request = open_models.PutFunctionAsyncInvokeConfigRequest(
        qualifier="LATEST", stateful_invocation=True, max_async_event_age_in_seconds=60
    )

    kept = v2021.put_function_async_invoke_config("svc", "echo", request).body

    assert (True, 60, "svc") == (
        kept.stateful_invocation,
        kept.max_async_event_age_in_seconds,
        kept.service,
    )
    request = open_models.PutProvisionConfigRequest(qualifier="LATEST", target=1)
    assert 1 == v2021.put_provision_config("svc", "echo", request).body.target
    listed = v2021.list_provision_configs(open_models.ListProvisionConfigsRequest()).body
    assert [1] == [one.target for one in listed.provision_configs]
    request = open_models.PutFunctionOnDemandConfigRequest(
        qualifier="LATEST", maximum_instance_count=3
    )
    assert (
        3 == v2021.put_function_on_demand_config("svc", "echo", request).body.maximum_instance_count
    )
