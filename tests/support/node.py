"""``@alicloud/fc2`` in a node of its own, behind the verbs of `support.official`."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.official import SERVICE, WEB, Answer, Failure, Key

SCRIPTS = Path(__file__).parents[1] / "service" / "clients" / "js"
INSTALLS_WITHIN_S = 240.0


def installed(folder: Path) -> Path:
    """
    The bridge beside the client that it needs, in *folder*, which it fills.

    Skips the test where there is no node, no npm, or no registry to be reached, and says which.
    """
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here")
    for name in ("package.json", "bridge.js"):
        shutil.copy(SCRIPTS / name, folder)
    npm = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    try:
        done = subprocess.run(
            [*npm, "--cache", str(folder / "cache")],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALLS_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm has not installed @alicloud/fc2 within {INSTALLS_WITHIN_S:g} s")
    if done.returncode:
        pytest.skip(f"npm cannot install @alicloud/fc2: {done.stderr.strip()[-300:]}")
    return folder / "bridge.js"


def _bytes(data: bytes) -> dict[str, Any]:
    if len(data) > 1024 and not data.strip(b"\0"):
        return {"$zeros": len(data)}
    return {"$base64": base64.b64encode(data).decode()}


class NodeError(Exception):
    """What the client threw: an Error with a name and a code of its own."""

    def __init__(self, name: str | None = None, code: str | None = None, message: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.code = code
        self.message = message


class Node:
    """``@alicloud/fc2``, of 2016-08-15."""

    name = "@alicloud/fc2"
    base = "/2016-08-15"
    has_layers = True

    def __init__(self, bridge: Path, url: str, key: Key) -> None:
        self._process = subprocess.Popen(
            ["node", str(bridge)],
            cwd=bridge.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        config = {"accessKeyID": key.id, "accessKeySecret": key.secret, "endpoint": url}
        self._say({"account": "123456789012", "config": {**config, "region": "local"}})

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _say(self, order: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def call(self, method: str, *arguments: object) -> dict[str, Any]:
        """``headers`` and ``data`` of the reply. Raises NodeError."""
        self._say({"method": method, "arguments": arguments})
        assert self._process.stdout is not None
        reply = json.loads(self._process.stdout.readline())
        if "error" in reply:
            raise NodeError(**reply["error"])
        return reply

    def refused(self, status: int, code: str):
        return pytest.raises(
            NodeError,
            match=f"failed with {status}[.] requestid: .{{36}}, message: ",
            check=lambda error: (f"FC{code}Error", code) == (error.name, error.code),
        )

    def create(
        self, name: str, code: bytes, *, timeout: int = 10, layers: list[str] | None = None
    ) -> None:
        if not self.call("listServices", {"prefix": SERVICE})["data"]["services"]:
            self.call("createService", SERVICE)
        given = {
            "functionName": name,
            "runtime": "python3",
            "handler": "index.handler",
            "code": {"zipFile": base64.b64encode(code).decode()},
            "timeout": timeout,
        }
        self.call("createFunction", SERVICE, {**given, **({"layers": layers} if layers else {})})

    def shown(self, name: str, qualifier: str | None = None) -> dict[str, Any]:
        found = self.call("getFunction", SERVICE, name, {}, qualifier)
        return {**found["data"], "etag": found["headers"]["etag"]}

    def update(self, name: str, code: bytes, *, if_match: str | None = None) -> None:
        given = {"code": {"zipFile": base64.b64encode(code).decode()}}
        headers = {"if-match": if_match} if if_match else {}
        self.call("updateFunction", SERVICE, name, given, headers)

    def delete(self, name: str) -> None:
        self.call("deleteFunction", SERVICE, name)

    def invoke(
        self, name: str, event: bytes = b"", qualifier: str | None = None, *, tail: bool = False
    ) -> Answer:
        headers = {"x-fc-log-type": "Tail"} if tail else {}
        raw = {"rawBuf": True}
        found = self.call("invokeFunction", SERVICE, name, _bytes(event), headers, qualifier, raw)
        return Answer(base64.b64decode(found["data"]["$base64"]), found["headers"])

    def failing(self, name: str, event: bytes) -> Failure:
        """Returned, and parsed by its type (spec 5.C)."""
        found = self.call("invokeFunction", SERVICE, name, _bytes(event))
        return Failure(found["data"], found["headers"].get("x-fc-error-type"))

    def publish(self, name: str) -> str:
        """Of the whole service."""
        return self.call("publishVersion", SERVICE, "")["data"]["versionId"]

    def alias(self, name: str, alias: str, version: str, weights: dict[str, float]) -> None:
        self.call("createAlias", SERVICE, alias, version, {"additionalVersionWeight": weights})

    def layer(self, name: str, code: bytes) -> str:
        """The ARN of a new version."""
        given = {
            "code": {"zipFile": base64.b64encode(code).decode()},
            "compatibleRuntime": ["python3"],
        }
        return self.call("publishLayerVersion", name, given)["data"]["arn"]

    def http_trigger(self, name: str, trigger: str) -> str:
        """Its ``urlInternet``."""
        given = {"triggerName": trigger, "triggerType": "http", "triggerConfig": WEB}
        return self.call("createTrigger", SERVICE, name, given)["data"]["urlInternet"]

    def limit(self, name: str, instances: int) -> None:
        given = {"maximumInstanceCount": instances}
        self.call("putOnDemandConfig", SERVICE, name, "LATEST", given)

    def unlimit(self, name: str) -> None:
        self.call("deleteOnDemandConfig", SERVICE, name, "LATEST")

    def provision(self, name: str, instances: int) -> None:
        self.call("putProvisionConfig", SERVICE, name, "LATEST", {"target": instances})

    def provisioned(self, name: str) -> tuple[int, int]:
        """How many are to be there, and are."""
        found = self.call("getProvisionConfig", SERVICE, name, "LATEST")["data"]
        return found["target"], found["current"]
