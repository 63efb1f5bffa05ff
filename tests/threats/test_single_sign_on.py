"""Single sign-on: whom the provider names gets in, by their groups; forged answers do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from mlops_assets.config import load_settings
from tests.jwks_server import Signer
from tests.oidc_server import CLIENT, SECRET, Identity, identity_provider
from ui.server.app import create_app
from ui.server.settings import Addresses, Console
from ui.server.single_sign_on import BadProvider, ProviderSettings

PUBLIC = "http://127.0.0.1:8080"
VARIABLES = {
    "MLOPS_CONSOLE_OIDC_CLIENT_ID": CLIENT, "MLOPS_CONSOLE_OIDC_CLIENT_SECRET": SECRET,
    "MLOPS_CONSOLE_OIDC_PUBLIC_URL": PUBLIC, "MLOPS_CONSOLE_OIDC_VIEWERS": "ml, everyone",
    "MLOPS_CONSOLE_OIDC_OPERATORS": "on-call", "MLOPS_CONSOLE_OIDC_ADMINS": "platform",
}


@pytest.fixture
def provider() -> Iterator[Identity]:
    with identity_provider() as known:
        yield known


@pytest.fixture
def client(provider: Identity, tmp_path: Path) -> Iterator[TestClient]:
    """A console that others can reach, and that knows nobody itself."""
    settings = load_settings("demo").model_copy(update={"home": tmp_path})
    told = ProviderSettings.of({"MLOPS_CONSOLE_OIDC_ISSUER": provider.url, **VARIABLES})
    with TestClient(create_app(Console(settings, Addresses(), "0.0.0.0", provider=told)),
                    base_url=PUBLIC) as made:
        yield made


def came_back(client: TestClient) -> str:
    """Begin, sign in at the provider; the address that it sends the browser back to."""
    begun = client.get("/oidc/begin", follow_redirects=False)
    assert begun.status_code == 302
    return httpx.get(begun.headers["location"]).headers["location"].removeprefix(PUBLIC)


def finish(client: TestClient, where: str) -> httpx.Response:
    # As a browser tells of a page of the provider's that led here.
    return client.get(where, headers={"sec-fetch-site": "cross-site"})


@pytest.mark.parametrize(("groups", "role"), [
    (["ml"], "viewer"), (["ml", "on-call"], "operator"), (["platform", "ml"], "admin"),
    ("everyone", "viewer")])
def test_groups_give_roles(
    client: TestClient, provider: Identity, groups: list[str] | str, role: str
) -> None:
    assert client.get("/api/v1/login").json() == {"passwords": False, "single_sign_on": True}
    assert client.get("/api/v1/me").status_code == 401
    provider.claims["groups"] = groups
    answer = finish(client, came_back(client))
    assert answer.status_code == 200, answer.text
    assert 'url=/"' in answer.text
    cookie = next(each for each in answer.headers.get_list("set-cookie") if "console=" in each)
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    me = client.get("/api/v1/me").json()
    assert re.fullmatch(r"ada \([0-9a-f]{8}\)", me["name"])
    assert me["role"] == role


def test_who_is_in_no_group_stays_outside(client: TestClient, provider: Identity) -> None:
    provider.claims["groups"] = ["sales"]
    answer = finish(client, came_back(client))
    assert answer.status_code == 403
    assert "in no group" in answer.json()["detail"]
    assert client.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize(("changed", "algorithm"), [
    ({"aud": "another client"}, "RS256"), ({"iss": "https://evil.example"}, "RS256"),
    ({"exp": 1}, "RS256"), ({"nonce": "of another flow"}, "RS256"), ({}, "none"),
    ({"aud": [CLIENT, "another"]}, "RS256")])
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    client: TestClient, provider: Identity, changed: dict[str, object], algorithm: str
) -> None:
    provider.claims |= changed
    provider.algorithm = algorithm
    assert finish(client, came_back(client)).status_code == 403
    assert client.get("/api/v1/me").status_code == 401


def test_a_token_of_another_key_is_refused(client: TestClient, provider: Identity) -> None:
    provider.signer_listed = Signer("one")
    assert finish(client, came_back(client)).status_code == 403


def test_a_flow_is_of_one_browser_and_ends_once(client: TestClient) -> None:
    where = came_back(client)
    stranger = TestClient(client.app, base_url=PUBLIC)
    assert finish(stranger, where).status_code == 403
    assert finish(client, where).status_code == 200
    assert finish(client, where).status_code == 403
    assert finish(client, "/oidc/back?error=access_denied&state=x").status_code == 403


def test_the_provider_sends_people_back_to_the_public_address(client: TestClient) -> None:
    begun = client.get("/oidc/begin", headers={"host": "evil.example"}, follow_redirects=False)
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["redirect_uri"] == [f"{PUBLIC}/oidc/back"]
    assert SECRET not in begun.headers["location"]


@pytest.mark.parametrize(("changed", "said"), [
    ({"MLOPS_CONSOLE_OIDC_CLIENT_SECRET": ""}, "CLIENT_SECRET"),
    ({"MLOPS_CONSOLE_OIDC_ISSUER": "http://idp.example"}, "https"),
    ({"MLOPS_CONSOLE_OIDC_PUBLIC_URL": "https://ml.example/console"}, "no path"),
    ({"MLOPS_CONSOLE_OIDC_CLIENT_SECRET_FILE": "/none"}, "CLIENT_SECRET_FILE")])
def test_settings_that_do_not_go_together_are_named(changed: dict[str, str], said: str) -> None:
    with pytest.raises(BadProvider, match=said):
        ProviderSettings.of(
            {"MLOPS_CONSOLE_OIDC_ISSUER": "https://idp.example", **VARIABLES, **changed})
    assert ProviderSettings.of({}) is None


def test_a_group_that_is_named_twice_has_the_higher_role() -> None:
    told = ProviderSettings.of({
        "MLOPS_CONSOLE_OIDC_ISSUER": "https://idp.example", **VARIABLES,
        "MLOPS_CONSOLE_OIDC_ADMINS": "ml"})
    assert told is not None
    assert told.roles["ml"] == "admin"


def test_a_provider_that_is_away_is_told(client: TestClient, provider: Identity) -> None:
    provider.url = "http://somebody.else"
    gone = client.get("/oidc/begin", follow_redirects=False)
    assert gone.status_code == 502
    assert "calls itself otherwise" in gone.json()["detail"]


def test_behind_a_proxy_the_public_name_is_this_consoles(
    provider: Identity, tmp_path: Path
) -> None:
    settings = load_settings("demo").model_copy(update={"home": tmp_path})
    told = ProviderSettings.of({
        "MLOPS_CONSOLE_OIDC_ISSUER": provider.url, **VARIABLES,
        "MLOPS_CONSOLE_OIDC_PUBLIC_URL": "https://ml.example"})
    with TestClient(create_app(Console(settings, Addresses(), provider=told)),
                    base_url="http://127.0.0.1:8080") as made:
        kept = made.get("/api/v1/login", headers={"host": "ml.example"})
        assert kept.status_code == 200
        assert made.get("/api/v1/login", headers={"host": "evil.example"}).status_code == 421
        changed = made.post("/api/v1/logout", headers={"origin": "https://ml.example"})
        assert changed.status_code == 200
        other = made.post("/api/v1/logout", headers={"origin": "https://evil.example"})
        assert other.status_code == 403
        assert "Secure" in made.get("/oidc/begin", follow_redirects=False).headers["set-cookie"]
