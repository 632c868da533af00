"""One fit from the feature store to a registered challenger."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.errors import HorizonError
from features.home import Home, ModelName
from features.store import FeatureStore
from training.config import Config
from training.fit.churn import train_churn
from training.fit.volume import train_volume
from training.registry.tracking import Tracking, Version

Progress = Callable[[str, float], None]
"""Told the step under way, in words, and the share that is done, in [0, 1]."""


@dataclass(frozen=True)
class Fitted:
    """A fit that was recorded.

    Attributes:
        warnings: What the feature store had to assume, and what the model's card warns of.
    """

    version: Version
    as_of: datetime
    warnings: tuple[str, ...]


def fit(
    home: Home,
    *,
    tracking: Tracking,
    model: ModelName,
    config: Config,
    clock: Callable[[], datetime],
    as_of: datetime | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Fit one model on what the store knew at a moment, record it and make it the challenger.

    The lake's versions are pinned when the store is opened, so a load that comes meanwhile
    changes nothing.

    ``as_of``: The moment to look back from, aware UTC; by default the latest that the data allow.

    Raises:
        HorizonError: ``as_of`` lies in the future.
        TooLittleDataError: The store holds less than the model needs.
        ConfigError: The tracking folder or database cannot be used; told before the fit begins.
    """
    started_at = clock()
    tracking.check()
    with FeatureStore(home) as store, tempfile.TemporaryDirectory() as folder:
        moment = as_of or store.latest(now=started_at)
        if moment > started_at:
            raise HorizonError(
                f"as-of {moment.isoformat()}",
                expected=f"no later than now, {started_at.isoformat()}",
                remedy="leave --as-of out to use the latest moment that the data allow",
            )
        asked: dict[str, Any] = {
            "as_of": moment,
            "root": Path(folder),
            "now": started_at,
            "progress": progress,
        }
        if model == "volume":
            trained = train_volume(store, config=config.volume, **asked)
        else:
            trained = train_churn(store, config=config.churn, **asked)
        version = tracking.record(
            trained,
            as_of=moment,
            started_at=started_at,
            ended_at=clock(),
            data_versions=store.versions,
            data_root=home.lake,
        )
        return Fitted(version, moment, (*store.warnings, *trained.warnings))
