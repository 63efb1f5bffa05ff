"""Requests made to harm, for every route of the service. Equal seeds give equal requests."""

from __future__ import annotations

import io
import random
import warnings
import zipfile
from collections.abc import Callable, Iterable
from typing import Final

from tests.bare_asgi import Asked
from tests.hostile_images import Random, good_images, hostile_image
from tests.hostile_json import hostile_id, hostile_json

PREDICT, BATCH, EXPLAIN = "/v1/predict", "/v1/predict_batch", "/v1/explain"
FEEDBACK, PREDICTIONS = "/v1/feedback", "/v1/predictions/"
TYPES: Final = (
    b"image/png", b"image/jpeg", b"image/*", b"IMAGE/PNG; q=1", b"image/", b"image/png;;;;", b"",
    b"application/json", b"text/html", b"multipart/form-data", b"multipart/form-data; boundary=",
    b"multipart/form-data; boundary=x", b'multipart/form-data; boundary="x', b"\xff\xfe/\x00",
    b"multipart/form-data; boundary*=utf-8''x", b"multipart/mixed; boundary=x", b"image/png\x00",
    b"application/zip", b"application/vnd.apache.arrow.stream", b"image/png" + b";a=b" * 500,
    b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=" + b"x" * 300,
)
NAMES: Final = ("a.png", "../../etc/x", "/", "C:\\x", "a" * 2_000, "\u202e", ".")
METHODS: Final = ("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "POST")
LENGTHS: Final = (
    b"0", b"10", b"-1", b"+5", b"1e3", b"0x10", b" 7 ", b"7, 7", b"\xb2", b"\xff", b"", b"9" * 19,
    b"9" * 5_000, b"1_000", b"nan",
)
ODD_HEADERS: Final = (
    (b"x-client-id", b"\xff\x00\r\n\t"), (b"x-client-id", b"a" * 5_000), (b"x-client-id", b""),
    (b"accept", b"\xf0\x9f\x92\xa9"), (b"content-encoding", b"gzip"), (b"range", b"bytes=0-"),
    (b"transfer-encoding", b"chunked, identity"), (b"expect", b"200-ok"), (b"host", b"evil.test"),
    (b"host", b""), (b"x-forwarded-for", b"8.8.8.8"), (b"traceparent", b"00-zz-zz-zz"),
    (b"authorization", b"Basic \xff"), (b"x-api-key", b"\x00"), (b"cookie", b"a=b; " * 500),
    (b"origin", b"null"), (b"", b""), (b"\xc3\xa9", b"\xc3\xa9"), (b"if-none-match", b"*"),
)


def pieces(random: Random, body: bytes) -> tuple[bytes, ...]:
    """A body as it may arrive: whole, in two, or with empty pieces."""
    at = random.randrange(len(body) + 1)
    return random.choice(((body,), (body[:at], body[at:]), (b"", body[:at], b"", body[at:], b"")))


def raw_image(random: Random) -> Asked:
    headers = [(b"content-type", b"image/png")]
    path = EXPLAIN if random.random() < 0.03 else PREDICT
    return Asked(path, headers, pieces(random, hostile_image(random)))


def part(random: Random, content: bytes, name: bytes = b"image") -> bytes:
    """One part of a form, more or less."""
    head = random.choice((
        b'Content-Disposition: form-data; name="%b"; filename="a.png"',
        b"content-disposition:form-data;name=%b",
        b'Content-Disposition: form-data; name="%b"; f=;;"',
        b'A: b\r\nContent-Disposition: form-data; filename="\xff\xed\xa0\x80"; name="%b"\r\nC: d',
        b'Content-Disposition: form-data; name="%b"; filename*=utf-8\'\'%%ff; name="other"',
    )) % name
    return head + b"\r\n\r\n" + content


def joined(parts: Iterable[bytes], boundary: bytes = b"x") -> bytes:
    """A multipart body."""
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary, each) for each in parts)
    return body + b"--%b--\r\n" % boundary


