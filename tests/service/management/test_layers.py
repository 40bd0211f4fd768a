"""Layers: numbered for ever, kept by content, given to functions by their ARNs (spec 7.C, 12)."""

import base64
import io
import zipfile
from pathlib import Path

import httpx
import pytest
from alibabacloud_fc20230330 import models as fc3
from alibabacloud_fc20230330.client import Client as Fc3Client
from alibabacloud_fc_open20210406 import models as open_models
from alibabacloud_fc_open20210406.client import Client as OpenClient
from alibabacloud_tea_openapi.exceptions import ClientException
from fastcrc import crc64
from fc_runtime.service.account import Account
from support.daemon import base64_zip, zipped
from support.resources import fc3_function, refused, refused_by

ARN = "acs:fc:local:123456789012:layers"


def made(account: Account, name: str = "deps", **files: str) -> str:
    """A new version; its ARN."""
    code = {"zipFile": base64_zip(**(files or {"helper": "X = 1\n"}))}
    return account.layer_arn(account.create_layer_version(name, {"code": code}))


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_versions_are_numbered_and_a_number_is_never_used_again(account: Account) -> None:
    """A deleted version leaves a gap; also when it was the only one."""
    assert [f"{ARN}/deps/versions/1", f"{ARN}/deps/versions/2"] == [made(account), made(account)]

    account.delete_layer_version("deps", "2")
    account.delete_layer_version("deps", "1")

    assert f"{ARN}/deps/versions/3" == made(account)


def test_folders_are_those_of_the_arns_in_their_order(account: Account) -> None:
    """The runtime is given unpacked folders, first the layer that wins."""
    one, two = made(account, "one", a=""), made(account, "two", b="")

    folders = account.layer_folders([two, one])

    assert [{"b.py"}, {"a.py"}] == [contents(folder) for folder in folders]


@pytest.mark.parametrize(
    ("arn", "said"),
    [
        (f"{ARN}/deps/versions/2", "there is no"),
        (f"{ARN}/other/versions/1", "there is no"),
        ("acs:fc:local:999:layers/deps/versions/1", "not of this account"),
        ("acs:fc:cn-hangzhou:123456789012:layers/deps/versions/1", "not of this account"),
        ("acs:fc:local:official:layers/Python310/versions/1", "FC's own"),
        ("deps:1", "acs:fc:REGION:ACCOUNT:layers/NAME/versions/N"),
    ],
)
def test_an_arn_that_leads_nowhere_is_refused_with_the_reason(
    account: Account, arn: str, said: str
) -> None:
    """When a function is given it, not when it is first invoked; nor is it passed over then."""
    made(account)

    with refused("InvalidArgument", said):
        fc3_function(account, layers=[arn])
    with refused("InvalidArgument", said):
        account.layer_folders([arn])


def test_a_function_has_at_most_five_layers(account: Account) -> None:
    """Spec 12."""
    arns = [made(account) for _ in range(6)]

    fc3_function(account, layers=arns[:5])

    with refused("InvalidArgument"):
        account.update_function("", "echo", {"layers": arns})


def test_a_layer_has_at_most_a_hundred_versions(account: Account) -> None:
    """Spec 12; those that were deleted do not count."""
    for _ in range(100):
        made(account)

    with refused("LimitExceededError", "delete one first"):
        made(account)
    account.delete_layer_version("deps", "7")
    assert f"{ARN}/deps/versions/101" == made(account)


def test_a_deleted_version_stays_with_the_functions_that_have_it(account: Account) -> None:
    """They go on as before; nobody sees it any more, and no other function gets it."""
    arn = made(account)
    fc3_function(account, layers=[arn])

    account.delete_layer_version("deps", "1")

    assert [{"helper.py"}] == [contents(folder) for folder in account.layer_folders([arn])]
    with refused("LayerNotFound"):
        account.get_layer_version("deps", "1")
    with refused("InvalidArgument", "has been deleted"):
        fc3_function(account, "late", layers=[arn])


def test_sweeping_leaves_the_code_of_layers(account: Account) -> None:
    """No function refers to a layer's zip by its digest, yet it is needed."""
    arn = made(account)

    account.sweep()

    assert [{"helper.py"}] == [contents(folder) for folder in account.layer_folders([arn])]


@pytest.mark.parametrize("code", [None, {}, {"zipFile": "!"}, {"zipFile": 5}, "zip"])
def test_a_layer_without_a_zip_is_refused(account: Account, code: object) -> None:
    """And takes no number."""
    with refused("InvalidArgument"):
        account.create_layer_version("deps", {"code": code})

    assert f"{ARN}/deps/versions/1" == made(account)


