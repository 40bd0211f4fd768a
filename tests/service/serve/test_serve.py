"""``fc-runtime serve`` as a shell runs it: what it serves, what it says, and what it refuses."""

import os
import re
import shlex
import socket
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from service.serve.conftest import CODE, FC2  # type: ignore[import-not-found]
from support.daemon import base64_zip
from support.serving import LONG_S, Served, refused

Make = Callable[..., Path]


def test_project_of_fc3(home: Path, project: Make) -> None:
    """
    In a folder with an s.yaml its functions are served; standard output has the address, and
    nothing else; standard error has functions, URLs and a line to paste; SIGTERM ends it with 0.
    """
    folder = project()
    with Served(home, "--no-auth", cwd=folder) as served:
        reply = served.invoke("hi")
        said = served.wait_for("^curl ")
        health = [httpx.get(f"{served.url}/{path}").status_code for path in ("healthz", "readyz")]

        assert (200, "from s.yaml") == (reply.status_code, reply.text)
        assert [200, 200] == health
        assert f"POST {served.url}/2023-03-30/functions/hi/invocations" in served.errors
        assert f"HTTP {served.url}/_fc/http/web.hi/ (anonymous)" in served.errors
        assert "no authentication" in served.errors
        pasted = subprocess.run(
            shlex.split(said), capture_output=True, timeout=LONG_S, check=True, text=True
        )
        assert served.url + "/_fc/http/web.hi/" in said
        assert pasted.stdout == "from s.yaml"
        assert served.stop() == 0
        assert served.process.stdout is not None
        assert served.process.stdout.read() == ""


def test_project_of_fc2(home: Path, project: Make) -> None:
    """The other edition; the folder may be an argument, and be elsewhere."""
    with Served(home, project(FC2), "--no-auth") as served:
        assert served.invoke("hi", service="demo").text == "hello"
        assert "/2016-08-15/services/demo/functions/hi/invocations" in served.errors


def test_template(home: Path, project: Make) -> None:
    """The manifest may have any name."""
    folder = project()
    (folder / "s.yaml").rename(folder / "other.yml")
    with Served(home, "--template", folder / "other.yml", "--no-auth") as served:
        assert served.invoke("hi").text == "from s.yaml"


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_one_function(home: Path, tmp_path: Path, packed: bool) -> None:
    """--code serves one, without a manifest, as a folder or as a zip."""
    code = tmp_path / "one"
    code.mkdir()
    (code / "index.py").write_text(CODE)
    if packed:
        with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
            archive.write(code / "index.py", "index.py")
        code = tmp_path / "one.zip"
    arguments = ["--handler", "index.handler", "--name", "hello", "--env", "GREETING=set"]
    with Served(home, "--code", code, *arguments, "--no-auth", "--memory", 256) as served:
        assert served.invoke("hello").text == "set"
        shown = httpx.get(f"{served.url}/2023-03-30/functions/hello").json()
        assert (256, 3) == (shown["memorySize"], shown["timeout"])


def test_what_functions_write(home: Path, project: Make) -> None:
    """Is on standard error between FC's own lines, and can be left out."""
    folder = project(code="def handler(event, context): print('written')\n")
    with Served(home, folder, "--no-auth") as served:
        request_id = served.invoke("hi").headers["x-fc-request-id"]
        served.wait_for(f"FC Invoke End RequestId: {request_id}")
        assert f"FC Invoke Start RequestId: {request_id}\nwritten\n" in served.errors
        served.wait_for("request.answered")  # the line of the request comes after its reply
        (line,) = served.events("request.answered")
        assert (request_id, 200) == (line["request_id"], line["status"])
    with Served(home, folder, "--no-auth", "--no-function-log", "--no-access-log") as served:
        served.invoke("hi")
        assert served.stop() == 0
        assert "written" not in served.errors
        assert served.events("request.answered") == []


def test_empty_account_is_kept(home: Path) -> None:
    """With neither, an empty account is served, in the home of the user, and is there again."""
    place = home / ".local" / "share" / "fc-runtime"
    body = {"serviceName": "kept"}
    with Served(home, "--no-auth") as served:
        served.wait_for("no function yet")
        made = httpx.post(f"{served.url}/2016-08-15/services", json=body)
        assert (200, place.is_dir()) == (made.status_code, True)
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        served.process.kill()
        served.wait()
    with Served(home, "--no-auth") as served:
        assert httpx.get(f"{served.url}/2016-08-15/services/kept").status_code == 200
    with Served(home, "--no-auth", XDG_DATA_HOME=str(home / "data")) as served:
        assert httpx.get(f"{served.url}/2016-08-15/services/kept").status_code == 404


