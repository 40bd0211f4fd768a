"""A whole file: its resources one by one, each with its variables put in, by its component."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from fc_runtime.service.manifest import fc2, fc3
from fc_runtime.service.manifest.keys import PROPS, RESOURCE
from fc_runtime.service.manifest.model import Manifest, ManifestError
from fc_runtime.service.manifest.plans import Plans
from fc_runtime.service.manifest.reading import Key, Source
from fc_runtime.service.manifest.sections import Section
from fc_runtime.service.manifest.variables import Resolver, finished

NAMES: Final = ("s.yaml", "s.yml")
_COMPONENTS: Final[Mapping[str, Callable[[Section, Plans], None]]] = {
    "fc": fc2.service,
    "fc2": fc2.service,
    "fc-domain": fc2.domain,
    "fc3": fc3.function,
    "fc3-domain": fc3.domain,
}


def find(folder: Path) -> Path | None:
    """The manifest of a project's *folder*, if it has one."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def load(file: Path, *, account_id: str, region: str) -> Manifest:
    """
    Read *file*. Raises ManifestError.

    Args:
        account_id: for ``${config(AccountID)}``, and to know our own layers by.
        region: for ``${config(Region)}``.
    """
    source = Source(file.absolute())
    plans = Plans(source, account_id)
    resolver = Resolver(source, {"accountid": account_id, "region": region})
    resources = [
        (key, name)
        for key in ("services", "resources")
        for name in _mapping(source, (key,), source.value.get(key))
    ]
    if not resources:
        raise source.error((), "neither services nor resources: it describes no function")
    for key, name in resources:
        _resource(source, (key, name), resolver, plans)
    found = plans.finished()
    warnings = (*found.warnings, *resolver.warnings)
    if not (found.functions or found.services):
        raise ManifestError(
            source.file, None, "", "no function in it can be served:\n" + "\n".join(warnings)
        )
    return Manifest(
        found.file,
        found.services,
        found.functions,
        found.triggers,
        found.configs,
        found.domains,
        warnings,
    )


def _resource(source: Source, path: tuple[Key, ...], resolver: Resolver, plans: Plans) -> None:
    key, name = path
    resource = source.value[str(key)][name]
    if not isinstance(resource, dict):
        raise source.error(path, f"{resource!r}: a mapping with component and props")
    component = resource.get("component")
    if not isinstance(component, str):
        raise source.error((*path, "component"), "missing: which component, such as fc3")
    kind = component.rsplit("/", 1)[-1].split("@")[0]
    known = _COMPONENTS.get(kind)
    if known is None:
        plans.warnings.append(
            f"{source.file}:{source.line(path)}: {name} is left out: component {component} is "
            f"none of {', '.join(_COMPONENTS)}"
        )
        return
    own = _mapping(source, (*path, "props"), resource.get("props"))
    props = _extended(source, path, resource, own)
    this = {**resource, "name": name, "props": props}
    resolved = finished(resolver.resolve(props, (*path, "props"), this))
    plans.doubt(Section(source, path, resource), RESOURCE)
    section = Section(source, (*path, "props"), resolved)
    plans.doubt(section, PROPS[kind])
    known(section, plans)


def _extended(
    source: Source, path: tuple[Key, ...], resource: Mapping[str, Any], own: dict[str, Any]
) -> dict[str, Any]:
    """*own* over the template that ``extend: {name: …}`` names."""
    extend = resource.get("extend")
    if extend is None:
        return own
    templates = _mapping(source, ("template",), source.value.get("template"))
    name = extend.get("name") if isinstance(extend, dict) else None
    if name not in templates:
        raise source.error(
            (*path, "extend"), f"{name!r}: one of template's: {', '.join(templates)}"
        )
    return _merged(_mapping(source, ("template", str(name)), templates[name]), own)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            both[key] = _merged(under[key], over[key])
    return both


def _mapping(source: Source, path: tuple[Key, ...], value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise source.error(path, f"{value!r}: a mapping")
    return {str(key): inner for key, inner in value.items()}
