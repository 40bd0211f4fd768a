"""What reaches functions over HTTP: invocations and HTTP triggers. The hot path, raw ASGI."""
