"""
What a custom runtime is started with: from the command line, else from the environment that
Function Compute, Knative or a container gives it (spec 9.A, 9.B). Read once, never written back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from fc_runtime.credentials import Credentials
from fc_runtime.errors import InvalidFunctionError

HTTP_STYLES: Final = ("auto", "wsgi", "event")
DEFAULT_HANDLER: Final = "index.handler"
# In the order in which they are asked. The last is Knative's, and most container platforms'.
PORT_VARIABLES: Final = ("FC_SERVER_PORT", "FC_CUSTOM_LISTEN_PORT", "PORT")
_HANDED_ON: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Ours or the worker's own: it has its own home, shell level and interpreter.
_KEPT_BACK: Final = frozenset(
    {
        *("accessKeyID", "accessKeySecret", "securityToken", "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        *("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
        *("HOME", "LANG", "OLDPWD", "PWD", "SHLVL", "TMPDIR", "VIRTUAL_ENV"),
        *("PYTHONIOENCODING", "PYTHONHOME", "PYTHONUSERBASE"),
    }
)
_FC_TEXTS: Final = {
    "name": "FC_FUNCTION_NAME",
    "code": "FC_FUNC_CODE_PATH",
    "handler": "FC_FUNCTION_HANDLER",
    "initializer": "FC_INITIALIZER",
    "region": "FC_REGION",
    "account_id": "FC_ACCOUNT_ID",
    "service": "FC_SERVICE_NAME",
    "qualifier": "FC_QUALIFIER",
    "version_id": "FC_VER_ID",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomSettings:
    """
    Args:
        host, port: where to listen; FC calls port 9000 unless ``customRuntimeConfig`` says other.
        code: the folder, or .zip, of the handler's module.
        handler, initializer, pre_stop, pre_freeze: as in `Function`; None: as the request says.
        timeout, initialization_timeout: seconds; None: as the request says. What is given here is
            the most that a request may ask for.
        memory_mb: MiB for one worker's process tree; None: as the request says.
        http: how the handler takes the request of an HTTP trigger: ``wsgi`` (spec 4.A),
            ``event`` (spec 4.B), or ``auto``, by what the handler looks like.
        concurrency: worker processes at most; one is started when a call finds none idle.
        grace: seconds that running calls may still take once SIGTERM has come.
        eager: start the first worker at once, not with the first call. On FC the platform says
            when (``/initialize``), and whose logs it is then.
        platform: is the caller FC, or plays it? Then its ``x-fc-*`` headers are believed, and
            ``/initialize``, ``/pre-stop`` and ``/pre-freeze`` are its. Not behind Knative, where
            whoever reaches the service could say who he is, or stop it.
        environment: the handler's variables.
        credentials: for a request that brings none.
    """

    host: str = "0.0.0.0"  # noqa: S104 (FC's contract: it calls from outside the container)
    port: int = 9000
    code: str = "/code"
    name: str = ""
    handler: str | None = None
    initializer: str | None = None
    pre_stop: str | None = None
    pre_freeze: str | None = None
    timeout: float | None = None
    initialization_timeout: float | None = None
    memory_mb: int | None = None
    http: str = "auto"
    concurrency: int = 10
    grace: float = 30.0
    eager: bool = False
    platform: bool = True
    sandbox: str = "standard"
    region: str = ""
    account_id: str = ""
    service: str = ""
    qualifier: str = ""
    version_id: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Credentials | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise InvalidFunctionError("port", self.port, "from 0 to 65535")
        if self.http not in HTTP_STYLES:
            raise InvalidFunctionError("http", self.http, f"one of {', '.join(HTTP_STYLES)}")
        if not 1 <= self.concurrency <= 10_000:
            raise InvalidFunctionError("concurrency", self.concurrency, "from 1 to 10000")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **options: Any) -> Self:
        """
        From *environ*, where *options* (names as in the class; None: not given) do not say other.

        Raises InvalidFunctionError: a port, a memory size or a time that is no number.
        """
        found: dict[str, Any] = {
            name: environ[variable] for name, variable in _FC_TEXTS.items() if environ.get(variable)
        }
        for variable in PORT_VARIABLES:
            if environ.get(variable):
                found["port"] = int(_number(variable, environ[variable]))
                break
        if environ.get("FC_FUNCTION_MEMORY_SIZE"):
            found["memory_mb"] = int(
                _number("FC_FUNCTION_MEMORY_SIZE", environ["FC_FUNCTION_MEMORY_SIZE"])
            )
        if environ.get("FC_INITIALIZATION_TIMEOUT"):
            found["initialization_timeout"] = _number(
                "FC_INITIALIZATION_TIMEOUT", environ["FC_INITIALIZATION_TIMEOUT"]
            )
        if environ.get("FC_FUNCTION_TIMEOUT"):
            found["timeout"] = _number("FC_FUNCTION_TIMEOUT", environ["FC_FUNCTION_TIMEOUT"])
        found["environment"] = handed_on(environ)
        found["credentials"] = _credentials(environ)
        found["eager"] = not is_function_compute(environ)
        found["platform"] = not environ.get("K_SERVICE")  # Knative's own name for it
        given = {name: value for name, value in options.items() if value is not None}
        return cls(**{**found, **given})


def is_function_compute(environ: Mapping[str, str]) -> bool:
    """Does FC run this process? Its instances are told their own id."""
    return bool(environ.get("FC_INSTANCE_ID"))


def handed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of *environ* that are the function's own: not FC's, not the container's."""
    return {
        name: value
        for name, value in environ.items()
        if _HANDED_ON.fullmatch(name) and not name.startswith("FC_") and name not in _KEPT_BACK
    }


def _credentials(environ: Mapping[str, str]) -> Credentials | None:
    """What FC puts into a function's environment (spec 9.B)."""
    key_id = environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
    secret = environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "")
    if not key_id or not secret:
        return None
    return Credentials(
        access_key_id=key_id,
        access_key_secret=secret,
        security_token=environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
    )


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidFunctionError(name, text, "a number") from None
