"""Tags of services and functions, and what the management API refuses for want of a cloud."""

import fc2
import httpx
import pytest
from alibabacloud_fc20230330 import models as fc3
from alibabacloud_fc20230330.client import Client as Fc3Client
from alibabacloud_fc_open20210406 import models as open_models
from alibabacloud_fc_open20210406.client import Client as OpenClient
from fc_runtime.service.account import Account
from fc_runtime.service.api.refused import REFUSED
from support.resources import fc2_function, fc3_function, refused

ARN = "acs:fc:local:123456789012:functions/echo"
SERVICE = "acs:fc:local:123456789012:services/svc"


having = fc3.ListTagResourcesRequestTag


def rows(client: Fc3Client, **fields) -> list[tuple[str, str]]:
    request = fc3.ListTagResourcesRequest(resource_type="function", **fields)
    return [
        (row.tag_key, row.tag_value)
        for row in client.list_tag_resources(request).body.tag_resources
    ]


def test_tags_through_fc3(account: Account, v2023: Fc3Client) -> None:
    """Tag, list by resource and by tag, untag (``/tags-v2``)."""
    fc3_function(account)
    tags = [fc3.Tag(key="env", value="test"), fc3.Tag(key="team", value="a")]
    body = fc3.TagResourcesInput(resource_id=[ARN], resource_type="function", tag=tags)

    v2023.tag_resources(fc3.TagResourcesRequest(body=body))

    assert [("env", "test"), ("team", "a")] == rows(v2023, resource_id=[ARN])
    assert [("env", "test"), ("team", "a")] == rows(v2023, tag=[having(key="env", value="test")])
    assert [] == rows(v2023, tag=[having(key="env", value="live")])
    assert [("env", "test")] == rows(v2023, resource_id=[ARN], limit=1)
    v2023.untag_resources(
        fc3.UntagResourcesRequest(resource_id=[ARN], resource_type="function", tag_key=["env"])
    )
    assert [("team", "a")] == rows(v2023, resource_id=[ARN])
    v2023.untag_resources(
        fc3.UntagResourcesRequest(resource_id=[ARN], resource_type="function", all=True)
    )
    assert [] == rows(v2023)


def test_tags_through_2016_08_15(account: Account, v2016: fc2.Client) -> None:
    """Of one service at a time, by its whole ARN or the end of it (``/tag``)."""
    fc2_function(account)

    v2016.tag_resource("services/svc", {"env": "test", "bare": ""})

    assert {"resourceArn": SERVICE, "tags": {"bare": "", "env": "test"}} == (
        v2016.get_resource_tags(SERVICE).data
    )
    v2016.untag_resource(SERVICE, ["env"])
    assert {"bare": ""} == v2016.get_resource_tags(SERVICE).data["tags"]
    v2016.untag_resource(SERVICE, [], deleteAll=True)
    assert {} == v2016.get_resource_tags(SERVICE).data["tags"]


def test_tags_through_2021_04_06(account: Account, v2021: OpenClient) -> None:
    """The same tags; all that have any are listed (``/tags``)."""
    fc2_function(account)

    request = open_models.TagResourceRequest(resource_arn=SERVICE, tags={"env": "test"})
    v2021.tag_resource(request)

    tagged = v2021.get_resource_tags(open_models.GetResourceTagsRequest(resource_arn=SERVICE)).body
    assert {"env": "test"} == tagged.tags
    listed = v2021.list_tagged_resources(open_models.ListTaggedResourcesRequest()).body.resources
    assert [SERVICE] == [one.resource_arn for one in listed]


def test_tags_that_a_function_was_made_with(account: Account) -> None:
    """They are shown with those that came later, and go when they are taken away."""
    fc3_function(account, tags=[{"key": "env", "value": "test"}])
    account.tag(ARN, {"team": "a"})
    assert {"env": "test", "team": "a"} == account.tags_of(ARN).tags

    account.untag(ARN, ["env"])

    assert {"team": "a"} == account.tags_of(ARN).tags


def test_tags_go_with_what_they_are_of(account: Account) -> None:
    """One of the same name, made later, has none."""
    fc2_function(account)
    account.tag(SERVICE, {"env": "test"})
    account.tag(f"{SERVICE}/functions/echo", {"env": "test"})

    account.delete_function("svc", "echo")
    account.delete_service("svc")

    assert [] == account.all_tagged()


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ("functions/nobody", "FunctionNotFound"),
        ("services/nowhere", "ServiceNotFound"),
        ("acs:fc:local:999:functions/echo", "InvalidArgument"),
        ("acs:oss:local:123456789012:bucket", "InvalidArgument"),
        ("", "InvalidArgument"),
    ],
)
def test_what_is_not_there_has_no_tags(account: Account, resource: str, code: str) -> None:
    """Nor can it be given any."""
    fc3_function(account)

    with refused(code):
        account.tag(resource, {"env": "test"})
    with refused(code):
        account.tags_of(resource)


@pytest.mark.parametrize(
    "tags", [{"": "x"}, {"k" * 129: "x"}, {"acs:x": "y"}, {"k": 1}, {"k": "v" * 129}]
)
def test_a_tag_that_there_may_not_be(account: Account, tags: dict) -> None:
    """None of them is kept."""
    fc3_function(account)

    with refused("InvalidArgument"):
        account.tag(ARN, {"good": "one", **tags})

    assert {} == account.tags_of(ARN).tags


def test_a_resource_has_at_most_twenty_tags(account: Account) -> None:
    """The one too many takes those of its request with it."""
    fc3_function(account)
    account.tag(ARN, {f"k{n}": "v" for n in range(20)})

    with refused("LimitExceededError"):
        account.tag(ARN, {"one more": ""})

    assert 20 == len(account.tags_of(ARN).tags)


def test_what_needs_the_cloud_is_refused_with_a_reason(http: httpx.Client) -> None:
    """501 and all five keys of an error, in every API version that has it: never a silent yes."""
    for name, verb, path, prefixes, why in REFUSED:
        filled = "/".join("x" if part.startswith("{") else part for part in path.split("/"))
        for prefix in prefixes:
            reply = http.request(verb, f"{prefix}{filled}")

            assert 501 == reply.status_code, name
            assert {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"} == set(
                reply.json()
            )
            assert why in reply.json()["ErrorMessage"]


def test_instances_are_those_of_whoever_runs_them(account: Account, v2023: Fc3Client) -> None:
    """The daemon says which there are; nobody makes any up."""
    fc3_function(account)
    account.instances = lambda *of: [{"instanceId": "c-1", "versionId": "/".join(of)}]

    found = v2023.list_instances("echo", fc3.ListInstancesRequest()).body.instances

    assert [("c-1", "/echo/LATEST")] == [(one.instance_id, one.version_id) for one in found]


def test_the_region_is_the_one_of_the_daemon(v2023: Fc3Client) -> None:
    """There is no other."""
    regions = v2023.describe_regions(fc3.DescribeRegionsRequest()).body.regions.region

    assert ["local"] == [one.region_id for one in regions]


def test_account_settings(v2021: OpenClient, v2016: fc2.Client) -> None:
    """There are no zones and no capacities to be had, which is an answer."""
    settings = v2021.get_account_settings().body

    assert ([], "") == (settings.available_azs, settings.default_role)
    assert [] == v2016.list_reserved_capacities().data["reservedCapacities"]
