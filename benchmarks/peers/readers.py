"""One reader of training batches, measured by itself: run in the environment of `readers.txt`.

Each keeps the images in its own format, as encoded bytes or as pixels, and gives shuffled batches
of uint8 pixels ``[B, H, W, C]`` with labels, as its documentation shows. The first call with a
folder writes the format; then whole epochs are read.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

SHARD_BYTES = 1 << 26


class How:
    """Shape of the pixels, and how an image becomes that."""

    def __init__(self, side: int, channels: int) -> None:
        self.side, self.channels = side, channels
        self.shape = (side, side, channels)

    def decode(self, content: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(content)) as image:
            return self.pixels(image)

    def pixels(self, image: Image.Image) -> np.ndarray:
        image = image.convert("L" if self.channels == 1 else "RGB")
        if image.size != (self.side, self.side):
            image = image.resize((self.side, self.side), Image.Resampling.BILINEAR)
        return np.asarray(image, np.uint8).reshape(self.shape)

    def tensor(self, kept: object) -> torch.Tensor:
        """What a format gave back, encoded or not."""
        if isinstance(kept, bytes):
            return torch.from_numpy(self.decode(kept).copy())
        return torch.as_tensor(np.asarray(kept)).reshape(self.shape)


def images(folder: Path):
    """Bytes and label of each file."""
    classes = sorted(path.name for path in folder.iterdir())
    for label, name in enumerate(classes):
        for path in sorted((folder / name).iterdir()):
            yield path.read_bytes(), label


def image_folder(options, how):
    """Torchvision's ImageFolder; nothing is written."""
    from torchvision.datasets import ImageFolder

    def transform(image):
        return torch.from_numpy(how.pixels(image).copy())

    return DataLoader(ImageFolder(str(options.folder), transform), options.batch, shuffle=True,
                      drop_last=True, num_workers=options.workers,
                      persistent_workers=options.workers > 0)


