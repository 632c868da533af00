"""A definition proposed from gaps: censoring by hand, a known rhythm, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.errors import ContractError, TooLittleDataError
from training.models.churn.horizon import propose
from training.service.patience import kaplan_meier

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)


class Gaps:
    """A source of last gaps and silences alone."""

    def __init__(self, gaps: np.ndarray, silences: np.ndarray) -> None:
        self.frame = pd.DataFrame({"gap_days_last": gaps, "purchase_recency_days": silences})

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        assert list(as_ofs) == [AS_OF]
        return pa.Table.from_pandas(self.frame, preserve_index=False)

    def labels(self, *_: object, **__: object) -> pa.Table:
        raise AssertionError("labels are not needed")

    contract_labels = labels


def test_a_monthly_rhythm_gives_a_short_horizon_and_says_why() -> None:
    rng = np.random.default_rng(1)
    found = propose(Gaps(rng.gamma(9, 30 / 9, 2000), rng.uniform(0, 40, 2000)), as_of=AS_OF)
    assert found.horizon_days == 45
    assert 45 <= found.active_days <= 60
    assert found.median_days == pytest.approx(30, abs=5)
    assert "75%" in found.why
    assert f"{found.horizon_days} days" in found.why


def test_silences_that_go_on_lengthen_the_horizon() -> None:
    gaps = np.linspace(1, 100, 500)
    short = propose(Gaps(gaps, np.full(500, 1.0)), as_of=AS_OF)
    long = propose(Gaps(gaps, np.linspace(50, 150, 500)), as_of=AS_OF)
    assert long.horizon_quantile_days > short.horizon_quantile_days
    assert long.returning <= short.returning


def test_the_distribution_of_gaps_is_that_of_kaplan_and_meier() -> None:
    gaps = np.array([10.0, 20.0, 20.0, 40.0, 15.0, 50.0])
    found = kaplan_meier(gaps, np.arange(6) < 4)
    # 5/6 outlast 10; of the 4 still watched at 20, two end; of 2 at 40, one.
    np.testing.assert_allclose(found.seconds, [10, 20, 40])
    np.testing.assert_allclose(found.share, [5 / 6, 5 / 6 * 2 / 4, 5 / 6 * 2 / 4 * 1 / 2])


def test_a_slow_rhythm_stays_within_what_a_fit_allows() -> None:
    found = propose(Gaps(np.linspace(400, 900, 200), np.full(200, 10.0)), as_of=AS_OF)
    assert found.horizon_days == 365
    assert found.active_days == 730


def test_too_few_gaps_are_refused_with_the_number_it_takes() -> None:
    few = np.full(200, np.nan)
    few[:10] = 30.0
    with pytest.raises(TooLittleDataError, match=r"10 customers.*at least 50"):
        propose(Gaps(few, np.full(200, 5.0)), as_of=AS_OF)


def test_features_without_the_last_gap_are_refused_by_name() -> None:
    source = Gaps(np.ones(60), np.ones(60))
    source.frame = source.frame.drop(columns="gap_days_last")
    with pytest.raises(ContractError, match="gap_days_last"):
        propose(source, as_of=AS_OF)
