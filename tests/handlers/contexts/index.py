"""Tells what it sees of its context."""

import json
import logging
import os


def told(context):
    return {
        "request_id": context.request_id,
        "requestId": context.requestId,
        "credentials": [
            context.credentials.access_key_id,
            context.credentials.access_key_secret,
            context.credentials.security_token,
        ],
        "camel": [
            context.credentials.accessKeyId,
            context.credentials.accessKeySecret,
            context.credentials.securityToken,
        ],
        "credentials.to_dict": context.credentials.to_dict(),
        "function": [
            context.function.name,
            context.function.handler,
            context.function.memory,
            context.function.timeout,
        ],
        "service": [
            context.service.name,
            context.service.log_project,
            context.service.log_store,
            context.service.qualifier,
            context.service.version_id,
        ],
        "region": context.region,
        "account_id": context.account_id,
        "retry_count": context.retry_count,
        "tracing": [
            context.tracing.span_context,
            context.tracing.jaeger_endpoint,
            context.tracing.span_baggages,
        ],
        "has_logger": isinstance(context.logger, logging.Logger),
        "getLogger": context.getLogger() is logging.getLogger(),
        "remaining": context.get_remaining_time_in_millis(),
        "repr": repr(context) + repr(context.credentials),
    }


def handler(event, context):
    return told(context)


def to_json(event, context):
    return context.to_json()


def soil(event, context):
    before = sorted(set(vars(context)) | set(vars(context.function)))
    context.mine = context.function.mine = "left behind"
    context.function.name = context.region = "changed"
    context.tracing.span_baggages["left"] = "behind"
    return [before, context.function.handler, context.tracing.span_baggages]


def look(event, context):
    return [
        hasattr(context, "mine"),
        hasattr(context.function, "mine"),
        context.function.name,
        context.region,
        context.tracing.span_baggages,
    ]


def soil_or_look(event, context):
    return (soil if event == b"soil" else look)(event, context)


def environment(event, context):
    return dict(os.environ)


def identity(event, context):
    names = [
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
        "accessKeyID",
        "accessKeySecret",
        "securityToken",
    ]
    creds = context.credentials
    return [
        [creds.access_key_id, creds.access_key_secret, creds.security_token],
        [os.environ.get(name) for name in names],
    ]


def initializer(context):
    print("initializer", json.dumps(told(context)))


def place(event, context):
    import sys

    return [os.getcwd(), sys.path[:3], sys.stdin.read(), sys.warnoptions]


def print_credentials(event, context):
    print(context, context.credentials)
    logging.getLogger().info("%r %s", context, context.credentials)
    raise RuntimeError(f"{context} {context.credentials}")
