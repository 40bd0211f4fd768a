"""An attempt on an `AsyncRuntime`: `invoke`, and ``context.retry_count`` says how often before."""

from fc_runtime.aio import AsyncRuntime, lean_of
from fc_runtime.credentials import Credentials
from fc_runtime.http import HttpRequest
from fc_runtime.outcome import Result
from fc_runtime.pool.request import NOTHING


async def run_once(
    runtime: AsyncRuntime,
    name: str,
    event: bytes,
    *,
    request_id: str,
    retry_count: int,
    timeout_s: float | None = None,
    credentials: Credentials | None = None,
    http: HttpRequest | None = None,
) -> Result:
    """
    As ``runtime.invoke(name, event, request_id=…, check=False)``. Cancelling it ends the instance.
    On any loop, also one that is not the runtime's usual one.
    """
    if not retry_count and timeout_s is None and credentials is None and http is None:
        return await lean_of(runtime).invoke(name, event, request_id)
    request = await runtime._request(  # noqa: SLF001 (a third face of the same thing)
        name,
        event,
        json_value=NOTHING,
        timeout=timeout_s,
        request_id=request_id,
        credentials=credentials,
        http=http,
        retry_count=retry_count,
    )
    return await runtime._serve(request)  # noqa: SLF001 (likewise)
