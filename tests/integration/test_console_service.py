"""The console over a real service: what a person does reaches traffic, registry and journal."""

from __future__ import annotations

import re
import shutil
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect, sync_playwright

from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.prediction import PredictionRecord
from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.releases.bento import build_bento
from mlops_assets.serving.states import arrive, release
from resources.journal import find, hours, journal_folder, read_labels
from resources.mlflow import CHAMPION, PROGRAM_TAG, Tracking
from resources.platform_db import PlatformDatabase
from tests.chromium import OPTIONS
from tests.console import change, change_headers, running_console, serving_console
from tests.model_dir import CLASSES, encode, random_image, write_model_dir
from tests.rollout_platform import NAME, Platform
from tests.running import serving
from tests.wrong_bentos import SPEC, Recipe, program
from ui.server.settings import Addresses

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
EXPERIMENT = "mlops-assets"
FOLLOWED_SECONDS = 2.0
IMAGE = encode(random_image(3, SPEC))


def build(folder: Path, name: str, recipe: Recipe) -> tuple[str, str]:
    """Tag of a bento and the version of its model."""
    card = write_model_dir(folder / name, pixels=SPEC, content=program(recipe))
    built = build_bento(folder / name, bentoml_home=folder / ".home", project_root=ROOT)
    return built.tag, card.version


@dataclass(frozen=True)
class Built:
    """Tag of a bento and version of its model, of two models below ``folder``."""

    folder: Path
    first: tuple[str, str]
    second: tuple[str, str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("console")
    return Built(folder, *(build(folder, f"model-{shift}", Recipe(shift=shift))
                           for shift in (0, 1)))


@pytest.fixture(scope="module")
def platform(built: Built) -> Iterator[Platform]:
    """A champion that serves, and a challenger that waits; both are in the registry."""
    folder, first, second = built.folder, built.first, built.second
    home = folder / "run" / ".platform"
    with serving(first[0], folder / ".home", folder / "run",
                 MLOPS_SERVICE_FOLLOW=str(home / SERVING_FILE)) as running:
        port = running.client.base_url.port
        assert port is not None
        made = Platform(home, port, Tracking(home, EXPERIMENT))
        register(made.tracking, first[1], second[1])
        made.alter(lambda state, now: release(state, *first, now=now))
        made.alter(lambda state, now: arrive(state, *second, now=now, automatic=False))
        yield made


def register(tracking: Tracking, *versions: str) -> None:
    """A version of the registered model for each program."""
    client = tracking.client()
    client.create_registered_model(NAME)
    for version in versions:
        client.create_model_version(NAME, source=f"file:///{version}", tags={
            PROGRAM_TAG: version, "mlops.exported_model": version})


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with running_console(platform.home, addresses=Addresses(
                service=f"http://127.0.0.1:{platform.port}")) as console:
            yield console


def answering(platform: Platform) -> str:
    """The version of the model that answers now."""
    answer = httpx.post(f"http://127.0.0.1:{platform.port}/v1/predict", content=IMAGE,
                        headers={"content-type": "image/png"})
    version: str = answer.raise_for_status().json()["model"]["version"]
    return version


def until_answered_by(platform: Platform, version: str) -> None:
    end = time.monotonic() + FOLLOWED_SECONDS
    while (now := answering(platform)) != version:
        assert time.monotonic() < end, f"{now} answers still"
        time.sleep(0.05)


def do(client: TestClient, action: str, reason: str) -> dict[str, Any]:
    revision = client.get("/api/v1/rollout").json()["revision"]
    done = change(client, f"rollout/{action}", {"reason": reason, "revision": revision})
    assert done.status_code == 200, done.text
    state: dict[str, Any] = done.json()
    return state


def test_promote_and_roll_back_change_traffic_alias_and_audit(
    client: TestClient, platform: Platform
) -> None:
    slots = platform.state().slots
    first, second = (slots[name].model_version for name in ("champion", "challenger"))
    assert answering(platform) == first
    do(client, "promote", "better on coats")
    until_answered_by(platform, second)
    alias = platform.tracking.by_alias(NAME, CHAMPION)
    assert alias is not None and alias.exported_model == second
    do(client, "rollback", "errors since noon")
    until_answered_by(platform, first)
    alias = platform.tracking.by_alias(NAME, CHAMPION)
    assert alias is not None and alias.exported_model == first
    entries = client.get("/api/v1/audit").json()["entries"]
    assert [(each["action"], each["reason"]) for each in entries[:2]] == [
        ("rollback", "errors since noon"), ("promote", "better on coats")]


def press(page: Page, button: str, reason: str) -> None:
    """Press a button of the page and give a reason for it."""
    page.get_by_role("button", name=button).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(reason)
    dialog.get_by_role("button", name=button).click()
    expect(dialog).to_be_hidden(timeout=60_000)


def test_promote_and_roll_back_are_pressed_in_a_browser(
    client: TestClient, platform: Platform, built: Built
) -> None:
    if "challenger" not in platform.state().slots:
        platform.alter(lambda state, now: arrive(state, *built.second, now=now, automatic=False))
    first, second = built.first[1], built.second[1]
    service = Addresses(service=f"http://127.0.0.1:{platform.port}")
    with serving_console(platform.home, addresses=service) as address, \
            sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(OPTIONS))
        page = browser.new_page()
        page.goto(f"{address}/rollout")
        press(page, "Make champion now", "better on coats, once more")
        until_answered_by(platform, second)
        alias = platform.tracking.by_alias(NAME, CHAMPION)
        assert alias is not None and alias.exported_model == second
        # The page has heard of it: what it offers now is of the new state.
        expect(page.get_by_role("button", name="Make champion now")).to_be_disabled(timeout=30_000)
        press(page, "Roll back", "errors again")
        until_answered_by(platform, first)
        alias = platform.tracking.by_alias(NAME, CHAMPION)
        assert alias is not None and alias.exported_model == first
        browser.close()
    database = PlatformDatabase(platform.home)
    entries = database.read_audit()
    database.close()
    assert [(each.action, each.reason) for each in entries[-2:]] == [
        ("promote", "better on coats, once more"), ("rollback", "errors again")]


