"""For awslambdaric, which has parsed the event as JSON, and will print what this returns as JSON."""


def handler(event, context):  # noqa: ARG001 (the signature is Lambda's)
    return event
