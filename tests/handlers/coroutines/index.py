"""Handlers that are coroutines, or use them."""

import asyncio
import functools

calls = 0
loops = set()


async def handler(event, context):
    await asyncio.sleep(0)
    return event


async def value(event, context):
    return eval(event)


async def fail(event, context):
    await asyncio.sleep(0)
    raise LookupError("after an await")


async def hang(event, context):
    print("hanging")
    await asyncio.sleep(1000)


async def gathered(event, context):
    async def square(n):
        await asyncio.sleep(0.001 * n)
        print("squaring", n)
        return n * n

    return await asyncio.gather(*(square(n) for n in range(5)))


async def child(event, context):
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "echo to the log >&2; cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(event)
    return out


async def thread(event, context):
    return await asyncio.to_thread(bytes.upper, event)


lock = asyncio.Lock()


async def kept(event, context):
    """An object of the loop's, kept in a global, goes on working."""
    global calls
    async with lock:
        calls += 1
        loops.add(id(asyncio.get_running_loop()))
        return [calls, len(loops)]


class Callable:
    async def __call__(self, event, context):
        return "from an object"


instance = Callable()
partial = functools.partial(value)


async def generator(event, context):
    yield event


def future(event, context):
    return asyncio.new_event_loop().create_future()


def own_loop(event, context):
    return asyncio.run(handler(event, context))


def returns_coroutine(event, context):
    return handler(event, context)


async def leave(event, context):
    raise SystemExit(5)


async def log(event, context):
    print("one")
    await asyncio.sleep(0)
    context.logger.info("two")
    await asyncio.sleep(0)
    print("three")


async def cancelled(event, context):
    raise asyncio.CancelledError("by nobody")


async def timeout_of_its_own(event, context):
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(1000)
    except TimeoutError:
        return "gave up by itself"
