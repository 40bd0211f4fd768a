"""The two projects in ``examples/``, each served as its README says, and called as it says."""

import re
import shlex
import subprocess
from pathlib import Path

import httpx
import pytest
from fc_runtime.service.manifest import ManifestError, load
from support.serving import LONG_S, Served

EXAMPLES = Path(__file__).parents[3] / "examples"


def said_by_readme(project: str, url: str) -> list[str]:
    """What its ``curl`` lines answer when they are pasted, on this daemon's port."""
    section = (EXAMPLES / "README.md").read_text().split(f"## {project}\n")[1].split("\n## ")[0]
    assert f"fc-runtime serve examples/{project} --no-auth --port 9000\n" in section
    lines = re.findall(r"^curl .*", section, re.MULTILINE)
    return [
        subprocess.run(
            [*shlex.split(line.replace("http://127.0.0.1:9000", url)), "--silent"],
            capture_output=True,
            check=True,
            timeout=LONG_S,
            text=True,
        ).stdout
        for line in lines
    ]


def test_project_of_fc3(home: Path) -> None:
    """Two functions, an HTTP trigger, a layer and an initializer."""
    with Served(home, EXAMPLES / "fc_project", "--no-auth") as served:
        greeting, item, order = said_by_readme("fc_project", served.url)
        missing = httpx.get(f"{served.url}/_fc/http/web.shop/7", timeout=LONG_S)
        shown = httpx.get(f"{served.url}/2023-03-30/functions/greeter").json()
        layers = httpx.get(f"{served.url}/2023-03-30/layers").json()["layers"]
        served.wait_for(r"\[INFO\] greeting moon")

    assert ("Hello, moon!", '{"name": "lamp", "price": 30}') == (greeting, item)
    assert order == '{"total": 110}'
    assert (404, "application/json") == (missing.status_code, missing.headers["content-type"])
    assert "layer" == layers[0]["layerName"]
    assert [layers[0]["layerVersionArn"]] == [layer["arn"] for layer in shown["layers"]]


def test_project_of_fc2(home: Path) -> None:
    """A service whose function is a Flask application."""
    with Served(home, EXAMPLES / "fc_project_v2", "--no-auth") as served:
        hello, total = said_by_readme("fc_project_v2", served.url)
        missing = httpx.get(f"{served.url}/2016-08-15/proxy/demo/web/none", timeout=LONG_S)

    assert "Hello, moon!" == hello
    assert '{"sum":6}' == total.strip()
    assert 404 == missing.status_code


def test_layer_is_made_once(home: Path) -> None:
    """A folder that has not changed is the same version at the next start."""
    for _ in range(2):
        with Served(
            home, EXAMPLES / "fc_project", "--no-auth", "--data-dir", home / "data"
        ) as served:
            versions = httpx.get(f"{served.url}/2023-03-30/layers/layer/versions").json()
            assert [1] == [layer["version"] for layer in versions["layers"]]


def test_layer_that_is_not_there(home: Path) -> None:
    """A folder that does not exist is refused, with its line."""
    (home / "index.py").write_text("handler = print\n")
    (home / "s.yaml").write_text(
        "resources:\n  hi:\n    component: fc3\n    props:\n      functionName: hi\n"
        "      runtime: python3.10\n      code: .\n      handler: index.handler\n"
        "      layers: [./none]\n"
    )
    with pytest.raises(ManifestError, match=r"s.yaml:9: .*layers: './none': there is no folder"):
        load(home / "s.yaml", account_id="1", region="local")
