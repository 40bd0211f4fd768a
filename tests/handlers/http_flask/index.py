from flask import Flask, Response, abort, jsonify, make_response, redirect, request

app = Flask(__name__)


@app.route("/users/<name>")
def user(name):
    return jsonify(name=name, tags=request.args.getlist("tag"), path=request.path)


@app.route("/form", methods=["POST"])
def form():
    return jsonify(request.form.to_dict())


@app.route("/upload", methods=["POST"])
def upload():
    file = request.files["file"]
    return Response(file.read(), content_type="application/octet-stream")


@app.route("/cookies")
def cookies():
    response = make_response(request.cookies.get("c", "none"))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.route("/stream")
def stream():
    return Response((f"line {n}\n" for n in range(1000)), content_type="text/plain")


@app.route("/bytes", methods=["PUT"])
def put():
    return Response(request.get_data(), content_type="image/png")


@app.route("/away")
def away():
    return redirect("https://example.org/")


@app.route("/teapot")
def teapot():
    abort(418)


@app.route("/environ")
def environ():
    kept = {k: v for k, v in request.environ.items() if isinstance(v, str)}
    return jsonify(kept, request.environ["fc.context"].request_id)


@app.route("/raise")
def broken():
    app.config["PROPAGATE_EXCEPTIONS"] = True
    raise ValueError("on purpose")
