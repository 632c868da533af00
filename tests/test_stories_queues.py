"""Queues that start, stop, merge or hardly exist: from contacts in the lake to their forecast."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features_rows import T0, at, contact, load

from features.home import Home
from features.store import FeatureStore
from serving.models.volume.distribution import QUANTILE_LEVELS
from serving.models.volume.forecast import VolumeForecast
from serving.models.volume.model import open_volume_model
from training.config import VolumeConfig
from training.fit.volume import train_volume

DAYS = 100
MERGED = at(-12)
"""When the contacts of ``old`` began to go to ``new``, which had a fourth of them before."""
ZONE = {"channel": "voice", "time_zone": "UTC", "available_at": at(-999)}


def contacts(name: str, first: datetime, last: datetime, per_hour: float) -> Iterator[Any]:
    rng = np.random.default_rng(sum(map(ord, name)))
    hours = int((last - first) / timedelta(hours=1))
    wave = 1 + 0.5 * np.sin(np.arange(hours) * 2 * np.pi / 24)
    for hour, count in enumerate(rng.poisson(per_hour * wave)):
        for k in range(count):
            moment = first + timedelta(hours=hour, seconds=int(3600 * (k + 0.5) / count))
            yield contact(f"{name}-{hour}-{k}", None, moment, queue=name)


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> tuple[VolumeForecast, tuple[str, ...]]:
    folder: Path = tmp_path_factory.mktemp("queues")
    rows = [
        *contacts("steady", at(-DAYS), T0, 4),
        *contacts("old", at(-DAYS), MERGED, 4),
        *contacts("new", at(-DAYS), MERGED, 1),
        *contacts("new", MERGED, T0, 5),
        *contacts("young", at(-15.5), T0, 6),
        *contacts("rare", at(-DAYS), T0, 0.05),
    ]
    names = ("steady", "old", "new", "young", "rare")
    home = Home(folder)
    load(home, {"interactions": rows, "queues": [{**ZONE, "queue": name} for name in names]})
    config = VolumeConfig(origins=3, refits=1, threads=1)
    with FeatureStore(home, threads=1) as store:
        bundle = train_volume(store, as_of=T0, config=config, root=folder / "b", now=T0).bundle
        histories, warnings = store.volume(T0), store.warnings
    found = open_volume_model(bundle).forecast(histories, events=(), made_at=T0, until=at(28))
    return found, warnings


@pytest.mark.parametrize(
    ("name", "method", "low", "high"),
    [
        ("steady", "combined", 3.4, 4.6),
        ("old", "combined", 0.0, 0.4),
        ("new", "combined", 3.5, 6.0),
        ("young", "profile", 4.5, 7.5),
        ("rare", "combined", 0.02, 0.10),
    ],
)
def test_each_queue_gets_a_sane_level_and_says_how_it_was_made(
    forecast: tuple[VolumeForecast, tuple[str, ...]],
    name: str,
    method: str,
    low: float,
    high: float,
) -> None:
    found = forecast[0].queues[name]
    assert low <= found.mean.mean() <= high
    assert found.method == method
    assert np.isfinite(found.quantiles).all()
    assert (np.diff(found.quantiles, axis=1) >= 0).all()
    assert len(found.starts) == 28 * 24


def test_a_merger_that_no_forecast_foresaw_does_not_widen_the_band_of_the_merged_queue(
    forecast: tuple[VolumeForecast, tuple[str, ...]],
) -> None:
    found = forecast[0].queues["new"]
    low, high = (found.quantiles[:, QUANTILE_LEVELS.index(p)].mean() for p in (0.1, 0.9))
    assert 1.5 < low < high < 9.0


def test_a_queue_with_little_history_says_so(
    forecast: tuple[VolumeForecast, tuple[str, ...]],
) -> None:
    assert any("weeks of history" in text for text in forecast[0].queues["young"].warnings)


def test_no_queue_of_these_is_taken_for_a_broken_feed(
    forecast: tuple[VolumeForecast, tuple[str, ...]],
) -> None:
    assert not [text for text in forecast[1] if "not observed" in text]
