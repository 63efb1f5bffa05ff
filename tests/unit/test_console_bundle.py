"""The console's pages are built from the present sources, and their types from the present API."""

from __future__ import annotations

from ui.bundle import MARK, OPENAPI, openapi_text, sources_sha256
from ui.server.settings import STATIC


def test_the_pages_are_built_from_the_present_sources() -> None:
    assert MARK.read_text().strip() == sources_sha256(), "run `make console`"
    assert (STATIC / "index.html").is_file()


def test_the_types_are_of_the_present_api() -> None:
    assert OPENAPI.read_text() == openapi_text(), "run `make console`"
