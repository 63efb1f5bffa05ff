"""Issues the receipt of one journaled answer."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mlops_assets.contracts.model_card import ModelCard
from mlops_assets.contracts.neighbours import nearest
from mlops_assets.contracts.prediction import PredictionRecord
from mlops_assets.contracts.receipt import Neighbour, Proof, Receipt
from resources.chain import line_sha256
from resources.memberships import Proven, prove_images


def issue(
    record: PredictionRecord, line: bytes, card: ModelCard, model: Path | None, home: Path | None
) -> Receipt:
    """The receipt of ``record``, which stands in the journal as ``line``.

    ``model`` is the folder of the model that answered; without it no training images are named.
    ``home`` is the platform's; without it, or where the dataset is not in it, they have no proofs.

    Raises:
        ValueError: the card is of another program.
        DamagedDataset: the dataset is there and its rows do not give its Merkle root.
    """
    near = [] if model is None else nearest(model, record.embedding)
    proofs: list[Proven | None] = [None] * len(near)
    if near and home is not None and (home / "store" / "dataset" / card.origin.dataset).is_dir():
        # A container may have neither the reader of Parquet nor a place for the tree.
        with suppress(ImportError, OSError):
            proofs = prove_images(home, card.origin.dataset, [each.image_id for each in near])
    neighbours = [
        Neighbour(image_id=each.image_id, label=card.classes[each.label], distance=each.distance,
                  proof=None if proven is None else Proof(
                      row=proven.row, index=proven.proof.index, size=proven.proof.size,
                      path=list(proven.proof.path)))
        for each, proven in zip(near, proofs, strict=True)
    ]
    return Receipt.of(record, line_sha256(line), card, neighbours)
