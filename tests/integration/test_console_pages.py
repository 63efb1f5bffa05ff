"""The console in a real browser: each page shows what it should, for everybody, in both themes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from resources.console_users import ConsoleUsers
from resources.platform_db import PlatformDatabase
from tests.chromium import OPTIONS
from tests.console import add_challenger, serving_console
from tests.small_platform import SmallPlatform
from tests.stand_in_service import Service, running_service
from ui.server.settings import Addresses

pytestmark = pytest.mark.slow

PAGES = ("/", "/models", "/models/v1", "/rollout", "/drift", "/predictions", "/try", "/lineage",
         "/labels", "/alerts", "/automation", "/keys", "/audit")
PASSWORD = "a long enough one"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(OPTIONS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(small_platform: SmallPlatform) -> Iterator[str]:
    with serving_console(small_platform.home) as found:
        yield found


@contextmanager
def opened(
    browser: Browser, address: str, path: str, *, theme: str = "light", width: int = 1440
) -> Iterator[Page]:
    """A page that has said nothing on the browser's console, such as of what its policy forbids."""
    context = browser.new_context(viewport={"width": width, "height": 900},
                                  color_scheme="dark" if theme == "dark" else "light",
                                  reduced_motion="reduce")
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # An image that is not kept is a 404, which the page shows as such.
        if message.type in ("error", "warning") and "/api/v1/images/" not in (
                message.location.get("url", "")):
            said.append(message.text)

    page = context.new_page()
    page.on("console", hear)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{address}{path}")
    page.wait_for_load_state("load")
    try:
        yield page
    finally:
        context.close()
    assert said == [], (path, said)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_for_everybody(browser: Browser, address: str, theme: str) -> None:
    for path in PAGES:
        with opened(browser, address, path, theme=theme) as page:
            expect(page.locator("h1")).to_be_visible()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            assert page.locator("html").get_attribute("data-theme") == theme
            found = Axe().run(page)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"


def test_no_page_scrolls_sideways_on_a_phone(browser: Browser, address: str) -> None:
    for path in PAGES:
        with opened(browser, address, path, width=390) as page:
            expect(page.locator("h1")).to_be_visible()
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, (path, wide)


def test_an_answer_leads_to_its_raw_bytes(
    browser: Browser, address: str, small_platform: SmallPlatform
) -> None:
    prediction = small_platform.predictions[0].answer.prediction_id
    with opened(browser, address, f"/lineage/{prediction}") as page:
        for asset in ("raw_images", "dataset", "trained_model", "exported_model", "model_bento"):
            expect(page.get_by_text(asset).first).to_be_visible()
        page.get_by_role("button", name="Verify").first.click()
        expect(page.get_by_text("whole").first).to_be_visible(timeout=20_000)


def test_a_person_promotes_with_a_reason_and_it_is_audited(
    browser: Browser, small_platform: SmallPlatform, tmp_path: Path
) -> None:
    home = tmp_path / "copy"
    shutil.copytree(small_platform.home, home, symlinks=True)
    newer = add_challenger(home).slots["challenger"]
    with serving_console(home) as address, opened(browser, address, "/rollout") as page:
        page.get_by_role("button", name="Make champion now").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        assert Axe().run(page).violations_count == 0
        dialog.get_by_role("textbox").fill("better on coats")
        dialog.get_by_role("button", name="Make champion now").click()
        expect(dialog).to_be_hidden(timeout=60_000)
    with closing(PlatformDatabase(home)) as database:
        assert database.read_state().slots["champion"] == newer.model_copy(
            update={"weight": 1.0})
        last = database.read_audit()[-1]
        assert (last.action, last.reason) == ("promote", "better on coats")


def test_the_label_queue_is_worked_by_keys(
    browser: Browser, small_platform: SmallPlatform, tmp_path: Path
) -> None:
    home = tmp_path / "copy"
    shutil.copytree(small_platform.home, home, symlinks=True)
    kept = small_platform.predictions[0]
    folder = home / "requests" / kept.image_sha256[:2]
    folder.mkdir(parents=True)
    (folder / kept.image_sha256).write_bytes(small_platform.images[0])
    for path in home.glob("journal/*/predictions-*.jsonl"):
        path.write_bytes(path.read_bytes().replace(b'"image_kept":false', b'"image_kept":true'))
    with running_service() as service, serving_console(
            home, addresses=Addresses(service=service)) as address, opened(
            browser, address, "/labels") as page:
        expect(page.locator("main img").first).to_be_visible()
        badge = page.get_by_role("link", name="Label queue").locator(".n")
        expect(badge).to_have_text(str(len(small_platform.predictions)))
        page.keyboard.press("2")
        page.wait_for_timeout(1500)
        assert [each["label"] for each in Service.labels] == [small_platform.card.classes[1]]


def test_somebody_who_only_looks_is_told_so(
    browser: Browser, small_platform: SmallPlatform, tmp_path: Path
) -> None:
    home = tmp_path / "copy"
    shutil.copytree(small_platform.home, home, symlinks=True)
    with closing(PlatformDatabase(home)) as database:
        ConsoleUsers(database).create("ada", "viewer", PASSWORD, actor="test", reason="a test")
    context = browser.new_context()
    with serving_console(home) as address:
        page = context.new_page()
        page.goto(f"{address}/keys")
        page.wait_for_url("**/login**")
        assert Axe().run(page).violations_count == 0
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/keys")
        expect(page.locator("h1")).to_be_visible()
        for button in page.locator("main button").all():
            assert button.is_disabled(), button.text_content()
    context.close()
