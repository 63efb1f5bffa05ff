"""What an explanation is, by each method, and the picture of it."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bentos.explainer import Explainer, Method, cover, overlay
from bentos.runtime import ModelRefused, Runtime
from bentos.shapley import draw_coalitions, kernel_shap
from mlops_assets.contracts.model_card import EXPLAIN_FILE, ModelCard
from mlops_assets.contracts.pixels import PixelSpec
from tests.model_dir import CLASSES, add_explanation, random_image, write_model_dir

SPEC = PixelSpec(height=12, width=10, channels=1)
COLOUR = PixelSpec(height=30, width=40, channels=3)
Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, with a program that explains it."""
    folder = tmp_path_factory.mktemp("explained") / "model"
    write_model_dir(folder, pixels=SPEC)
    add_explanation(folder)
    return folder


def explained(folder: Path) -> Explainer:
    runtime = Runtime(folder, threads=1)
    return Explainer(folder, runtime.card, runtime.predict)


class Linear:
    """A made-up model whose probability is linear in the pixels: ``0.2 + sum(weights * x)``."""

    def __init__(self, spec: PixelSpec) -> None:
        random = np.random.default_rng(3)
        self.weights = random.normal(0, 1e-5, spec.shape)
        self.asked = 0

    def predict(self, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        self.asked += len(images)
        share = 0.2 + (images * self.weights).sum(axis=(1, 2, 3))
        return np.stack([1 - share, share], axis=1).astype(np.float64), np.zeros((len(images), 1))


def linear_explainer(spec: PixelSpec = SPEC) -> tuple[Explainer, Linear]:
    model = Linear(spec)
    card = ModelCard.model_construct(pixels=spec, classes=["no", "yes"], explain="occlusion")
    return Explainer(Path("nowhere"), card, model.predict), model


def exact_shapley(value: dict[frozenset[int], float], players: int) -> NDArray[np.float64]:
    """By the definition: the mean gain over all orders."""
    gains = np.zeros(players)
    for order in itertools.permutations(range(players)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            gains[player] += value[before | {player}] - value[before]
    return gains / math.factorial(players)


@given(seed=st.integers(0, 10**6), players=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_all_coalitions_give_the_exact_shapley_values(seed: int, players: int) -> None:
    random = np.random.default_rng(seed)
    game = {
        frozenset(members): float(random.normal())
        for size in range(players + 1) for members in itertools.combinations(range(players), size)
    }
    found = kernel_shap(
        lambda masks: np.array([game[frozenset(np.flatnonzero(mask).tolist())] for mask in masks]),
        players, samples=2**players,
    )
    np.testing.assert_allclose(found, exact_shapley(game, players), atol=1e-9)


@given(seed=st.integers(0, 10**6), players=st.integers(2, 60), more=st.integers(0, 200))
@settings(max_examples=50, deadline=None)
def test_a_linear_game_is_solved_exactly_from_any_sample(
    seed: int, players: int, more: int
) -> None:
    random = np.random.default_rng(seed)
    parts, start = random.normal(size=players), float(random.normal())
    found = kernel_shap(lambda masks: start + masks @ parts, players,
                        samples=2 * players + more, seed=seed)
    np.testing.assert_allclose(found, parts, atol=1e-8)


@given(seed=st.integers(0, 10**6), players=st.integers(3, 49), samples=st.integers(100, 900))
@settings(max_examples=50, deadline=None)
def test_coalitions_are_paired_weighted_and_within_the_budget(
    seed: int, players: int, samples: int
) -> None:
    masks, weights = draw_coalitions(players, samples, np.random.default_rng(seed))
    assert len(masks) == len(weights) <= samples
    sizes = masks.sum(axis=1)
    assert sizes.min() >= 1
    assert sizes.max() <= players - 1
    kernel = [(players - 1) / (size * (players - size)) for size in range(1, players)]
    assert weights.sum() == pytest.approx(sum(kernel))
    assert (weights @ sizes) / weights.sum() == pytest.approx(players / 2)
    again, _ = draw_coalitions(players, samples, np.random.default_rng(seed))
    assert np.array_equal(masks, again)


def test_values_of_a_curved_game_sum_to_the_difference_and_come_close_to_exact() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(12, 5)), random.normal(size=5)

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.tanh(masks @ first) @ second

    exact = kernel_shap(value, 12, samples=2**12)
    few = kernel_shap(value, 12, samples=400, seed=1)
    ends = value(np.array([[False] * 12, [True] * 12]))
    assert exact.sum() == pytest.approx(ends[1] - ends[0])
    assert few.sum() == pytest.approx(ends[1] - ends[0])
    assert np.abs(few - exact).max() < 0.15 * np.abs(exact).max()


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="9 samples do not determine the values of 5 players"):
        kernel_shap(lambda masks: masks.sum(axis=1), 5, samples=9)


def test_shap_of_a_linear_model_is_each_cells_own_part() -> None:
    explainer, model = linear_explainer()
    pixels = random_image(5, SPEC)
    heat = explainer.heat(pixels, 1, "shap", samples=150)
    assert heat.dtype == np.float32
    assert heat.shape == (12, 10)
    parts = ((pixels.astype(float) - cover(pixels, "blur")) * model.weights).sum(axis=2)
    rows, columns = np.arange(12) * 7 // 12, np.arange(10) * 7 // 10
    for row, column in itertools.product(range(7), range(7)):
        cell = np.ix_(rows == row, columns == column)
        assert heat[cell].sum() == pytest.approx(parts[cell].sum(), abs=1e-7)


@pytest.mark.parametrize("background", ["blur", "mean"])
def test_shap_sums_to_the_difference_from_the_background(folder: Path, background: str) -> None:
    explainer, pixels = explained(folder), random_image(2, SPEC)
    predict = Runtime(folder, threads=1).predict
    for target in range(len(CLASSES)):
        heat = explainer.heat(pixels, target, "shap", background=background)
        ends = predict(np.stack([cover(pixels, background), pixels]))[0][:, target]
        assert heat.sum() == pytest.approx(float(ends[1] - ends[0]), abs=1e-5)


def test_occlusion_finds_the_only_pixel_that_counts() -> None:
    explainer, model = linear_explainer()
    model.weights = np.zeros(SPEC.shape)
    model.weights[8, 3] = 3e-3
    pixels = np.zeros(SPEC.shape, np.uint8)
    pixels[8, 3] = 255
    heat = explainer.heat(pixels, 1, "occlusion")
    assert np.unravel_index(heat.argmax(), heat.shape) == (8, 3)
    assert heat[8, 3] == pytest.approx(3e-3 * (255 - int(cover(pixels, "blur")[8, 3, 0])))
    assert heat[0, 0] == 0
    against = explainer.heat(pixels, 0, "occlusion")
    np.testing.assert_allclose(against, -heat, atol=1e-9)


def test_gradcam_runs_the_program_and_is_scaled_to_one(folder: Path) -> None:
    explainer = explained(folder)
    pixels = np.zeros(SPEC.shape, np.uint8)
    pixels[9:12, 8:10] = 200
    heat = explainer.heat(pixels, 2, "gradcam")
    assert heat.shape == (12, 10)
    assert (heat.min(), heat.max()) == (0, 1)
    assert heat[11, 9] == 1
    assert not explainer.heat(pixels, 0, "gradcam").any()


def test_without_a_program_gradcam_is_occlusion(folder: Path) -> None:
    runtime = Runtime(folder, threads=1)
    card = runtime.card.model_copy(update={"explain": "occlusion", "explain_sha256": None})
    explainer = Explainer(folder, card, runtime.predict)
    pixels = random_image(1, SPEC)
    assert explainer.method_for("gradcam") == "occlusion"
    assert explained(folder).method_for("gradcam") == "gradcam"
    np.testing.assert_array_equal(
        explainer.heat(pixels, 1), explainer.heat(pixels, 1, "occlusion"))


def test_a_program_that_is_not_the_cards_is_refused(folder: Path, tmp_path: Path) -> None:
    runtime, pixels = Runtime(folder, threads=1), random_image(1, SPEC)
    for content in (None, b"other"):
        if content is not None:
            (tmp_path / EXPLAIN_FILE).write_bytes(content)
        explainer = Explainer(tmp_path, runtime.card, runtime.predict)
        with pytest.raises(ModelRefused, match=r"explain\.onnx has SHA-256"):
            explainer.heat(pixels, 1)


@pytest.mark.parametrize("method", ["occlusion", "shap"])
def test_explanations_repeat_themselves_and_ask_a_bounded_number_of_times(method: Method) -> None:
    for spec in (SPEC, COLOUR, PixelSpec(height=1, width=1, channels=1),
                 PixelSpec(height=2, width=300, channels=3)):
        explainer, model = linear_explainer(spec)
        pixels = random_image(1, spec)
        heat = explainer.heat(pixels, 1, method)
        assert heat.shape == spec.shape[:2]
        assert np.isfinite(heat).all()
        assert model.asked <= 1100
        np.testing.assert_array_equal(heat, explainer.heat(pixels, 1, method))


def test_other_pixels_and_classes_are_refused(folder: Path) -> None:
    explainer = explained(folder)
    with pytest.raises(ValueError, match="there is no class 5"):
        explainer.heat(random_image(1, SPEC), 5)
    with pytest.raises(ValueError, match=r"not uint8 \(12, 10, 1\)"):
        explainer.heat(random_image(1, COLOUR), 1)


@pytest.mark.parametrize("spec", [SPEC, COLOUR, PixelSpec(height=300, width=280, channels=3)])
@pytest.mark.parametrize("lowest", [-1.0, 0.0])
def test_the_picture_is_large_enough_to_see(spec: PixelSpec, lowest: float) -> None:
    heat = np.linspace(lowest, 1, spec.height * spec.width, dtype=np.float32)
    png = overlay(random_image(1, spec), heat.reshape(spec.shape[:2]))
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    height, width = picture.shape[:2]
    assert max(height, width) >= 224
    assert height * spec.width == width * spec.height
    brightness = picture.astype(int).sum(axis=2)
    if lowest == 0:
        assert brightness[-9:].mean() > brightness[:9].mean() + 100
    else:
        red_less_blue = picture[..., 0].astype(int) - picture[..., 2]
        assert red_less_blue[-9:].mean() > 50
        assert red_less_blue[:9].mean() < -50


def test_a_map_of_nothing_is_drawn_and_one_of_nan_is_not() -> None:
    heat = np.zeros((12, 10), np.float32)
    assert overlay(random_image(1, SPEC), heat).startswith(b"\x89PNG")
    heat[0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        overlay(random_image(1, SPEC), heat)
    with pytest.raises(ValueError, match="no map of pixels"):
        overlay(random_image(1, SPEC), np.zeros((10, 12), np.float32))


def test_explaining_needs_no_torch() -> None:
    code = "import sys; import bentos.explainer; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
