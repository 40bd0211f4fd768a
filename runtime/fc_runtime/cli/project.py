"""What `fc-runtime serve` was told to serve: a project, one function, or an empty account."""

from pathlib import Path
from typing import Any

from fc_runtime.cli import announcing, sources
from fc_runtime.cli.asked import Asked, OneFunction
from fc_runtime.function import Function
from fc_runtime.service import manifest as manifests
from fc_runtime.service.manifest import FunctionPlan, Manifest
from fc_runtime.service.watching import Stamp, stamp_of


class Project:
    """What is to be served, as it is now: a manifest, one function, or nothing yet."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.file = None if asked.one is not None else _manifest_file(asked)
        self.stamp: Stamp | None = None  # of what was read last

    def load(self) -> Manifest | None:
        """None for an empty account. Raises ManifestError, SourceError."""
        if self._asked.one is not None:
            return _of_one(self._asked.one)
        if self.file is None:
            return None
        self.stamp = stamp_of(self.file)
        return manifests.load(
            self.file, account_id=self._asked.account_id, region=self._asked.region
        )

    @property
    def name(self) -> str:
        """The same, as long as the same is to be served."""
        one = self._asked.one
        return str(self.file) if one is None else f"--code {one.code.resolve()} --name {one.name}"


def _manifest_file(asked: Asked) -> Path | None:
    if asked.template is not None:
        return asked.template.absolute()
    folder = Path() if asked.folder is None else asked.folder
    found = manifests.find(folder)
    if found is None and asked.folder is not None:
        why = "holds no " + " or ".join(manifests.NAMES) if folder.is_dir() else "is no folder"
        raise sources.SourceError(
            f"{asked.folder} {why}: name a project, or its manifest with --template, or one "
            "function with --code"
        )
    return None if found is None else found.absolute()


def _of_one(one: OneFunction) -> Manifest:
    path = one.code.absolute()
    if not path.exists():
        raise sources.SourceError(f"--code {one.code}: there is no {path}")
    kind = "folder" if path.is_dir() else "zip"
    name = sources.name_from(str(one.code)) if one.name is None else one.name
    function = Function(  # which says what is wrong with it
        name=name,
        code=path,
        handler=one.handler or "index.handler",
        initializer=one.initializer,
        timeout=3 if one.timeout is None else one.timeout,
        memory_mb=512 if one.memory is None else one.memory,
        environment=sources.environment(one.env),
    )
    document: dict[str, Any] = {
        "runtime": announcing.RUNTIME,
        "handler": function.handler,
        "timeout": int(function.timeout),
        "memorySize": function.memory_mb,
        "environmentVariables": dict(function.environment),
        "code": {kind: str(path.resolve())},
    }
    if one.initializer is not None:
        document["instanceLifecycleConfig"] = {
            "initializer": {"handler": one.initializer, "timeout": 30}
        }
    plan = FunctionPlan("", name, document)
    return Manifest(Path("--code"), functions=(plan,))
