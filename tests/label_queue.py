"""A person at the label queue: a real browser, the console, and the service that takes labels."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.chromium import OPTIONS
from tests.console import serving_console
from tests.running import serving
from ui.server.settings import Addresses
from ui.server.sources.journal import Journal

SHOWN = 'main a[href^="/lineage/"]'


def label_by_keys(
    home: Path, tag: str, truths: Mapping[str, str], classes: Sequence[str], folder: Path
) -> None:
    """Label what the queue of ``home`` shows, one key an image; ``truths`` is by prediction.

    The service runs in ``folder``. Returns when every label stands in the journal.
    """
    with serving(tag, home / "bentoml", folder, PLATFORM_HOME=str(home)) as service, \
            serving_console(home, addresses=Addresses(service=str(service.client.base_url))
                            ) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(OPTIONS))
        page = browser.new_page()
        page.goto(f"{address}/labels")
        for left in range(len(truths), 0, -1):
            place = page.locator(SHOWN).first.get_attribute("href")
            assert place is not None
            with page.expect_response("**/api/v1/labels") as taken:
                page.keyboard.press("1234567890"[classes.index(truths[place.split("/")[-1]])])
            assert taken.value.ok, taken.value.text()
            if left > 1:
                expect(page.locator(SHOWN).first).not_to_have_attribute("href", place)
        browser.close()
    book = Journal(home / "journal")
    book.read()
    assert truths.items() <= {key: book.truths[key] for key in truths}.items()
