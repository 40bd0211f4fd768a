"""A Flask application, as anybody writes it; the handler is ``index.app``."""

from flask import Flask, jsonify, make_response, request

app = Flask(__name__)


@app.route("/hello/<name>")
def hello(name):
    return f"Hello, {name}! {request.args.getlist('q')}"


@app.route("/form", methods=["POST"])
def form():
    answer = make_response(jsonify(request.form.to_dict()), 201)
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


@app.route("/upload", methods=["PUT"])
def upload():
    return request.get_data(), 200, {"Content-Type": "application/octet-stream"}


@app.route("/breaks")
def breaks():
    raise RuntimeError("caught by Flask")
