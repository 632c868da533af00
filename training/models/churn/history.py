"""The grid of past dates that the churn model learns from: features, labels and season.

The features of a date are what was known then; its labels are complete one horizon later.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from features.arrays import Float64
from features.customers.features import CARRIED_NAMES
from features.errors import ContractError, TooLittleDataError
from serving.models.churn.learners import INPUTS, log_odds, purchase_histories
from training.config import ChurnConfig
from training.models.churn.btyd import BtydByDate, BtydOutlook, plain_outlook

RECENCY = "purchase_recency_days"
PURCHASES = "purchases"
TENURE = "purchase_first_days"
TERM_LEFT = "term_left_days"
KEYS = ("customer_id", "as_of")
YEAR = timedelta(days=364)
"""A year in whole weeks, so that weekdays stand where they stood."""
_TOLERANCE = timedelta(days=7)
_HISTORIES = 20_000
_DATES_AT_ONCE = 4
"""As-of dates asked of the source in one pass: bounds memory, keeps the pass worth its start."""


class ChurnSource(Protocol):
    """Where features and labels come from; ``features.store.FeatureStore`` is one."""

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        """Return ``customer_id``, ``as_of`` and the features of every customer known then."""
        ...

    def labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, active_days: int
    ) -> pa.Table:
        """Return ``customer_id``, ``as_of``, ``churned`` of the customers active then."""
        ...

    def contract_labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, grace_days: int
    ) -> pa.Table:
        """Return the same of the customers whose contract ran then."""
        ...


@dataclass(frozen=True)
class GridDate:
    """One date of the grid.

    Attributes:
        features: float64[n, k] of its population, NaN where missing.
        churned: 1 where no purchase followed within the horizon, else 0, float64[n].
        population: Its customers, sampled or not.
        pace: Log of purchases in the label window by all customers, for each customer of the
            population; None where it is not known.
        ids: The customers, text[n].
        plain: What the buy-till-you-die model of that moment expected; None for contracts.
    """

    at: datetime
    features: Float64
    churned: Float64
    population: int
    pace: float | None
    ids: Any = ()
    plain: BtydOutlook | None = None

    @property
    def base_rate(self) -> float:
        """Share that churned."""
        return float(self.churned.mean())

    @property
    def both_classes(self) -> bool:
        """Whether some churned and some stayed."""
        return bool(self.churned.min() < self.churned.max())


@dataclass(frozen=True)
class History:
    """Everything a fit may look at.

    Attributes:
        dates: The grid, the most recent first; all labels complete by ``as_of``.
        today: Features of the population at ``as_of``, float64[n, k].
        demand: Purchases by all customers in the horizon before a moment, as known then.
        btyd: The buy-till-you-die model of ``as_of`` and of each date.
        surprises: By moment, by how much more customers of the ``recent`` days after it bought
            nothing than the buy-till-you-die model had expected, in log-odds.
        recent: Length of that shorter label window.
    """

    names: tuple[str, ...]
    as_of: datetime
    horizon: timedelta
    dates: tuple[GridDate, ...]
    today: Float64
    demand: Mapping[datetime, float]
    btyd: BtydByDate
    surprises: Mapping[datetime, float]
    recent: timedelta
    start: datetime

    def before(self, at: datetime) -> tuple[GridDate, ...]:
        """Return the dates whose labels were complete at a moment, the most recent first."""
        return tuple(date for date in self.dates if date.at + self.horizon <= at)

    def surprise(self, at: datetime) -> float | None:
        """Return the latest surprise that was complete at a moment, in log-odds."""
        return self.surprises.get(at - self.recent)

    def pace_ahead(self, at: datetime, *, population: int) -> float | None:
        """Return the pace expected after a moment, from what was known at it.

        It is last year's over the same weeks, moved half-way by how the last weeks compare with
        a year ago (all the way would chase noise). None where history is shorter than a year.
        """
        if at - YEAR < self.start - _TOLERANCE or population == 0:
            return None
        ahead = self.demand.get(at - YEAR + self.horizon, 0.0)
        now, then = self.demand.get(at, 0.0), self.demand.get(at - YEAR, 0.0)
        if at - YEAR - self.horizon >= self.start and now > 0 and then > 0:
            ahead *= math.sqrt(now / then)
        return math.log(ahead / population) if ahead > 0 else None


def load_history(
    source: ChurnSource,
    *,
    as_of: datetime,
    config: ChurnConfig,
    progress: Callable[[float], None] = lambda _share: None,
) -> History:
    """Read the grid of as-of dates that a fit at ``as_of`` may use.

    ``progress`` is told the share done, in [0, 1].

    Raises:
        TooLittleDataError: No date of the grid has complete labels and enough customers, or
            nobody was known at ``as_of``.
    """
    horizon = timedelta(days=config.known_days)
    now = source.customers([as_of]).to_pandas()
    names = tuple(name for name in now.columns if name not in (*KEYS, *CARRIED_NAMES))
    _check_names(names, config=config)
    _check_bought(now, as_of)
    start = as_of - timedelta(days=float(now[TENURE].max()))
    grid = _grid(as_of, start=start, config=config)
    labels = _labels(source, grid, config)
    recent = timedelta(days=config.recent_days)
    buying = config.definition == "purchase"
    walk = _Walk(
        names=names,
        config=config,
        labels=labels,
        # Contracts end by their terms, whatever the season of purchases.
        silent=_silent_shares(source, (as_of - recent, *grid), config) if buying else {},
        btyd=BtydByDate({as_of: _histories(now, names)}),
    )
    counted = _demand_moments((as_of, *labels), horizon, start=start) if buying else set()
    moments = sorted({*labels, *walk.silent, *counted})
    for done in range(0, len(moments), _DATES_AT_ONCE):
        some = moments[done : done + _DATES_AT_ONCE]
        frame = source.customers(some).to_pandas()
        for at in some:
            walk.read(at, frame[frame["as_of"] == at])
        progress(min(done + _DATES_AT_ONCE, len(moments)) / len(moments))
    active = now[now[RECENCY] <= config.active_days] if buying else now[now[TERM_LEFT] > 0]
    return History(
        names=names,
        as_of=as_of,
        horizon=horizon,
        dates=tuple(
            replace(date, pace=_pace(walk.demand.get(date.at + horizon, 0.0), date.population))
            for date in reversed(walk.dates)
        ),
        today=active[list(names)].to_numpy(dtype=float),
        demand=walk.demand,
        btyd=walk.btyd,
        surprises=walk.surprises,
        recent=recent,
        start=start,
    )


@dataclass
class _Walk:
    """What is gathered on the way through the moments, the earliest first."""

    names: tuple[str, ...]
    config: ChurnConfig
    labels: Mapping[datetime, pd.Series[float]]
    silent: Mapping[datetime, float]
    btyd: BtydByDate
    dates: list[GridDate] = field(default_factory=list)
    demand: dict[datetime, float] = field(default_factory=dict)
    surprises: dict[datetime, float] = field(default_factory=dict)

    def read(self, at: datetime, rows: pd.DataFrame) -> None:
        """Take what a moment is needed for: demand, surprise, a date of the grid."""
        self.demand[at] = _purchases(rows, self.config.horizon_days)
        if at in self.silent or at in self.labels:
            self.btyd.histories[at] = _histories(rows, self.names)
        if at in self.silent:
            active = rows[rows[RECENCY] <= self.config.active_days]
            features = active[list(self.names)].to_numpy(dtype=float)
            plain = self._plain(at, features, ahead_days=self.config.recent_days)
            self.surprises[at] = log_odds(self.silent[at]) - log_odds(plain.rate)
        if at in self.labels:
            date = _as_of(at, rows, self.labels[at], names=self.names, config=self.config)
            if self.config.definition == "purchase":
                plain = self._plain(at, date.features, ahead_days=self.config.horizon_days)
                date = replace(date, plain=plain)
            self.dates.append(date)

    def _plain(self, at: datetime, features: Float64, *, ahead_days: float) -> BtydOutlook:
        return plain_outlook(self.btyd[at], features, names=self.names, ahead_days=ahead_days)


def _check_names(names: Sequence[str], *, config: ChurnConfig) -> None:
    wanted_names = (*INPUTS, TERM_LEFT) if config.definition == "contract" else INPUTS
    missing = [name for name in wanted_names if name not in names]
    if missing or not _windows(names):
        wanted = missing or [f"{PURCHASES}_<days>d"]
        raise ContractError(
            "customer features",
            got=f"no {', '.join(f'`{name}`' for name in wanted)}",
            expected="the features of `features.customers.features`",
            remedy="build the features with this version",
        )


def _check_bought(now: pd.DataFrame, as_of: datetime) -> None:
    if now.empty:
        raise TooLittleDataError(
            f"as-of {as_of.isoformat()}",
            got="a moment at which no customer was known",
            expected="at least one customer with a row that happened and was known before it",
            remedy="fit as of a later moment, or say in the mapping when rows were known",
        )
    if now[TENURE].isna().all():
        raise TooLittleDataError(
            f"churn training data as of {as_of.isoformat()}",
            got=f"`{TENURE}` missing for everyone: nobody had bought by then",
            expected="at least one purchase known by then",
            remedy="load `purchases`, or choose a later as-of",
        )


def _grid(as_of: datetime, *, start: datetime, config: ChurnConfig) -> list[datetime]:
    """Return the dates with complete labels and enough history, the most recent first."""
    first = start + timedelta(days=config.min_history_days)
    dates = [
        as_of - timedelta(days=config.known_days + i * config.step_days)
        for i in range(config.grid_dates)
    ]
    usable = [at for at in dates if at >= first]
    if not usable:
        raise TooLittleDataError(
            "churn training data",
            got=f"purchases over {(as_of - start).days} days before {as_of:%Y-%m-%d}",
            expected=f"at least {config.least_history_days} days, to learn and to test",
            remedy="load a longer history of `purchases`, or set a shorter `horizon_days`",
        )
    return usable


def _demand_moments(
    moments: Sequence[datetime], horizon: timedelta, *, start: datetime
) -> set[datetime]:
    """Return the moments at which the purchases of the last horizon must be counted."""
    counted = {at + horizon for at in moments[1:]}
    for at in moments:
        if at - YEAR >= start - _TOLERANCE:
            counted |= {at, at - YEAR, at - YEAR + horizon}
    return counted


def _labels(
    source: ChurnSource, grid: Sequence[datetime], config: ChurnConfig
) -> dict[datetime, pd.Series[float]]:
    """Return the labels by date, each indexed by customer, of dates with enough customers."""
    frame = labelled(source, sorted(grid), config).to_pandas()
    by_date = {
        at: pd.Series(rows["churned"].to_numpy(dtype=float), index=rows["customer_id"])
        for at in grid
        for rows in [frame[frame["as_of"] == at]]
    }
    enough = {at: rows for at, rows in by_date.items() if len(rows) >= config.min_customers}
    if not enough:
        raise TooLittleDataError(
            "churn training data",
            got=f"at most {max(len(rows) for rows in by_date.values())} customers "
            + (
                f"with a purchase in {config.active_days} days"
                if config.definition == "purchase"
                else "whose contract ran"
            ),
            expected=f"at least {config.min_customers}",
            remedy="load more customers' `purchases`, or set a smaller `min_customers`",
        )
    return enough


def labelled(source: ChurnSource, moments: Sequence[datetime], config: ChurnConfig) -> pa.Table:
    """Return the labels at some moments, ascending, by the definition that the settings name."""
    if config.definition == "contract":
        return source.contract_labels(
            moments, horizon_days=config.horizon_days, grace_days=config.grace_days
        )
    return source.labels(moments, horizon_days=config.horizon_days, active_days=config.active_days)


def _silent_shares(
    source: ChurnSource, moments: Sequence[datetime], config: ChurnConfig
) -> dict[datetime, float]:
    """Return by moment the share of the active who bought nothing in the recent days after it."""
    frame = source.labels(
        sorted(moments), horizon_days=config.recent_days, active_days=config.active_days
    ).to_pandas()
    by = frame.groupby("as_of")["churned"].agg(["mean", "size"])
    return {
        at.to_pydatetime(): float(row["mean"])
        for at, row in by.iterrows()
        if row["size"] >= config.min_customers and 0 < row["mean"] < 1
    }


def _as_of(
    at: datetime,
    rows: pd.DataFrame,
    labels: pd.Series[float],
    *,
    names: Sequence[str],
    config: ChurnConfig,
) -> GridDate:
    churned: Float64 = labels.reindex(rows["customer_id"]).to_numpy().astype(np.float64)
    where = np.flatnonzero(~np.isnan(churned))
    if len(where) > config.rows_per_date:
        # Seeded by the date, so that a date's sample is the same whatever the grid.
        rng = np.random.default_rng([config.seed, int(at.timestamp())])
        where = np.sort(rng.choice(where, config.rows_per_date, replace=False))
    return GridDate(
        at=at,
        features=rows[list(names)].to_numpy(dtype=float)[where],
        churned=churned[where],
        population=len(labels),
        pace=None,
        ids=rows["customer_id"].to_numpy()[where],
    )


def _histories(rows: pd.DataFrame, names: Sequence[str]) -> Float64:
    """Return when customers bought; every so many-th of them where they are many."""
    step = 1 + len(rows) // _HISTORIES
    return purchase_histories(rows[list(names)].iloc[::step].to_numpy(dtype=float), names=names)


def _windows(names: Sequence[str]) -> list[int]:
    """Return the days of the windows in which purchases are counted."""
    pattern = re.compile(rf"{PURCHASES}_(\d+)d")
    return [int(match[1]) for name in names if (match := pattern.fullmatch(name))]


def _purchases(rows: pd.DataFrame, horizon_days: int) -> float:
    """Return the purchases of the last horizon, scaled from the window nearest to it."""
    days = min(_windows(list(rows.columns)), key=lambda window: abs(window - horizon_days))
    return float(rows[f"{PURCHASES}_{days}d"].sum()) * horizon_days / days


def _pace(purchases: float, population: int) -> float | None:
    return math.log(purchases / population) if purchases > 0 and population else None
