"""Where everything that Ebbflow writes stands, under one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

ModelName = Literal["volume", "churn"]


class Home:
    """The layout of the folder ``EBBFLOW_HOME``.

    >>> Home(Path("/srv/ebbflow")).bundles("churn").as_posix()
    '/srv/ebbflow/bundles/churn'
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        # Delta tables, one folder a table.
        self.lake = root / "lake"
        # Published artefacts, each kind with its ``CURRENT``.
        self.snapshots = root / "snapshots"
        self.forecasts = root / "forecasts"
        self.scores = root / "scores"
        self.experiments = root / "experiments"
        # What to do about customers at risk, where the user has a table of their own.
        self.actions = root / "actions.toml"
        # What the service itself keeps, such as overrides: one SQLite file.
        self.database = root / "service.db"
        # Promotions and roll-backs, one JSON line each.
        self.ledger = root / "ledger.ndjson"

    def bundles(self, model: ModelName) -> Path:
        """Return the folder of a model's promoted bundles and their ``CURRENT``."""
        return self.root / "bundles" / model
