"""Traffic by name: shifts change images alone, labels come late, failures are counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mlops_assets.cli import main
from mlops_assets.cli.generator import Generator
from mlops_assets.cli.shifts import SHIFTS, UnknownShift, shift
from mlops_assets.cli.traffic import LabelledImage
from resources.service_api import ServiceApi
from tests.stand_in_service import Service, running_service


@pytest.fixture
def service() -> Iterator[str]:
    with running_service() as url:
        yield url


def picture(*shape: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return cv2.imencode(".png", cv2.GaussianBlur(pixels, (0, 0), 2))[1].tobytes()


@pytest.mark.parametrize("name", list(SHIFTS))
@pytest.mark.parametrize("shape", [(28, 28), (31, 40, 3)])
def test_a_shift_changes_pixels_and_keeps_the_form(name: str, shape: tuple[int, ...]) -> None:
    before = picture(*shape)
    after = shift(before, name, np.random.default_rng(1))
    seen = [cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_UNCHANGED)
            for each in (before, after)]
    assert seen[0].shape == seen[1].shape == shape
    assert (after == before) == (name == "none")
    assert shift(before, name, np.random.default_rng(1)) == after


def test_an_unknown_shift_and_bytes_that_are_no_image_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UnknownShift, match="known: none, brighter"):
        shift(picture(28, 28), "sideways", rng)
    with pytest.raises(ValueError, match="no image"):
        shift(b"no image", "blur", rng)


def test_labels_come_late_and_all_are_told_at_the_end(service: str) -> None:
    images = [LabelledImage(picture(28, 28), label) for label in ("Bag", "Coat")]
    Service.labels.clear()
    with closing(ServiceApi(service)) as api:
        traffic = Generator(api, images, rate=200, delay=5.0, labelled=1.0)
        with traffic:
            time.sleep(0.5)
            assert not Service.labels
        assert 20 < traffic.tally.sent == len(traffic.answered)
    assert traffic.tally.labels == len(Service.labels) == len(traffic.labelled)
    assert set(traffic.labelled) == set(traffic.answered)
    assert traffic.tally.failed == 0
    assert 0.2 < traffic.tally.accuracy < 0.8


def test_a_service_that_is_away_is_counted_and_said(service: str, tmp_path: Path) -> None:
    with closing(ServiceApi("http://127.0.0.1:9")) as api:
        traffic = Generator(api, [LabelledImage(picture(28, 28), "Bag")], rate=50)
        with traffic:
            time.sleep(0.3)
    assert traffic.tally.sent == 0
    assert traffic.tally.failed > 3
    assert "no service answers" in traffic.tally.last_error
    told = CliRunner().invoke(main, ["traffic", "--shift", "sideways", "--url", service])
    assert told.exit_code == 1 and not list(tmp_path.iterdir())
