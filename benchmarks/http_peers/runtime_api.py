"""
The least server that awslambdaric's processes can work for, as an ASGI application: an event comes
in at ``/``, one of them fetches it, and posts what came of it.
"""

import asyncio
import itertools
import time

NEXT = "/2018-06-01/runtime/invocation/next"
HELD_S = 300
_events = asyncio.Queue()
_waiting = {}
_ids = itertools.count()


async def app(scope, receive, send):
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"]
    if path == "/":
        key = f"id-{next(_ids)}"
        answered = _waiting[key] = asyncio.get_running_loop().create_future()
        _events.put_nowait((key, body))
        await answer(send, 200, await answered)
    elif path == NEXT:
        key, event = await _events.get()
        deadline_ms = int((time.time() + HELD_S) * 1000)
        headers = [
            (b"lambda-runtime-aws-request-id", key.encode()),
            (b"lambda-runtime-deadline-ms", b"%d" % deadline_ms),
            (b"lambda-runtime-invoked-function-arn", b"arn:aws:lambda:here:0:function:echo"),
            (b"lambda-runtime-trace-id", b"Root=1-0-0"),
            (b"content-type", b"application/json"),
        ]
        await answer(send, 200, event, headers)
    else:
        key = path.split("/")[-2]
        if path.endswith("/response") and key in _waiting:
            _waiting.pop(key).set_result(body)
        await answer(send, 202, b"")


async def answer(send, status, body, headers=()):
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
