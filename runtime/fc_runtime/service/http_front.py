"""HTTP triggers as a part of `App`: in front of its API, and counted with it."""

from collections.abc import Callable

from fc_runtime.outcome import Result
from fc_runtime.service.app import App, Asgi
from fc_runtime.service.auth import Authenticator
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.gateway.http_gateway import HttpGateway
from fc_runtime.service.gateway.http_triggers import Holder
from fc_runtime.service.telemetry import Counted, Telemetry


def http_triggers(
    account: Holder,
    telemetry: Telemetry,
    authenticator: Authenticator,
    *,
    heard: Callable[[Deployment, Result], None] | None = None,
    attachment: bool = False,
) -> Callable[[App], Callable[[Asgi], Asgi]]:
    """
    The ``before`` of `App`.

    Args:
        authenticator: one without keys lets everybody in where a signature would be asked for;
            triggers with tokens ask for them all the same.
        heard, attachment: see `HttpGateway`.
    """

    def of(app: App) -> Callable[[Asgi], Asgi]:
        if app.lean is None or app.presence is None:
            raise RuntimeError("the app has to be started first")
        gateway = HttpGateway(
            account=account,
            deployer=app.deployer,
            runtime=app.runtime,
            lean=app.lean,
            presence=app.presence,
            settings=app.settings,
            telemetry=telemetry,
            authenticator=authenticator,
            accept=app.accept,
            heard=heard,
            attachment=attachment,
        )
        return lambda rest: Counted(gateway.before(rest), telemetry)

    return of
