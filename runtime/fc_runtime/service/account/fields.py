"""
What one value of a document may be: a `Check` for each, which raises ApiError 400 or does nothing,
and which tells the same rule as JSON Schema, for the daemon's description of itself.

We are no stricter than the service is, and laxer where a machine of one's own needs it: memory in
any step from 32 MB on (spec 12 has steps of 64 from 128).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from fc_runtime.service.errors import invalid

Schema: TypeAlias = Mapping[str, Any]  # JSON Schema

MOST_ENVIRONMENT: Final = 4096  # bytes of names and values (spec 9.B)
MOST_LAYERS: Final = 5  # spec 12
MOST_DESCRIPTION: Final = 256
MOST_HANDLER: Final = 256
MOST_INITIALIZER_S: Final = 300  # spec 12
MOST_HOOK_S: Final = 90
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED: Final = frozenset({"accessKeyID", "accessKeySecret", "securityToken"})
_LAYER: Final = re.compile(r"acs:fc:[^:]+:[^:]*:layers/[^/]+/versions/[0-9]+")
_RUNTIME: Final = re.compile(r"(python|custom)[a-z0-9.-]*")
_NO_CONTROL: Final = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f]*$"


@dataclass(frozen=True, slots=True)
class Check:
    """
    One rule, said twice; the two stand beside each other so that they stay the same.

    Args:
        refuse: raises ApiError 400 for a value (second) that it does not take; the first is the
            name of the field, for the message.
        schema: of those that it takes; what that cannot say, such as a size in all, is left out.
    """

    refuse: Callable[[str, Any], None]
    schema: Schema

    def __call__(self, name: str, value: Any) -> None:
        self.refuse(name, value)


def described(schema: Schema) -> Callable[[Callable[[str, Any], None]], Check]:
    """Makes a `Check` of a function."""
    return lambda refuse: Check(refuse, schema)


def whole_of(regex: "re.Pattern[str]") -> dict[str, Any]:
    """The schema of a text that the whole of *regex* matches."""
    return {"type": "string", "pattern": f"^(?:{regex.pattern})$"}


def object_of(checks: Mapping[str, Check], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The schema of what `checked` takes: null is as good as nothing, other names are taken."""
    properties = {name: or_null(check.schema) for name, check in checks.items()}
    properties |= {name: dict(checks[name].schema) for name in required if name in checks}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def or_null(schema: Schema) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


NAME: Final = whole_of(_NAME)


def check_name(what: str, name: object) -> str:
    """*name* itself, if a service, function or trigger may have it (spec 7.C)."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(
            f"{what}: letters, digits, _ and -, at most 128, not starting with a digit or -; "
            f"not {_shown(name)}"
        )
    return name


def text(most: int, *, empty: bool = True) -> Check:
    """A text of at most *most* characters, of which none is a control character but a newline."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise invalid(f"{name}: a text is needed, not {_shown(value)}")
        if len(value) > most or not (value or empty):
            raise invalid(f"{name}: 1 to {most} characters, not {len(value)}")
        if any(c < " " and c not in "\n\t\r" for c in value):
            raise invalid(f"{name}: no control characters")

    schema = {"type": "string", "maxLength": most, "pattern": _NO_CONTROL}
    return Check(check, schema if empty else {**schema, "minLength": 1})


def like(regex: "re.Pattern[str]", rule: str) -> Check:
    """A text that the whole of *regex* matches; *rule* says so in words."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, str) or not regex.fullmatch(value):
            raise invalid(f"{name}: {rule}, not {_shown(value)}")

    return Check(check, whole_of(regex))


def one_of(*values: str) -> Check:
    def check(name: str, value: Any) -> None:
        if value not in values:
            raise invalid(f"{name}: one of {'; '.join(values)}, not {_shown(value)}")

    return Check(check, {"enum": list(values)})


def whole(least: int, most: int) -> Check:
    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise invalid(f"{name}: a whole number from {least} to {most}, not {_shown(value)}")

    return Check(check, {"type": "integer", "minimum": least, "maximum": most})


def number(least: float, most: float) -> Check:
    def check(name: str, value: Any) -> None:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not least <= value <= most:
            raise invalid(f"{name}: a number from {least:g} to {most:g}, not {_shown(value)}")

    return Check(check, {"type": "number", "minimum": least, "maximum": most})


@described({"type": "boolean"})
def flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise invalid(f"{name}: true or false, not {_shown(value)}")


@described({"type": "object"})
def mapping(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"{name}: an object is needed, not {_shown(value)}")


@described({"type": "array", "items": {"type": "string"}})
def texts(name: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise invalid(f"{name}: a list of texts is needed, not {_shown(value)}")


def items(most: int) -> Check:
    """A list of anything, of at most *most* items."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, list) or len(value) > most:
            raise invalid(f"{name}: a list of at most {most} items, not {_shown(value)}")

    return Check(check, {"type": "array", "maxItems": most})


