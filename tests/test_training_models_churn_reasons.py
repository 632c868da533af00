"""The book of reasons: every feature is told, in words that the table of actions knows."""

from __future__ import annotations

import re

import numpy as np
import pytest

from features.customers.features import FEATURES
from serving.models.churn.reasons import DECIMALS, REASON_GROUPS, ReasonKey
from training.models.churn.bundle import reason_book, reason_texts

NAMES = tuple(feature.name for feature in FEATURES)


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.round(rng.gamma(1.0, 5.0, (500, len(NAMES))), 1)


def test_every_feature_is_of_a_group_that_actions_can_name(reference: np.ndarray) -> None:
    book = reason_book(NAMES, reference)
    assert set(book.members) == set(NAMES)
    assert set(book.groups) <= set(REASON_GROUPS)
    assert {phrase.group for phrase in book.phrases} == set(range(len(book.groups)))


def test_every_phrase_says_value_and_usual_in_both_languages(reference: np.ndarray) -> None:
    book = reason_book(NAMES, reference)
    for index, phrase in enumerate(book.phrases):
        for own in {False, phrase.usual_feature is not None}:
            key: ReasonKey = (index, 300.0, 700.0, own)
            said = book.reason_text(key)
            for text in (said.text, said.text_zh):
                assert not re.search(r"[{}]", text)
                if phrase.when != "missing":
                    assert re.search("3", text), text
            assert re.search(r"[\u4e00-\u9fff]", said.text_zh)
            assert not re.search(r"[\u4e00-\u9fff]", said.text)


def test_one_is_said_in_the_singular(reference: np.ndarray) -> None:
    book = reason_book(NAMES, reference)
    place = next(i for i, p in enumerate(book.phrases) if p.code == "returns_90d_above")
    one, two = (book.reason_text((place, value, 0.0, False)).text for value in (1.0, 2.0))
    assert one.startswith("1 return in 90 days")
    assert two.startswith("2 returns in 90 days")


def test_a_centre_without_contacts_has_no_words_for_them(reference: np.ndarray) -> None:
    names = [name for name in NAMES if not re.search("contact|csat|wait|sent|aband|nps", name)]
    book = reason_book(names, reference[:, : len(names)])
    assert "long_waits" not in book.groups
    assert "dissatisfied" not in book.groups


def test_every_group_has_its_texts_in_both_languages() -> None:
    texts = reason_texts()
    assert {group["code"] for group in texts["group"]} == set(REASON_GROUPS)
    for group in texts["group"]:
        assert group["reason"], group["code"]
        for reason in [*group["reason"], texts["own_sentence"]]:
            assert reason["en"].isascii(), reason
            assert re.search(r"[\u4e00-\u9fff{]", reason["zh"]), reason
            assert ("own" in reason) == ("en_without_own" in reason) == ("zh_without_own" in reason)
            for place in ("{value}", "{usual}"):
                if reason.get("condition") != "missing":
                    assert place in reason["en"], reason
                    assert place in reason["zh"], reason


def test_every_reason_tells_a_feature_of_its_own_group() -> None:
    for group in reason_texts()["group"]:
        for reason in group["reason"]:
            assert re.fullmatch(group["features"], reason["feature"]), reason
            assert reason["feature"] in NAMES, reason
            assert reason["condition"] in {"above", "below", "missing"}
            assert reason["unit"] in DECIMALS
