"""Who may ask the console for what, and through whose page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from resources.console_users import ConsoleUsers, UserRefused
from resources.platform_db import PlatformDatabase
from tests.console import change, change_headers, running_console
from ui.server.app import NoUsers

PASSWORD = "a long enough one"
OPEN = ("/api/v1/loop", "/api/v1/audit", "/api/v1/keys", "/api/v1/stream", "/api/v1/images/0",
        "/api/v1/lineage/abc", "/api/v1/automation", "/api/v1/drift/report/x")


@pytest.fixture
def console(home: Path) -> Iterator[TestClient]:
    with running_console(home) as client:
        yield client


@pytest.fixture
def guarded(home: Path) -> Iterator[TestClient]:
    """A console with three people."""
    with closing(PlatformDatabase(home)) as database:
        people = ConsoleUsers(database)
        for role in ("viewer", "operator", "admin"):
            people.create(f"the-{role}", role, PASSWORD,  # type: ignore[arg-type]
                          actor="test", reason="a test")
    with running_console(home, host="0.0.0.0",
                         base_url="http://console.example:8080") as client:
        yield client


def sign_in(client: TestClient, name: str, password: str = PASSWORD) -> int:
    answer = client.post("/api/v1/login", json={"name": name, "password": password})
    return int(answer.status_code)


def test_beyond_loopback_somebody_must_be_known(home: Path) -> None:
    with pytest.raises(NoUsers, match="mlops users create"), running_console(
            home, host="0.0.0.0"):
        pass


def test_another_name_of_this_host_is_refused(console: TestClient) -> None:
    answer = console.get("/api/v1/me", headers={"host": "evil.example:8080"})
    assert answer.status_code == 421


@pytest.mark.parametrize("headers", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
    {"origin": "http://127.0.0.1:9999"},
])
def test_a_page_of_another_site_may_not_ask(console: TestClient, headers: dict[str, str]) -> None:
    assert console.get("/api/v1/me", headers=headers).status_code == 403
    body = {"reason": "to see", "revision": 0}
    assert console.post("/api/v1/rollout/promote", json=body,
                        headers={**change_headers(console), **headers}).status_code == 403


def test_a_change_without_the_token_is_refused(console: TestClient) -> None:
    body, key = {"reason": "to see", "revision": 0}, {"idempotency-key": "12345678"}
    for headers in (key, {**key, "x-csrf-token": "0" * 64}):
        answer = console.post("/api/v1/rollout/promote", json=body, headers=headers)
        assert answer.status_code == 403
    answer = console.post("/api/v1/rollout/promote", json=body,
                          headers={"x-csrf-token": change_headers(console)["x-csrf-token"]})
    assert answer.status_code == 400, "and without a key nothing is done"


def test_every_answer_forbids_scripts_of_others(console: TestClient) -> None:
    for path in ("/", "/api/v1/me", "/api/v1/nothing", "/drift"):
        policy = console.get(path).headers["content-security-policy"]
        assert "unsafe-inline" not in policy
        assert "frame-ancestors 'none'" in policy
        assert console.get(path).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [
    "/..%2f..%2fpyproject.toml", "/assets/..%2f..%2fapp.py", "/%2e%2e/settings.py",
    "/assets/%2e%2e/%2e%2e/app.py",
])
def test_no_file_but_the_pages_is_given(console: TestClient, path: str) -> None:
    text = console.get(path).text
    assert "create_app" not in text
    assert "[project]" not in text


def test_nothing_is_told_before_somebody_signs_in(guarded: TestClient) -> None:
    for path in (*OPEN, "/api/v1/me"):
        assert guarded.get(path).status_code == 401, path
    assert guarded.post("/api/v1/verify/abc").status_code == 401
    assert guarded.get("/readyz").status_code == 200


def test_a_viewer_looks_and_an_operator_changes(guarded: TestClient) -> None:
    body = {"reason": "to see", "revision": 0}
    assert sign_in(guarded, "the-viewer") == 200
    assert guarded.get("/api/v1/loop").status_code == 200
    refused = change(guarded, "rollout/promote", body)
    assert refused.status_code == 403
    assert "operator" in refused.json()["detail"]
    assert sign_in(guarded, "the-operator") == 200
    assert change(guarded, "rollout/promote", body).status_code == 409, "there is no challenger"
    made = {"name": "x", "scopes": ["predict"], "reason": "to see", "seen": "0-0"}
    assert change(guarded, "keys", made).status_code == 403
    assert sign_in(guarded, "the-admin") == 200
    assert change(guarded, "keys", made).status_code == 200


def test_a_session_is_no_ones_but_its_owners(guarded: TestClient) -> None:
    assert sign_in(guarded, "the-admin", "wrong password") == 401
    assert sign_in(guarded, "nobody") == 401
    answer = guarded.post("/api/v1/login", json={"name": "the-admin", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    token = guarded.get("/api/v1/me").json()["csrf"]
    assert sign_in(guarded, "the-viewer") == 200
    assert guarded.get("/api/v1/me").json()["csrf"] != token
    guarded.post("/api/v1/logout")
    guarded.cookies.clear()
    assert guarded.get("/api/v1/me").status_code == 401


def test_guesses_of_a_password_are_few(guarded: TestClient) -> None:
    tries = [sign_in(guarded, "the-admin", f"guess number {number}") for number in range(12)]
    assert tries[:10] == [401] * 10
    assert tries[10:] == [429] * 2


def test_a_password_is_kept_as_a_slow_hash_and_never_short(home: Path) -> None:
    with closing(PlatformDatabase(home)) as database:
        people = ConsoleUsers(database)
        with pytest.raises(UserRefused, match="10 characters"):
            people.create("ada", "viewer", "short", actor="test", reason="a test")
        people.create("ada", "viewer", PASSWORD, actor="test", reason="a test")
        with pytest.raises(UserRefused, match="already"):
            people.create("ada", "viewer", PASSWORD, actor="test", reason="a test")
        content = (home / "platform.db").read_bytes()
        assert PASSWORD.encode() not in content
        assert b"$argon2id$" in content
        people.remove("ada", actor="test", reason="has left")
        assert people.sign_in("ada", PASSWORD) is None
        assert [entry.action for entry in database.read_audit()] == [
            "users create", "users remove"]
