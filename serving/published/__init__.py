"""What a batch publishes and a request reads: immutable folders, verified once, read in place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from features.artefact import Artefact


@dataclass(frozen=True)
class PublishedSet:
    """A set that was read from a folder."""

    artefact: Artefact

    @property
    def id(self) -> str:
        """Name of the set."""
        return self.artefact.id

    @property
    def created_at(self) -> datetime:
        """When it was published, aware UTC."""
        return self.artefact.created_at
