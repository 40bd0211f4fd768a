def handler(environ, start_response):
    """As FC's own documents show it."""
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise ValueError("on purpose")
    if path == "/nothing":
        return None
    if path == "/silent":
        return [b"no start_response"]
    size = int(environ["CONTENT_LENGTH"])
    body = environ["wsgi.input"].read(size)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Path", path)])
    return [body or path.encode("latin-1")]