@described(whole_of(_RUNTIME))
def runtime(name: str, value: Any) -> None:
    """Spec 11, and whatever Python is still to come."""
    if not isinstance(value, str) or not _RUNTIME.fullmatch(value):
        raise invalid(
            f"Runtime is set to an invalid value: {name} is {_shown(value)}; "
            "python3.12, python3.10, python3.9, python3, custom … are known"
        )


@described(
    {
        "type": "object",
        "propertyNames": {
            "pattern": f"^(?!FC_){_VARIABLE.pattern}$",
            "not": {"enum": sorted(_RESERVED)},
        },
        "additionalProperties": {"type": "string", "pattern": r"^[^\u0000]*$"},
    }
)
def environment(name: str, value: Any) -> None:
    """Spec 9.B."""
    mapping(name, value)
    size = 0
    for key, word in value.items():
        if not _VARIABLE.fullmatch(key):
            raise invalid(f"{name}: '{key}': letters, digits and _, starting with a letter")
        if key in _RESERVED or key.startswith("FC_"):
            raise invalid(f"{name}: '{key}' is reserved")
        if not isinstance(word, str) or "\0" in word:
            raise invalid(f"{name}: {key} has to be a text without NUL")
        size += len(key) + len(word.encode())
    if size > MOST_ENVIRONMENT:
        raise invalid(f"{name}: {size} bytes in all, the most is {MOST_ENVIRONMENT}")


@described({"type": "array", "maxItems": MOST_LAYERS, "items": whole_of(_LAYER)})
def layers(name: str, value: Any) -> None:
    """ARNs of layer versions; that they are there is asked when the function is stored."""
    texts(name, value)
    if len(value) > MOST_LAYERS:
        raise invalid(f"{name}: {len(value)} layers, the most is {MOST_LAYERS}")
    for arn in value:
        if not _LAYER.fullmatch(arn):
            raise invalid(f"{name}: acs:fc:REGION:ACCOUNT:layers/NAME/versions/N, not '{arn}'")


_HOOKS: Final = {
    hook: {"timeout": whole(1, most), "handler": text(MOST_HANDLER)}
    for hook, most in (
        ("initializer", MOST_INITIALIZER_S),
        ("preStop", MOST_HOOK_S),
        ("preFreeze", MOST_HOOK_S),
    )
}
_CUSTOM: Final = {"command": texts, "args": texts, "port": whole(1, 65_535)}


@described(
    {
        "type": "object",
        "properties": {hook: or_null(object_of(checks)) for hook, checks in _HOOKS.items()},
    }
)
def lifecycle(name: str, value: Any) -> None:
    """The hooks of an instance (spec 3): what each calls, and for how long it may."""
    mapping(name, value)
    for hook, checks in _HOOKS.items():
        given = value.get(hook)
        if given is not None:
            mapping(f"{name}.{hook}", given)
            checked(f"{name}.{hook}", given, checks)


@described(object_of(_CUSTOM))
def custom_runtime(name: str, value: Any) -> None:
    """Spec 7.C: what starts a custom runtime, and where it listens."""
    mapping(name, value)
    checked(name, value, _CUSTOM)


def checked(where: str, value: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Those of *checks* that *value* has something for."""
    for name, check in checks.items():
        if value.get(name) is not None:
            check(f"{where}.{name}" if where else name, value[name])


def _shown(value: object) -> str:
    words = repr(value)
    return words if len(words) <= 80 else f"{words[:77]}..."
