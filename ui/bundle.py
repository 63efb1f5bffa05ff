"""What ties the built pages to their sources: see ``make console``."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

WEB: Final = Path(__file__).parent / "web"
MARK: Final = Path(__file__).parent / "server" / "static" / "sources.sha256"
OPENAPI: Final = WEB / "openapi.json"
BUILT_FROM: Final = ("index.html", "package.json", "package-lock.json", "vite.config.ts",
                     "tsconfig.json", "src")


def sources_sha256(web: Path = WEB) -> str:
    """SHA-256 over the names and bytes of everything that the pages are built from."""
    digest = hashlib.sha256()
    for name in BUILT_FROM:
        place = web / name
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in (each for each in files if each.is_file()):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(web).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def openapi_text() -> str:
    """The API's description, from which the types of the web are generated."""
    from fastapi import FastAPI

    from ui.server.app import include_routes
    from ui.server.routes.looking import PROBLEMS

    app = FastAPI(title="mlops-assets console", version="1", responses=PROBLEMS)
    include_routes(app)
    body: dict[str, Any] = app.openapi()
    return json.dumps(body, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write the API's description, or mark the pages as built from the present sources."""
    if sys.argv[1:] == ["openapi"]:
        OPENAPI.write_text(openapi_text())
    else:
        MARK.write_text(sources_sha256() + "\n")


if __name__ == "__main__":
    main()
