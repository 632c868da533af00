"""How good the published forecasts were: each kept set beside what then came.

Everything is kept as sums, so that sets can be read one by one and any grouping is a sum of
sums. An interval that several sets forecast counts once for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.calendar import Float64, epoch
from features.contracts import LEAD_BUCKETS
from features.overrides import Override
from features.snapshot import QueueHistory
from serving.sets.forecast import ForecastSet
from training.volume.record_sums import FULL, INTRADAY, KINDS, SUMS, WEEK_HOURS, Span, judge

_AT = {name: column for column, name in enumerate(SUMS)}


@dataclass(frozen=True)
class Measures:
    """How good some forecasts were; NaN where a ratio has nothing below it.

    Attributes:
        wape: Sum of absolute errors over the contacts.
        bias: Sum of errors (forecast minus actual) over the contacts.
        pinball: Mean pinball loss over ``contracts.QUANTILE_LEVELS``, summed, over the contacts.
        coverage_80: Share of the intervals that came inside the 80 % band.
    """

    intervals: int
    contacts: float
    wape: float
    bias: float
    pinball: float
    coverage_80: float
    wape_baseline: float

    @property
    def skill(self) -> float:
        """Share of the baseline's error that the forecast takes away."""
        return 1 - self.wape / self.wape_baseline if self.wape_baseline > 0 else float("nan")


@dataclass(frozen=True)
class PlannedMeasures:
    """How good a planner's overrides were beside the forecast, where both spoke."""

    intervals: int
    contacts: float
    wape_override: float
    bias_override: float
    wape: float
    wape_baseline: float

    @property
    def gain(self) -> float:
        """What the overrides added: the forecast's WAPE less theirs; below 0 they did harm."""
        return self.wape - self.wape_override

    @property
    def gain_contacts(self) -> float:
        """The same in contacts: the error that the overrides took away."""
        return self.gain * self.contacts


@dataclass(frozen=True)
class Actuals:
    """What came, and what planners had expected.

    Attributes:
        as_of: Known by this moment, aware UTC.
        histories: By queue.
        overrides: By queue, each in the order of ``made_at``.
    """

    as_of: datetime
    histories: Mapping[str, QueueHistory]
    overrides: Mapping[str, Sequence[Override]]


@dataclass(frozen=True)
class Record:
    """The record of all published forecasts.

    Attributes:
        sums: By kind and queue: float64[leads, hours of the week, sums].
    """

    as_of: datetime
    sets: Mapping[str, int]
    sums: Mapping[tuple[str, str], Float64]
    never_seen: tuple[str, ...]

    @property
    def intervals(self) -> int:
        """Forecast intervals that are judged, of both kinds."""
        return int(sum(found[..., _AT["intervals"]].sum() for found in self.sums.values()))

    def queues(self, kind: str) -> tuple[str, ...]:
        """Return the queues that have something to judge, by name."""
        return tuple(
            sorted(queue for of, queue in self.sums if of == kind and self.sums[of, queue].any())
        )

    def measures(self, kind: str, *, queue: str | None = None, lead: int | None = None) -> Measures:
        """Return how good forecasts of one kind were.

        Args:
            queue: Of this queue alone; by default of all together.
            lead: At this place of ``contracts.LEAD_BUCKETS`` alone; by default at all.
        """
        return _measures(self._cells(kind, queue, lead).sum(axis=(0, 1)))

    def by_hour(self, kind: str, *, queue: str | None = None) -> tuple[tuple[Measures, ...], ...]:
        """Return the measures of each hour of the week: 7 rows from Monday, 24 hours each."""
        cells = self._cells(kind, queue, None).sum(axis=0).reshape(7, 24, len(SUMS))
        return tuple(tuple(_measures(hour) for hour in day) for day in cells)

    def planned(
        self, kind: str, *, queue: str | None = None, lead: int | None = None
    ) -> PlannedMeasures:
        """Return how good planners' overrides were; arguments as those of ``measures``."""
        found = self._cells(kind, queue, lead).sum(axis=(0, 1))
        contacts = float(found[_AT["planned_contacts"]])
        return PlannedMeasures(
            intervals=int(found[_AT["planned"]]),
            contacts=contacts,
            wape_override=_ratio(found[_AT["planned_absolute"]], contacts),
            bias_override=_ratio(found[_AT["planned_error"]], contacts),
            wape=_ratio(found[_AT["planned_forecast_absolute"]], contacts),
            wape_baseline=_ratio(found[_AT["planned_baseline_absolute"]], contacts),
        )

    def _cells(self, kind: str, queue: str | None, lead: int | None) -> Float64:
        names = self.queues(kind) if queue is None else (queue,)
        leads = slice(None) if lead is None else slice(lead, lead + 1)
        whole = _nothing()
        for name in names:
            whole += self.sums.get((kind, name), 0.0)
        return whole[leads]


def keep_record(sets: Iterable[ForecastSet], actuals: Actuals, *, span: Span) -> Record:
    """Judge published forecasts by what came."""
    counts = dict.fromkeys(KINDS, 0)
    sums: dict[tuple[str, str], Float64] = {}
    never: set[str] = set()
    for found in sets:
        kind = FULL if found.base is None else INTRADAY
        counts[kind] += 1
        for name in span.queues or found.queues:
            forecast, history = found.queues.get(name), actuals.histories.get(name)
            if forecast is None or len(forecast.starts) == 0:
                continue
            if history is None:
                never.add(name)
                continue
            layers = actuals.overrides.get(name, ())
            judged = judge(
                forecast, history, layers, made_at=epoch(found.made_at), kind=kind, span=span
            )
            if judged is not None:
                sums[kind, name] = sums.get((kind, name), 0.0) + judged
    return Record(actuals.as_of, counts, sums, tuple(sorted(never)))


def _nothing() -> Float64:
    return np.zeros((len(LEAD_BUCKETS), WEEK_HOURS, len(SUMS)))


def _measures(found: Float64) -> Measures:
    contacts, intervals = float(found[_AT["contacts"]]), float(found[_AT["intervals"]])
    return Measures(
        intervals=int(intervals),
        contacts=contacts,
        wape=_ratio(found[_AT["absolute"]], contacts),
        bias=_ratio(found[_AT["error"]], contacts),
        pinball=_ratio(found[_AT["pinball"]], contacts),
        coverage_80=_ratio(found[_AT["inside"]], intervals),
        wape_baseline=_ratio(found[_AT["baseline_absolute"]], contacts),
    )


def _ratio(above: float, below: float) -> float:
    return float(above) / below if below > 0 else float("nan")
