"""HTTP triggers as a part of `App`: before all its other routes, and counted with them."""

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from fc_runtime.outcome import Result
from fc_runtime.service.app import App
from fc_runtime.service.auth import Authenticator
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.gateway.http_gateway import HttpGateway
from fc_runtime.service.gateway.http_triggers import Holder
from fc_runtime.service.telemetry import Counted, Telemetry


def http_routes(
    app: App,
    account: Holder,
    rest: Sequence[BaseRoute],
    *,
    telemetry: Telemetry,
    authenticator: Authenticator | None,
    heard: Callable[[Deployment, Result], None] | None = None,
    attachment: bool = False,
) -> list[BaseRoute]:
    """
    What ``routes`` of `App` is to return: *rest*, behind the HTTP triggers of *account*.

    A request is looked at by path and by host before *rest* is asked, since any path may be a
    function's own.

    Args:
        app: started.
        authenticator: None lets everybody in where a signature would be asked for; triggers with
            tokens ask for them all the same.
    Raises: RuntimeError if the app has not been started.
    """
    if app.presence is None:
        raise RuntimeError("the app has to be started first")
    gateway = HttpGateway(
        account=account,
        deployer=app.deployer,
        runtime=app.runtime,
        presence=app.presence,
        settings=app.settings,
        telemetry=telemetry,
        authenticator=authenticator or Authenticator(None, account=app.settings.account_id),
        heard=heard,
        attachment=attachment,
    )
    return [Mount("/", Counted(gateway.before(Starlette(routes=list(rest))), telemetry))]
