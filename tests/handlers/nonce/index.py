"""Answers with its function's own name and what it was asked, so that a mix-up shows."""

import json


def handler(event, context):
    return json.dumps({"who": context.function.name, "nonce": event.decode()})
