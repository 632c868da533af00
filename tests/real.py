"""The real data sets as histories, for tests and benchmarks; absent in most checkouts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.calendar.clock import interval_of, interval_starts
from features.calendar.queues import Queue
from features.volume.history import QueueHistory

FOLDER = Path(os.environ.get("EBBFLOW_REAL_DATA", Path(__file__).parents[1] / "../shared/data"))


def need(name: str) -> Path:
    """Return the folder of one set; skip the test, saying so, where it is absent."""
    path = FOLDER / name
    if not path.is_dir():
        pytest.skip(f"real data `{name}` is not in {FOLDER}; set EBBFLOW_REAL_DATA to its folder")
    return path


def history(queue: Queue, local: pd.Series, counts: pd.Series) -> QueueHistory:
    """Count contacts by wall-clock times; every interval between first and last is observed."""
    zoned = local.dt.tz_localize(queue.time_zone, ambiguous=np.ones(len(local), dtype=bool),
                                 nonexistent="shift_forward")  # fmt: skip
    moments = zoned.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("M8[s]")
    seconds = moments.astype(np.int64)
    at = interval_of(seconds, queue.interval_minutes, queue.time_zone)
    step = queue.interval_minutes * 60
    starts = interval_starts(
        int(at.min()), int(at.max()) + step, queue.interval_minutes, queue.time_zone
    )
    offered = np.bincount(
        np.searchsorted(starts, at), weights=counts.to_numpy(), minlength=len(starts)
    )
    nothing = np.full(len(starts), np.nan)
    return QueueHistory(queue, starts, offered, nothing, np.zeros(len(starts)))


def _whole(frame: pd.DataFrame, column: str, first: str, last: str) -> pd.DataFrame:
    return frame[(frame[column] >= first) & (frame[column] < last)]


def anonbank() -> dict[str, QueueHistory]:
    """One bank's calls, the whole of 1999."""
    frame = pd.read_parquet(need("anonbank_1999") / "calls_6min.parquet")
    queue = Queue("bank", time_zone="Asia/Jerusalem", country="IL")
    return {"bank": history(queue, frame["ts"], frame["calls"])}


def montco() -> dict[str, QueueHistory]:
    """Emergency calls in three categories, without the partial first and last day."""
    frame = pd.read_parquet(need("montco_911") / "calls.parquet").drop_duplicates()
    frame = _whole(frame, "ts_local", "2015-12-11", "2016-10-17")
    return {
        name: history(
            Queue(name, time_zone="America/New_York", country="US"),
            group["ts_local"],
            pd.Series(1, index=group.index),
        )
        for name, group in frame.groupby("category")
    }


def uihc() -> dict[str, QueueHistory]:
    """Arrivals at an emergency department, 2013 to 2018."""
    frame = pd.read_parquet(need("uihc_ed_arrivals") / "hourly.parquet")
    queue = Queue("emergency", channel="visit", time_zone="America/Chicago", country="US")
    return {"emergency": history(queue, frame["ts"], frame["arrivals"])}


def incidents(least_per_hour: float = 1.0) -> dict[str, QueueHistory]:
    """Tickets of an IT service desk, March to May 2016: all, and by the busiest groups."""
    frame = pd.read_parquet(need("uci_incidents") / "incidents.parquet")
    frame = _whole(frame, "opened_at", "2016-03-01", "2016-06-01")
    hours = 92 * 24
    groups = frame["assignment_group"].value_counts()
    busy = groups[groups >= least_per_hour * hours].index
    one = pd.Series(1, index=frame.index)
    found = {"all": history(Queue("all", channel="other"), frame["opened_at"], one)}
    for name in busy:
        rows = frame["assignment_group"] == name
        queue = Queue(f"group {name}", channel="other")
        found[queue.queue] = history(queue, frame.loc[rows, "opened_at"], one[rows])
    return found
