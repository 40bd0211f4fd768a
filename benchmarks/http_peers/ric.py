"""For awslambdaric, which has parsed the event, and prints the value, as JSON."""


def handler(event, context):  # noqa: ARG001 (the signature is Lambda's)
    return event
