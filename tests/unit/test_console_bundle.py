"""The console's pages are built from the present sources, and their types from the present API."""

from __future__ import annotations

import gzip
import json

from ui.bundle import MARK, OPENAPI, WEB, openapi_text, sources_sha256
from ui.server.settings import STATIC

KB = 1024


def test_the_pages_are_built_from_the_present_sources() -> None:
    assert MARK.read_text().strip() == sources_sha256(), "run `make console`"
    assert (STATIC / "index.html").is_file()


def test_the_types_are_of_the_present_api() -> None:
    assert OPENAPI.read_text() == openapi_text(), "run `make console`"


def test_pages_are_within_their_budgets() -> None:
    loads = json.loads((STATIC / "loads.json").read_bytes())
    sizes = {page: sum(len(gzip.compress((STATIC / name).read_bytes(), 9)) for name in files)
             for page, files in loads.items()}
    shell = sizes.pop("shell")
    assert shell <= 130 * KB
    assert {page: size for page, size in sizes.items() if not shell < size <= 300 * KB} == {}
    # Nothing is built that no page loads, but what is neither script nor style.
    built = {f"assets/{path.name}" for path in (STATIC / "assets").iterdir()
             if path.suffix in (".js", ".css") and not path.name.startswith("theme-")}
    assert built == set().union(*map(set, loads.values()))
    assert {path.stem for path in (WEB / "src" / "pages").glob("*.tsx")} == set(sizes)
