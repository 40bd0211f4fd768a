"""The management API over HTTP, of both families, on top of `fc_runtime.service.account`."""