def test_an_image_that_is_tried_is_answered_explained_and_labelled(
    client: TestClient, platform: Platform
) -> None:
    headers = {**change_headers(client), "content-type": "image/png"}
    tried = client.post("/api/v1/try", content=IMAGE, headers=headers)
    assert tried.status_code == 200, tried.text
    told = tried.json()
    kept = find(journal_folder(platform.home), told["id"])
    assert kept is not None and kept.answer.label == told["label"]
    assert sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    why = client.post("/api/v1/try/explain", params={"target": CLASSES[0]}, content=IMAGE,
                      headers=headers)
    assert why.status_code == 200, why.text
    heat = why.json()["heat"]
    assert len(heat) > 1 and all(0 <= cell <= 1 for row in heat for cell in row)
    assert change(client, "labels", {"prediction_id": told["id"],
                                     "label": CLASSES[1]}).status_code == 200
    folder = journal_folder(platform.home)
    labels = [each for key in hours(folder) for each in read_labels(folder, key)]
    assert (labels[-1].prediction_id, labels[-1].label) == (told["id"], CLASSES[1])


@pytest.fixture
def trying(platform: Platform) -> Iterator[Page]:
    """The page to try images on, in a browser whose camera shows a test picture."""
    service = Addresses(service=f"http://127.0.0.1:{platform.port}")
    with serving_console(platform.home, addresses=service) as address, \
            sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[
            *OPTIONS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
        page = browser.new_page()
        page.goto(f"{address}/try")
        yield page
        browser.close()


def answered(page: Page, platform: Platform) -> PredictionRecord:
    """The journaled answer that the page shows."""
    link = page.get_by_role("link", name="answer", exact=True)
    expect(link).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Computing the heat map…")).to_be_hidden(timeout=60_000)
    expect(page.get_by_text("No heat map")).to_be_hidden()
    place = link.get_attribute("href")
    assert place is not None
    kept = find(journal_folder(platform.home), place.split("/")[-1])
    assert isinstance(kept, PredictionRecord)
    expect(page.locator("main").get_by_text(kept.answer.label).first).to_be_visible()
    return kept


def test_an_image_that_is_dropped_on_the_page_is_answered(
    trying: Page, platform: Platform
) -> None:
    dropped = trying.evaluate_handle("""(content) => {
        const all = new DataTransfer();
        const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
        all.items.add(new File([bytes], "coat.png", { type: "image/png" }));
        return all; }""", b64encode(IMAGE).decode())
    place = trying.locator(".drop")
    place.dispatch_event("dragover", {"dataTransfer": dropped})
    expect(place).to_have_class(re.compile("over"))
    place.dispatch_event("drop", {"dataTransfer": dropped})
    assert answered(trying, platform).image_sha256 == sha256_bytes(IMAGE)


def test_a_file_that_is_no_image_is_refused_before_it_is_sent(trying: Page) -> None:
    trying.locator("input[type=file]").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"})
    expect(trying.get_by_role("alert")).to_have_text("notes.txt is not an image.")


def test_a_picture_of_the_camera_is_answered(trying: Page, platform: Platform) -> None:
    trying.get_by_role("button", name="Use the camera").click()
    expect(trying.locator("video")).to_be_visible()
    # It has a picture to show.
    expect(trying.locator("video")).to_have_js_property("readyState", 4)
    trying.get_by_role("button", name="Take the picture").click()
    expect(trying.locator("video")).to_be_hidden()
    assert answered(trying, platform).answer.confidence > 0


def test_what_is_no_image_is_refused_with_the_services_reason(client: TestClient) -> None:
    headers = {**change_headers(client), "content-type": "image/png"}
    for content, status in ((b"", 422), (b"no image", 502)):
        answer = client.post("/api/v1/try", content=content, headers=headers)
        assert answer.status_code == status
        assert answer.json()["detail"]
