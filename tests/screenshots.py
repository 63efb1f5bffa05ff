"""Pictures of every page of a running console: ``python -m tests.screenshots [ADDRESS]``.

In both themes, as a desk shows them and as a telephone does; into ``docs/screenshots``, to be
looked at whenever pages have changed.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Final

import click
import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.chromium import OPTIONS

PLACE: Final = Path(__file__).parents[1] / "docs" / "screenshots"
SIZES: Final = {"1440": (1440, 900), "390": (390, 844)}
# Charts are drawn, and the stream has said its first word.
STILL_MS: Final = 1500
# Those further down load when somebody scrolls to them.
SEEN_IMAGES: Final = """[...document.images].every(
    each => each.complete || each.getBoundingClientRect().top > innerHeight)"""


def pages(address: str) -> dict[str, str]:
    """Names and paths; one of each kind that has an id in its path."""
    found = {"overview": "/", "models": "/models", "rollout": "/rollout", "drift": "/drift",
             "predictions": "/predictions", "try": "/try", "lineage": "/lineage",
             "labels": "/labels", "alerts": "/alerts", "automation": "/automation",
             "keys": "/keys", "audit": "/audit"}
    with httpx.Client(base_url=f"{address}/api/v1", timeout=20) as client:
        rows = client.get("/predictions", params={"limit": 1}).json()["rows"]
        models = client.get("/models").json()
    if rows:
        found["prediction"] = "/predictions/" + rows[0]["id"]
        found["lineage-of-an-answer"] = "/lineage/" + rows[0]["id"]
    if len(models) > 1:
        found["models-compared"] = "/models?v=" + ",".join(each["label"] for each in models[:2])
    if models:
        found["model"] = "/models/" + models[0]["version"]
    return found


def try_a_sample(page: Page) -> None:
    """Ask about the first image that the page offers."""
    page.locator("[aria-busy=true]").first.wait_for(state="hidden")
    page.locator(".samples-box button").first.click()
    page.get_by_role("link", name="answer", exact=True).wait_for()
    page.get_by_text("Computing the heat map").wait_for(state="hidden")


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:8080")
    parser.add_argument("--into", type=Path, default=PLACE)
    parser.add_argument("--only", nargs="*", default=[], help="names of pages; else all")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(OPTIONS))
        for name, path in pages(options.address).items():
            if options.only and name not in options.only:
                continue
            for theme in ("light", "dark"):
                for width, (wide, high) in SIZES.items():
                    context = browser.new_context(
                        viewport={"width": wide, "height": high}, bypass_csp=True,
                        color_scheme="dark" if theme == "dark" else "light",
                        reduced_motion="reduce")
                    page = context.new_page()
                    page.goto(f"{options.address}{path}")
                    page.locator("h1").first.wait_for()
                    if name == "try":
                        try_a_sample(page)
                    page.wait_for_timeout(STILL_MS)
                    page.wait_for_function(SEEN_IMAGES)
                    path_of = options.into / f"{name}-{theme}-{width}.png"
                    page.screenshot(path=path_of)
                    # 256 colours are enough for what has few, at a third of the size.
                    with Image.open(path_of) as picture:
                        picture.convert("RGB").quantize(256).save(path_of, optimize=True)
                    context.close()
            click.echo(name)
        browser.close()


if __name__ == "__main__":
    main()
