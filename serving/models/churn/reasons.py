"""Reasons in words: what raises one customer's risk, grouped to what a person would say.

A group's weight is the sum of what its features add to the log-odds; its words come from the first
of its phrases that is true. A group that lowers the risk is never given as a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from features.arrays import Bool, Float64

When = Literal["above", "below", "missing"]
Unit = Literal["days", "count", "minor", "share", "seconds", "score"]

DECIMALS: dict[Unit, int] = {
    "days": 0, "count": 1, "minor": -2, "share": 2, "seconds": 0, "score": 1,
}  # fmt: skip
"""How exactly a value is shown; two values are compared as they are shown."""

REASON_GROUPS = (
    "silence",
    "few_purchases",
    "slow_rhythm",
    "falling_trend",
    "low_spend",
    "short_tenure",
    "returns",
    "cancellations",
    "discounts",
    "categories",
    "late_delivery",
    "unresolved",
    "long_waits",
    "dissatisfied",
    "asked_not_bought",
    "contacts",
    "contract",
)
"""What a reason can be about, as one word for machines; a model knows those it has features for."""

_BELOW_HALF = 0.003
"""By how much half-way is lower, in units of the last place that is shown."""

REASONS = 3
LEAST_WEIGHT = 0.05
"""Log-odds: what adds less is no reason (0.05 moves a probability by about one point)."""


@dataclass(frozen=True)
class Phrase:
    """One way to say a group of features.

    Attributes:
        when: True of a customer whose value is above or below the usual one, or missing.
        unit: How values are written; ``minor`` is money in minor units.
        usual_feature: The feature that holds the customer's own usual value; None: the usual
            value of all customers is shown.
        usual: The usual value of all customers, which also stands in where their own is missing.
        text: By language, with the places ``{value}``, ``{usual}`` and ``{s}``, the plural's ending
            of a noun that the value counts.
        text_without_own: By language: used where the own usual value is missing.
    """

    code: str
    group: int
    feature: str
    when: When
    unit: Unit
    usual_feature: str | None
    usual: float | None
    text: Mapping[str, str]
    text_without_own: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Reasons:
    """The reasons of n customers, the weightiest first.

    Attributes:
        phrase: Index of the phrase, int16[n, 3]; -1 where there is no further reason.
        value: The customer's value, float64[n, 3]; NaN where missing.
        usual: The usual value, float64[n, 3]; NaN where there is none.
        own: Whether the usual value is the customer's own, bool[n, 3].
        weight: What the group adds to the log-odds, float64[n, 3]; 0 where there is none.
    """

    phrase: Any
    value: Float64
    usual: Float64
    own: Bool
    weight: Float64


ReasonKey = tuple[int, float, float, bool]
"""Phrase, value, usual value and whether that is the customer's own: what fixes a sentence."""
_MISSING = float(np.finfo(np.float64).min)


@dataclass(frozen=True)
class ReasonText:
    """One reason as customers share it."""

    code: str
    text: str
    text_zh: str
    value: float
    usual: float