def form(random: Random) -> Asked:
    image = hostile_image(random)
    inner = joined([part(random, image)], b"y")
    body = random.choice((
        lambda: joined([part(random, image)]),
        lambda: joined([part(random, image), part(random, b"1", b"other")]),
        lambda: joined([part(random, image)] * 3),
        lambda: joined([part(random, b"", b"a")] * random.choice((9, 3_000))),
        lambda: joined([b'Content-Type: multipart/mixed; boundary=y\r\nContent-Disposition: '
                        b'form-data; name="image"\r\n\r\n' + inner]),
        lambda: joined([part(random, joined([part(random, image)]))]),  # its own boundary within
        lambda: joined([b"A: b\r\n" * random.choice((20, 5_000)) + part(random, image)]),
        lambda: joined([b"A: " + b"b" * 50_000 + b"\r\n" + part(random, image)]),
        lambda: joined([part(random, image)])[:random.randrange(1, 60)],
        lambda: joined([part(random, image)]).replace(b"\r\n", b"\n"),
        lambda: b"--x" * 3_000, lambda: b"--x--" + image, lambda: image + inner,
        lambda: joined([b"\xff\xfe: \x00\r\n\r\n"]), lambda: joined([b": \r\n\r\n" + image]),
    ))()
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    return Asked(random.choice((PREDICT, BATCH)), headers, pieces(random, body))


def bundle(random: Random) -> Asked:
    images = [random.choice((hostile_image, lambda r: r.choice(good_images())))(random)
              for _ in range(random.randrange(1, 6))]
    archive = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's, of equal names
        with zipfile.ZipFile(archive, "w", random.choice((0, 8, 14))) as zipped:
            for image in images:
                zipped.writestr(random.choice(NAMES), image)
    body = bytearray(archive.getvalue())
    for _ in range(random.choice((0, 0, 1, 3))):
        body[random.randrange(len(body) // 2, len(body))] = random.randrange(256)
    if random.random() < 0.2:
        del body[random.randrange(len(body)):]
    kind = random.choice((b"application/zip",) * 5 + (b"application/vnd.apache.arrow.stream",))
    return Asked(BATCH, [(b"content-type", kind)], pieces(random, bytes(body)))


def label(random: Random) -> Asked:
    kind = random.choice((b"application/json",) * 6 + (b"text/plain", b"application/json; \xff"))
    return Asked(FEEDBACK, [(b"content-type", kind)], pieces(random, hostile_json(random)))


def look_up(random: Random) -> Asked:
    name = hostile_id(random)
    return Asked(PREDICTIONS + name + random.choice(("", "/receipt")), method="GET")


def odd_headers(random: Random) -> Asked:
    headers = [(b"content-type", random.choice(TYPES)) for _ in range(random.choice((0, 1, 1, 2)))]
    headers += [(b"content-length", random.choice(LENGTHS))] * random.choice((0, 1, 2))
    headers += random.choices(ODD_HEADERS, k=random.choice((0, 1, 3, 2_000)))
    body = random.choice((hostile_image, lambda r: r.choice(good_images()), hostile_json))(random)
    path = random.choice((PREDICT, PREDICT, BATCH, FEEDBACK, EXPLAIN))
    return Asked(path, headers, pieces(random, body), query=random.choice(QUERIES))


QUERIES: Final = (
    b"", b"format=json", b"method=shap&method=x", b"target=%ff", b"target=%ed%a0%80", b"format=%00",
    b"&" * 3_000, b"target=" + b"%00" * 3_000, b"method=" + b"a" * 9_000, b"=%zz&;\xff",
)


def gone(random: Random) -> Asked:
    """The client leaves in the middle of its body."""
    whole = random.choice((raw_image, form, bundle, label))(random)
    return Asked(whole.path, whole.headers, whole.body[:-1] or (b"x",), leaves=True)


def strayed(random: Random) -> Asked:
    """A method or path that there is not."""
    path = random.choice((PREDICT, FEEDBACK, "/v1/models", "/v1/models/", "/v1/predict/", "/v1/",
                          "/v1/../metrics", "/v1//predict", "/v1/%00", "/v1/\ufffd", "/predict",
                          "/docs.json/", "/v1/predictions//receipt", "/metrics", "/v1/explain/"))
    return Asked(path, method=random.choice(METHODS), query=random.choice(QUERIES))


KINDS: Final[tuple[Callable[[Random], Asked], ...]] = (
    *(raw_image,) * 8, *(form,) * 5, *(odd_headers,) * 4, *(label,) * 4, *(look_up,) * 3, bundle,
    gone, strayed)


def hostile_requests(seed: int, count: int) -> Iterable[Asked]:
    """``count`` requests of all kinds."""
    chance = random.Random(seed)
    for _ in range(count):
        yield chance.choice(KINDS)(chance)
