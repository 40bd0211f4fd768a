"""
The official clients, each behind the same few verbs, so that one contract is asked of all of them.

Whatever a client has of its own stays its own: what it sends, what it makes of a reply, and what it
raises. FC2's functions live in the service ``demo``, which `create` makes when it is not there.
"""

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import fc2
import pytest
from alibabacloud_fc20230330 import models as fc3_models
from alibabacloud_fc20230330.client import Client as Fc3Sdk
from alibabacloud_fc_open20210406 import models as open_models
from alibabacloud_fc_open20210406.client import Client as OpenSdk
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.models import Config as OpenConfig
from alibabacloud_tea_openapi.utils_models import Config as Fc3Config
from alibabacloud_tea_util.models import RuntimeOptions
from darabonba.runtime import RuntimeOptions as Fc3RuntimeOptions
from fc2.fc_exceptions import FcError

SERVICE: Final = "demo"
WEB: Final = {"authType": "anonymous", "methods": ["GET", "POST"]}


@dataclass(frozen=True)
class Key:
    id: str
    secret: str


@dataclass(frozen=True)
class Answer:
    """Of an invocation; names of headers are lower case."""

    body: bytes
    headers: Mapping[str, str]

    @property
    def log(self) -> str:
        """The tail that was asked for."""
        return base64.b64decode(self.headers["x-fc-log-result"]).decode()


@dataclass(frozen=True)
class Failure:
    """Of a function. *error_type* is the header; None of a client that keeps it to itself."""

    error: dict[str, Any]
    error_type: str | None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _text(code: bytes) -> str:
    return base64.b64encode(code).decode()