@dataclass(frozen=True)
class ReasonCatalogue:
    """The groups and phrases of one model.

    Attributes:
        members: Index of each feature's group, by feature name.
        phrases: All phrases; within a group the earlier one is preferred.
    """

    groups: tuple[str, ...]
    members: Mapping[str, int]
    phrases: tuple[Phrase, ...]

    def indicator(self, names: Sequence[str]) -> Float64:
        """Return which feature is of which group, float64[k, g] of 0 and 1."""
        out = np.zeros((len(names), len(self.groups)))
        out[np.arange(len(names)), [self.members[name] for name in names]] = 1.0
        return out

    def of(self, features: Float64, weights: Float64, *, names: Sequence[str]) -> Reasons:
        """Return up to three reasons a row.

        ``features``: float64[n, k], NaN where missing. ``weights``: What each group adds to the
        log-odds, float64[n, g].
        """
        where = {name: i for i, name in enumerate(names)}
        rows = len(features)
        chosen = np.full((rows, len(self.groups)), -1, dtype=np.int16)
        for index in reversed(range(len(self.phrases))):
            phrase = self.phrases[index]
            value, usual, _ = _told(phrase, features, where)
            chosen[_holds(phrase, value, usual), phrase.group] = index
        shown_weight = np.where((chosen >= 0) & (weights >= LEAST_WEIGHT), weights, -np.inf)
        top = np.argsort(-shown_weight, axis=1, kind="stable")[:, :REASONS]
        weight = np.take_along_axis(shown_weight, top, axis=1)
        code = np.where(np.isfinite(weight), np.take_along_axis(chosen, top, axis=1), -1)
        return self._filled(code.astype(np.int16), weight, features, where)

    def _filled(
        self, code: Any, weight: Float64, features: Float64, where: Mapping[str, int]
    ) -> Reasons:
        shape = (len(features), REASONS)
        filled = Reasons(
            phrase=np.full(shape, -1, dtype=np.int16),
            value=np.full(shape, np.nan),
            usual=np.full(shape, np.nan),
            own=np.zeros(shape, dtype=bool),
            weight=np.zeros(shape),
        )
        width = code.shape[1]
        filled.phrase[:, :width] = code
        filled.weight[:, :width] = np.where(code >= 0, weight, 0.0)
        for index in np.unique(code[code >= 0]):
            row, slot = np.nonzero(filled.phrase == index)
            value, usual, own = _told(self.phrases[index], features[row], where)
            filled.value[row, slot] = value
            filled.usual[row, slot] = usual
            filled.own[row, slot] = own
        return filled

    def places(self, reasons: Reasons, known: dict[ReasonKey, int]) -> Any:
        """Return which of the sentences that customers share each reason is, int32[n, 3].

        Returns:
            Places in the order of ``known``; -1 where there is no reason.
        """
        # A NaN is not equal to itself, so a missing value needs a key that is.
        values, usuals = (
            np.where(np.isnan(shown), _MISSING, shown).ravel().tolist()
            for shown in (reasons.value, reasons.usual)
        )
        keys = zip(
            reasons.phrase.ravel().tolist(), values, usuals, reasons.own.ravel().tolist(),
            strict=True,
        )  # fmt: skip
        places = [known.setdefault(key, len(known)) if key[0] >= 0 else -1 for key in keys]
        return np.array(places, dtype=np.int32).reshape(reasons.phrase.shape)

    def reason_text(self, key: ReasonKey) -> ReasonText:
        """Return one reason in all words and numbers."""
        index, value, usual, own = key
        value, usual = (np.nan if shown == _MISSING else shown for shown in (value, usual))
        english, chinese = (
            self.text(index, value, usual, own, language=language) for language in ("en", "zh")
        )
        return ReasonText(
            code=self.phrases[index].code, text=english, text_zh=chinese, value=value, usual=usual
        )

    def text(self, index: int, value: float, usual: float, own: bool, *, language: str) -> str:
        """Return one reason as a sentence.

        ``value``: The customer's value; NaN where missing. ``usual``: The usual value; NaN where
        there is none.
        """
        phrase = self.phrases[index]
        text = phrase.text
        if not own and phrase.usual_feature and phrase.text_without_own:
            text = phrase.text_without_own
        shown = written_value(value, phrase.unit)
        return text[language].format(
            value=shown, usual=written_value(usual, phrase.unit), s="" if shown == "1" else "s"
        )

    def document(self) -> dict[str, Any]:
        """Return the book as JSON-ready values."""
        return {
            "groups": list(self.groups),
            "members": dict(self.members),
            "phrases": [asdict(phrase) for phrase in self.phrases],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ReasonCatalogue:
        """Return the book that ``document`` gave."""
        return cls(
            groups=tuple(document["groups"]),
            members=dict(document["members"]),
            phrases=tuple(Phrase(**phrase) for phrase in document["phrases"]),
        )


def written_value(value: float, unit: Unit) -> str:
    """Return a number as a person writes it.

    >>> [written_value(v, u) for v, u in ((74.3, "days"), (123456, "minor"), (0.5, "share"))]
    ['74', '1,235', '50 %']
    >>> [written_value(v, "count") for v in (3.0, 2.5, 1234.0)]
    ['3', '2.5', '1,234']
    """
    if value != value:  # NaN
        return "–"
    if unit == "share":
        return f"{100 * value:.0f} %"
    if unit == "minor":
        return f"{value / 100:,.0f}"
    if unit in ("days", "seconds"):
        return f"{value:,.0f}"
    text = f"{value:,.1f}"
    return text.removesuffix(".0")


def _told(
    phrase: Phrase, features: Float64, where: Mapping[str, int]
) -> tuple[Float64, Float64, Bool]:
    """Return value, usual value and whether the latter is the customer's own, each [n]."""
    value = features[:, where[phrase.feature]]
    usual = np.full(len(value), np.nan if phrase.usual is None else phrase.usual)
    own = np.zeros(len(value), dtype=bool)
    if phrase.usual_feature is not None:
        theirs = features[:, where[phrase.usual_feature]]
        own = ~np.isnan(theirs)
        usual = np.where(own, theirs, usual)
    decimals = DECIMALS[phrase.unit]
    return rounded(value, decimals), rounded(usual, decimals), own


def rounded(values: Float64, decimals: int) -> Float64:
    """Round as a value is shown, so that one a millionth away is shown the same.

    Values are often exactly half-way (noon, the mean of two counts); there the last bit would
    decide. Half-way is therefore a little lower: an exact half is always shown as the greater.

    >>> rounded(np.array([74.5, 74.5 * (1 - 1e-6), 2.25, 74.49]), 0).tolist()
    [75.0, 75.0, 2.0, 74.0]
    """
    scale = 10.0**decimals
    shown: Float64 = np.floor(values * scale + 0.5 + _BELOW_HALF) / scale
    return shown


def _holds(phrase: Phrase, value: Float64, usual: Float64) -> Bool:
    if phrase.when == "missing":
        return np.isnan(value)
    holds: Bool = value > usual if phrase.when == "above" else value < usual
    return holds
