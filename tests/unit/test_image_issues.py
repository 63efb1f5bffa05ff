"""Odd images are found by kind, and ordinary ones are left alone."""

from __future__ import annotations

from dataclasses import astuple

import cv2
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from mlops_assets.config import IssueLimits
from mlops_assets.validated.issues import LOOK_SCHEMA, issues_of, list_issues, look_at

LIMITS = IssueLimits()
Grey = NDArray[np.uint8]


def photo(side: int = 300, at: int = 0) -> Grey:
    image = load_sample_image("china.jpg")[at : at + side, at : at + side]
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def kinds(grey: Grey) -> set[str]:
    return {issue.kind for issue in issues_of(look_at(grey), LIMITS)}


def scale(grey: Grey, factor: float, offset: float = 0.0) -> Grey:
    return np.clip(grey * factor + offset, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [28, 64, 300])
def test_ordinary_photos_have_no_issue(side: int) -> None:
    assert kinds(np.asarray(cv2.resize(photo(), (side, side), interpolation=cv2.INTER_AREA),
                            np.uint8)) == set()


@pytest.mark.parametrize(("change", "kind"), [
    (lambda grey: scale(grey, 0.2), "dark"),
    (lambda grey: scale(grey, 0.04, 246), "bright"),
    (lambda grey: np.where(grey > 250, 255, 128).astype(np.uint8), "low-information"),
    (lambda grey: cv2.GaussianBlur(grey, (0, 0), 8), "blurry"),
    (lambda grey: grey[:40], "odd-aspect"),
])
def test_each_kind_is_found(change: object, kind: str) -> None:
    assert callable(change)
    assert kind in kinds(np.asarray(change(photo()), np.uint8))


def listed(images: list[Grey], labels: list[str]) -> list[dict[str, object]]:
    named = pl.DataFrame({"image_id": [f"{index:064x}" for index in range(len(images))],
                          "source": [f"{index}.png" for index in range(len(images))],
                          "label": labels})
    looks = pl.DataFrame([astuple(look_at(image)) for image in images], LOOK_SCHEMA, orient="row")
    thumbnails = np.stack([cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).reshape(-1)
                           for image in images])
    return list_issues(named, looks, thumbnails, LIMITS)


def test_near_duplicates_are_told_from_similar_pictures() -> None:
    first, other = photo(), photo(at=100)
    again = cv2.imdecode(cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 60])[1],
                         cv2.IMREAD_GRAYSCALE)
    smaller = cv2.resize(first, (200, 200), interpolation=cv2.INTER_AREA)
    images = [np.asarray(image, np.uint8)
              for image in (first, other, again, smaller, scale(first, 0.5))]
    found = listed(images, ["a", "a", "a", "b", "a"])
    assert [(row["source"], row["kind"], row["detail"]) for row in found] == [
        ("2.png", "near-duplicate", "nearly equals 0.png"),
        ("3.png", "near-duplicate-other-label", "nearly equals 0.png, which is called a")]


def test_nearly_constant_images_are_no_duplicates_of_each_other() -> None:
    flat = [np.full((30, 30), 100 + step, np.uint8) for step in range(3)]
    assert {look_at(image).phash for image in flat} == {None}
    assert not any(row["kind"] == "near-duplicate" for row in listed(flat, ["a"] * 3))


def test_a_hash_bears_compression_and_size_but_not_another_crop() -> None:
    base = look_at(photo()).phash
    assert base is not None
    twice = look_at(np.asarray(cv2.resize(photo(), (600, 600)), np.uint8)).phash
    assert twice is not None
    assert (base ^ twice).bit_count() <= 2
    crop = look_at(photo(at=60)).phash
    assert crop is not None
    assert (base ^ crop).bit_count() > 10
