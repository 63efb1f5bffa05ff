"""Whether a program answers, for the health checks of images that hold no curl.

``python -m deploy.probe http://127.0.0.1:8000/readyz`` or ``tcp://127.0.0.1:3001``.
"""

from __future__ import annotations

import socket
import sys
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

SECONDS: Final = 4.0


def probe(url: str, *, seconds: float = SECONDS) -> str:
    """What is wrong with it; empty when it answers.

    ``http`` wants an answer of 200 to 399, ``tcp`` a connection.

    Raises:
        ValueError: another scheme, or no port.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "tcp") or not parts.hostname or not parts.port:
        raise ValueError(f"{url} is neither http://HOST:PORT/PATH nor tcp://HOST:PORT")
    try:
        if parts.scheme == "tcp":
            socket.create_connection((parts.hostname, parts.port), seconds).close()
            return ""
        connection = HTTPConnection(parts.hostname, parts.port, timeout=seconds)
        try:
            connection.request("GET", parts.path or "/")
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException) as error:
        return f"{url}: {error}"
    return "" if 200 <= status < 400 else f"{url} answers {status}"


if __name__ == "__main__":
    try:
        sys.exit(probe(*sys.argv[1:2] or [""]) or 0)
    except ValueError as error:
        sys.exit(str(error))
