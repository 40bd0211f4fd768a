"""What a function, a service and an alias may be: refused with the field's name, or taken."""

import pytest
from fc_runtime.service.account import Account
from fc_runtime.service.errors import ApiError
from support.daemon import base64_zip

DOCUMENT = {
    "runtime": "python3.10",
    "handler": "index.handler",
    "code": {"zipFile": base64_zip()},
}
HOOK = {"handler": "index.hook"}
ARN = "acs:fc:local:123456789012:layers/numbers/versions/1"
REFUSED = {
    "runtime": ["nodejs18", "java11", "", 3, "python 3"],
    "handler": [5, "x" * 257, "index.\0"],
    "description": [5, "x" * 257],
    "memorySize": [31, 32_769, "512", True, 512.5],
    "timeout": [0, 86_401, "3", 1.5, True],
    "cpu": [0, 17, "1", True],
    "diskSize": [0, 511, 20_000],
    "instanceConcurrency": [0, 201, "1"],
    "internetAccess": ["yes", 1],
    "role": [5],
    "logConfig": ["auto", []],
    "environmentVariables": [
        [],
        {"1A": "x"},
        {"A-B": "x"},
        {"": "x"},
        {"A": 1},
        {"A": None},
        {"A": "\0"},
        {"FC_FUNCTION_NAME": "x"},
        {"accessKeyID": "x"},
        {"accessKeySecret": "x"},
        {"securityToken": "x"},
        {"A": "x" * 4096},
    ],
    "layers": ["numbers", [5], ["numbers"], [ARN] * 6],
    "instanceLifecycleConfig": [
        [],
        {"initializer": "index.init"},
        {"initializer": {**HOOK, "timeout": 301}},
        {"preStop": {**HOOK, "timeout": 91}},
        {"preFreeze": {**HOOK, "timeout": 0}},
        {"preStop": {"handler": 5}},
    ],
    "customRuntimeConfig": [[], {"command": "run"}, {"port": 0}, {"port": 65_536}],
}
TAKEN = {
    "runtime": ["python3.12", "python3.9", "python3", "python2.7", "python3.14", "custom.debian12"],
    "handler": ["dir/main.handler", "pkg.mod.handler"],
    "description": ["", "说明"],
    "memorySize": [32, 100, 32_768],
    "timeout": [1, 86_400],
    "cpu": [0.05, 1, 16],
    "diskSize": [512, 10_240],
    "instanceConcurrency": [1, 200],
    "environmentVariables": [{}, {"A": "", "b_1": "x" * 4000}],
    "instanceLifecycleConfig": [
        {},
        {"initializer": {**HOOK, "timeout": 300}, "preStop": {**HOOK, "timeout": 90}},
    ],
    "customRuntimeConfig": [{"command": ["./run"], "args": ["-v"], "port": 9000}],
    "gpuConfig": [{"gpuType": "fc.gpu.tesla.1"}],
    "somethingNew": [[1, {"a": None}]],
}


def each(values: dict[str, list[object]]):
    cases = [(name, value) for name, those in values.items() for value in those]
    return pytest.mark.parametrize(
        ("name", "value"), cases, ids=[f"{name}={str(value)[:40]}" for name, value in cases]
    )


def refused(status: int, code: str, words: str | None = None):
    return pytest.raises(
        ApiError, match=words, check=lambda error: (status, code) == (error.status, error.code)
    )


@each(REFUSED)
def test_wrong_value_is_refused_by_its_name(account: Account, name: str, value: object) -> None:
    """When a function is made and when it is changed; then it stays as it was."""
    account.create_function("", "there", DOCUMENT)
    before = account.get_function("", "there")

    with refused(400, "InvalidArgument", name):
        account.create_function("", "echo", {**DOCUMENT, name: value})
    with refused(400, "InvalidArgument", name):
        account.update_function("", "there", {name: value})

    assert [before] == account.functions()


@each(TAKEN)
def test_right_value_is_kept(account: Account, name: str, value: object) -> None:
    """As it was given; names that we do not know too, for FC grows."""
    assert value == account.create_function("", "a", {**DOCUMENT, name: value}).document[name]


@pytest.mark.parametrize("name", ["a", "_a-1", "A" * 128])
def test_names(account: Account, name: str) -> None:
    """Letters, digits, _ and -, at most 128 (spec 7.C)."""
    assert name == account.create_service(name, {}).name
    assert name == account.create_function(name, name, DOCUMENT).name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a.b", "a b", "a/b", "é", "A" * 129, None, 5, []])
