"""Derived columns: from a customer's own features alone, by hand, with and without contacts."""

from __future__ import annotations

import numpy as np
import pytest

from serving.models.churn.learners import DERIVED, BuyTillYouDie, Derived

NAMES = (
    "purchase_days_ever",
    "purchase_recency_days",
    "purchase_first_days",
    "contact_recency_days",
    "contacts_ever",
    "tenure_days",
)
DERIVE = Derived(BuyTillYouDie(r=1.0, alpha=10.0, a=1.0, b=1.0), ahead_days=30.0)
ROWS = np.array(
    [
        [1.0, 10.0, 10.0, np.nan, 0.0, 10.0],
        [3.0, 40.0, 90.0, 15.0, 4.0, 90.0],
        [np.nan, np.nan, np.nan, 5.0, 2.0, 30.0],
    ]
)


def derived(rows: np.ndarray = ROWS, names: tuple[str, ...] = NAMES) -> dict[str, np.ndarray]:
    joined = DERIVE.joined(rows, names=names)
    np.testing.assert_array_equal(joined[:, : len(names)], rows)
    return dict(zip(DERIVED, joined[:, len(names) :].T, strict=True))


def test_each_column_is_what_it_says() -> None:
    found = derived()
    # One purchase 10 days ago: odds 1 : 2 of life, and a pace of (1 + 0) / (10 + 0) a day.
    assert found["btyd_alive"][0] == pytest.approx(1 / 3)
    assert found["silence_days"].tolist() == [10.0, 15.0, 5.0]
    assert found["silence_purchases"][0] == 1.0
    assert found["silence_purchases"][1] == 15.0 * 3 / 60
    np.testing.assert_allclose(found["silence_contacts"], [10 / 70, 15 * 5 / 150, 5 * 3 / 90])
    assert found["btyd_purchases"][1] == DERIVE.btyd.expected_purchases(
        np.array([2.0]), np.array([50.0]), np.array([90.0]), 30.0
    )


def test_who_never_bought_has_none_of_the_purchases_columns() -> None:
    found = derived()
    for name in ("btyd_alive", "btyd_purchases", "silence_purchases"):
        assert np.isnan(found[name][2])


def test_a_row_does_not_depend_on_the_others() -> None:
    alone = np.concatenate([DERIVE.joined(ROWS[i : i + 1], names=NAMES) for i in range(3)])
    np.testing.assert_array_equal(alone, DERIVE.joined(ROWS, names=NAMES))


def test_without_contacts_the_silence_is_that_of_purchases() -> None:
    found = derived(ROWS[:2, :3], NAMES[:3])
    assert found["silence_days"].tolist() == [10.0, 40.0]
    assert np.isnan(found["silence_contacts"]).all()


def test_what_is_derived_survives_its_document() -> None:
    assert Derived.from_document(DERIVE.document()) == DERIVE
