"""
A function that cannot even be registered, answered as FC answers: it loads the code only when it is
invoked, so what is wrong with the handler string is the invocation's own error (spec 1.A, 5.A).
"""

import json
from typing import Any, Final

from fc_runtime.errors import InvalidFunctionError

# What a handler's loading can come to. The same words come from workers, for what only they see.
LOAD_ERRORS: Final = frozenset(
    {
        "ImportModuleError",
        "UserCodeSyntaxError",
        "UserCodeError",
        "InvalidHandleName",
        "HandlerNotFound",
    }
)
_LOADED: Final = ("handler", "initializer")


def load_error(error: InvalidFunctionError, handler: str) -> bytes | None:
    """The body for it; None if it is not about a handler string or about the code it is in."""
    if error.field == "code":
        value = handler
    elif error.field in _LOADED:
        value = str(error.value)
    else:
        return None
    module, dot, attribute = value.rpartition(".")
    if not dot or not module or not attribute:
        return _body(
            "InvalidHandleName",
            f"Invalid handler '{value}'",
            ["ValueError: not enough values to unpack (expected 2", "got 1)"],
        )
    if error.field in _LOADED and not attribute.isidentifier():
        return _body(
            "HandlerNotFound",
            f"Handler '{attribute}' is missing on module '{module}'",
            [f"AttributeError: module '{module}' has no attribute '{attribute}'"],
        )
    return _body(
        "ImportModuleError",
        f"Unable to import module '{module}'",
        [f"ImportError: No module named '{module}'"],
    )


def _body(error_type: str, message: str, stack: list[str]) -> bytes:
    value: dict[str, Any] = {"errorMessage": message, "errorType": error_type, "stackTrace": stack}
    return json.dumps(value, indent=4, sort_keys=True).encode()