def create_fc3(client: Fc3Client, name: str = "deps", **fields) -> fc3.Layer:
    body = fc3.CreateLayerVersionInput(
        code=fc3.InputCodeLocation(zip_file=base64_zip()),
        compatible_runtime=["python3.10"],
        **fields,
    )
    return client.create_layer_version(name, fc3.CreateLayerVersionRequest(body=body)).body


def test_the_life_of_a_layer_through_fc3(v2023: Fc3Client) -> None:
    """Create, get by number and by ARN, list, share, delete; the code is there to be fetched."""
    layer = create_fc3(v2023, description="what all need")

    assert ("deps", 1, f"{ARN}/deps/versions/1") == (
        layer.layer_name,
        layer.version,
        layer.layer_version_arn,
    )
    assert (["python3.10"], "what all need", 0) == (
        layer.compatible_runtime,
        layer.description,
        layer.acl,
    )
    assert (len(zipped()), str(crc64.xz(zipped()))) == (layer.code_size, layer.code_checksum)
    assert zipped() == httpx.get(layer.code.location).content
    assert "deps" == v2023.get_layer_version("deps", "1").body.layer_name
    assert 1 == v2023.get_layer_version_by_arn(layer.layer_version_arn).body.version

    v2023.put_layer_acl("deps", fc3.PutLayerACLRequest(acl="1"))
    assert 1 == v2023.get_layer_version("deps", "1").body.acl
    deleted = v2023.delete_layer_version("deps", "1")

    assert 204 == deleted.status_code
    with refused_by(ClientException, 404, "LayerNotFound"):
        v2023.get_layer_version("deps", "1")


def test_layers_are_listed_with_their_newest_version(v2023: Fc3Client) -> None:
    """A page at a time, by name; versions by number, ten after nine."""
    for name in ("alpha", "beta", "beta", "gamma"):
        create_fc3(v2023, name)

    first = v2023.list_layers(fc3.ListLayersRequest(limit=2)).body
    rest = v2023.list_layers(fc3.ListLayersRequest(limit=2, next_token=first.next_token)).body

    assert [("alpha", 1), ("beta", 2)] == [(one.layer_name, one.version) for one in first.layers]
    assert ["gamma"] == [one.layer_name for one in rest.layers]
    assert rest.next_token is None
    for _ in range(10):
        create_fc3(v2023, "alpha")
    versions = v2023.list_layer_versions(
        "alpha", fc3.ListLayerVersionsRequest(start_version="9", limit=2)
    ).body
    assert ([9, 10], 11) == ([one.version for one in versions.layers], versions.next_version)


def test_the_life_of_a_layer_through_2021_04_06(v2021: OpenClient) -> None:
    """Whose clients write ``Code`` and read ``arn`` and ``codesize`` (spec 7.D)."""
    request = open_models.CreateLayerVersionRequest(
        code=open_models.Code(zip_file=base64_zip()), compatible_runtime=["python3.9"]
    )
    layer = v2021.create_layer_version("deps", request).body

    assert (f"{ARN}/deps/versions/1", 1, len(zipped())) == (
        layer.arn,
        layer.version,
        layer.codesize,
    )
    assert ["deps"] == [
        one.layer_name for one in v2021.list_layers(open_models.ListLayersRequest()).body.layers
    ]
    v2021.put_layer_acl("deps", open_models.PutLayerACLRequest(public=True))
    assert 1 == v2021.get_layer_version("deps", "1").body.acl
    v2021.delete_layer_version("deps", "1")
    assert [] == v2021.list_layers(open_models.ListLayersRequest()).body.layers


def test_a_function_shows_the_size_of_its_layers(account: Account, v2023: Fc3Client) -> None:
    """``layers`` goes in as ARNs and comes out as ARNs with sizes (spec 7.C)."""
    arn = create_fc3(v2023).layer_version_arn
    fc3_function(account, layers=[arn])

    shown = v2023.get_function("echo", fc3.GetFunctionRequest()).body.layers

    assert [(arn, len(zipped()))] == [(layer.arn, int(layer.size)) for layer in shown]


def test_a_zip_that_leaves_its_folder_is_refused(http: httpx.Client) -> None:
    """As for a function's code: layers are unpacked by the same rules."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../outside.py", "")
    code = {"zipFile": base64.b64encode(packed.getvalue()).decode()}

    reply = http.post("/2023-03-30/layers/deps/versions", json={"code": code})

    assert (400, "InvalidArgument") == (reply.status_code, reply.json()["Code"])
    assert 404 == http.get("/2023-03-30/layers/deps/versions").status_code
