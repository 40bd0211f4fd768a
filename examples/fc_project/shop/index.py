"""An HTTP trigger's function: the event is the request, what is returned is the response."""

import base64
import json

CATALOGUE = {"1": {"name": "lamp", "price": 30}, "2": {"name": "chair", "price": 80}}


def handler(event, context):
    request = json.loads(event)
    http = request["requestContext"]["http"]
    if http["method"] == "POST":
        body = request["body"]
        if request["isBase64Encoded"]:
            body = base64.b64decode(body)
        order = json.loads(body)
        return answer(201, {"total": sum(CATALOGUE[number]["price"] for number in order["items"])})
    number = http["path"].strip("/")
    if not number:
        return answer(200, CATALOGUE)
    if number not in CATALOGUE:
        return answer(404, {"error": f"there is no item {number}"})
    return answer(200, CATALOGUE[number])


def answer(status, body):
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body),
    }