def test_names_that_are_none(account: Account, name: object) -> None:
    """Refused as a service's and as a function's."""
    with refused(400, "InvalidArgument", "serviceName"):
        account.create_service(name, {})
    with refused(400, "InvalidArgument", "functionName"):
        account.create_function("", name, DOCUMENT)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("runtime", "Runtime is required but not provided"),
        ("handler", "Handler is required but not provided"),
        ("code", "Either ossBucketName/ossObjectName or zipFile must be set"),
    ],
)
@pytest.mark.parametrize("how", ["absent", "null"])
def test_what_is_missing_is_said_in_fc_words(
    account: Account, name: str, words: str, how: str
) -> None:
    """Spec 5.D; null is as good as nothing, some clients send it."""
    document = {key: value for key, value in DOCUMENT.items() if key != name}
    if how == "null":
        document[name] = None

    with refused(400, "InvalidArgument", words):
        account.create_function("", "echo", document)


def test_null_changes_nothing(account: Account) -> None:
    """Of an update, as ``aliyun-fc2`` sends it."""
    account.create_function("", "echo", {**DOCUMENT, "description": "d"})

    assert "d" == account.update_function("", "echo", {"description": None}).document["description"]


def test_handler_is_not_taken_away(account: Account) -> None:
    """A Python function needs one, a custom runtime does not."""
    account.create_function("", "echo", DOCUMENT)
    with refused(400, "InvalidArgument", "Handler is required"):
        account.update_function("", "echo", {"handler": ""})

    account.update_function("", "echo", {"handler": "", "runtime": "custom"})


def test_what_only_we_say_is_not_taken(account: Account) -> None:
    """A client may send back what it was shown; ids and times stay ours."""
    before = account.create_function("", "echo", DOCUMENT)
    told = {"functionId": "mine", "codeSize": 1, "createdTime": "then", "functionName": "other"}

    after = account.update_function("", "echo", {**told, "state": "Failed"})

    assert before.document == after.document
    assert "echo" == after.name


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"versionId": ""},
        {"versionId": 1},
        {"versionId": "1", "description": 5},
        {"versionId": "1", "additionalVersionWeight": [0.5]},
        {"versionId": "1", "additionalVersionWeight": {"2": -0.1}},
        {"versionId": "1", "additionalVersionWeight": {"2": 1.1}},
        {"versionId": "1", "additionalVersionWeight": {"2": "0.1"}},
        {"versionId": "1", "additionalVersionWeight": {"2": True}},
        {"versionId": "1", "additionalVersionWeight": {"2": 0.6, "LATEST": 0.6}},
        {"versionId": "1", "additionalVersionWeight": {"1": 0.5}},
    ],
    ids=str,
)
def test_alias_that_makes_no_sense_is_refused(account: Account, document: dict) -> None:
    """Weights are parts of one, of versions other than the main one."""
    account.create_function("", "echo", DOCUMENT)
    for timeout in (1, 2):
        account.update_function("", "echo", {"timeout": timeout})
        account.publish_version("", "echo")

    with refused(400, "InvalidArgument"):
        account.create_alias("", "echo", "prod", document)


def test_alias_leads_to_versions_that_are_there(account: Account) -> None:
    """Main and additional ones; and LATEST."""
    account.create_function("", "echo", DOCUMENT)

    with refused(404, "VersionNotFound"):
        account.create_alias("", "echo", "prod", {"versionId": "1"})
    with refused(404, "VersionNotFound"):
        account.create_alias(
            "", "echo", "prod", {"versionId": "LATEST", "additionalVersionWeight": {"1": 0.5}}
        )
    account.create_alias("", "echo", "prod", {"versionId": "LATEST"})


@pytest.mark.parametrize("name", ["", "LATEST", "1", "1a", "a.b", "a" * 129, None, 5])
def test_alias_has_a_name_that_is_no_version(account: Account, name: object) -> None:
    """A qualifier means one thing."""
    account.create_function("", "echo", DOCUMENT)

    with refused(400, "InvalidArgument", "aliasName"):
        account.create_alias("", "echo", name, {"versionId": "LATEST"})


def test_initializer_of_fc2_is_the_hook_of_fc3(account: Account) -> None:
    """Whoever serves a function finds it in one place, however it was given."""
    account.create_service("demo", {})
    account.create_function("demo", "echo", DOCUMENT)

    def hooks(**changes: object) -> object:
        after = account.update_function("demo", "echo", changes).document
        return after.get("instanceLifecycleConfig", {}).get("initializer")

    assert hooks() is None
    assert hooks(initializationTimeout=9) is None
    assert {"handler": "index.init", "timeout": 9} == hooks(initializer="index.init")
    assert {"handler": "index.init", "timeout": 8} == hooks(initializationTimeout=8)
    by_hook = {"initializer": {"handler": "index.other", "timeout": 7}}
    assert by_hook["initializer"] == hooks(instanceLifecycleConfig=by_hook)
    assert hooks(initializer="") is None
