"""What a path speaks of, in both families, and what a reply says of how little came of it."""

from typing import Final

from fc_runtime.service.api.operations import FC2, FC3, Answer, Call, Operation

OF_FC3: Final = "/functions/{function}"
OF_FC2: Final = "/services/{service}/functions/{function}"
NOTE: Final = "X-Fc-Runtime-Note"  # header of a reply: what was stored and has no effect here


def function_of(call: Call) -> tuple[str, str, str | None]:
    """Service (empty for FC3), function, and the qualifier that was asked for."""
    if "service" in call.path:
        service, qualifier = call.service()
        return service, call.path["function"], qualifier
    return "", call.path["function"], call.qualifier


def of_function(name: str, verb: str, path: str, answer: Answer) -> tuple[Operation, Operation]:
    """The same operation of FC3's functions and of FC2's; *path* is below the function."""
    return (
        Operation(name, verb, f"{OF_FC3}{path}", answer, FC3),
        Operation(name, verb, f"{OF_FC2}{path}", answer, FC2),
    )


def is_fc3(call: Call) -> bool:
    return call.prefix in FC3
