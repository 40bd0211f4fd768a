import base64
import json
import os
import threading


def handler(event, context):
    """Does what the path of the HTTP event says."""
    request = json.loads(event)
    http = request["requestContext"]["http"]
    path = http["path"]
    if path == "/raise":
        raise ValueError("on purpose")
    if path == "/exit":
        os._exit(3)
    if path == "/plain":
        return "just text"
    if path == "/binary":
        content = request["body"]
        if not request["isBase64Encoded"]:
            content = base64.b64encode(content.encode()).decode()
        return {
            "statusCode": 200,
            "headers": {"Content-Type": "image/png"},
            "isBase64Encoded": True,
            "body": content,
        }
    if path == "/size":
        return str(len(base64.b64decode(request["body"])))
    if path == "/redirect":
        return {"statusCode": 302, "headers": {"Location": "https://example.org/"}, "body": ""}
    if path == "/headers":
        return {
            "statusCode": 200,
            "headers": {
                "X-Fc-Request-Id": "forged",
                "Server": "mine",
                "Date": "never",
                "Content-Length": "1",
                "Content-Type": "text/plain",
                "Set-Cookie": ["a=1", "b=2"],
            },
            "body": "five!",
        }
    if path == "/large-header":
        return {"statusCode": 200, "headers": {"X-Large": "a" * 9000}, "body": ""}
    if path == "/hang":
        threading.Event().wait()
    if path == "/wait":  # says by a pipe that it has begun, and waits at another for its leave
        open(request["queryParameters"]["begun"], "w").close()
        open(request["queryParameters"]["go"]).close()
    print("seen", path)
    headers = {"Content-Type": "application/json"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(request)}
