"""What ``mlops verify`` goes through: the whole platform home, or one thing and its ancestors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlops_assets.contracts.files import PREDICTIONS_FILE
from mlops_assets.contracts.prediction import PredictionRecord
from mlops_assets.lineage.checks import (
    RESTORE,
    Checked,
    check_artifacts,
    check_memos,
    check_records,
    check_references,
    folders_behind,
)
from mlops_assets.lineage.graph import Artifact, Graph, version_folders
from mlops_assets.lineage.images import memberships, sightings
from mlops_assets.lineage.served import check_bento, check_bentos, check_serving
from mlops_assets.lineage.subject import Subject, bento_of_tag
from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.provenance.integrity import Damage
from resources.chain import breaks
from resources.journal import (
    JournalDamaged,
    hours,
    journal_folder,
    list_files,
    locate,
    prediction_ids,
    read_failures,
    read_labels,
)
from resources.pinned_hour import PinnedHour


def verify_home(home: Path, graph: Graph) -> Iterator[Checked]:
    """Check everything that has a hash or a form below a platform home."""
    store = graph.store
    yield from check_artifacts(graph, version_folders(store))
    yield from check_records(store)
    yield from check_references(store)
    yield from check_memos(store)
    yield from check_journal(home)
    yield from check_compacted(home, graph)
    yield from check_bentos(home, graph)
    yield from check_serving(home)


def verify_subject(home: Path, graph: Graph, subject: Subject) -> Iterator[Checked]:
    """Check one thing, everything that it was made from, and the bento where it has one."""
    tops: list[Artifact] = [subject.artifact] if subject.artifact else []
    if subject.kind in ("model", "prediction"):
        tops += [each for top in tops for each in sorted(graph.users.get(top, ()))
                 if each.asset in ("registered_model", "model_bento")]
    if subject.prediction is not None:
        yield check_chain(home, subject.id)
        yield check_prediction(graph, subject, subject.prediction)
        yield from check_serving(home)
    if subject.kind == "image":
        yield from check_image(graph, subject.id)
        seen = [each.artifact for each in sightings(
            graph, "raw_images", "images-*.parquet", subject.id)]
        tops += seen + [each for each in graph.of("dataset")
                        if set(seen) & set(graph.ancestors(each))]
    yield from check_artifacts(graph, folders_behind(graph, tops))
    for top in tops:
        if top.asset == "model_bento":
            yield check_bento(home, graph, top)


def check_chain(home: Path, prediction_id: str) -> Checked:
    """The journal's file that holds a prediction is as it was written."""
    found = locate(journal_folder(home), prediction_id)
    if found is None:
        return Checked("journal", prediction_id, 0, (
            Damage(journal_folder(home), f"has no prediction {prediction_id}", RESTORE),))
    path, _ = found
    return Checked("journal", path.name, 1, tuple(
        Damage(path, problem, RESTORE) for problem in breaks(path)))


def check_prediction(graph: Graph, subject: Subject, record: PredictionRecord) -> Checked:
    """The model that answered is in the store, under the bento that the journal names."""
    model, damages = record.answer.model, []
    where, bento = graph.store.root, bento_of_tag(graph, record.bento_tag)
    if subject.artifact is None:
        damages.append(Damage(where / "exported_model", f"has no program {model.sha256}", RESTORE))
    if bento is None:
        damages.append(Damage(where / "model_bento", f"has no bento {record.bento_tag}", RESTORE))
    elif subject.artifact is not None and subject.artifact not in graph.inputs(bento):
        damages.append(Damage(graph.folder(bento), f"holds another program than {model.sha256}",
                              RESTORE))
    return Checked("predictions", subject.id, 1, tuple(damages))


def check_image(graph: Graph, image_id: str) -> Iterator[Checked]:
    """The image's bytes in each snapshot have its hash; its row in each dataset is proven."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for snapshot in graph.of("raw_images"):
        for path in sorted(graph.folder(snapshot).glob("images-*.parquet")):
            with pq.ParquetFile(path, memory_map=True) as file:
                for batch in file.iter_batches(columns=["image_id", "content"]):
                    found = batch.filter(pc.equal(batch.column("image_id"), image_id))
                    for content in found.column("content"):
                        whole = sha256_bytes(content.as_py()) == image_id
                        damage = Damage(path, f"holds other bytes for image {image_id}",
                                        "materialize `raw_images` again")
                        yield Checked("images", image_id, 1, () if whole else (damage,))
    for member in memberships(graph, image_id):
        damage = Damage(graph.folder(member.artifact), f"does not prove image {image_id}",
                        "materialize `dataset` again")
        yield Checked("Merkle proofs", member.artifact.version, 1,
                      () if member.proven else (damage,))


def check_journal(home: Path) -> Iterator[Checked]:
    """Every hour of the journal is readable, and each line follows the one before it."""
    journal = journal_folder(home)
    for hour in hours(journal):
        damages: list[Damage] = []
        count = 1
        try:
            count = sum(1 for _ in PinnedHour.of(journal, hour).records())
            count += len(read_labels(journal, hour)) + len(read_failures(journal, hour))
        except JournalDamaged as error:
            path, _, problem = str(error).partition(", line ")
            damages.append(Damage(Path(path), f"is damaged in line {problem}",
                                  "restore it from a backup, or take that line out"))
        damages += [Damage(path, problem, RESTORE) for path in list_files(journal, hour)
                    for problem in breaks(path)]
        yield Checked("journal", hour, count, tuple(damages))


def check_compacted(home: Path, graph: Graph) -> Iterator[Checked]:
    """The journal still has every prediction that ``prediction_log`` took from it.

    A chain tells of a line that is gone, and a file's head of the file; whoever takes both away
    leaves an hour that is shorter than its compacted form.
    """
    import pyarrow.parquet as pq

    journal = journal_folder(home)
    latest = {record.partition: artifact for artifact in graph.of("prediction_log")
              for record in graph.records[artifact] if record.partition}
    for hour, artifact in sorted(latest.items()):
        path = graph.folder(artifact) / PREDICTIONS_FILE
        if not path.is_file():
            continue
        taken = set(pq.read_table(path, columns=["prediction_id"]).column(0).to_pylist())
        gone = taken - prediction_ids(journal, hour)
        damage = Damage(
            journal, f"lacks {len(gone)} of {len(taken)} predictions of {hour} that "
            f"`prediction_log` has, such as {min(gone, default='')}", RESTORE)
        yield Checked("compacted hours", hour, 1, (damage,) if gone else ())
