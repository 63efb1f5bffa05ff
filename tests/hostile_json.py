"""JSON and ids made to harm."""

from __future__ import annotations

from typing import Final

from tests.hostile_images import Random

ID: Final = "0" + "a" * 31
VALUES: Final = (
    b"null", b"NaN", b"Infinity", b"-0", b"1e999", b"9" * 5_000, b"1E-9999", b'""', b'"\\u0000"',
    b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\x00"',
    b"[]", b"{}", b"true", b'"' + b"a" * 9_000 + b'"', b'"\xf0\x9f\x92\xa9"', b'"\\u202e"',
    b"[" * 9_000, b'{"a":' * 4_000, b"[" * 2_000 + b"]" * 2_000, b"'bag'", b'"bag"', b"0x1",
    b'"bag', b"\xef\xbb\xbf",
)
IDS: Final = (
    "", ".", "..", "../../etc/passwd", "..%2f", "a" * 9_000, ID, ID.upper(), ID[:-1], ID + "0",
    ID + "\n", "0" * 32, "f" * 32, "-" * 32, "\0" * 32, "\u0661" * 32, "\uff10" * 32, "\U0001f4a9",
    "%00", "*", "?" * 32, "[a-z]" * 6, "0" + "g" * 31, " " + "0" * 31, "CON", "a\r\nb: c",
    "0" * 12 + "f" * 20, "0ffffffffffff" + "0" * 19, "'; DROP TABLE x;--", "{prediction_id}",
    "\u202e",
)


def hostile_id(random: Random) -> str:
    """An id of a prediction that there is not; like a server's path without lone surrogates."""
    if random.random() < 0.5:
        return random.choice(IDS)
    points = (random.choice((random.randrange(128), random.randrange(0xD800)))
              for _ in range(random.choice((1, 32, 32, 40))))
    return "".join(map(chr, points))


def hostile_json(random: Random) -> bytes:
    """A body of `/v1/feedback`, more or less."""
    value, other = random.choice(VALUES), random.choice(VALUES)
    known = b'"%b"' % ID.encode()
    body = random.choice((
        value, b'{"prediction_id":%b,"label":%b}' % (known, value),
        b'{"prediction_id":%b,"label":%b}' % (value, other), b'{"prediction_id":%b}' % value,
        b'{"prediction_id":%b,"label":"bag","%b":1}' % (known, b"k" * random.choice((1, 60_000))),
        b'{"label":%b,"label":%b}' % (value, other),
        b"\xff\xfe" + value.decode("latin-1").encode("utf-16"),
        b"[%b,%b]" % (value, other), b"", b"{", b"\x00" * 100, b" " * 70_000, value * 3,
    ))
    if random.random() < 0.1:
        at = random.randrange(len(body) + 1)
        body = body[:at] + random.randbytes(2) + body[at:]
    return body
