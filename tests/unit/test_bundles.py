"""Many images in one body: what is read, what is refused, and that nothing hostile gets through."""

from __future__ import annotations

import asyncio
import io
import stat
import struct
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import httpx
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from bentos.arrow_stream import MEDIA_TYPE as ARROW
from bentos.bundles import parse_bundle, read_bundle
from bentos.collected import Limits
from bentos.problems import Problem
from bentos.settings import ServiceSettings

ZIP = "application/zip"
LIMITS = Limits(images=20, total_bytes=20_000, image_bytes=4_000)
Images = list[tuple[str, bytes]]

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
contents = st.binary(max_size=300)
bundles = st.lists(st.tuples(names, contents), min_size=1, max_size=8,
                   unique_by=lambda image: image[0])


def refused(kind: str, body: bytes, limits: Limits = LIMITS) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        parse_bundle(kind, body, limits)
    return caught.value.status, caught.value.kind


def to_zip(images: Sequence[tuple[str | zipfile.ZipInfo, bytes]],
           method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in images:
            archive.writestr(name, content, compress_type=method)
    return buffer.getvalue()


def to_arrow(columns: dict[str, Any], options: Any = None) -> bytes:
    sink, table = pa.BufferOutputStream(), pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=3)
    return sink.getvalue().to_pybytes()


def to_multipart(images: Images, field: str = "image") -> tuple[str, bytes]:
    request = httpx.Request("POST", "http://s", files=[(field, image) for image in images])
    return request.headers["content-type"], request.read()


