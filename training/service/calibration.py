"""Whether the queue model predicts the service level that was achieved, and what corrects it.

Where both differ in total, work is hidden from the handle times, or a queue goes first or last in
its pool. One factor corrects it, the *efficiency* by which handle times are divided. It is fitted
on the earlier two thirds of the days and used only where it predicts the later third better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from features.arrays import Bool, Int64
from features.calendar.clock import interval_of
from features.calendar.queues import Queue
from features.errors import TooLittleDataError, UnknownNameError
from features.home import Home
from features.store import FeatureStore
from features.volume.contacts import Waits
from serving.staffing.queue_model import ServiceCalibration
from serving.staffing.workload import DEFERRED
from training.service import DAYS
from training.service.comparison import (
    EFFICIENCIES,
    Compared,
    Grid,
    Own,
    compare,
    fit_efficiency,
    grid_of,
)
from training.service.patience import Patience, Survival, fit_patience, kaplan_meier, short_seconds
from training.service.presence import Work, overlapping, spells_of, work_of

EARLIER_SHARE = 2 / 3
LEAST_INTERVALS = 24
"""Fewer compared intervals, earlier or later, fit no efficiency."""
LEAST_CONTACTS = 100
"""Nor do fewer contacts, earlier or later."""
_LEAST_KNOWN = 0.9
_MOST_DOUBLED = 0.1
_WORTH = 0.95
"""A correction that takes less than a twentieth of the error away is chance."""


@dataclass(frozen=True)
class Calibration:
    """What the history says of how one queue is served.

    Attributes:
        patience: The fit with its interval; None with too few hang-ups.
        survival: Patience without a shape; empty where nobody hung up.
        short_seconds: Hang-ups before it were left out; 0 for none.
        aht_seconds: Average handle time; NaN where nobody was handled.
        efficiency: What fits the earlier part, also where it is not kept; NaN where nothing was
            compared.
        why: Why nothing was compared or the efficiency was not kept; empty where it was.
    """

    service: ServiceCalibration
    patience: Patience | None
    survival: Survival
    short_seconds: float
    short: int
    aht_seconds: float
    efficiency: float
    compared: Compared | None
    why: str


def calibrate(waits: Waits, queues: Mapping[str, Queue]) -> dict[str, Calibration]:
    """Learn how each queue is served, and compare what is predicted with what was achieved.

    ``queues``: Queues by name; a contact of another is left out.

    Returns:
        By name, queues of which a wait is known; deferred channels have none to speak of.
    """
    until = _split(waits)
    own = {
        place: _own(waits, queues[name], rows, until=until)
        for place, (name, rows) in enumerate(zip(waits.queues, _rows(waits), strict=True))
        if name in queues and queues[name].channel not in DEFERRED and len(rows)
    }
    counts = _counted(waits, own)
    work = work_of(waits)
    spells = spells_of(work)
    grids: dict[tuple[str, int], Grid] = {}
    found = {}
    for place, one in own.items():
        key = (one.queue.time_zone, one.queue.interval_minutes)
        why = _unseen(waits, work, place, one)
        compared = None
        if not why:
            if key not in grids:
                grids[key] = grid_of(
                    waits, work, spells, counted=counts, time_zone=key[0], minutes=key[1]
                )
            compared = compare(waits, grids[key], place, own, until=until)
        found[one.queue.queue] = _calibrated(waits, one, compared, why)
    return found


def read_service(
    home: Home,
    *,
    now: datetime,
    as_of: datetime | None = None,
    days: int = DAYS,
    queues: tuple[str, ...] = (),
) -> tuple[datetime, dict[str, Calibration]]:
    """Learn how the queues in the lake are served.

    ``as_of`` is by default the latest that the data allow; empty ``queues`` stand for all.

    Returns:
        The moment that was looked back from, and what was learnt, by queue.

    Raises:
        TooLittleDataError: There is no contact in these days, or none with a wait.
        UnknownNameError: There is no such queue.
    """
    with FeatureStore(home) as store:
        moment = as_of or store.latest(now=now)
        known = {queue.queue: queue for queue in store.queues(moment)}
        for name in queues:
            if name not in known:
                raise UnknownNameError("queue", name, known, field="queue")
        waits = store.waits(moment, days=days)
    if len(waits) == 0:
        raise TooLittleDataError(
            f"no single contact of the {days} days before {moment:%Y-%m-%d %H:%M} UTC is known",
            remedy="load some with `python -m features ingest interactions`, or ask for another "
            "time with `--as-of`",
        )
    found = calibrate(waits, known)
    missing = [name for name in queues if name not in found]
    if missing or not found:
        names = ", ".join(f"`{name}`" for name in missing) or "all queues"
        raise TooLittleDataError(
            f"nothing is known of waits in {names}",
            got=f"{len(waits):,} contacts",
            expected="contacts with `wait_seconds`, of channels that wait for an agent",
            remedy="map the column that holds the wait",
        )
    return moment, {name: found[name] for name in queues or sorted(found)}


def _split(waits: Waits) -> int:
    """Return the moment at which the later part begins, epoch seconds."""
    if len(waits) == 0:
        return 0
    first, last = int(waits.started_at[0]), int(waits.started_at[-1])
    return first + round(EARLIER_SHARE * (last + 1 - first))


def _rows(waits: Waits) -> list[Int64]:
    """Return the places of each queue's contacts with a wait, in order of time."""
    known = np.flatnonzero(~np.isnan(waits.wait_seconds))
    order = known[np.argsort(waits.queue[known], kind="stable")]
    ends = np.cumsum(np.bincount(waits.queue[known], minlength=len(waits.queues)))
    return np.split(order, ends)[:-1]