def webdataset(options, how):
    import webdataset as wds

    if not options.place.exists():
        options.place.mkdir()
        most = max(1, sum(1 for _ in images(options.folder)) // 8)
        with wds.ShardWriter(str(options.place / "%05d.tar"), maxcount=most, verbose=0) as out:
            for number, (content, label) in enumerate(images(options.folder)):
                kept = content if options.form == "encoded" else how.decode(content).tobytes()
                out.write({"__key__": f"{number:08d}", "image": kept, "cls": label})
    urls = sorted(map(str, options.place.glob("*.tar")))

    def ready(sample):
        kept = sample["image"]
        if options.form == "pixels":
            kept = np.frombuffer(kept, np.uint8).copy()
        return how.tensor(kept), int(sample["cls"])

    def collate(samples):
        pixels, labels = zip(*samples, strict=True)
        return torch.stack(pixels), torch.tensor(labels)

    data = wds.WebDataset(urls, shardshuffle=100, seed=0).shuffle(1000).map(ready).batched(
        options.batch, collation_fn=collate, partial=False)
    return wds.WebLoader(data, batch_size=None, num_workers=options.workers,
                         persistent_workers=options.workers > 0)


def _lit(options, how, content_and_label):
    content, label = content_and_label
    kept = content if options.form == "encoded" else torch.from_numpy(how.decode(content).copy())
    return {"image": kept, "label": label}


def litdata(options, how):
    import functools

    import litdata as ld

    if not options.place.exists():
        ld.optimize(functools.partial(_lit, options, how), list(images(options.folder)),
                    str(options.place), chunk_bytes=SHARD_BYTES, num_workers=1)

    class Data(ld.StreamingDataset):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return how.tensor(sample["image"]), sample["label"]

    data = Data(str(options.place), shuffle=True, drop_last=True)
    return ld.StreamingDataLoader(data, batch_size=options.batch, num_workers=options.workers,
                                  persistent_workers=options.workers > 0)


def mosaicml(options, how):
    from streaming import MDSWriter, StreamingDataset

    if not options.place.exists():
        form = "bytes" if options.form == "encoded" else "ndarray:uint8"
        with MDSWriter(out=str(options.place), columns={"image": form, "label": "int"},
                       size_limit=SHARD_BYTES) as out:
            for content, label in images(options.folder):
                kept = content if options.form == "encoded" else how.decode(content)
                out.write({"image": kept, "label": label})

    class Data(StreamingDataset):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            kept = sample["image"]
            return how.tensor(kept if isinstance(kept, bytes) else kept.copy()), sample["label"]

    data = Data(local=str(options.place), shuffle=True, batch_size=options.batch)
    return DataLoader(data, options.batch, num_workers=options.workers, drop_last=True,
                      persistent_workers=options.workers > 0)


class Pairs:
    """Batches of a loader that gives columns."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return ((rows["image"], rows["label"]) for rows in self.loader)


def huggingface(options, how):
    import datasets

    if not options.place.exists():
        kind = datasets.Value("binary") if options.form == "encoded" else datasets.Array3D(
            how.shape, "uint8")

        def rows():
            for content, label in images(options.folder):
                yield {"image": content if options.form == "encoded" else how.decode(content),
                       "label": label}

        datasets.Dataset.from_generator(
            rows, features=datasets.Features({"image": kind, "label": datasets.Value("int64")}),
            cache_dir=str(options.place) + "-cache").save_to_disk(str(options.place))
    data = datasets.load_from_disk(str(options.place))
    if options.form == "encoded":
        data.set_transform(lambda rows: {"image": [how.tensor(each) for each in rows["image"]],
                                         "label": rows["label"]})
    else:
        data = data.with_format("numpy", dtype=np.uint8)  # labels below 256 too
    loader = DataLoader(data, options.batch, shuffle=True, drop_last=True,
                        num_workers=options.workers, persistent_workers=options.workers > 0)
    return Pairs(loader)


class Taken(Dataset):
    """Rows of a Lance dataset, a batch at a time; opened in each worker by itself."""

    def __init__(self, place, form, how, count):
        self.place, self.form, self.how, self.count, self.data = place, form, how, count, None

    def __len__(self):
        return self.count

    def __getitems__(self, rows):
        import lance

        if self.data is None:
            self.data = lance.dataset(self.place)
        table = self.data.take(rows, columns=["image", "label"])
        labels = torch.from_numpy(table.column("label").to_numpy().copy())
        if self.form == "encoded":
            return torch.stack([self.how.tensor(each) for each in table.column(
                "image").to_pylist()]), labels
        column = table.column("image").combine_chunks()
        width = int(np.prod(self.how.shape))
        flat = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width:]
        return torch.from_numpy(flat[: len(rows) * width].reshape(len(rows), *self.how.shape)
                                .copy()), labels


def _same(batch):
    return batch


def lance(options, how):
    import lance as store
    import pyarrow as pa

    if not options.place.exists():
        pairs = list(images(options.folder))
        if options.form == "encoded":
            kept = pa.array([content for content, _ in pairs], pa.binary())
        else:
            kept = pa.array([how.decode(content).tobytes() for content, _ in pairs],
                            pa.binary(int(np.prod(how.shape))))
        store.write_dataset(pa.table({"image": kept, "label": [label for _, label in pairs]}),
                            str(options.place))
    count = store.dataset(str(options.place)).count_rows()
    return DataLoader(Taken(str(options.place), options.form, how, count), options.batch,
                      shuffle=True, drop_last=True, collate_fn=_same, num_workers=options.workers,
                      persistent_workers=options.workers > 0,
                      multiprocessing_context="spawn" if options.workers else None)


READERS = {"ImageFolder": image_folder, "webdataset": webdataset, "litdata": litdata,
           "mosaicml-streaming": mosaicml, "HF datasets": huggingface, "Lance": lance}


def epoch(loader, shape) -> int:
    """Images of one epoch; each batch is looked at."""
    count = 0
    for pixels, labels in loader:
        assert tuple(pixels.shape[1:]) == shape and pixels.dtype == torch.uint8, pixels.shape
        assert len(labels) == len(pixels)
        count += len(pixels)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--form", choices=("encoded", "pixels"), required=True)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    how = How(options.side, options.channels)
    loader = READERS[options.reader](options, how)
    assert epoch(loader, how.shape) > 0, "no batch"
    count, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < options.seconds:
        count += epoch(loader, how.shape)
    print(json.dumps({"images_per_second": count / spent}), flush=True)
    # Some leave threads that do not end.
    os._exit(0)


if __name__ == "__main__":
    main()