def test_projects_leave_nothing(home: Path, project: Make, tmp_path: Path) -> None:
    """A project's account goes with the daemon, unless it is given a folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Served(home, project(), "--no-auth", TMPDIR=str(scratch)) as served:
        assert [path.name[:17] for path in scratch.glob("fc-runtime-serve-*")] == [
            "fc-runtime-serve-"
        ]
        assert served.stop() == 0
    assert list(scratch.glob("fc-runtime-serve-*")) == []
    assert list(home.iterdir()) == []


def test_own_keys(home: Path, project: Make) -> None:
    """
    Without keys, on this machine alone, a pair is made that only its owner can read; who does not
    sign is refused.
    """
    data = home / "data"
    with Served(home, project(), "--data-dir", data) as served:
        file = data / "access-keys"
        served.wait_for(f"access key, as id:secret: {re.escape(str(file))}")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        reply = served.invoke("hi")
        key_id, secret = file.read_text().splitlines()[-1].split(":")

        assert (20 + 2, 40) == (len(key_id), len(secret))
        assert reply.status_code in (400, 403)
        assert {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"} == set(reply.json())
        assert secret not in served.errors
        first = file.read_text()
    with Served(home, project_again(data), "--data-dir", data):
        assert first == (data / "access-keys").read_text()


def project_again(data: Path) -> Path:
    """The project of the test, which lies beside its home."""
    return data.parent.parent / "project"


def test_keys_given(home: Path, project: Make) -> None:
    """From the environment or a file; a signed request is let in, and no secret is said."""
    import fc2

    folder = project(FC2)
    keys = home / "keys"
    keys.write_text("# mine\nfile-id:file-secret\n")
    keys.chmod(0o600)
    pairs = {"FC_RUNTIME_ACCESS_KEYS": "env-id:env-secret,other:pair"}
    with Served(home, folder, "--access-keys", keys, **pairs) as served:
        for key_id, secret in (("file-id", "file-secret"), ("env-id", "env-secret")):
            client = fc2.Client(endpoint=served.url, accessKeyID=key_id, accessKeySecret=secret)
            assert client.invoke_function("demo", "hi").data == b"hello"
        wrong = fc2.Client(endpoint=served.url, accessKeyID="env-id", accessKeySecret="no")
        with pytest.raises(fc2.fc_exceptions.FcError, match="SignatureNotMatch"):
            wrong.invoke_function("demo", "hi")
        assert not re.search("env-secret|file-secret", served.errors)
        environ = Path(f"/proc/{served.process.pid}/cmdline").read_bytes()
        assert b"secret" not in environ


def test_signed_line_to_paste(home: Path, project: Make) -> None:
    """On a terminal, with keys, the line to paste is signed, and works."""
    import pty

    from support.serving import SERVE, environment

    main, second = pty.openpty()
    process = subprocess.Popen(
        [*SERVE, "--port", "0", str(project(FC2)), "--log-level", "off"],
        env=environment(home, NO_COLOR="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=second,
    )
    os.close(second)
    try:
        told = b""
        while b"\ncurl " not in told or not told.endswith(b"\n"):
            told += os.read(main, 65536)
        (line,) = re.findall(r"^curl .*$", told.decode().replace("\r", ""), re.MULTILINE)
        pasted = subprocess.run(shlex.split(line), capture_output=True, timeout=LONG_S, check=True)
        assert pasted.stdout == b"hello"
    finally:
        process.terminate()
        process.wait(LONG_S)
        os.close(main)
        assert process.stdout is not None
        process.stdout.close()


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere is no folder: name a project, or its manifest with --template"),
        (["."], ". holds no s.yaml or s.yml"),
        (["--template", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["--code", "nowhere"], "--code nowhere: there is no"),
        (["--code", ".", "--template", "x"], "--code serves one function"),
        ([".", "--template", "x"], "--template names the manifest"),
        (["--handler", "index.handler"], "--handler is for the one function of --code"),
        (["--env", "A=b"], "--env is for the one function of --code"),
        (["--code", ".", "--env", "NOT_SET"], "--env NOT_SET: not set in the environment"),
        (["--code", ".", "--handler", "nodot"], "--handler nodot: 'module.function'"),
        (["--code", ".", "--handler", "no.where"], "--handler no.where: there is no no.py"),
        (["--port", "65536"], "--port"),
        (["--sandbox", "box"], "--sandbox box: one of none, standard, strict"),
        (["--isolation", "cage"], "--isolation cage"),
        (["--no-auth", "--host", "0.0.0.0"], "--no-auth with --host 0.0.0.0: other machines"),
        (["--host", "0.0.0.0"], "it needs keys: set FC_RUNTIME_ACCESS_KEYS"),
        (["--access-keys", "nowhere"], "--access-keys nowhere"),
        (["--role-credentials", "nowhere"], "--role-credentials nowhere: "),
        (["--account-id", "abc"], "--account-id 'abc': digits, such as 123456789012"),
        (["--account-id", "\uff11\uff12"], "--account-id"),
        (["--region", "a b"], "--region 'a b': letters, digits and -, such as cn-hangzhou"),
        (["--custom-runtime", "--code", ".", "--region", "a:b"], "--region 'a:b': letters"),
    ],
)
def test_bad_usage(home: Path, arguments: list[str], told: str) -> None:
    """One line that says what to do, and exit code 2, before anything is started or written."""
    code, said = refused(home, "--port", "0", *arguments)

    assert code == 2
    assert told in said
    assert list(home.iterdir()) == []


def test_bad_manifest(home: Path, project: Make) -> None:
    """Names file, line, key, value and mend."""
    folder = project()
    text = (folder / "s.yaml").read_text().replace("timeout: 60", "timeout: never")
    (folder / "s.yaml").write_text(text)
    code, said = refused(home, folder, "--port", "0")

    assert code == 2
    assert said == (
        f"error: {folder}/s.yaml:12: resources.hi.props.timeout: 'never': "
        "a whole number of seconds from 1 to 86400\n"
    )


def test_port_in_use(home: Path) -> None:
    """One clear line, and an exit code of its own."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = refused(home, "--port", port)

    assert code == 69
    assert said == (
        f"error: port {port} of 127.0.0.1 is in use: choose another with --port, or 0 for a free "
        "one\n"
    )


