"""A function for a custom runtime: an event handler that also answers HTTP triggers."""

import json
import logging

greetings = {}


def initializer(context):
    """Once per worker, before its first request."""
    greetings["en"] = "Hello"
    greetings["zh"] = "你好"


def handler(event, context):
    """
    Called with an event, it returns a greeting. Behind an HTTP trigger the event is the request,
    and what it returns is the response.
    """
    request = json.loads(event or b"{}")
    if "rawPath" in request:
        name = request["rawPath"].strip("/") or "world"
        language = request["queryParameters"].get("language", "en")
        return {
            "statusCode": 200,
            "headers": {"Content-Type": "text/plain; charset=utf-8"},
            "body": greet(name, language),
        }
    return greet(request.get("name", "world"), request.get("language", "en"))


def greet(name, language):
    logging.getLogger().info("greeting %s", name)
    return f"{greetings.get(language, greetings['en'])}, {name}!"
