"""The daemon's description of itself, OpenAPI 3.1, made of what it does and of its own rules."""

from fc_runtime.service.api.openapi.document import document, route

__all__ = ["document", "route"]
