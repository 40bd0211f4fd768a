"""Triggers: HTTP ones are served, timers run, all others kept, and say so (spec 4.C, 7.C, 7.D)."""

import json

import fc2
import httpx
import pytest
from alibabacloud_fc20230330 import models as fc3
from alibabacloud_fc20230330.client import Client as Fc3Client
from alibabacloud_fc_open20210406 import models as open_models
from alibabacloud_fc_open20210406.client import Client as OpenClient
from alibabacloud_tea_openapi.exceptions import ClientException
from fc_runtime.service.account import Account
from fc_runtime.service.account.triggers import METHODS, http_trigger
from support.resources import fc2_function, fc3_function, refused, refused_by

WEB = {"triggerName": "web", "triggerType": "http"}
ANYONE = {"authType": "anonymous", "methods": ["GET", "POST"]}
NIGHTLY = {"cronExpression": "@every 1h", "enable": True, "payload": "tick"}


def test_an_http_trigger_says_how_it_is_to_be_served(account: Account) -> None:
    """Whichever way its config was sent: as an object, or as the text of one."""
    fc3_function(account)
    fc3_function(account, "other")

    one = account.create_trigger("", "echo", {**WEB, "triggerConfig": ANYONE})
    two = account.create_trigger("", "other", {**WEB, "triggerConfig": json.dumps(ANYONE)})

    for entry in (one, two):
        trigger = http_trigger(entry)
        assert ("web", "LATEST", "anonymous") == (
            trigger.name,
            trigger.qualifier,
            trigger.auth_type,
        )
        assert {"GET", "POST"} == trigger.methods
        assert not trigger.url_disabled


def test_a_trigger_asks_for_a_signature_unless_told_otherwise(account: Account) -> None:
    """FC's default is ``function``; with no methods named, all are allowed."""
    fc3_function(account)

    trigger = http_trigger(account.create_trigger("", "echo", {**WEB, "triggerConfig": "{}"}))

    assert ("function", set(METHODS)) == (trigger.auth_type, trigger.methods)


def test_what_jwt_needs_is_an_object_however_it_was_sent(account: Account) -> None:
    """The clients send ``authConfig`` as text; without it there is nothing to verify with."""
    fc3_function(account)
    auth = {"jwks": {"keys": []}, "tokenLookup": "header:Authorization:Bearer"}
    config = {"authType": "jwt", "authConfig": json.dumps(auth)}

    trigger = http_trigger(account.create_trigger("", "echo", {**WEB, "triggerConfig": config}))

    assert auth == trigger.auth_config
    with refused("InvalidArgument", "authConfig"):
        account.update_trigger("", "echo", "web", {"triggerConfig": {"authType": "jwt"}})


@pytest.mark.parametrize(
    "config",
    [
        {"methods": ["FETCH"]},
        {"methods": "GET"},
        {"authType": "basic"},
        {"authType": 1},
        {"disableURLInternet": "yes"},
        {"corsConfig": []},
        "[]",
        "{",
        '{"a": NaN}',
        '{"a": "\\ud800"}',
        7,
    ],
)
def test_an_http_config_that_cannot_be_served_is_refused(account: Account, config: object) -> None:
    """With 400, and nothing of it is kept."""
    fc3_function(account)

    with refused("InvalidArgument"):
        account.create_trigger("", "echo", {**WEB, "triggerConfig": config})

    assert [] == account.triggers("", "echo")


@pytest.mark.parametrize("name", ["", "1st", "-x", "a.b", "a/b", "x" * 129, None])
def test_a_name_that_a_trigger_may_not_have(account: Account, name: object) -> None:
    """Letters, digits, _ and -: the name becomes part of a URL."""
    fc3_function(account)

    with refused("InvalidArgument"):
        account.create_trigger("", "echo", {**WEB, "triggerName": name})


def test_one_http_trigger_for_each_version_or_alias(account: Account) -> None:
    """Another is refused, also if an update would make it so; other types do not count."""
    fc3_function(account)
    version = account.publish_version("", "echo", "").name
    account.create_trigger("", "echo", {**WEB, "triggerConfig": ANYONE})

    with refused("InvalidArgument", "'web' is the HTTP trigger of LATEST"):
        account.create_trigger("", "echo", {**WEB, "triggerName": "two"})
    account.create_trigger("", "echo", {**WEB, "triggerName": "two", "qualifier": version})
    with refused("InvalidArgument"):
        account.update_trigger("", "echo", "two", {"qualifier": "LATEST"})
    for name in ("night", "day"):
        timer = {"triggerName": name, "triggerType": "timer", "triggerConfig": NIGHTLY}
        account.create_trigger("", "echo", timer)
    assert ["day", "night", "two", "web"] == [one.name for one in account.triggers("", "echo")]