def _own(waits: Waits, queue: Queue, rows: Int64, *, until: int) -> Own:
    seconds, abandoned = waits.wait_seconds[rows].astype(np.float64), waits.abandoned[rows]
    starts = interval_of(waits.started_at[rows], queue.interval_minutes, queue.time_zone)
    short = short_seconds(seconds, abandoned)
    patience = fit_patience(
        seconds,
        abandoned,
        group=(starts - starts[0]) // (queue.interval_minutes * 60),
        later=waits.started_at[rows] >= until,
        after=short,
    )
    return Own(queue, rows, starts, short, patience)


def _counted(waits: Waits, own: Mapping[int, Own]) -> Bool:
    """Return which contacts come to the agents: not those that hung up in the first seconds."""
    limits = np.zeros(len(waits.queues), dtype=np.float32)
    for place, one in own.items():
        limits[place] = one.short_seconds
    counted: Bool = ~(waits.abandoned & (waits.wait_seconds < limits[waits.queue]))
    return counted


def _unseen(waits: Waits, work: Work, place: int, one: Own) -> str:
    """Return why the history does not say who was on phone; empty where it does."""
    answered = one.rows[~waits.abandoned[one.rows]]
    handle = np.nan_to_num(waits.handle_seconds[answered]).astype(np.float64)
    total, named = handle.sum(), handle[waits.agent[answered] >= 0].sum()
    if named == 0 or not (work.queue == place).any():
        return "no answered contact has an agent and a handle time"
    if (handle > 0).mean() < _LEAST_KNOWN:
        return f"only {(handle > 0).mean():.0%} of answered contacts have a handle time"
    if named < _LEAST_KNOWN * total:
        return f"only {named / total:.0%} of the handle time has an agent"
    at_once = overlapping(work, place)
    if at_once > 1 - (1 - _MOST_DOUBLED) / one.queue.concurrency:
        return (
            f"agents held several of its contacts at once for {at_once:.0%} of the time: are "
            "their ids shared?"
        )
    return ""


def _calibrated(waits: Waits, one: Own, compared: Compared | None, why: str) -> Calibration:
    seconds, abandoned = waits.wait_seconds[one.rows].astype(np.float64), waits.abandoned[one.rows]
    short = abandoned & (seconds < one.short_seconds)
    handle = waits.handle_seconds[one.rows]
    handle = handle[handle > 0]
    kept = ServiceCalibration(
        patience_seconds=one.patience.mean_seconds if one.patience else None,
        contacts=len(seconds) - int(short.sum()),
        abandoned=int((abandoned & ~short).sum()),
    )
    fitted = np.nan
    if compared is not None and _too_few(compared):
        compared, why = None, "too few intervals or contacts to compare"
    if compared is not None:
        kept, fitted, why = _judged(kept, compared)
    return Calibration(
        service=kept,
        patience=one.patience,
        survival=kaplan_meier(seconds[~short], abandoned[~short]),
        short_seconds=one.short_seconds,
        short=int(short.sum()),
        aht_seconds=float(handle.mean(dtype=np.float64)) if len(handle) else np.nan,
        efficiency=fitted,
        compared=compared,
        why=why,
    )


def _too_few(compared: Compared) -> bool:
    return any(
        part.sum() < LEAST_INTERVALS or compared.contacts[part].sum() < LEAST_CONTACTS
        for part in (compared.later, ~compared.later)
    )


def _judged(
    service: ServiceCalibration, compared: Compared
) -> tuple[ServiceCalibration, float, str]:
    """Return the service as compared, the efficiency that fits, and why it is not kept."""
    fitted = fit_efficiency(compared)
    plain, corrected = compared.predicted(), compared.predicted(fitted)
    why = ""
    if fitted in EFFICIENCIES:
        why = f"no efficiency between {EFFICIENCIES[0]:g} and {EFFICIENCIES[1]:g} explains it"
    elif compared.error(corrected) >= _WORTH * compared.error(plain):
        why = "the later part is predicted no better with it"
    if why:
        corrected = plain
    judged = replace(
        service,
        efficiency=1.0 if why else fitted,
        intervals=len(compared.starts),
        predicted=compared.mean(plain),
        achieved=compared.mean(compared.achieved),
        corrected=compared.mean(corrected, compared.later),
        corrected_achieved=compared.mean(compared.achieved, compared.later),
    )
    return judged, fitted, why
