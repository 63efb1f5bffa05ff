"""From files to rows: a program that scores the images of a folder, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bentos.dimensions import read_size
from mlops_assets.contracts.errors import FolderError
from mlops_assets.contracts.model_card import (
    BATCHED_FILE,
    PROGRAM_FILE,
    ModelCard,
    read_card,
)
from mlops_assets.contracts.pixels import MAX_PIXELS, UndecodableImage, decode_pixels, sniff_format
from mlops_assets.provenance.hashing import sha256_bytes
from resources.folders import Folder, Listed, read_file, show_path

# `probabilities` are in the order of the model's classes, which the file's metadata names. Of an
# image that can not be decoded, `error` says why and the answer is null.
SCHEMA: Final = pa.schema([
    pa.field("path", pa.string(), nullable=False),
    pa.field("image_sha256", pa.string(), nullable=False),
    pa.field("label", pa.string()),
    pa.field("confidence", pa.float32()),
    pa.field("probabilities", pa.list_(pa.float32())),
    pa.field("model_version", pa.string(), nullable=False),
    pa.field("error", pa.string()),
])


@dataclass(frozen=True, slots=True)
class Scorer:
    """A loaded program and the folder it is given. Used from several threads."""

    card: ModelCard
    session: Any
    folder: Folder

    def score(self, files: Sequence[Listed]) -> pa.Table:
        """Rows of ``SCHEMA``, one a file, in order.

        Raises:
            FolderError: a file is gone or has other bytes than when it was listed.
        """
        pixels = np.empty((len(files), *self.card.pixels.shape), np.uint8)
        errors: list[str | None] = []
        count = 0
        for file in files:
            content = read_file(self.folder, file.path)
            if sha256_bytes(content) != file.sha256:
                raise FolderError(f"`{show_path(file.path)}` changed while the folder was scored; "
                                   "materialize it again")
            try:
                pixels[count] = decode(content, self.card)
            except UndecodableImage as error:
                errors.append(str(error))
                continue
            errors.append(None)
            count += 1
        probabilities = np.empty((0, len(self.card.classes)), np.float32)
        if count:
            (probabilities,) = self.session.run(["probabilities"], {"images": pixels[:count]})
        return to_table(self.card, files, errors, probabilities)


def decode(content: bytes, card: ModelCard) -> NDArray[np.uint8]:
    """Pixels of one image in the card's shape.

    Raises:
        UndecodableImage: no image, a damaged one, or more pixels than ``MAX_PIXELS``.
    """
    form = sniff_format(content)
    if content and form is None:
        raise UndecodableImage("the bytes are no PNG, JPEG, WebP, BMP, TIFF or GIF")
    if form is not None:
        width, height = read_size(content, form)
        if width * height > MAX_PIXELS:
            raise UndecodableImage(f"{width} x {height} pixels are more than {MAX_PIXELS}")
    try:
        return decode_pixels(content, card.pixels)
    except cv2.error as error:
        raise UndecodableImage(f"the image can not be resized: {error.err}") from error


def to_table(
    card: ModelCard, files: Sequence[Listed], errors: Sequence[str | None],
    probabilities: NDArray[np.float32],
) -> pa.Table:
    """Rows of ``SCHEMA``; ``probabilities`` float32 ``[n, K]`` are those of the decoded images."""
    failed = np.array([error is not None for error in errors])
    places = np.cumsum(~failed) - 1
    best = probabilities.argmax(axis=1) if len(probabilities) else np.zeros(1, np.int64)
    highest = probabilities.max(axis=1) if len(probabilities) else np.zeros(1, np.float32)
    classes, width = pa.array(card.classes), len(card.classes)
    offsets = np.concatenate([[0], np.cumsum(~failed)]) * width
    return pa.Table.from_arrays([
        pa.array([show_path(file.path) for file in files]),
        pa.array([file.sha256 for file in files]),
        classes.take(pa.array(best[places], mask=failed)),
        pa.array(highest[places], mask=failed),
        pa.ListArray.from_arrays(
            pa.array(offsets.astype(np.int32)), pa.array(probabilities.ravel()),
            mask=pa.array(failed),
        ),
        pa.array([card.version] * len(files)),
        pa.array(errors, pa.string()),
    ], schema=SCHEMA)


def load_scorer(model: Path, folder: Folder) -> Scorer:
    """The program of a model folder, on one thread of ONNX Runtime: batches run side by side."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    card = read_card(model)
    form = PROGRAM_FILE if card.batched_sha256 is None else BATCHED_FILE
    session = onnxruntime.InferenceSession(
        str(model / form), options, providers=["CPUExecutionProvider"]
    )
    return Scorer(card, session, folder)