def test_a_trigger_is_of_something_that_is_there(account: Account) -> None:
    """404 names what is missing."""
    fc3_function(account)

    with refused("FunctionNotFound"):
        account.create_trigger("", "nobody", WEB)
    with refused("ServiceNotFound"):
        account.create_trigger("nowhere", "echo", WEB)
    with refused("AliasNotFound"):
        account.create_trigger("", "echo", {**WEB, "qualifier": "prod"})
    with refused("VersionNotFound"):
        account.create_trigger("", "echo", {**WEB, "qualifier": "9"})
    with refused("TriggerNotFound"):
        account.get_trigger("", "echo", "web")


def test_a_function_has_at_most_fifty_triggers(account: Account) -> None:
    """Spec 12."""
    fc3_function(account)
    for n in range(50):
        timer = {"triggerName": f"t{n}", "triggerType": "timer", "triggerConfig": NIGHTLY}
        account.create_trigger("", "echo", timer)

    with refused("LimitExceededError"):
        account.create_trigger("", "echo", WEB)


def test_triggers_go_with_their_function(account: Account) -> None:
    """One of the same name, made later, has none."""
    fc3_function(account)
    account.create_trigger("", "echo", WEB)

    account.delete_function("", "echo")
    fc3_function(account)

    assert [] == account.triggers("", "echo")


def create_fc3(client: Fc3Client, name: str, kind: str, config: dict, **fields) -> fc3.Trigger:
    body = fc3.CreateTriggerInput(
        trigger_name=name, trigger_type=kind, trigger_config=json.dumps(config), **fields
    )
    return client.create_trigger("echo", fc3.CreateTriggerRequest(body=body)).body


def test_the_life_of_a_trigger_through_fc3(account: Account, v2023: Fc3Client, url: str) -> None:
    """Its config is the text of an object, its URLs are in ``httpTrigger`` (spec 7.C)."""
    fc3_function(account)

    made = create_fc3(v2023, "web", "http", ANYONE, description="for all")

    assert ("web", "http", "OK", "LATEST") == (
        made.trigger_name,
        made.trigger_type,
        made.status,
        made.qualifier,
    )
    assert ANYONE == json.loads(made.trigger_config)
    assert f"{url}/_fc/http/web.echo" == made.http_trigger.url_internet
    assert "acs:fc:local:123456789012:functions/echo" == made.target_arn
    assert made.to_map() == v2023.get_trigger("echo", "web").body.to_map()
    body = fc3.UpdateTriggerInput(trigger_config=json.dumps({**ANYONE, "methods": ["GET"]}))
    changed = v2023.update_trigger("echo", "web", fc3.UpdateTriggerRequest(body=body)).body
    assert ["GET"] == json.loads(changed.trigger_config)["methods"]
    assert ("for all", made.trigger_id) == (changed.description, changed.trigger_id)
    with refused_by(ClientException, 409, "TriggerAlreadyExists"):
        create_fc3(v2023, "web", "http", ANYONE)

    assert 204 == v2023.delete_trigger("echo", "web").status_code

    with refused_by(ClientException, 404, "TriggerNotFound"):
        v2023.delete_trigger("echo", "web")


def test_a_trigger_that_nothing_fires_says_so(account: Account, http: httpx.Client) -> None:
    """The cloud's own sources are kept as they are, with a note that has the reason."""
    fc3_function(account)
    path = "/2023-03-30/functions/echo/triggers"

    for kind in ("oss", "log", "mns_topic", "eventbridge", "cdn_events"):
        reply = http.post(path, json={"triggerName": kind, "triggerType": kind})

        assert (200, "StoredOnly") == (reply.status_code, reply.json()["status"])
        assert f"{kind} triggers are stored only" in reply.headers["X-Fc-Runtime-Note"]
        assert "httpTrigger" not in reply.json()


def test_a_timer_is_shown_as_it_was_sent(account: Account, http: httpx.Client) -> None:
    """It is run, so there is no note."""
    fc3_function(account)
    body = {"triggerName": "night", "triggerType": "timer", "triggerConfig": json.dumps(NIGHTLY)}

    reply = http.post("/2023-03-30/functions/echo/triggers", json=body)

    assert (200, "OK") == (reply.status_code, reply.json()["status"])
    assert NIGHTLY == json.loads(reply.json()["triggerConfig"])
    assert "X-Fc-Runtime-Note" not in reply.headers
    assert "httpTrigger" not in reply.json()


