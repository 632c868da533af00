"""The experiments of a lake as arrays: who was decided about, what was known, what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_SECONDS, from_epoch
from features.customers.features import CARRIED_NAMES
from features.errors import TooLittleDataError, UnknownNameError
from training.experiments import HORIZON_DAYS


@dataclass(frozen=True)
class Sample:
    """The customers of one experiment, arrays of n.

    Attributes:
        treated: Whether each was contacted, bool[n].
        share: Chance of being contacted that the draw gave, in (0, 1), float64[n].
        retained: 1.0 where a purchase or renewal followed within the horizon, float64[n].
        value: Money within the horizon, minor units, float64[n].
        names: Names of the features, k of them.
        features: Known before the decision, float64[n, k]; NaN where missing.
    """

    customer_ids: tuple[str, ...]
    treated: Bool
    share: Float64
    retained: Float64
    value: Float64
    names: tuple[str, ...]
    features: Float64

    def __len__(self) -> int:
        return len(self.treated)

    @property
    def weight(self) -> Float64:
        """One over the chance of the arm that each customer fell into, float64[n]."""
        chance: Float64 = np.where(self.treated, self.share, 1 - self.share)
        return 1 / chance

    def column(self, name: str) -> Float64 | None:
        """Return one feature, float64[n]; None where it is not there."""
        return self.features[:, self.names.index(name)] if name in self.names else None

    def smaller_arm(self) -> int:
        """Return how many customers the smaller arm has."""
        treated = int(self.treated.sum())
        return min(treated, len(self) - treated)

    def take(self, rows: Int64 | Bool) -> Self:
        """Return some of the customers."""
        places = np.arange(len(self))[rows]
        return type(self)(
            customer_ids=tuple(self.customer_ids[i] for i in places),
            treated=self.treated[places],
            share=self.share[places],
            retained=self.retained[places],
            value=self.value[places],
            names=self.names,
            features=self.features[places],
        )


_DATES_AT_ONCE = 4


class ExperimentSource(Protocol):
    """Where decisions, outcomes and features come from; ``FeatureStore`` is one."""

    def outcomes(self, as_of: datetime, *, horizon_days: int) -> pa.Table:
        """Return the first decision about each customer, with what came of it."""
        ...

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        """Return ``customer_id``, ``as_of`` and the features of every customer known then."""
        ...


@dataclass(frozen=True)
class ExperimentData:
    """One experiment as known at a moment.

    Attributes:
        first_at: First decision, epoch seconds.
        last_at: Last decision, epoch seconds.
        decided: Customers decided about.
        other_arm: Of those, customers whom a later decision put into the other arm.
        share_stated: Whether the chance of being contacted is known of everybody.
        sample: Those whose horizon has ended; may be of nobody, or of one arm.
    """

    experiment: str
    actions: tuple[str, ...]
    first_at: int
    last_at: int
    decided: int
    other_arm: int
    share_stated: bool
    sample: Sample


def read_experiments(
    source: ExperimentSource,
    *,
    as_of: datetime,
    horizon_days: int = HORIZON_DAYS,
    treat_share: float | None = None,
    only: str | None = None,
) -> tuple[ExperimentData, ...]:
    """Return the experiments known at a moment, by name.

    ``treat_share``: Chance of being contacted, in (0, 1), where the decisions do not state it.
    ``only``: The one experiment to read; None for all.

    Raises:
        TooLittleDataError: No decision is known.
        UnknownNameError: There is no such experiment.
    """
    found = source.outcomes(as_of, horizon_days=horizon_days).to_pandas()
    if found.empty:
        raise TooLittleDataError(
            "no decision of an experiment is known",
            got=f"none by {as_of:%Y-%m-%d %H:%M} UTC",
            remedy="make contact lists with `POST /v1/churn/lists`, then run "
            "`python -m features ingest outreach`",
        )
    if only is not None:
        names = found["experiment"].unique()
        if only not in names:
            raise UnknownNameError("experiment", only, names, field="experiment")
        found = found[found["experiment"] == only]
    found = found.assign(day=found["decided_at"] // DAY_SECONDS * DAY_SECONDS)
    features = _features(source, found[found["complete"] == 1])
    return tuple(
        _decided(str(name), rows, features, treat_share)
        for name, rows in found.groupby("experiment", sort=True)
    )


def _features(source: ExperimentSource, complete: pd.DataFrame) -> pd.DataFrame:
    """Return the features at the start of the day of each decision, by customer and day."""
    days = np.sort(complete["day"].unique())
    ids = pa.array(complete["customer_id"].unique(), pa.string())
    parts = []
    for start in range(0, len(days), _DATES_AT_ONCE):
        table = source.customers(
            [from_epoch(int(day)) for day in days[start : start + _DATES_AT_ONCE]]
        )
        table = table.filter(pc.is_in(table.column("customer_id"), value_set=ids))
        second = table.column("as_of").cast(pa.timestamp("s", "UTC")).cast(pa.int64())
        parts.append(
            table.drop_columns(["as_of", *CARRIED_NAMES]).append_column("day", second).to_pandas()
        )
    if not parts:
        return pd.DataFrame()
    found: pd.DataFrame = pd.concat(parts).set_index(["customer_id", "day"])
    return found


def _decided(
    name: str, rows: pd.DataFrame, features: pd.DataFrame, treat_share: float | None
) -> ExperimentData:
    complete = rows[rows["complete"] == 1]
    stated = rows["treat_share"].astype(np.float64)
    stated = stated.where(
        (stated > 0) & (stated < 1), np.nan if treat_share is None else treat_share
    )
    treated = (complete["arm"] == "treat").to_numpy()
    share = np.asarray(stated[complete.index], dtype=np.float64)
    if np.isnan(share).any():
        # The arms' own sizes: right for the effect, useless for the check of the ratio.
        share = np.full(len(share), float(np.clip(treated.mean(), 0.01, 0.99)))
    known = complete["probability"].astype(float).to_numpy()[:, None]
    names: tuple[str, ...] = ()
    values = np.empty((len(complete), 0))
    if len(complete):
        keys = pd.MultiIndex.from_frame(complete[["customer_id", "day"]])
        values = features.reindex(keys).to_numpy(dtype=float)
        names = tuple(features.columns)
    return ExperimentData(
        experiment=name,
        actions=tuple(sorted(rows["action"].unique())),
        first_at=int(rows["decided_at"].min()),
        last_at=int(rows["decided_at"].max()),
        decided=len(rows),
        other_arm=int(rows["other_arm"].sum()),
        share_stated=bool(stated.notna().all()),
        sample=Sample(
            customer_ids=tuple(complete["customer_id"]),
            treated=treated,
            share=share,
            retained=complete["retained"].to_numpy(dtype=float),
            value=complete["value_minor"].to_numpy(dtype=float),
            names=(PROBABILITY, *names),
            features=np.hstack((known, values)),
        ),
    )


PROBABILITY = "churn_probability"
"""Name of the churn probability at the decision, beside the features."""
