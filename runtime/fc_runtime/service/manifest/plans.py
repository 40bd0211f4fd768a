"""What has been found so far, and the rules that both components share."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fc_runtime import code_package
from fc_runtime.service.destinations import destination
from fc_runtime.service.manifest.keys import Place
from fc_runtime.service.manifest.model import (
    ConfigPlan,
    DomainPlan,
    FunctionPlan,
    Manifest,
    ServicePlan,
    TriggerPlan,
)
from fc_runtime.service.manifest.reading import Source
from fc_runtime.service.manifest.sections import Section

AUTO: Final = "auto"
LATEST: Final = "LATEST"
_HANDLER: Final = "module.function, such as index.handler"
_RUNTIME: Final = "a runtime, such as python3.10"
_POLICIES: Final = (
    *("scheduledActions", "targetTrackingPolicies"),
    *("horizontalScalingPolicies", "scheduledPolicies"),
)
_ASYNC_NAMES: Final = {"statefulInvocation": "asyncTask", "destination": "destinationConfig"}


class Plans:
    """What a manifest comes to, as its components are read one after the other."""

    def __init__(self, source: Source, account_id: str) -> None:
        self._source = source
        self._account_id = account_id
        self._services: dict[str, ServicePlan] = {}
        self._functions: dict[tuple[str, str], FunctionPlan] = {}
        self._triggers: dict[tuple[str, str, str], TriggerPlan] = {}
        self._configs: list[ConfigPlan] = []
        self._domains: dict[str, DomainPlan] = {}
        self.warnings: list[str] = []
        self._python = True

    def finished(self) -> Manifest:
        """All of it."""
        return Manifest(
            self._source.file,
            tuple(self._services.values()),
            tuple(self._functions.values()),
            tuple(self._triggers.values()),
            tuple(self._configs),
            tuple(self._domains.values()),
            tuple(self.warnings),
        )

    def warn(self, section: Section, key: str, told: str) -> None:
        """A line for people; what is told of is served all the same."""
        self.warnings.append(f"{section.where(key)}: {told}")

    def doubt(self, section: Section, place: Place) -> None:
        """Warn of each key in it that is none: a typo, or another tool's."""
        self.warnings.extend(section.unknown(place))

    # -- what both components say in the same words ------------------------------------------------

    def common(self, section: Section, document: dict[str, Any], *, memory_mb: int) -> None:
        """Those keys that need checking, into *document*; defaults are FC's (spec 10, 12)."""
        runtime = section.required("runtime", _RUNTIME)
        self._python = runtime.startswith("python")
        document["runtime"] = runtime
        handler = self.handler(section, "handler", required=self._python)
        document["handler"] = handler or "index.handler"
        document["memorySize"] = section.whole("memorySize", 32, 32768, " of MB") or memory_mb
        document["timeout"] = section.whole("timeout", 1, 86400, " of seconds") or 3
        for key, least, most, unit in (
            ("instanceConcurrency", 1, 200, ""),
            ("diskSize", 1, 10240, " of MB"),
            ("caPort", 1, 65535, ""),
        ):
            value = section.whole(key, least, most, unit)
            if value is not None:
                document[key] = value
        self._cpu(section, document)
        variables = section.variables("environmentVariables")
        if variables is not None:
            document["environmentVariables"] = variables
        layers = self._layers(section)
        if layers:
            document["layers"] = layers

    def _cpu(self, section: Section, document: dict[str, Any]) -> None:
        value = section.get("cpu")
        if value is None:
            return
        try:
            cpu = float(value)
        except (TypeError, ValueError):
            cpu = 0.0
        if isinstance(value, bool) or not 0.05 <= cpu <= 16:
            section.fail("cpu", f"{value!r}: a number of vCPUs from 0.05 to 16")
        document["cpu"] = cpu

    def handler(self, section: Section, key: str, *, required: bool) -> str | None:
        value = section.required(key, _HANDLER) if required else section.text(key, _HANDLER)
        if value is not None and self._python:
            module, _, attribute = value.rpartition(".")
            if not module or not attribute.isidentifier():
                section.fail(key, f"{value!r}: {_HANDLER}")
        return value

    def _layers(self, section: Section) -> list[str]:
        """ARNs; and folders, absolute: an extension, for what no cloud has a number of yet."""
        value = section.get("layers")
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(arn, str) for arn in value):
            section.fail("layers", f"{value!r}: a list of layer ARNs, or of folders")
        usable = []
        for arn in value:
            parts = arn.split(":")
            if arn.startswith((".", "/")):
                folder = (self._source.file.parent / arn).resolve()
                if not folder.is_dir():
                    section.fail("layers", f"{arn!r}: there is no folder {folder}")
                usable.append(str(folder))
            elif len(parts) > 3 and parts[3] == self._account_id:
                usable.append(arn)
            else:
                self.warnings.append(
                    f"{section.where('layers')}: {arn} is left out: it is a layer of another "
                    "account, which cannot be fetched; install what is in it beside the code"
                )
        return usable

    def code(self, section: Section, key: str, runtime: str) -> dict[str, str] | None:
        """
        ``{"folder": …}`` or ``{"zip": …}``, absolute, relative to the file; None, with a warning,
        if the function is none that can be served.
        """
        value = section.get(key)
        if isinstance(value, dict) and {"ossBucketName", "ossObjectName"} & value.keys():
            self.in_oss(section, key)
            return None
        if not self._python:
            self.warnings.append(
                f"{section.where('runtime')}: not served: runtime {runtime} is none of Python's"
            )
            return None
        mend = "the folder or .zip file of the code, relative to this file"
        if isinstance(value, dict):  # an older spelling
            value = value.get("src")
        if not value or not isinstance(value, str):
            section.fail(key, f"missing: {mend}" if value is None else f"{value!r}: {mend}")
        path = (self._source.file.parent / value).absolute()
        if path.is_dir():
            return {"folder": str(path.resolve())}
        if not path.exists():
            section.fail(key, f"{value!r}: there is no {path}; give {mend}")
        if not zipfile.is_zipfile(path):
            section.fail(key, f"{value!r}: {path} is no zip file; give {mend}")
        return {"zip": str(path.resolve())}

    def in_oss(self, section: Section, key: str) -> None:
        self.warnings.append(
            f"{section.where(key)}: not served: its code is in OSS; name its folder instead"
        )

    # -- what is found -----------------------------------------------------------------------------

    def add_service(self, plan: ServicePlan, section: Section) -> None:
        """The same service may be named by several resources; the first that says more wins."""
        before = self._services.get(plan.name)
        if before is None or not before.document:
            self._services[plan.name] = plan
        elif plan.document and dict(plan.document) != dict(before.document):
            self.warnings.append(
                f"{section.where()}: service {plan.name} is described twice; the first one counts"
            )

    def add_function(self, plan: FunctionPlan, section: Section) -> None:
        if (plan.service, plan.name) in self._functions:
            section.fail(None, f"function {plan.spoken} is here for the second time")
        folder = plan.document["code"].get("folder")
        module = plan.document["handler"].rpartition(".")[0]
        if folder is not None and not _has_module(Path(folder), module):
            self.warnings.append(
                f"{section.where('handler')}: there is no {module}.py in {folder}: "
                f"calls of {plan.spoken} will fail until there is"
            )
        self._functions[plan.service, plan.name] = plan

    def add_trigger(self, plan: TriggerPlan, section: Section) -> None:
        key = (plan.service, plan.function, plan.name)
        if key in self._triggers:
            section.fail(None, f"trigger {plan.name} is here for the second time")
        self._triggers[key] = plan

    def add_config(self, kind: str, service: str, function: str, section: Section) -> None:
        qualifier = section.text("qualifier", "a version or an alias") or LATEST
        document = {_ASYNC_NAMES.get(key, key): value for key, value in section.rest().items()}
        for key in _POLICIES:
            if document.get(key):
                self.warn(section, key, f"{key} are stored only: the target is kept at all times")
        destinations = document.get("destinationConfig")
        if kind == "async" and isinstance(destinations, Mapping):
            document["destinationConfig"] = {
                key: {"destination": value} if isinstance(value, str) else value
                for key, value in destinations.items()
            }
            self._tell_the_cloud(section, document["destinationConfig"])
        self._configs.append(ConfigPlan(kind, service, function, qualifier, document))

    def _tell_the_cloud(self, section: Section, destinations: Mapping[str, Any]) -> None:
        for event in ("onSuccess", "onFailure"):
            told = destinations.get(event)
            to = told.get("destination") if isinstance(told, Mapping) else None
            if isinstance(to, str) and to and destination(to) is None:
                of = "destination" if section.get("destination") else "destinationConfig"
                self.warn(
                    section.inner(of, {}),
                    event,
                    f"{event}: {to} is stored only: nothing of the cloud is told from here",
                )

    def add_domain(self, plan: DomainPlan, section: Section) -> None:
        if plan.name in self._domains:
            section.fail("domainName", f"{plan.name} is here for the second time")
        if "HTTPS" in str(plan.document.get("protocol")):
            self.warn(section, "protocol", f"{plan.name} is served over HTTP only")
        if any(route.get("rewriteConfig") for route in plan.document["routeConfig"]["routes"]):
            self.warn(
                section,
                "routeConfig" if section.get("routeConfig") else "routeConfigs",
                f"{plan.name}: rewriteConfig is stored only: functions see the path as it was sent",
            )
        self._domains[plan.name] = plan


def _has_module(folder: Path, module: str) -> bool:
    return code_package.has_module(folder, module.replace(".", "/"))
