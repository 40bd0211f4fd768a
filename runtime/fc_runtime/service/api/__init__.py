"""The management API over HTTP, of both families, on top of `fc_runtime.service.account`."""

from typing import Final

from starlette.routing import Route

from fc_runtime.service.account import Account
from fc_runtime.service.api import code, extras, functions, openapi, services, versions
from fc_runtime.service.api.operations import FC2, FC3, Operation
from fc_runtime.service.api.routes import routes, unsupported

OPERATIONS: Final[tuple[Operation, ...]] = (
    *functions.OPERATIONS,
    *services.OPERATIONS,
    *versions.OPERATIONS,
    *extras.OPERATIONS,
)


def management_routes(account: Account) -> list[Route]:
    """All of the API but for invocations, whose routes come before: the last refuses the rest."""
    return [
        *routes(account, OPERATIONS),
        code.route(account),
        openapi.route(OPERATIONS),
        *unsupported((*FC3, *FC2)),
    ]
