"""What becomes of each contact: when it comes, how long it waits, how it is handled and ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float64, Int64
from features.simulate.arrivals import Arrivals
from features.simulate.events import Centre

Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Contacts:
    """Contacts of a span, by start, arrays of n.

    Attributes:
        queue: Index of the queue, int8[n].
        started_at: Epoch seconds, int64[n].
        wait_seconds: Wait until answered or given up, float64[n], whole seconds.
        handle_seconds: Handle time, float64[n], whole seconds; NaN where abandoned.
        abandoned: Given up while waiting, bool[n].
        transferred: Handed on, bool[n].
        resolved: The matter was settled, bool[n]; False where abandoned.
        badness: How much it spoils the customer's mood, float64[n], 0 where all went well.
    """

    queue: Int8
    started_at: Int64
    wait_seconds: Float64
    handle_seconds: Float64
    abandoned: Bool
    transferred: Bool
    resolved: Bool
    badness: Float64

    def __len__(self) -> int:
        return len(self.queue)


def draw_contacts(
    centre: Centre, arrivals: Arrivals, *, first: int, last: int, rng: np.random.Generator
) -> Contacts:
    """Draw the contacts of the hours [first, last), as indices into the centre's hours.

    Within an hour they are uniform; in a busier hour people wait longer and hang up more.
    """
    counts = arrivals.counts[:, first:last]
    queue = np.repeat(np.arange(len(counts), dtype=np.int8), counts.sum(axis=1))
    hour = np.concatenate([np.repeat(np.arange(first, last), row) for row in counts])
    second = rng.integers(0, 3_600, size=len(hour))
    order = np.lexsort((queue, centre.hours[hour] + second))
    queue, hour, second = queue[order], hour[order], second[order]
    planned = arrivals.planned[queue, hour]
    load = arrivals.rate[queue, hour] * arrivals.day_factor[queue, hour] / planned
    wait, abandoned = _draw_waits(centre, queue, load, rng)
    handled = ~abandoned
    n = len(queue)
    transferred = handled & (rng.random(n) < _by_queue(centre, "transferred_share")[queue])
    resolved = handled & (rng.random(n) < _by_queue(centre, "resolved_share")[queue])
    medians = _by_queue(centre, "handle_median_seconds")[queue]
    sigmas = _by_queue(centre, "handle_sigma")[queue]
    handle = np.rint(medians * np.exp(sigmas * rng.standard_normal(n))).clip(5, 14_400)
    long = wait > 3.0 * _by_queue(centre, "wait_mean_seconds")[queue]
    badness = 0.6 * abandoned + 0.5 * (handled & ~resolved) + 0.2 * transferred + 0.3 * long
    return Contacts(
        queue=queue,
        started_at=centre.hours[hour] + second,
        wait_seconds=wait,
        handle_seconds=np.where(abandoned, np.nan, handle),
        abandoned=abandoned,
        transferred=transferred,
        resolved=resolved,
        badness=badness.astype(np.float64),
    )


def _draw_waits(
    centre: Centre, queue: Int8, load: Float64, rng: np.random.Generator
) -> tuple[Float64, Bool]:
    mean = _by_queue(centre, "wait_mean_seconds")[queue] * load**2
    waits_at_all = rng.random(len(queue)) < np.clip(0.35 * load**3, 0.05, 0.95)
    wait = np.where(waits_at_all, rng.exponential(mean), rng.uniform(0, 8, len(queue)))
    patience_mean = np.array([law.queue.patience_seconds or np.inf for law in centre.laws])[queue]
    # Mail is not held in a line: everyone waits, and nobody gives up.
    mail = np.isinf(patience_mean)
    wait = np.where(mail, mean * rng.lognormal(-0.3, 0.8, len(queue)), wait)
    patience = rng.standard_exponential(len(queue)) * np.where(mail, 1.0, patience_mean)
    abandoned = ~mail & (wait > patience)
    return np.rint(np.where(abandoned, patience, wait)), abandoned


def _by_queue(centre: Centre, name: str) -> Float64:
    return np.array([getattr(law, name) for law in centre.laws], dtype=np.float64)
