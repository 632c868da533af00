"""The volume sets that forecasts are compared on, and the origins that they are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from examples.real import SETS, data_folder, load
from features.calendar.clock import DAY_SECONDS, from_epoch, local_midnight, local_times
from features.home import Home
from features.simulate import SimulatedPanel, simulate_panel
from features.store import FeatureStore
from features.volume.history import QueueHistory
from training.evaluate.origins import Histories, VolumeSource

SIMULATED = "simulated_panel"
REAL = tuple(name for name, real in SETS.items() if real.model == "volume")
HORIZON_DAYS = 28
LEAST_HISTORY_DAYS = 56
"""Training needs one whole horizon to judge itself by, after 28 days to learn from."""
SPREAD_DAYS = 365
NOW = datetime(2026, 7, 2, tzinfo=UTC)
UNTIL = datetime(2026, 7, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """One set.

    Attributes:
        name: Its name.
        source: What was known when.
        truth: What came, by queue.
        origins: Moments to forecast from, oldest first.
        panel: The simulated panel with its truth; None for real data.
    """

    name: str
    source: VolumeSource
    truth: Mapping[str, QueueHistory]
    origins: tuple[datetime, ...]
    panel: SimulatedPanel | None = None


def available(name: str) -> bool:
    """Return whether the set's data are here."""
    return name == SIMULATED or (data_folder() / name).is_dir()


def benchmark_panel() -> SimulatedPanel:
    """Return the simulated panel that the volume benchmark forecasts."""
    return simulate_panel(queues=6, days=560, until=UNTIL, seed=20, level_shift_share=0.35)


@contextmanager
def opened(name: str, *, origins: int) -> Iterator[Case]:
    """Load a set and yield it.

    Args:
        name: Of ``REAL``, or ``SIMULATED``.
        origins: How many origins to spread over its last year.
    """
    if name == SIMULATED:
        panel = benchmark_panel()
        source = Histories(panel.histories, panel.events)
        moments = spread_origins(panel.histories, count=origins)
        yield Case(name, source, panel.histories, moments, panel)
        return
    with TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        load(SETS[name], home=home, data=data_folder(), now=NOW)
        with FeatureStore(home) as store:
            truth = store.volume(SETS[name].as_of or store.latest(now=NOW))
            yield Case(name, store, truth, spread_origins(truth, count=origins))


def spread_origins(histories: Mapping[str, QueueHistory], *, count: int) -> tuple[datetime, ...]:
    """Return local midnights of the busiest queue, spread evenly over the last year.

    The first has ``LEAST_HISTORY_DAYS`` before it, the last ``HORIZON_DAYS`` after it.

    Args:
        histories: All that came, by queue.
        count: How many.
    """
    busiest = max(histories.values(), key=lambda h: float(np.nansum(h.offered)))
    seen = busiest.starts[busiest.observed]
    zone = busiest.queue.time_zone
    ends = np.array([seen[0] + DAY_SECONDS - 1, seen[-1] + busiest.queue.interval_minutes * 60])
    first, last = (int(day) for day in local_times(ends, zone).day)
    last -= HORIZON_DAYS
    first = max(first + LEAST_HISTORY_DAYS, last - SPREAD_DAYS + HORIZON_DAYS)
    days = np.unique(np.linspace(first, last, count).round().astype(int))
    return tuple(from_epoch(local_midnight(int(day), zone)) for day in days)


def end_of(origin: datetime) -> datetime:
    """Return the end of the horizon of an origin."""
    return origin + timedelta(days=HORIZON_DAYS)
