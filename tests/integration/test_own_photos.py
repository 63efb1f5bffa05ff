"""Own images of any size and format, by config alone: trained, exported and served."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import httpx
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from bentos.predictor import Predictor
from bentos.runtime import Runtime
from mlops_assets.contracts.manifest import MANIFEST_FILE, QUARANTINE_FILE
from tests.graph import Graph, explain, set_digits
from tests.serving import serve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
Pixels = NDArray[np.uint8]
ORIENTATION = 274


def scene(label: str, width: int, height: int, rng: np.random.Generator) -> Pixels:
    """A photo of one subject: discs, bars or boards, in any colour, before a noisy ground."""
    ground = rng.normal(rng.uniform(60, 140), 12, (height, width, 3))
    image = np.clip(ground, 0, 255).astype(np.uint8)
    colour = [int(each) for each in rng.integers(150, 256, 3)]
    side = min(width, height)
    if label == "disc":
        middle = (width // 2, height // 2)
        cv2.circle(image, middle, int(side * rng.uniform(0.25, 0.4)), colour, -1)
    elif label == "bars":
        step = max(4, side // 6)
        for left in range(int(rng.integers(step)), width, 2 * step):
            image[:, left : left + step] = colour
    else:
        step = max(4, side // 4)
        across, down = np.meshgrid(np.arange(width) // step, np.arange(height) // step)
        image[(across + down) % 2 == 0] = colour
    return image


def as_file(image: Pixels, how: int) -> tuple[str, bytes]:
    """A suffix and the image in one of the formats and modes that cameras and tools write."""
    picture = Image.fromarray(image)
    buffer = io.BytesIO()
    suffix, form, options = [
        (".jpg", "JPEG", {"quality": 90}), (".png", "PNG", {}), (".webp", "WEBP", {}),
        (".tiff", "TIFF", {}), (".png", "PNG", {}), (".png", "PNG", {}), (".jpg", "JPEG", {}),
    ][how]
    if how == 4:
        picture = picture.convert("L")
    elif how == 5:
        picture.putalpha(200)
    elif how == 6:
        # The sensor lay on its side, and says so.
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        picture, options = picture.rotate(90, expand=True), {"exif": exif}
    picture.save(buffer, form, **options)
    return suffix, buffer.getvalue()


def write_photos(root: Path) -> dict[str, str]:
    """Large and small photos in seven formats; label by path."""
    rng = np.random.default_rng(0)
    labels = {}
    for label in ("disc", "bars", "board"):
        (root / label).mkdir(parents=True)
        for number in range(84):
            width = int(rng.integers(40, 200)) if number % 6 else int(rng.integers(800, 1600))
            height = max(40, int(width * rng.uniform(0.75, 1.33)))
            suffix, content = as_file(scene(label, width, height, rng), number % 7)
            path = root / label / f"{number:03d}{suffix}"
            path.write_bytes(content)
            labels[f"{label}/{path.name}"] = label
    return labels


def write_small(root: Path) -> dict[str, str]:
    """32 x 32 RGB PNG in ten classes, as CIFAR-10 has: a subject in one of several colours."""
    rng = np.random.default_rng(1)
    labels = {}
    for number in range(10):
        label = f"kind-{number}"
        (root / label).mkdir(parents=True)
        for index in range(60):
            image = np.clip(rng.normal(90, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            shape = scene(("disc", "bars", "board")[number % 3], 32, 32, rng)
            image = np.where(shape > 150, shape, image)
            image[..., number // 4] = image[..., number // 4] // 4
            path = root / label / f"{index:04d}.png"
            Image.fromarray(image).save(path)
            labels[f"{label}/{path.name}"] = label
    return labels


@pytest.mark.parametrize(("write", "shards_gib", "least"), [
    # Photos stay encoded and are decoded as training takes them.
    (write_photos, "0", 0.85), (write_small, "16", 0.5)])
def test_a_folder_of_images_is_trained_and_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], dict[str, str]], shards_gib: str, least: float,
) -> None:
    labels = write(tmp_path / "photos")
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    set_digits(monkeypatch, tmp_path / "photos", DATASET__PIXELS__HEIGHT="32",
               DATASET__PIXELS__WIDTH="32", DATASET__PIXELS__CHANNELS="3", TRAINING__EPOCHS="12",
               TRAINING__FLIP="true", GATE__MIN_ACCURACY="0.3", FEATURES__SHARDS_GIB=shards_gib)
    graph = Graph(tmp_path / "home")
    result = graph.run()
    assert result.success, explain(result)
    (bad,) = graph.store.pin_all("quarantined_images")
    assert pl.read_parquet(graph.store.path(bad) / QUARANTINE_FILE).height == 0
    (good,) = graph.store.pin_all("validated_images")
    manifest = pl.read_parquet(graph.store.path(good) / MANIFEST_FILE)
    assert dict(manifest.select("source", "label").iter_rows()) == labels
    kept = graph.latest("training_shards").metadata["kept"].value
    assert kept == ("encoded" if shards_gib == "0" else "decoded")
    runtime = Runtime(graph.store.path(graph.store.pin("exported_model")), threads=1)
    asked = sorted(labels)[::3]

    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        right = 0
        for name in asked:
            answer = await client.post("/v1/predict", files={
                "image": (tmp_path / "photos" / name).read_bytes()})
            assert answer.status_code == 200, (name, answer.text)
            right += answer.json()["label"] == labels[name]
        assert right / len(asked) >= least

    serve(runtime, tmp_path / "service", use)
