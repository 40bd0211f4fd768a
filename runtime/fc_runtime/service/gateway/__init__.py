"""Invocations over HTTP: the hot path. Raw ASGI, no framework."""
