"""The plan of fits that a churn bundle's card tells of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from training.churn.config import ChurnConfig
from training.leakage.splits import Fit, Part, audit_splits
from training.leakage.verdict import Verdict, leak, passed, unjudged

BUNDLE_SPLITS = "splits of the bundle"


def judge_card(card: Mapping[str, Any]) -> Verdict:
    """Judge the dates on which a bundle was learnt, calibrated and tested, by its own card."""
    if "config" not in card or "backtest" not in card or "calibration" not in card:
        return unjudged(BUNDLE_SPLITS, "its card tells of no dates")
    horizon = _known_after(card)
    as_of = datetime.fromisoformat(card["as_of"])
    faults = [
        verdict
        for verdict in audit_splits(card_plan(card), horizon=horizon, known_until=as_of)
        if verdict.passed is False
    ]
    if faults:
        return leak(
            BUNDLE_SPLITS,
            "; ".join(f"{fault.check}: {fault.found}" for fault in faults),
            faults[0].remedy,
            faults=[fault.check for fault in faults],
        )
    return passed(BUNDLE_SPLITS, f"as of {as_of:%Y-%m-%d}, {len(card['backtest'])} test dates")


def card_plan(card: Mapping[str, Any]) -> tuple[Fit, ...]:
    """Return the fits that a card tells of: one a test date, and the published one."""
    horizon = _known_after(card)
    fits = []
    for row in card["backtest"]:
        at = datetime.fromisoformat(row["as_of"])
        last = at - horizon - timedelta(days=row["gap_days"])
        fits.append(
            Fit(at, (Part(last),), calibrate=_dated_parts(row["calibrated_on"]), test=(Part(at),))
        )
    calibration = card["calibration"]
    last = datetime.fromisoformat(card["training_end"]) - horizon
    published = Fit(
        datetime.fromisoformat(card["as_of"]),
        (Part(last),),
        calibrate=_dated_parts(calibration["calibrated_on"]),
        held_out=_dated_parts(calibration["learnt_on"]),
    )
    return (*fits, published)


def _known_after(card: Mapping[str, Any]) -> timedelta:
    return timedelta(days=ChurnConfig.model_validate(card["config"]).known_days)


def _dated_parts(dates: Sequence[str]) -> tuple[Part, ...]:
    return tuple(Part(datetime.fromisoformat(at)) for at in dates)
