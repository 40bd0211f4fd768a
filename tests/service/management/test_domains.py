"""Custom domains: which function serves a path of a host."""

import fc2
import httpx
import pytest
from alibabacloud_fc20230330 import models as fc3
from alibabacloud_fc20230330.client import Client as Fc3Client
from alibabacloud_fc_open20210406 import models as open_models
from alibabacloud_fc_open20210406.client import Client as OpenClient
from alibabacloud_tea_openapi.exceptions import ClientException
from fc_runtime.service.account import Account
from support.resources import refused, refused_by

ALL = {"path": "/*", "functionName": "echo"}


def create(account: Account, *routes: dict, name: str = "www.example.com") -> None:
    account.create_domain({"domainName": name, "routeConfig": {"routes": list(routes)}})


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/", "rest"),
        ("/a", "exact"),
        ("/a/", "rest"),
        ("/login/x", "login"),
        ("/login/x/y", "deeper"),
        ("/login", "rest"),
        ("/api/v1/users", "api"),
    ],
)
def test_the_closest_route_serves(account: Account, path: str, function: str) -> None:
    """The exact path before any prefix, the longest prefix before the others, in any order."""
    create(
        account,
        {"path": "/*", "functionName": "rest"},
        {"path": "/login/*", "functionName": "login"},
        {"path": "/login/x/*", "functionName": "deeper"},
        {"path": "/a", "functionName": "exact"},
        {"path": "/api/*", "functionName": "api"},
    )

    routed = account.route("www.example.com", path)

    assert ("", function, "LATEST", path) == routed


@pytest.mark.parametrize("host", ["www.example.com:9000", "WWW.Example.COM", "www.example.com."])
def test_a_host_is_known_in_every_spelling(account: Account, host: str) -> None:
    """With a port, in capitals, with the dot of the root."""
    create(account, ALL)

    assert account.route(host, "/") is not None


def test_what_no_route_fits_is_nobodys(account: Account) -> None:
    """Another host, another path, another method."""
    create(account, {"path": "/api/*", "functionName": "echo", "methods": ["GET"]})

    assert account.route("example.com", "/api/x") is None
    assert account.route("www.example.com", "/") is None
    assert account.route("www.example.com", "/api/x", "POST") is None
    assert account.route("www.example.com", "/api/x", "GET") is not None
    assert account.route("[::1]:80", "/") is None


def test_a_route_may_lead_to_an_alias_or_to_fc2(account: Account) -> None:
    """Qualifier and service are the route's own."""
    create(account, {**ALL, "serviceName": "svc", "qualifier": "prod"})

    assert ("svc", "echo", "prod", "/x") == account.route("www.example.com", "/x")


def test_a_change_of_a_domain_is_followed_at_once(account: Account) -> None:
    """Routes are kept in memory, and never older than the last change."""
    create(account, ALL)
    assert "echo" == account.route("www.example.com", "/").function

    routes = [{"path": "/*", "functionName": "other"}]
    account.update_domain("www.example.com", {"routeConfig": {"routes": routes}})
    assert "other" == account.route("www.example.com", "/").function
    account.update_domain("www.example.com", {"protocol": "HTTP,HTTPS"})
    assert "other" == account.route("www.example.com", "/").function
    account.delete_domain("www.example.com")

    assert account.route("www.example.com", "/") is None


@pytest.mark.parametrize(
    "route",
    [
        {"path": "x", "functionName": "echo"},
        {"path": "/*/x", "functionName": "echo"},
        {"path": "/x"},
        {"functionName": "echo"},
        {**ALL, "methods": ["FETCH"]},
        {**ALL, "methods": "GET"},
        {**ALL, "serviceName": 1},
        {**ALL, "rewriteConfig": []},
        None,
        "/",
    ],
)
def test_a_route_that_leads_nowhere_is_refused(account: Account, route: object) -> None:
    """With 400, and there is no such domain then."""
    with refused("InvalidArgument"):
        create(account, route)

    with refused("DomainNameNotFound"):
        account.get_domain("www.example.com")