@given(images=bundles, method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
@settings(max_examples=60, deadline=None)
def test_a_zip_gives_what_was_packed(images: Images, method: int) -> None:
    packed = [(f"folder/{name.replace('/', '-')}", content) for name, content in images]
    if len({name for name, _ in packed}) == len(packed):
        assert parse_bundle(ZIP, to_zip(packed, method), LIMITS) == packed


@given(images=bundles)
@settings(max_examples=60, deadline=None)
def test_an_arrow_stream_gives_its_rows(images: Images) -> None:
    for text, binary in ((pa.string(), pa.binary()), (pa.large_string(), pa.large_binary())):
        body = to_arrow({
            "other": pa.array(range(len(images))),
            "name": pa.array([name for name, _ in images], text),
            "image": pa.array([content for _, content in images], binary),
        })
        assert parse_bundle(ARROW, body, LIMITS) == images


@given(contents=st.lists(contents, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_multipart_gives_every_image_field(contents: list[bytes]) -> None:
    images = [(f"a {number}.png", content) for number, content in enumerate(contents)]
    kind, body = to_multipart(images)
    assert parse_bundle(kind, body, LIMITS) == images


def test_names_are_unique_and_never_missing() -> None:
    kind, body = to_multipart([(name, b"1") for name in ("a", "a", "a#2", "a")])
    found = [name for name, _ in parse_bundle(kind, body, LIMITS)]
    assert found == ["a", "a#2", "a#2#2", "a#3"]
    nameless = to_arrow({"image": [b"1", b"2"], "name": pa.array([None, "b"], pa.string())})
    assert parse_bundle(ARROW, nameless, LIMITS) == [("0", b"1"), ("b", b"2")]
    assert parse_bundle(ARROW, to_arrow({"image": [b"1"]}), LIMITS) == [("0", b"1")]


def test_other_fields_and_what_archivers_add_are_left_out() -> None:
    kind, body = to_multipart([("a.png", b"1")], field="picture")
    assert refused(kind, body) == (400, "missing-image")
    packed = [("a/", b""), ("a/.DS_Store", b"x"), ("__MACOSX/a/._b.png", b"x"), ("a/b.png", b"1")]
    assert parse_bundle(ZIP, to_zip(packed), LIMITS) == [("a/b.png", b"1")]


def test_paths_are_only_names() -> None:
    packed = [("../../etc/passwd", b"1"), ("/srv/x", b"2"), ("C:\\x", b"3")]
    assert parse_bundle(ZIP, to_zip(packed), LIMITS) == packed


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json", "image/png",
                                  "application/x-tar", "application/vnd.apache.arrow.file"])
def test_other_types_are_refused_with_those_that_are_taken(kind: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_bundle(kind, b"", LIMITS)
    assert caught.value.status == 415
    assert ZIP in caught.value.headers["accept-post"]


@pytest.mark.parametrize("pack", [
    lambda images: (ZIP, to_zip(images)),
    lambda images: (ARROW, to_arrow({"image": [content for _, content in images]})),
    to_multipart,
], ids=["zip", "arrow", "multipart"])
def test_limits_hold_for_every_format(pack: Any) -> None:
    many = [(str(number), b"x") for number in range(21)]
    assert refused(*pack(many)) == (413, "too-many-images")
    assert len(parse_bundle(*pack(many[:20]), LIMITS)) == 20
    assert refused(*pack([("a", bytes(4_001))])) == (413, "image-too-large")
    assert refused(*pack([(str(n), bytes(4_000)) for n in range(6)])) == (413, "bundle-too-large")
    assert len(parse_bundle(*pack([(str(n), bytes(4_000)) for n in range(5)]), LIMITS)) == 5


def test_nothing_in_a_body_is_said() -> None:
    assert refused(ZIP, to_zip([])) == (400, "missing-image")
    assert refused(ARROW, to_arrow({"image": pa.array([], pa.binary())})) == (400, "missing-image")
    assert refused("multipart/form-data; boundary=x", b"--x--\r\n") == (400, "missing-image")
    for kind in (ZIP, "multipart/form-data; boundary=x", "multipart/form-data"):
        assert refused(kind, b"")[0] == 400
    assert refused(ARROW, b"")[0] == 400


def test_long_names_are_refused() -> None:
    assert refused(ZIP, to_zip([("a" * 1025, b"1")])) == (422, "name-too-long")
    assert refused(ARROW, to_arrow({"image": [b"1"], "name": ["a" * 1025]}))[1] == "name-too-long"


def set_at(body: bytes, signature: bytes, place: int, value: int, form: str) -> bytes:
    """Overwrite a number at a place behind the first of a signature."""
    changed = bytearray(body)
    struct.pack_into(form, changed, body.index(signature) + place, value)
    return bytes(changed)


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_encrypted_archives_are_refused(flag: int) -> None:
    body = set_at(to_zip([("a", b"1")]), b"PK\x01\x02", 8, flag, "<H")
    assert refused(ZIP, body) == (422, "encrypted-zip")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(kind: int) -> None:
    link = zipfile.ZipInfo("a.png")
    link.create_system, link.external_attr = 3, (kind | 0o777) << 16
    assert refused(ZIP, to_zip([(link, b"/etc/passwd")])) == (422, "zip-link")
    plain = zipfile.ZipInfo("a.png")
    plain.external_attr = (stat.S_IFREG | 0o644) << 16
    assert parse_bundle(ZIP, to_zip([(plain, b"1")]), LIMITS) == [("a.png", b"1")]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(method: int) -> None:
    assert refused(ZIP, to_zip([("a", b"1" * 99)], method)) == (422, "zip-compression")


def lie(body: bytes, size: int, crc: int | None = None) -> bytes:
    """Declare another size (and checksum) of the only entry."""
    body = set_at(body, b"PK\x01\x02", 24, size, "<I")
    return body if crc is None else set_at(body, b"PK\x01\x02", 16, crc, "<I")


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = to_zip([("a", bytes(300_000_000))])
    tracemalloc.start()
    try:
        assert refused(ZIP, bomb) == (413, "image-too-large")
        assert refused(ZIP, lie(bomb, 100)) == (400, "malformed-zip")
        # The checksum of what is declared: no more than that is ever made.
        assert parse_bundle(ZIP, lie(bomb, 100, zlib.crc32(bytes(100))), LIMITS) == [
            ("a", bytes(100))]
        assert tracemalloc.get_traced_memory()[1] < 4 * len(bomb) + 1_000_000
    finally:
        tracemalloc.stop()
    assert refused(ZIP, lie(to_zip([("a", b"12345")]), 4_000)) == (400, "malformed-zip")


def test_entries_that_share_their_bytes_count_each() -> None:
    """The overlapping bomb: many directory entries of one compressed body."""
    one = to_zip([("a", bytes(4_000))])
    at = one.index(b"PK\x01\x02")
    entry, end = one[at : one.index(b"PK\x05\x06")], bytearray(one[one.index(b"PK\x05\x06"):])
    struct.pack_into("<HHI", end, 8, 15, 15, 15 * len(entry))
    # Python 3.11.8 and later see the overlap by themselves, before what it adds up to.
    assert refused(ZIP, one[:at] + entry * 15 + bytes(end)) in (
        (413, "bundle-too-large"), (400, "malformed-zip"))


def test_a_directory_of_a_million_entries_is_refused_unread() -> None:
    one = to_zip([("a", b"")])
    at = one.index(b"PK\x01\x02")
    entry, end = one[at : one.index(b"PK\x05\x06")], bytearray(one[one.index(b"PK\x05\x06"):])
    count = 1_000_000
    struct.pack_into("<HHI", end, 8, 0xFFFF, 0xFFFF, count * len(entry))
    body = one[:at] + entry * count + bytes(end)
    commented = body + b"comment"
    tracemalloc.start()
    try:
        assert refused(ZIP, body) == (413, "too-many-images")
        assert refused(ZIP, commented) == (413, "too-many-images")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_an_entry_without_a_name_is_called_by_its_place() -> None:
    body = to_zip([("nameless", b"12")]).replace(b"nameless", b"")
    start, end = body.index(b"PK\x01\x02"), body.index(b"PK\x05\x06")
    for signature, place, value, form in (
        (b"PK\x03\x04", 26, 0, "<H"), (b"PK\x01\x02", 28, 0, "<H"),
        (b"PK\x05\x06", 12, end - start, "<I"), (b"PK\x05\x06", 16, start, "<I"),
    ):
        body = set_at(body, signature, place, value, form)
    assert parse_bundle(ZIP, body, LIMITS) == [("0", b"12")]


def test_names_in_problems_stay_on_one_line() -> None:
    with pytest.raises(Problem, match=r"`a\?\?b` has 5000 bytes"):
        parse_bundle(ZIP, to_zip([("a\r\nb", bytes(5_000))]), LIMITS)


def test_zip64_is_refused() -> None:
    body = to_zip([("a", b"1")])
    at = body.index(b"PK\x05\x06")
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1)
    assert refused(ZIP, body[:at] + locator + body[at:]) == (422, "zip64")


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_arrow_is_refused(compression: str) -> None:
    body = to_arrow({"image": [bytes(3_000)]}, pa.ipc.IpcWriteOptions(compression=compression))
    assert refused(ARROW, body) == (422, "compressed-arrow")


@pytest.mark.parametrize("columns", [
    {"picture": [b"1"]},
    {"image": ["text"]},
    {"image": pa.array([b"1"]).dictionary_encode()},
    {"image": [[b"1"]]},
    {"image": pa.array([b"1"], pa.binary_view())},
    {"image": [b"1"], "name": [1]},
])
def test_other_columns_are_refused(columns: dict[str, Any]) -> None:
    assert refused(ARROW, to_arrow(columns)) == (422, "invalid-columns")


def test_columns_that_stand_twice_and_null_images_are_refused() -> None:
    twice = pa.table([pa.array([b"1"]), pa.array([b"2"])], names=["image", "image"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, twice.schema) as writer:
        writer.write_table(twice)
    assert refused(ARROW, sink.getvalue().to_pybytes()) == (422, "invalid-columns")
    nothing = to_arrow({"image": pa.array([b"1", None], pa.binary())})
    assert refused(ARROW, nothing) == (422, "null-image")


def test_arrow_offsets_that_point_outside_are_refused() -> None:
    body = to_arrow({"image": [b"abcdefgh"]})
    at = body.index(struct.pack("<ii", 0, 8))
    for start, end in ((0, 1 << 30), (-4, 8), (8, 0)):
        wrong = body[:at] + struct.pack("<ii", start, end) + body[at + 8 :]
        assert refused(ARROW, wrong) == (400, "malformed-arrow")


def test_without_pyarrow_the_answer_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    body = to_arrow({"image": [b"1"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Problem, match="send a ZIP") as caught:
        parse_bundle(ARROW, body, LIMITS)
    assert (caught.value.status, caught.value.kind) == (415, "unsupported-media-type")


def fuzz(kind: str, body: bytes) -> None:
    """Either images within the limits, or a problem that is the sender's."""
    try:
        images = parse_bundle(kind, body, LIMITS)
    except Problem as problem:
        assert 400 <= problem.status < 500
        assert "\n" not in problem.detail
        return
    assert 1 <= len(images) <= LIMITS.images
    assert sum(len(content) for _, content in images) <= LIMITS.total_bytes
    assert all(len(content) <= LIMITS.image_bytes for _, content in images)
    assert len({name for name, _ in images}) == len(images)


SOUND = {
    ZIP: to_zip([("a.png", b"12345" * 50), ("b/\N{SNOWMAN}.png", bytes(200)), ("c", b"")]),
    ARROW: to_arrow({"image": [b"12345" * 50, bytes(200), b""], "name": ["a", "\N{SNOWMAN}", "c"]}),
    "multipart/form-data; boundary=x":
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n123\r\n'
        b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n456\r\n--x--\r\n',
}
edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6)


@pytest.mark.parametrize("kind", list(SOUND))
@given(edits=edits, cut=st.floats(0, 1), more=st.binary(max_size=30))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_bodies_are_refused_or_within_the_limits(
    kind: str, edits: list[tuple[float, int]], cut: float, more: bytes
) -> None:
    body = bytearray(SOUND[kind])
    for place, value in edits:
        body[min(int(place * len(body)), len(body) - 1)] = value
    fuzz(kind, bytes(body))
    fuzz(kind, bytes(body) + more)
    fuzz(kind, bytes(body[: int(cut * len(body))]))


@pytest.mark.parametrize("kind", list(SOUND))
@given(body=st.binary(max_size=400))
@example(body=b"PK\x05\x06" + bytes(18))
@example(body=b"\xff\xff\xff\xff\x00\x00\x00\x00")
@example(body=b"\xff\xff\xff\xff\xff\xff\xff\x7f")
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_refused(kind: str, body: bytes) -> None:
    fuzz(kind, body)


def read(kind: str, body: bytes, **changes: float) -> Images:
    """``read_bundle`` of a request with this body, in two pieces."""
    pieces = [body[:10], body[10:]]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    settings = ServiceSettings.model_validate(changes)
    return asyncio.run(read_bundle(Request(scope, receive), settings))


def test_the_services_settings_are_the_limits() -> None:
    images = [(str(number), bytes(1000)) for number in range(4)]
    assert read(ZIP, to_zip(images)) == images
    for changes, kind in (
        ({"max_bundle_images": 3}, "too-many-images"),
        ({"max_body_bytes": 999}, "image-too-large"),
        ({"max_bundle_bytes": 3_999}, "bundle-too-large"),
        ({"max_bundle_bytes": 100}, "body-too-large"),
    ):
        with pytest.raises(Problem) as caught:
            read(ZIP, to_zip(images), **changes)
        assert caught.value.kind == kind
        assert caught.value.status == 413