def test_foreign_address(home: Path) -> None:
    """An address of another machine is no address of this one."""
    code, said = refused(home, "--port", "0", "--no-auth", "--force", "--host", "192.0.2.1")

    assert code == 69
    assert said == "error: --host 192.0.2.1: no address of this machine\n"


def test_forced(home: Path) -> None:
    """--force lets --no-auth have any address."""
    with Served(home, "--no-auth", "--force", "--host", "0.0.0.0") as served:
        assert served.url.startswith("http://0.0.0.0:")


def test_two_on_one_folder(home: Path) -> None:
    """An account has one daemon: the second says so, and the first goes on."""
    with Served(home, "--no-auth", "--data-dir", home / "data") as served:
        code, said = refused(home, "--port", "0", "--no-auth", "--data-dir", home / "data")

        assert code == 74
        assert "another fc-runtime serve lives there" in said
        assert httpx.get(f"{served.url}/healthz").status_code == 200


def test_unusable_folder(home: Path) -> None:
    """A data folder that is none, or has another's database, is said."""
    (home / "file").touch()
    code, said = refused(home, "--port", "0", "--no-auth", "--data-dir", home / "file")
    (home / "data").mkdir()
    (home / "data" / "account.db").write_bytes(b"something else" * 100)
    second, told = refused(home, "--port", "0", "--no-auth", "--data-dir", home / "data")

    assert (74, 74) == (code, second)
    assert "--data-dir" in said
    assert "account.db cannot be used" in told


def test_code_that_nothing_uses_is_removed(home: Path) -> None:
    """A start removes what no function, version or layer refers to; what is used stays."""
    folder = home / "data"
    body = {"functionName": "hello", "runtime": "python3.12", "handler": "index.handler"}
    with Served(home, "--no-auth", "--data-dir", folder) as daemon:
        url = f"{daemon.url}/2023-03-30/functions"
        for code in (base64_zip(index=CODE), base64_zip()):
            httpx.post(url, json={**body, "code": {"zipFile": code}}, timeout=LONG_S)
            changed = httpx.put(f"{url}/hello", json={"code": {"zipFile": code}}, timeout=LONG_S)
            assert 200 == changed.status_code
        daemon.stop()
    assert 4 == len(list((folder / "packages").iterdir()))

    with Served(home, "--no-auth", "--data-dir", folder) as daemon:
        assert b"event" == daemon.invoke("hello", b"event").content

    assert 2 == len(list((folder / "packages").iterdir()))
