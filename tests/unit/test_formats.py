"""Every format gives the answer that training's preprocessing would give; Pillow is the judge."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, ImageOps

from bentos.predictor import Predictor
from bentos.runtime import Runtime
from mlops_assets.contracts.pixels import PixelSpec, decode_pixels
from tests.model_dir import write_model_dir
from tests.serving import journaled, serve

SIDE = 24
ORIENTATION = 0x0112


def scene() -> Image.Image:
    """A smooth colour picture without symmetry."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    planes = [255 * x, 255 * y, 255 * (1 - x) * y]
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8), "RGB")


def rgba() -> Image.Image:
    image = scene().convert("RGBA")
    image.putalpha(200)
    return image


def sixteen_bit() -> Image.Image:
    levels = np.asarray(scene().convert("L")).astype(np.uint16) * 257
    return Image.fromarray(levels)


def save(image: Image.Image, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def rotated(form: str) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return save(scene(), form, exif=exif, quality=95)


CASES: dict[str, Callable[[], bytes]] = {
    "png grey": lambda: save(scene().convert("L"), "PNG"),
    "png rgb": lambda: save(scene(), "PNG"),
    "png rgba": lambda: save(rgba(), "PNG"),
    "png grey and alpha": lambda: save(scene().convert("LA"), "PNG"),
    "png palette": lambda: save(scene().quantize(256), "PNG"),
    "png 16 bit": lambda: save(sixteen_bit(), "PNG"),
    "jpeg rgb": lambda: save(scene(), "JPEG", quality=95),
    "jpeg grey": lambda: save(scene().convert("L"), "JPEG", quality=95),
    "jpeg progressive": lambda: save(scene(), "JPEG", quality=95, progressive=True),
    "jpeg turned by exif": lambda: rotated("JPEG"),
    "webp lossless": lambda: save(scene(), "WEBP", lossless=True),
    "webp lossy": lambda: save(scene(), "WEBP", quality=95),
    "webp rgba": lambda: save(rgba(), "WEBP", lossless=True),
    "bmp rgb": lambda: save(scene(), "BMP"),
    "bmp grey": lambda: save(scene().convert("L"), "BMP"),
    "tiff rgb": lambda: save(scene(), "TIFF"),
    "gif palette": lambda: save(scene().quantize(256), "GIF"),
}


def by_pillow(content: bytes, channels: int) -> np.ndarray:
    """The picture that a person sees, uint8 ``[H, W, C]``."""
    image = Image.open(io.BytesIO(content))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "P"):
        image = image.convert("RGBA").convert("RGB")
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_pixels_are_those_that_a_person_sees(case: str, channels: int) -> None:
    content = CASES[case]()
    pixels = decode_pixels(content, PixelSpec(height=SIDE, width=SIDE, channels=channels))
    difference = np.abs(pixels.astype(int) - by_pillow(content, channels).astype(int))
    # Decoders of lossy formats round differently; a wrong turn or channel would be above 20.
    assert difference.mean() < 1.5, difference.mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_service_answers_what_training_would_see(tmp_path: Path, channels: int) -> None:
    spec = PixelSpec(height=20, width=16, channels=channels)
    write_model_dir(tmp_path / "model", pixels=spec)
    runtime = Runtime(tmp_path / "model", threads=1)

    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        for case, make in CASES.items():
            content = make()
            answer = await client.post("/v1/predict", files={"image": content})
            assert answer.status_code == 200, (case, answer.text)
            expected, _embedding = runtime.predict(decode_pixels(content, spec)[None])
            found = list(answer.json()["probabilities"].values())
            np.testing.assert_allclose(found, expected[0], atol=1e-6, err_msg=case)
        assert len(journaled(tmp_path / "journal")) == len(CASES)

    serve(runtime, tmp_path / "journal", use)


def test_animated_images_answer_for_their_first_frame(tmp_path: Path) -> None:
    frames = [scene().convert("L"), ImageOps.invert(scene().convert("L"))]
    spec = PixelSpec(height=SIDE, width=SIDE, channels=1)
    still = decode_pixels(save(frames[0], "GIF"), spec)
    content = save(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    assert np.abs(decode_pixels(content, spec).astype(int) - still.astype(int)).mean() < 1.5


def test_cmyk_is_read_as_its_colours() -> None:
    content = save(scene().convert("CMYK"), "JPEG", quality=95)
    spec = PixelSpec(height=SIDE, width=SIDE, channels=3)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert np.abs(decode_pixels(content, spec).astype(int) - expected).mean() < 12
