"""What a manifest comes to: neutral documents, in the order in which they have to be created."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ManifestError(Exception):
    """The file cannot be used. One line: where, what is there, and what would do."""

    def __init__(self, file: Path, line: int | None, key: str, problem: str) -> None:
        place = f"{file}" if line is None else f"{file}:{line}"
        super().__init__(f"{place}: {key}: {problem}" if key else f"{place}: {problem}")
        self.file = file
        self.line = line
        self.key = key


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """FC2 only. ``document`` as the API has it: description, role, logConfig, …"""

    name: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    """
    Args:
        service: FC2's; empty for FC3.
        document: neutral, FC3's names; ``code`` is ``{"folder": …}`` or ``{"zip": …}``, absolute.
    """

    service: str
    name: str
    document: Mapping[str, Any]

    @property
    def path(self) -> Path:
        """Where its code is."""
        code = self.document["code"]
        return Path(code.get("folder") or code["zip"])

    @property
    def spoken(self) -> str:
        return f"{self.service}/{self.name}" if self.service else self.name


@dataclass(frozen=True, slots=True)
class TriggerPlan:
    """``document``: triggerName, triggerType, triggerConfig (a mapping), qualifier, …"""

    service: str
    function: str
    name: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConfigPlan:
    """``kind``: async, provision, concurrency or scaling; ``document`` by FC3's names."""

    kind: str
    service: str
    function: str
    qualifier: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """``document``: domainName, protocol, routeConfig {routes}, … by the API's names."""

    name: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that one file asks for. ``warnings``: a line each, for people, with the place."""

    file: Path
    services: tuple[ServicePlan, ...] = ()
    functions: tuple[FunctionPlan, ...] = ()
    triggers: tuple[TriggerPlan, ...] = ()
    configs: tuple[ConfigPlan, ...] = ()
    domains: tuple[DomainPlan, ...] = ()
    warnings: tuple[str, ...] = ()
