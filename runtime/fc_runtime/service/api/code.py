"""
Code to be fetched by its URL: signed, for a while, so that whoever has it needs no key.

Serverless Devs and the SDKs fetch what ``GET …/code`` names with a plain GET.
"""

import hashlib
import hmac
import re
import time
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from fc_runtime.service.account import Account
from fc_runtime.service.api.operations import Call, Reply
from fc_runtime.service.api.routes import refusal, request_id
from fc_runtime.service.errors import ApiError, invalid, not_found

PATH: Final = "/_fc/code"  # needs no Authorization: the token is its own
LASTS_S: Final = 600
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def url_of(call: Call, digest: str) -> str:
    """Of a package of the account; whoever has it may fetch that package for ten minutes."""
    expires = int(time.time()) + LASTS_S
    token = _token(call.account, digest, expires)
    return f"{call.base_url}{PATH}/{digest}.zip?expires={expires}&token={token}"


def where(call: Call, document: dict[str, Any]) -> Reply:
    """``{url, checksum}`` of a function's code. Raises ApiError if there is none to fetch."""
    code = document["code"]
    if "folder" in code:
        raise invalid(f"the code is the folder {code['folder']} of this machine, not a zip")
    if not code:
        raise not_found("Code", document["runtime"])
    return Reply({"url": url_of(call, code["digest"]), "checksum": code["checksum"]})


def route(account: Account) -> Route:
    """What the URLs lead to."""

    async def answer(request: Request) -> Response:
        digest = request.path_params["digest"]
        expires = request.query_params.get("expires", "")
        told = request.query_params.get("token", "")
        if not (_DIGEST.fullmatch(digest) and expires.isascii() and expires.isdigit()):
            return _refused(request)
        right = hmac.compare_digest(
            told.encode(), _token(account, digest, int(expires[:18])).encode()
        )
        path = account.packages.zip(digest)
        if not right or int(expires[:18]) < time.time() or not path.is_file():
            return _refused(request)
        return FileResponse(path, media_type="application/zip")

    return Route(f"{PATH}/{{digest}}.zip", answer, methods=["GET"])


def _token(account: Account, digest: str, expires: int) -> str:
    signed = f"{digest}\0{expires}".encode()
    return hmac.new(account.url_secret, signed, hashlib.sha256).hexdigest()


def _refused(request: Request) -> Response:
    error = ApiError(403, "AccessDenied", "this URL is wrong, or too old: ask for a new one")
    return refusal(error, request_id(request.scope))