def test_the_same_path_twice_is_refused(account: Account) -> None:
    """It could mean either."""
    with refused("InvalidArgument", "twice"):
        create(account, ALL, ALL)


@pytest.mark.parametrize("name", ["", "auto!", "a..b", "-a.com", "a.com/x", "a b", "x" * 64, None])
def test_a_name_that_no_host_has(account: Account, name: object) -> None:
    """It would never be asked for."""
    with refused("InvalidArgument"):
        account.create_domain({"domainName": name})


def test_a_private_key_is_not_kept(account: Account, http: httpx.Client) -> None:
    """HTTPS is not served here, so there is no use for one; the reply says so."""
    body = {
        "domainName": "www.example.com",
        "protocol": "HTTPS",
        "certConfig": {"certName": "c", "certificate": "public", "privateKey": "hush"},
    }

    reply = http.post("/2023-03-30/custom-domains", json=body)

    assert {"certName": "c", "certificate": "public"} == reply.json()["certConfig"]
    assert "HTTP only" in reply.headers["X-Fc-Runtime-Note"]
    assert "hush" not in repr(account.get_domain("www.example.com"))


def test_the_life_of_a_domain_through_fc3(v2023: Fc3Client) -> None:
    """Create, get, update, list, delete."""
    routes = fc3.RouteConfig(
        routes=[fc3.PathConfig(path="/*", function_name="echo", methods=["GET"])]
    )
    body = fc3.CreateCustomDomainInput(
        domain_name="www.example.com", protocol="HTTP", route_config=routes
    )

    made = v2023.create_custom_domain(fc3.CreateCustomDomainRequest(body=body)).body

    assert ("www.example.com", "HTTP", "123456789012", "2023-03-30") == (
        made.domain_name,
        made.protocol,
        made.account_id,
        made.api_version,
    )
    assert [("/*", "echo", ["GET"])] == [
        (one.path, one.function_name, one.methods) for one in made.route_config.routes
    ]
    with refused_by(ClientException, 409, "DomainNameAlreadyExists"):
        v2023.create_custom_domain(fc3.CreateCustomDomainRequest(body=body))
    update = fc3.UpdateCustomDomainInput(protocol="HTTP,HTTPS")
    changed = v2023.update_custom_domain(
        "www.example.com", fc3.UpdateCustomDomainRequest(body=update)
    ).body
    assert ("HTTP,HTTPS", 1) == (changed.protocol, len(changed.route_config.routes))
    listed = v2023.list_custom_domains(fc3.ListCustomDomainsRequest(prefix="www")).body
    assert ["www.example.com"] == [one.domain_name for one in listed.custom_domains]
    v2023.delete_custom_domain("www.example.com")
    with refused_by(ClientException, 404, "DomainNameNotFound"):
        v2023.get_custom_domain("www.example.com")


def test_a_domain_through_fc2(v2016: fc2.Client, v2021: OpenClient) -> None:
    """Both of its clients; routes name their service."""
    routes = {"routes": [{"path": "/*", "serviceName": "svc", "functionName": "echo"}]}

    made = v2016.create_custom_domain("one.example.com", "HTTP", routes).data

    assert routes == made["routeConfig"]
    assert made == v2016.get_custom_domain("one.example.com").data
    v2016.update_custom_domain("one.example.com", "HTTP", {"routes": []})
    v2021.create_custom_domain(
        open_models.CreateCustomDomainRequest(domain_name="two.example.com", protocol="HTTP")
    )
    listed = v2016.list_custom_domains().data["customDomains"]
    assert ["one.example.com", "two.example.com"] == [one["domainName"] for one in listed]
    v2016.delete_custom_domain("one.example.com")
    v2021.delete_custom_domain("two.example.com")
    assert [] == v2016.list_custom_domains().data["customDomains"]