@pytest.mark.parametrize(
    "expression", ["0 4 8", "0 0 25 1 1 1", "@every soon", "CRON_TZ=Mars 0 0 4 1 1 1"]
)
def test_a_timer_that_never_could_fire_is_refused(account: Account, expression: str) -> None:
    """When it is made and when it is changed; the message has what was given."""
    fc3_function(account)
    timer = {"triggerName": "night", "triggerType": "timer", "triggerConfig": NIGHTLY}
    bad = {"cronExpression": expression}

    with refused("InvalidArgument", expression):
        account.create_trigger("", "echo", {**timer, "triggerConfig": bad})
    account.create_trigger("", "echo", timer)
    with refused("InvalidArgument", expression):
        account.update_trigger("", "echo", "night", {"triggerConfig": bad})


def test_timers_are_those_that_are_switched_on(account: Account) -> None:
    """Of all functions, with what they are of; one that does not say is on."""
    fc3_function(account)
    fc2_function(account, "demo")
    on = {"cronExpression": "@every 1h", "payload": "tick"}
    config = {"triggerName": "on", "triggerType": "timer", "triggerConfig": on}
    off = {"triggerName": "off", "triggerType": "timer", "triggerConfig": {**on, "enable": False}}
    account.create_trigger("", "echo", config)
    account.create_trigger("", "echo", off)
    account.create_trigger("", "echo", WEB)
    account.create_trigger("demo", "echo", config)

    timers = account.timers()

    assert [("", "echo", "on", "tick"), ("demo", "echo", "on", "tick")] == [
        (timer.service, timer.function, timer.name, timer.payload) for timer in timers
    ]
    account.update_trigger("", "echo", "off", {"triggerConfig": on})
    assert ["off", "on", "on"] == [timer.name for timer in account.timers()]


def test_triggers_are_listed_a_page_at_a_time(account: Account, v2023: Fc3Client) -> None:
    """By name, with a prefix; the token goes on where the page ended."""
    fc3_function(account)
    for name in ("a1", "a2", "a3", "b1"):
        create_fc3(v2023, name, "timer", NIGHTLY)

    first = v2023.list_triggers("echo", fc3.ListTriggersRequest(limit=2, prefix="a")).body
    request = fc3.ListTriggersRequest(limit=2, prefix="a", next_token=first.next_token)
    rest = v2023.list_triggers("echo", request).body

    assert ["a1", "a2"] == [trigger.trigger_name for trigger in first.triggers]
    assert (["a3"], None) == ([one.trigger_name for one in rest.triggers], rest.next_token)


def test_the_life_of_a_trigger_through_2016_08_15(
    account: Account, v2016: fc2.Client, url: str
) -> None:
    """Its config is an object, its URLs are its own fields; ETags guard it (spec 7.D)."""
    fc2_function(account)

    made = v2016.create_trigger("svc", "echo", "web", "http", ANYONE, None, None)

    assert ANYONE == made.data["triggerConfig"]
    assert f"{url}/_fc/http/web.echo.svc" == made.data["urlInternet"]
    assert "acs:fc:local:123456789012:services/svc/functions/echo" == made.data["targetArn"]
    etag = made.headers["ETag"]
    config = {**ANYONE, "methods": ["PUT"]}
    v2016.update_trigger("svc", "echo", "web", config, headers={"if-match": etag})
    with pytest.raises(fc2.fc_exceptions.FcError, match="PreconditionFailed"):
        v2016.update_trigger("svc", "echo", "web", ANYONE, headers={"if-match": etag})
    with pytest.raises(fc2.fc_exceptions.FcError, match="PreconditionFailed"):
        v2016.delete_trigger("svc", "echo", "web", headers={"if-match": etag})
    assert config == v2016.get_trigger("svc", "echo", "web").data["triggerConfig"]
    assert ["web"] == [
        one["triggerName"] for one in v2016.list_triggers("svc", "echo").data["triggers"]
    ]

    v2016.delete_trigger("svc", "echo", "web")

    with pytest.raises(fc2.fc_exceptions.FcError, match="TriggerNotFound"):
        v2016.get_trigger("svc", "echo", "web")


def test_a_trigger_through_2021_04_06(account: Account, v2021: OpenClient) -> None:
    """FC2's paths, and the config as text."""
    fc2_function(account)
    request = open_models.CreateTriggerRequest(
        trigger_name="web", trigger_type="http", trigger_config=json.dumps(ANYONE)
    )

    made = v2021.create_trigger("svc", "echo", request).body

    assert ANYONE == json.loads(made.trigger_config)
    assert made.url_internet.endswith("/_fc/http/web.echo.svc")
    assert "web" == v2021.get_trigger("svc", "echo", "web").body.trigger_name
    assert 204 == v2021.delete_trigger("svc", "echo", "web").status_code
