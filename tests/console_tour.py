"""What a person does in the console of a platform that runs, in a real browser."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.chromium import OPTIONS

PAGES = ("/", "/models", "/models?v=v1,v2", "/models/v2", "/rollout", "/drift", "/predictions",
         "/try", "/lineage", "/labels", "/alerts", "/automation", "/keys", "/audit")


@dataclass(frozen=True)
class Console:
    """A console's address and a browser."""

    address: str
    browser: Browser

    @contextmanager
    def open(self, path: str, theme: str = "light") -> Iterator[Page]:
        """A page, once it shows what it asked for."""
        context = self.browser.new_context(
            viewport={"width": 1440, "height": 900}, reduced_motion="reduce",
            color_scheme="dark" if theme == "dark" else "light")
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(self.address + path)
        expect(page.locator("h1")).to_be_visible(timeout=60_000)
        expect(page.locator("[aria-busy=true]")).to_have_count(0, timeout=60_000)
        try:
            yield page
        finally:
            context.close()

    def get(self, path: str) -> Any:
        """What the API tells."""
        answer = httpx.get(f"{self.address}/api/v1/{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, key: str, **body: object) -> httpx.Response:
        """The answer to a change."""
        headers = {"x-csrf-token": self.get("me")["csrf"], "idempotency-key": key}
        return httpx.post(f"{self.address}/api/v1/{path}", json=body, headers=headers, timeout=60)


@contextmanager
def touring(address: str) -> Iterator[Console]:
    """A console in Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(OPTIONS))
        try:
            yield Console(address, browser)
        finally:
            browser.close()


@contextmanager
def another_site() -> Iterator[str]:
    """The address of a page of somebody else's."""
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def faults(page: Page) -> str:
    """What keeps somebody from using this page, as axe finds it; empty when nothing does."""
    found = Axe().run(page)
    return "" if found.violations_count == 0 else str(found.generate_report())


def dialogs(console: Console, theme: str) -> Iterator[tuple[str, Page]]:
    """Each dialog of the console, open."""
    with console.open("/", theme) as page:
        page.keyboard.press("Control+k")
        expect(page.get_by_role("dialog")).to_be_visible()
        yield "find", page
    with console.open("/automation", theme) as page:
        page.locator("form.launch select").select_option("judge_rollout")
        page.get_by_role("button", name="Launch", exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        yield "launch", page
    with console.open("/automation", theme) as page:
        page.get_by_role("switch").first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        yield "switch", page
    with console.open("/keys", theme) as page:
        page.get_by_label("Name: the program or the person").fill("till")
        page.get_by_role("button", name="Make a key").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        yield "new key", page
    with console.open("/predictions", theme) as page:
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_timeout(500)
        yield "peek", page
