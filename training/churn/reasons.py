"""The reasons that a model can give, read from ``reasons.toml``; they are stored in its bundle."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from features.calendar import Float64
from features.customers import FEATURES
from serving.models.churn.reasons import Phrase, ReasonBook, Unit

_UNITS: Mapping[str, Unit] = {
    "days": "days",
    "count": "count",
    "0 to 1": "share",
    "minor units": "minor",
    "seconds": "seconds",
}
"""How a value is written, by the unit of its feature; anything else is a score."""


def reason_texts() -> dict[str, Any]:
    """Return the document ``reasons.toml``: its ``group`` tables, and ``own_sentence``."""
    file = resources.files(__name__.rpartition(".")[0]) / "reasons.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def reason_book(names: Sequence[str], reference: Float64) -> ReasonBook:
    """Return the reasons that a model over k features can give.

    The median of ``reference``, float64[n, k], is the usual value of all customers.
    """
    texts = reason_texts()
    claims = {name: _claim(name, texts) for name in names}
    groups = {group["code"]: group for group in claims.values()}
    codes = list(groups)
    usual = _medians(names, reference)
    return ReasonBook(
        groups=tuple(codes),
        members={name: codes.index(group["code"]) for name, group in claims.items()},
        phrases=tuple(
            _phrase(reason, group=codes.index(code), usual=usual.get(reason["feature"]))
            for code, group in groups.items()
            for reason in group["reason"]
            if {reason["feature"], reason.get("own", reason["feature"])} <= claims.keys()
        ),
    )


def _medians(names: Sequence[str], reference: Float64) -> dict[str, float]:
    """Return the median of each feature that anybody has."""
    return {
        name: float(np.nanmedian(column))
        for name, column in zip(names, reference.T, strict=True)
        if not np.isnan(column).all()
    }


def _claim(name: str, texts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the group that has a feature; one of its own where no group claims it."""
    for group in texts["group"]:
        if re.fullmatch(group["features"], name):
            return dict(group)
    feature = next((feature for feature in FEATURES if feature.name == name), None)
    description = feature.doc.rstrip(".").lower() if feature else name.replace("_", " ")
    reason = {
        "feature": name,
        "unit": _UNITS.get(feature.unit, "score") if feature else "score",
        **{
            language: text.replace("{description}", description)
            for language, text in texts["own_sentence"].items()
        },
    }
    sides = [{**reason, "condition": side} for side in ("above", "below")]
    return {"code": name, "reason": sides}


def _phrase(reason: Mapping[str, Any], *, group: int, usual: float | None) -> Phrase:
    own = reason.get("own")
    return Phrase(
        code=f"{reason['feature']}_{reason['condition']}" + ("_own" if own else ""),
        group=group,
        feature=reason["feature"],
        when=reason["condition"],
        unit=reason["unit"],
        usual_feature=own,
        usual=usual,
        text={language: reason[language] for language in ("en", "zh")},
        text_without_own={language: reason[f"{language}_without_own"] for language in ("en", "zh")}
        if own
        else None,
    )
