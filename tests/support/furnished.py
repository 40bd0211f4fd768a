"""An account with one of everything, so that what is asked at random finds something."""

import uuid

from fc_runtime.service.account import Account
from fc_runtime.service.errors import ApiError
from support.accounts import base64_zip

FUNCTION = {
    "runtime": "python3.10",
    "handler": "index.handler",
    "code": {"zipFile": base64_zip()},
    "tags": [{"key": "team", "value": "a"}],
}
TRIGGER = {"triggerName": "web", "triggerType": "http", "triggerConfig": {"authType": "anonymous"}}
ROUTES = {"routes": [{"path": "/*", "functionName": "echo"}]}
CONFIGS = {
    "async": {"maxAsyncRetryAttempts": 1},
    "provision": {"target": 1},
    "scaling": {"minInstances": 1},
    "concurrency": {"reservedConcurrency": 2},
    "ondemand": {"maximumInstanceCount": 2},
}


def furnish(account: Account, prefix: str) -> dict[str, str]:
    """
    Make what is missing. The parameters of paths of that API that lead to something.

    ``demo`` is a service with the function ``echo``; there is ``echo`` of FC3, too.
    """
    service = "" if prefix == "/2023-03-30" else "demo"
    if service:
        _unless_there(account.create_service, "demo", {})
    _unless_there(account.create_function, service, "echo", FUNCTION)
    _unless_there(account.create_trigger, service, "echo", TRIGGER)
    _unless_there(account.create_domain, {"domainName": "a.example", "routeConfig": ROUTES})
    while len(versions := account.list_versions(service, "echo").entries) < 2:
        account.update_function(service, "echo", {"description": str(uuid.uuid4())})
        account.publish_version(service, "echo")
    _unless_there(account.create_alias, service, "echo", "prod", {"versionId": versions[-1].name})
    account.update_function(service, "echo", {**FUNCTION, "description": str(uuid.uuid4())})
    if not account.list_layers(prefix="lib", start="", limit=1, public=None).entries:
        account.create_layer_version("lib", {"code": FUNCTION["code"]})
    layer = account.list_layer_versions("lib", start=1, limit=1).entries[0]
    for kind, document in CONFIGS.items():
        account.put_config(kind, service, "echo", None, document)
    tagged = f"services/{service}/functions/echo" if service else "functions/echo"
    account.tag(tagged, {"a": "b"})
    return {
        "service": "demo",
        "function": "echo",
        "trigger": "web",
        "domain": "a.example",
        "alias": "prod",
        "layer": "lib",
        "version": versions[0].name,  # that no alias needs
        "layer version": str(layer.document["version"]),
        "arn": account.layer_arn(layer),
        "tagged": tagged,
    }


def _unless_there(create, *arguments: object) -> None:
    try:
        create(*arguments)
    except ApiError as error:
        if error.status != 409 and "already" not in error.message:
            raise
