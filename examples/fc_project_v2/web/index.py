"""A Flask application is a handler as it is: the runtime calls ``app`` the WSGI way."""

import os

from flask import Flask, request

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name):
    return f"{os.environ['GREETING']}, {name}!"


@app.post("/sum")
def total():
    return {"sum": sum(request.get_json())}