@contextmanager
def _file(code: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(code)
        file.flush()
        yield file.name


class Fc2:
    """``aliyun-fc2``, of 2016-08-15. It knows no layers."""

    name = "aliyun-fc2"
    base = "/2016-08-15"
    has_layers = False

    def __init__(self, url: str, key: Key) -> None:
        self.sdk = fc2.Client(endpoint=url, accessKeyID=key.id, accessKeySecret=key.secret)

    def refused(self, status: int, code: str):
        return pytest.raises(
            FcError, check=lambda error: (status, code) == (error.status_code, error.err_code)
        )

    def create(self, name: str, code: bytes, *, timeout: int = 10) -> None:
        if not self.sdk.list_services(prefix=SERVICE).data["services"]:
            self.sdk.create_service(SERVICE)
        with _file(code) as path:
            self.sdk.create_function(
                SERVICE, name, "python3", "index.handler", codeZipFile=path, timeout=timeout
            )

    def shown(self, name: str, qualifier: str | None = None) -> dict[str, Any]:
        """As the API has it, and its ``etag``."""
        found = self.sdk.get_function(SERVICE, name, qualifier=qualifier)
        return {**found.data, "etag": found.headers["etag"]}

    def update(self, name: str, code: bytes, *, if_match: str | None = None) -> None:
        headers = {"if-match": if_match} if if_match else {}
        with _file(code) as path:
            self.sdk.update_function(SERVICE, name, codeZipFile=path, headers=headers)

    def delete(self, name: str) -> None:
        self.sdk.delete_function(SERVICE, name)

    def invoke(
        self, name: str, event: bytes = b"", qualifier: str | None = None, *, tail: bool = False
    ) -> Answer:
        headers = {"x-fc-log-type": "Tail"} if tail else {}
        found = self.sdk.invoke_function(SERVICE, name, event, headers, qualifier)
        return Answer(found.data, _lower(found.headers))

    def failing(self, name: str, event: bytes) -> Failure:
        """It is raised, with the status 200 that it came with (spec 7.A)."""
        with pytest.raises(FcError, check=lambda error: error.status_code == 200) as told:
            self.invoke(name, event)
        return Failure(json.loads(told.value.message), None)

    def publish(self, name: str) -> str:
        """Of the whole service."""
        return self.sdk.publish_version(SERVICE).data["versionId"]

    def alias(self, name: str, alias: str, version: str, weights: dict[str, float]) -> None:
        self.sdk.create_alias(SERVICE, alias, version, additionalVersionWeight=weights)

    def http_trigger(self, name: str, trigger: str) -> str:
        """Its ``urlInternet``."""
        made = self.sdk.create_trigger(SERVICE, name, trigger, "http", WEB, "", "")
        return made.data["urlInternet"]

    def limit(self, name: str, instances: int) -> None:
        self.sdk.put_on_demand_config(SERVICE, "LATEST", name, instances)

    def unlimit(self, name: str) -> None:
        self.sdk.delete_on_demand_config(SERVICE, "LATEST", name)

    def provision(self, name: str, instances: int) -> None:
        self.sdk.put_provision_config(SERVICE, "LATEST", name, instances)

    def provisioned(self, name: str) -> tuple[int, int]:
        """How many are to be there, and are."""
        found = self.sdk.get_provision_config(SERVICE, "LATEST", name).data
        return found["target"], found["current"]


class Tea:
    """What the two generated clients share: what they raise, and that a failure is no error."""

    has_layers = True

    def refused(self, status: int, code: str):
        return pytest.raises(
            ClientException, check=lambda error: (status, code) == (error.status_code, error.code)
        )

    def invoke(
        self, name: str, event: bytes = b"", qualifier: str | None = None, *, tail: bool = False
    ) -> Answer:
        raise NotImplementedError

    def failing(self, name: str, event: bytes) -> Failure:
        found = self.invoke(name, event)
        return Failure(json.loads(found.body), found.headers.get("x-fc-error-type"))


class Open(Tea):
    """``alibabacloud_fc_open20210406``."""

    name = "alibabacloud_fc_open20210406"
    base = "/2021-04-06"

    def __init__(self, url: str, key: Key) -> None:
        config = OpenConfig(access_key_id=key.id, access_key_secret=key.secret, protocol="http")
        config.endpoint = url.removeprefix("http://")
        self.sdk = OpenSdk(config)

    def create(
        self, name: str, code: bytes, *, timeout: int = 10, layers: list[str] | None = None
    ) -> None:
        there = self.sdk.list_services(open_models.ListServicesRequest(prefix=SERVICE)).body
        if not there.services:
            self.sdk.create_service(open_models.CreateServiceRequest(service_name=SERVICE))
        self.sdk.create_function(
            SERVICE,
            open_models.CreateFunctionRequest(
                function_name=name,
                runtime="python3.9",
                handler="index.handler",
                code=open_models.Code(zip_file=_text(code)),
                timeout=timeout,
                layers=layers,
            ),
        )

    def shown(self, name: str, qualifier: str | None = None) -> dict[str, Any]:
        request = open_models.GetFunctionRequest(qualifier=qualifier)
        found = self.sdk.get_function(SERVICE, name, request)
        return {**found.body.to_map(), "etag": found.headers["etag"]}

    def update(self, name: str, code: bytes, *, if_match: str | None = None) -> None:
        self.sdk.update_function_with_options(
            SERVICE,
            name,
            open_models.UpdateFunctionRequest(code=open_models.Code(zip_file=_text(code))),
            open_models.UpdateFunctionHeaders(if_match=if_match),
            RuntimeOptions(),
        )

    def delete(self, name: str) -> None:
        self.sdk.delete_function(SERVICE, name)

    def invoke(
        self, name: str, event: bytes = b"", qualifier: str | None = None, *, tail: bool = False
    ) -> Answer:
        found = self.sdk.invoke_function_with_options(
            SERVICE,
            name,
            open_models.InvokeFunctionRequest(body=event, qualifier=qualifier),
            open_models.InvokeFunctionHeaders(x_fc_log_type="Tail" if tail else None),
            RuntimeOptions(),
        )
        return Answer(found.body, _lower(found.headers))

    def publish(self, name: str) -> str:
        """Of the whole service."""
        request = open_models.PublishServiceVersionRequest()
        return self.sdk.publish_service_version(SERVICE, request).body.version_id

    def alias(self, name: str, alias: str, version: str, weights: dict[str, float]) -> None:
        request = open_models.CreateAliasRequest(
            alias_name=alias, version_id=version, additional_version_weight=weights
        )
        self.sdk.create_alias(SERVICE, request)

    def layer(self, name: str, code: bytes) -> str:
        """The ARN of a new version."""
        request = open_models.CreateLayerVersionRequest(
            code=open_models.Code(zip_file=_text(code)), compatible_runtime=["python3.9"]
        )
        return self.sdk.create_layer_version(name, request).body.arn

    def http_trigger(self, name: str, trigger: str) -> str:
        """Its ``urlInternet``."""
        request = open_models.CreateTriggerRequest(
            trigger_name=trigger, trigger_type="http", trigger_config=json.dumps(WEB)
        )
        return self.sdk.create_trigger(SERVICE, name, request).body.url_internet

    def limit(self, name: str, instances: int) -> None:
        request = open_models.PutFunctionOnDemandConfigRequest(
            qualifier="LATEST", maximum_instance_count=instances
        )
        self.sdk.put_function_on_demand_config(SERVICE, name, request)

    def unlimit(self, name: str) -> None:
        request = open_models.DeleteFunctionOnDemandConfigRequest(qualifier="LATEST")
        self.sdk.delete_function_on_demand_config(SERVICE, name, request)

    def provision(self, name: str, instances: int) -> None:
        request = open_models.PutProvisionConfigRequest(qualifier="LATEST", target=instances)
        self.sdk.put_provision_config(SERVICE, name, request)

    def provisioned(self, name: str) -> tuple[int, int]:
        """How many are to be there, and are."""
        request = open_models.GetProvisionConfigRequest(qualifier="LATEST")
        found = self.sdk.get_provision_config(SERVICE, name, request).body
        return found.target, found.current


class Fc3(Tea):
    """``alibabacloud_fc20230330``."""

    name = "alibabacloud_fc20230330"
    base = "/2023-03-30"

    def __init__(self, url: str, key: Key) -> None:
        config = Fc3Config(access_key_id=key.id, access_key_secret=key.secret, protocol="http")
        config.endpoint = url.removeprefix("http://")
        self.sdk = Fc3Sdk(config)

    def create(
        self, name: str, code: bytes, *, timeout: int = 10, layers: list[str] | None = None
    ) -> None:
        body = fc3_models.CreateFunctionInput(
            function_name=name,
            runtime="python3.10",
            handler="index.handler",
            code=fc3_models.InputCodeLocation(zip_file=_text(code)),
            timeout=timeout,
            layers=layers,
        )
        self.sdk.create_function(fc3_models.CreateFunctionRequest(body=body))

    def shown(self, name: str, qualifier: str | None = None) -> dict[str, Any]:
        request = fc3_models.GetFunctionRequest(qualifier=qualifier)
        found = self.sdk.get_function(name, request)
        return {**found.body.to_map(), "etag": found.headers["etag"]}

    def update(self, name: str, code: bytes, *, if_match: str | None = None) -> None:
        code_given = fc3_models.InputCodeLocation(zip_file=_text(code))
        self.sdk.update_function_with_options(
            name,
            fc3_models.UpdateFunctionRequest(body=fc3_models.UpdateFunctionInput(code=code_given)),
            {"If-Match": if_match} if if_match else {},
            Fc3RuntimeOptions(),
        )

    def delete(self, name: str) -> None:
        self.sdk.delete_function(name)

    def invoke(
        self, name: str, event: bytes = b"", qualifier: str | None = None, *, tail: bool = False
    ) -> Answer:
        found = self.sdk.invoke_function_with_options(
            name,
            fc3_models.InvokeFunctionRequest(body=event, qualifier=qualifier),
            fc3_models.InvokeFunctionHeaders(x_fc_log_type="Tail" if tail else None),
            Fc3RuntimeOptions(),
        )
        return Answer(found.body.read(), _lower(found.headers))

    def publish(self, name: str) -> str:
        request = fc3_models.PublishFunctionVersionRequest(body=fc3_models.PublishVersionInput())
        return self.sdk.publish_function_version(name, request).body.version_id

    def alias(self, name: str, alias: str, version: str, weights: dict[str, float]) -> None:
        body = fc3_models.CreateAliasInput(
            alias_name=alias, version_id=version, additional_version_weight=weights
        )
        self.sdk.create_alias(name, fc3_models.CreateAliasRequest(body=body))

    def layer(self, name: str, code: bytes) -> str:
        """The ARN of a new version."""
        body = fc3_models.CreateLayerVersionInput(
            code=fc3_models.InputCodeLocation(zip_file=_text(code)),
            compatible_runtime=["python3.10"],
        )
        request = fc3_models.CreateLayerVersionRequest(body=body)
        return self.sdk.create_layer_version(name, request).body.layer_version_arn

    def http_trigger(self, name: str, trigger: str) -> str:
        """Its ``urlInternet``."""
        body = fc3_models.CreateTriggerInput(
            trigger_name=trigger, trigger_type="http", trigger_config=json.dumps(WEB)
        )
        made = self.sdk.create_trigger(name, fc3_models.CreateTriggerRequest(body=body)).body
        return made.http_trigger.url_internet

    def limit(self, name: str, instances: int) -> None:
        body = fc3_models.PutConcurrencyInput(reserved_concurrency=instances)
        self.sdk.put_concurrency_config(name, fc3_models.PutConcurrencyConfigRequest(body=body))

    def unlimit(self, name: str) -> None:
        self.sdk.delete_concurrency_config(name)

    def provision(self, name: str, instances: int) -> None:
        body = fc3_models.PutProvisionConfigInput(default_target=instances)
        request = fc3_models.PutProvisionConfigRequest(body=body, qualifier="LATEST")
        self.sdk.put_provision_config(name, request)

    def provisioned(self, name: str) -> tuple[int, int]:
        """How many are to be there, and are."""
        request = fc3_models.GetProvisionConfigRequest(qualifier="LATEST")
        found = self.sdk.get_provision_config(name, request).body
        return found.target, found.current
