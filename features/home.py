"""Where everything that Ebbflow writes stands, under one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ModelName = Literal["volume", "churn"]


@dataclass(frozen=True)
class Home:
    """The layout of the folder ``EBBFLOW_HOME``.

    >>> Home(Path("/srv/ebbflow")).bundles("churn").as_posix()
    '/srv/ebbflow/bundles/churn'
    """

    root: Path

    @property
    def lake(self) -> Path:
        """The Delta tables, one folder a table."""
        return self.root / "lake"

    @property
    def snapshots(self) -> Path:
        """Feature snapshots and their ``CURRENT``."""
        return self.root / "snapshots"

    def bundles(self, model: ModelName) -> Path:
        """Promoted bundles of one model and their ``CURRENT``."""
        return self.root / "bundles" / model

    @property
    def forecasts(self) -> Path:
        """Published forecast sets and their ``CURRENT``."""
        return self.root / "forecasts"

    @property
    def scores(self) -> Path:
        """Published score sets and their ``CURRENT``."""
        return self.root / "scores"

    @property
    def actions(self) -> Path:
        """What to do about customers at risk, where the user has a table of their own."""
        return self.root / "actions.toml"

    @property
    def database(self) -> Path:
        """What the service itself keeps, such as overrides: one SQLite file."""
        return self.root / "service.db"

    @property
    def ledger(self) -> Path:
        """Promotions and roll-backs, one JSON line each."""
        return self.root / "ledger.ndjson"

    @property
    def experiments(self) -> Path:
        """Published results of experiments and their ``CURRENT``."""
        return self.root / "experiments"
