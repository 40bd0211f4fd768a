"""Functions whose invocations are switched off, through the official client; and on again."""

import httpx
import pytest
from alibabacloud_fc20230330 import models as fc3
from alibabacloud_fc20230330.client import Client
from support.daemon import fc3_client
from support.stage import until

from .conftest import Daemon


@pytest.fixture
def client(daemon: Daemon) -> Client:
    return fc3_client(daemon.url)


def switch_off(client: Client, reason: str = "it costs too much") -> None:
    client.disable_function_invocation("f", fc3.DisableFunctionInvocationRequest(reason=reason))


def code_of(reply: httpx.Response) -> str:
    return reply.json()["Code"]


def test_what_is_switched_off_is_not_invoked(daemon: Daemon, client: Client) -> None:
    """403 with the reason, whichever version is asked for; others answer as before."""
    for name in ("f", "other"):
        daemon.create(name)
    version = daemon.account.publish_version("", "f").name
    event = {"do": "echo", "say": 1}
    assert 200 == daemon.invoke("f", event).status_code

    switch_off(client)

    for qualifier in ("LATEST", version):
        reply = daemon.post(f"/2023-03-30/functions/f/invocations?qualifier={qualifier}", event)
        assert (403, "InvocationDisabled") == (reply.status_code, code_of(reply))
        assert "it costs too much" in reply.json()["Message"]
    assert 200 == daemon.invoke("other", event).status_code


def test_it_is_shown_and_can_be_switched_on_again(daemon: Daemon, client: Client) -> None:
    """The function says so as long as it is off; the next call after that is answered."""
    daemon.create("f")
    switch_off(client)
    shown = client.get_function("f", fc3.GetFunctionRequest()).body.invocation_restriction
    assert (True, "it costs too much") == (shown.disable, shown.reason)

    assert client.enable_function_invocation("f").body.success

    assert client.get_function("f", fc3.GetFunctionRequest()).body.invocation_restriction is None
    assert {"said": 1} == daemon.invoke("f", {"do": "echo", "say": 1}).json()


def test_its_instances_go_and_those_of_others_stay(daemon: Daemon, client: Client) -> None:
    """Nothing that cannot be called is kept warm."""
    for name in ("f", "other"):
        daemon.create(name)
        daemon.invoke(name, {"do": "echo", "say": 1})

    switch_off(client)

    functions = daemon.app.runtime.stats
    until(lambda: "f/LATEST" not in functions()["functions"])
    assert "other/LATEST" in functions()["functions"]


def test_function_made_anew_is_not_switched_off(daemon: Daemon, client: Client) -> None:
    """It goes with what it is of."""
    daemon.create("f")
    switch_off(client)
    client.delete_function("f")

    daemon.create("f")

    assert 200 == daemon.invoke("f", {"do": "echo", "say": 1}).status_code


def test_calls_under_way_are_not_ended(daemon: Daemon, client: Client) -> None:
    """Who wants that is told that it is not to be had; then nothing is switched off."""
    daemon.create("f")

    reply = daemon.client.put(
        "/2023-03-30/functions/f/invoke/disable", json={"abortOngoingRequest": True}
    )

    assert (501, "NotImplemented") == (reply.status_code, code_of(reply))
    assert 200 == daemon.invoke("f", {"do": "echo", "say": 1}).status_code


def test_instances_are_listed(daemon: Daemon, client: Client) -> None:
    """Those that can serve, by the name that each says itself; of the qualifier asked for."""
    daemon.create("f")
    assert not client.list_instances("f", fc3.ListInstancesRequest()).body.instances

    reply = daemon.invoke("f", {"do": "echo", "say": 1})

    listed = client.list_instances("f", fc3.ListInstancesRequest()).body.instances
    (own,) = [each for each in listed if each.instance_id == reply.headers["x-fc-instance-id"]]
    assert ("0", "LATEST", "Running") == (own.version_id, own.qualifier, own.status)
    assert own.created_time_ms > 1_600_000_000_000


def test_provisioned_instances_are_counted(daemon: Daemon, client: Client) -> None:
    """As soon as they are up, and those alone."""
    daemon.create("f")
    client.put_provision_config(
        "f", fc3.PutProvisionConfigRequest(body=fc3.PutProvisionConfigInput(default_target=2))
    )

    def current() -> int:
        return client.get_provision_config("f", fc3.GetProvisionConfigRequest()).body.current

    until(lambda: current() == 2)
