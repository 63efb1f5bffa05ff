"""The Dagster resource that gives every step its settings and the artifact store."""

from pathlib import Path

import dagster as dg

from mlops_assets.config import PROJECT_ROOT, Settings, load_settings
from resources.store import ArtifactStore, open_store


class Platform(dg.ConfigurableResource[None]):
    """Settings and places of one platform home. Settings are read anew by every step."""

    profile: str
    home: str

    @property
    def root(self) -> Path:
        """Everything made at run time."""
        return Path(self.home)

    @property
    def project_root(self) -> Path:
        """The checkout that runs: its commit, lock file and sources go into records."""
        return PROJECT_ROOT

    @property
    def settings(self) -> Settings:
        """The settings of the profile as they are now."""
        return load_settings(self.profile)

    @property
    def store(self) -> ArtifactStore:
        """Where artifacts are."""
        return open_store(self.root)
