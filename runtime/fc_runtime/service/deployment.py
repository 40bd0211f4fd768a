"""
One version of a function as it is served: from the account's documents to a `Function`.

Instances belong to the qualifier that they were asked by, not to the version alone: a function sees
its qualifier in context and environment, and a process has only one (spec 2.A, 9.B).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fc_runtime.credentials import CredentialsSource
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.function import Function
from fc_runtime.service.account.targets import Target
from fc_runtime.service.errors import ApiError, not_implemented
from fc_runtime.service.load_errors import load_error
from fc_runtime.service.settings import Settings

EXPOSED: Final = (
    b"Access-Control-Expose-Headers",
    (
        b"Date,x-fc-request-id,x-fc-error-type,x-fc-code-checksum,x-fc-invocation-duration,"
        b"x-fc-max-memory-usage,x-fc-log-result,x-fc-invocation-code-version,x-fc-instance-id"
    ),
)
DEFAULT_MEMORY_MB: Final = {True: 512, False: 128}  # by: is it FC3's
DEFAULT_TIMEOUT_S: Final = 3


class Deployment:
    """
    What the gateway keeps of a version that it serves.

    Args:
        key: what the runtime knows it by.
        stamp: changes when anything does that the runtime has to know.
        fixed_headers: of every reply.
        load_error: the body to answer with, if its code cannot be loaded at all; else None.
        shown_memory: the last ``X-Fc-Max-Memory-Usage``: bytes, and how they are shown.
    """

    __slots__ = (
        "fixed_headers",
        "initializes",
        "key",
        "load_error",
        "memory_mb",
        "shown_memory",
        "stamp",
        "target",
    )

    def __init__(self, key: str, target: Target, stamp: object) -> None:
        document = target.document
        self.key = key
        self.target = target
        self.stamp = stamp
        self.load_error: bytes | None = None
        self.memory_mb = memory_mb(target)
        self.initializes = _hook(document, "initializer") is not None
        self.shown_memory = (0, b"0.00")
        self.fixed_headers = _fixed_headers(
            str((document.get("code") or {}).get("checksum") or ""),
            target.version_id if target.service else None,
        )


def key_of(target: Target) -> str:
    """``service/function/qualifier:version``, or without a service ``function/…``."""
    service = f"{target.service}/" if target.service else ""
    asked = target.qualifier
    of_version = "" if asked == target.version_id else f":{target.version_id}"
    return f"{service}{target.function}/{asked}{of_version}"


def check_runtime(target: Target) -> None:
    """Raises ApiError 501 for a runtime that is not Python: stored, but not run here."""
    runtime = str(target.document.get("runtime") or "python3")
    if runtime.startswith("python"):
        return
    if runtime == "custom-container":
        mend = "no container is started here; give it a Python runtime, or run the image yourself"
    elif runtime.startswith("custom"):
        mend = "its bootstrap is not started here; `fc-runtime serve --custom-runtime` is one"
    else:
        mend = "only Python is run here"
    raise not_implemented(f"function '{target.function}' has the runtime '{runtime}': {mend}")


def memory_mb(target: Target) -> int:
    given = target.document.get("memorySize")
    return int(given) if given else DEFAULT_MEMORY_MB[not target.service]


def function_of(
    target: Target,
    settings: Settings,
    *,
    code: Path,
    layers: Sequence[Path],
    credentials: CredentialsSource | None,
    min_instances: int,
    max_instances: int,
) -> Function:
    """Raises InvalidFunctionError for what this machine cannot serve."""
    document = target.document
    log = document.get("logConfig") or target.service_document.get("logConfig") or {}
    log = log if isinstance(log, Mapping) else {}  # "auto", as manifests have it
    initializer = _hook(document, "initializer") or {}
    options: dict[str, Any] = {
        "name": target.function,
        "code": code,
        "handler": str(document.get("handler") or ""),
        "initializer": initializer.get("handler"),
        "timeout": float(document.get("timeout") or DEFAULT_TIMEOUT_S),
        "initialization_timeout": float(
            initializer.get("timeout") or settings.initialization_timeout_s
        ),
        "memory_mb": memory_mb(target),
        "environment": dict(document.get("environmentVariables") or {}),
        "credentials": credentials,
        "min_instances": min_instances,
        "max_instances": max_instances,
        "idle_timeout": settings.idle_timeout_s,
        "sandbox": settings.sandbox,
        "layers": tuple(layers),
        "known_as": key_of(target),
        "service": target.service,
        "qualifier": target.qualifier,
        "version_id": target.version_id,
        "region": settings.region,
        "account_id": settings.account_id,
        "log_project": str(log.get("project") or ""),
        "log_store": str(log.get("logstore") or ""),
    }
    for name, field in (("preStop", "pre_stop"), ("preFreeze", "pre_freeze")):
        hook = _hook(document, name)
        if hook is not None:
            options[field] = hook["handler"]
            options[f"{field}_timeout"] = float(hook.get("timeout") or 3)
    return Function(**options)


def load_error_of(error: InvalidFunctionError, target: Target) -> bytes:
    """What an invocation of it is answered with. Raises ApiError 400 if it is not about loading."""
    body = load_error(error, str(target.document.get("handler") or ""))
    if body is None:
        raise ApiError(400, "InvalidArgument", f"function '{target.function}': {error}") from error
    return body


def _hook(document: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """One of ``instanceLifecycleConfig``, if it names a handler."""
    hook = (document.get("instanceLifecycleConfig") or {}).get(name)
    return hook if isinstance(hook, Mapping) and hook.get("handler") else None


def _fixed_headers(checksum: str, version: str | None) -> tuple[tuple[bytes, bytes], ...]:
    """
    Args:
        checksum: of the code; empty for a folder on this machine, which has none.
        version: of the service, with FC2; None with FC3.
    """
    fixed: list[tuple[bytes, bytes]] = [EXPOSED]
    if checksum:
        fixed.append((b"X-Fc-Code-Checksum", checksum.encode()))
    if version is not None:
        fixed.append((b"X-Fc-Invocation-Service-Version", version.encode()))
    return tuple(fixed)
