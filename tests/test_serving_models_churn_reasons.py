"""Reasons in words: true of the customer, raising the risk, grouped, in two languages."""

from __future__ import annotations

import numpy as np
import pytest
from churn_world import sentences
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serving.models.churn.reasons import (
    LEAST_WEIGHT,
    REASONS,
    Phrase,
    ReasonCatalogue,
    ReasonKey,
    rounded,
    written_value,
)

NAMES = ("since_days", "gap_days", "orders", "waits", "money")
BOOK = ReasonCatalogue(
    groups=("silence", "orders", "waits", "money"),
    members={"since_days": 0, "gap_days": 0, "orders": 1, "waits": 2, "money": 3},
    phrases=(
        Phrase(
            "overdue", 0, "since_days", "above", "days", "gap_days", 40.0,
            {"en": "no order for {value} days (usually every {usual})",
             "zh": "已 {value} 天未下单（通常每 {usual} 天一次）"},
            {"en": "no order for {value} days (others: {usual})",
             "zh": "已 {value} 天未下单（其他客户：{usual}）"},
        ),
        Phrase("never", 1, "orders", "missing", "count", None, 3.0,
               {"en": "orders unknown", "zh": "订单未知"}),
        Phrase("few", 1, "orders", "below", "count", None, 3.0,
               {"en": "orders: {value} (others: {usual})", "zh": "订单：{value}"}),
        Phrase("slow", 2, "waits", "above", "seconds", None, 60.0,
               {"en": "waited {value} seconds", "zh": "等待 {value} 秒"}),
        Phrase("poor", 3, "money", "below", "minor", None, 5000.0,
               {"en": "spent {value}", "zh": "消费 {value}"}),
    ),
)  # fmt: skip


def told(row: list[float], weights: list[float], language: str = "en") -> list[str]:
    reasons = BOOK.of(np.array([row]), np.array([weights]), names=NAMES)
    return sentences(BOOK, reasons, language=language)[0]


def test_the_value_stands_beside_the_customers_own_usual_one() -> None:
    said = told([74.2, 21.4, 9, 0, 9e9], [1.0, 0.5, 0.5, 0.5])
    assert said == ["no order for 74 days (usually every 21)"]


def test_without_an_own_usual_value_that_of_all_customers_is_told() -> None:
    said = told([74.2, np.nan, 9, 0, 9e9], [1.0, 0.5, 0.5, 0.5])
    assert said == ["no order for 74 days (others: 40)"]


def test_the_weightiest_three_are_told_in_order() -> None:
    said = told([74, 21, 1, 90, 1000], [0.3, 0.1, 0.9, 0.5])
    assert said == [
        "waited 90 seconds", "spent 10", "no order for 74 days (usually every 21)"
    ]  # fmt: skip


def test_what_lowers_the_risk_or_hardly_raises_it_is_no_reason() -> None:
    assert told([74, 21, 1, 90, 1000], [-1.0, LEAST_WEIGHT / 2, 0.0, -0.1]) == []


def test_a_phrase_that_is_not_true_is_not_said_however_weighty() -> None:
    assert told([10, 21, 5, 30, 9000], [9.0, 9.0, 9.0, 9.0]) == []


def test_values_that_read_the_same_are_no_difference() -> None:
    assert told([21.4, 20.6, 5, 30, 9000], [9.0, 0, 0, 0]) == []


def test_a_missing_value_can_be_a_reason_and_comes_first_in_its_group() -> None:
    assert told([1, 2, np.nan, 0, 9e9], [0, 1.0, 0, 0]) == ["orders unknown"]


def test_chinese_says_the_same() -> None:
    said = told([74.2, 21.4, 9, 0, 9e9], [1.0, 0, 0, 0], language="zh")
    assert said == ["已 74 天未下单（通常每 21 天一次）"]


def test_sentences_that_customers_share_are_placed_once_across_chunks() -> None:
    rows = np.array([[74, 21, 9, 0, 9e9], [74.2, 21.1, 9, 0, 9e9], [74, np.nan, np.nan, 0, 9e9]])
    weights = np.tile([1.0, 0.5, 0.5, 0.5], (3, 1))
    known: dict[ReasonKey, int] = {}
    first = BOOK.places(BOOK.of(rows, weights, names=NAMES), known)
    assert first.tolist() == [[0, -1, -1], [0, -1, -1], [1, 2, -1]]
    again = BOOK.places(BOOK.of(rows[::-1], weights, names=NAMES), known)
    assert again.tolist() == first[::-1].tolist()
    said = [BOOK.reason_text(key) for key in known]
    assert [s.text for s in said] == [
        "no order for 74 days (usually every 21)",
        "no order for 74 days (others: 40)",
        "orders unknown",
    ]
    assert said[0].text_zh == "已 74 天未下单（通常每 21 天一次）"
    assert np.isnan(said[2].value)


@pytest.mark.parametrize("decimals", [-2, 0, 1, 2])
@pytest.mark.parametrize("value", [74.5, 0.5, 13.5, 2.25, 0.05, 450.0, 0.125, 61.0])
def test_a_value_a_millionth_away_is_told_the_same(value: float, decimals: int) -> None:
    near = value * np.array([1 - 1e-6, 1.0, 1 + 1e-6])
    assert len(set(rounded(near, decimals).tolist())) == 1
    assert abs(rounded(near, decimals)[1] - value) <= 0.503 * 10.0**-decimals


def test_a_book_survives_json() -> None:
    again = ReasonCatalogue.from_document(BOOK.document())
    assert again == BOOK


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(np.nan, "days", "–"), (1234.4, "days", "1,234"), (0.333, "share", "33 %"),
     (4.25, "score", "4.2"), (4.0, "count", "4"), (123_456, "minor", "1,235")],
)  # fmt: skip
def test_values_are_written_as_people_write_them(value: float, unit: str, text: str) -> None:
    assert written_value(value, unit) == text  # type: ignore[arg-type]


@given(
    features=arrays(float, (6, 5), elements=st.floats(0, 1e4) | st.just(np.nan)),
    weights=arrays(float, (6, 4), elements=st.floats(-3, 3)),
)
def test_reasons_are_true_weighty_ordered_and_one_a_group(
    features: np.ndarray, weights: np.ndarray
) -> None:
    reasons = BOOK.of(features, weights, names=NAMES)
    for row in range(6):
        codes = reasons.phrase[row]
        given_ = codes[codes >= 0]
        assert (codes[len(given_) :] == -1).all()
        assert len(given_) <= REASONS
        groups = [BOOK.phrases[code].group for code in given_]
        assert len(set(groups)) == len(groups)
        told_weights = reasons.weight[row, : len(given_)]
        np.testing.assert_array_equal(told_weights, weights[row, groups])
        assert (told_weights >= LEAST_WEIGHT).all()
        assert (np.diff(told_weights) <= 0).all()
        for slot, code in enumerate(given_):
            value, usual = reasons.value[row, slot], reasons.usual[row, slot]
            when = BOOK.phrases[code].when
            assert {"above": value > usual, "below": value < usual, "missing": np.isnan(value)}[
                when
            ]
