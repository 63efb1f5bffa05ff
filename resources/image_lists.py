"""Lists of images that people decided on. The audit log is the list: who, when and why."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Final

from mlops_assets.contracts.errors import PlatformError

# Left out of every future dataset; taken though inspection refuses it.
FORGET: Final = "forget"
RELEASE: Final = "release_image"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class NotAnImageId(PlatformError):
    """An image is named by the SHA-256 of its encoded bytes."""


def read_list(home: Path, action: str) -> list[str]:
    """Image ids, sorted; none in a home that has no platform database yet."""
    from resources.platform_db import PlatformDatabase, has_database

    if not has_database(home):
        return []
    with closing(PlatformDatabase(home)) as database:
        entries = database.read_audit()
    return sorted({str(each.details["image_sha256"]) for each in entries
                   if each.action == action})


def add_image(home: Path, action: str, image_sha256: str, *, actor: str, reason: str) -> bool:
    """Add an image to a list; False when it is on it already.

    Raises:
        NotAnImageId: no SHA-256.
        ConflictingChange: somebody else changed the platform meanwhile; repeat it.
    """
    from sqlalchemy.orm import Session

    from resources.platform_db import PlatformDatabase, append_audit

    if not _SHA256.fullmatch(image_sha256):
        raise NotAnImageId(f"`{image_sha256}` is no SHA-256 of an image (64 hex characters)")
    if image_sha256 in read_list(home, action):
        return False
    with closing(PlatformDatabase(home)) as database, Session(database.engine) as session, \
            session.begin():
        append_audit(session, actor=actor, action=action, reason=reason,
                     details={"image_sha256": image_sha256})
    return True
