"""Who may invoke: the official clients with the right key, nobody else (spec 8)."""

from collections.abc import Iterator
from pathlib import Path

import fc2
import pytest
from alibabacloud_fc20230330 import models
from darabonba.exceptions import DaraException
from darabonba.runtime import RuntimeOptions
from fc_runtime.service.auth import AccessKeys, Authenticator, Pending, Request
from support import daemon as support

from .conftest import Daemon, daemon_in


@pytest.fixture
def signed(tmp_path: Path, handlers: Path) -> Iterator[Daemon]:
    """A daemon that knows the clients' key."""
    keys = AccessKeys.load({"FC_RUNTIME_ACCESS_KEYS": f"{support.KEY}:{support.SECRET}"})
    authenticator = Authenticator(keys, account="123456789012")

    def begin(scope) -> Pending:
        return authenticator.begin(
            Request(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"])
        )

    with daemon_in(tmp_path, handlers, begin=begin) as made:
        made.create("echo", "index.echo")
        made.create_fc2("svc", "echo", "index.echo")
        yield made


def test_nobody_in_particular_is_refused(signed: Daemon) -> None:
    """400 without a signature, and no handler has run; the management API likewise."""
    assert "MissingRequiredHeader" == signed.invoke("echo", b"x").json()["Code"]
    assert "MissingRequiredHeader" == signed.client.get("/2023-03-30/functions").json()["Code"]
    assert [] == signed.counted.outcomes


def test_the_official_clients_are_let_in(signed: Daemon) -> None:
    """FC's own scheme, and ACS3, whose signature covers the body."""
    assert b"old" == support.fc2_client(signed.url).invoke_function("svc", "echo", b"old").data

    client = support.fc3_client(signed.url)
    request = models.InvokeFunctionRequest(body=b"new" * 200_000)
    reply = client.invoke_function_with_options(
        "echo", request, models.InvokeFunctionHeaders(), RuntimeOptions()
    )

    assert b"new" * 200_000 == reply.body.read()
    assert ["echo"] == [
        function.function_name
        for function in client.list_functions(models.ListFunctionsRequest()).body.functions
    ]


def test_a_wrong_secret_is_refused(signed: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """403, in the words that the clients know."""
    monkeypatch.setattr(support, "SECRET", "guessed")

    with pytest.raises(fc2.FcError, match="SignatureNotMatch"):
        support.fc2_client(signed.url).invoke_function("svc", "echo", b"x")
    with pytest.raises(DaraException, match="SignatureNotMatch"):
        support.fc3_client(signed.url).get_function("echo", models.GetFunctionRequest())
