"""Whether the parts of a fit, as its card states them, are apart in time and customers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from training.config import ChurnConfig
from training.evaluate.churn_backtest import dates_to_test
from training.leakage import Verdict, leak, passed, unjudged
from training.models.churn.fit import split
from training.models.churn.history import History

APART = "split by time"
GAP = "gap of a horizon"
CALIBRATION = "calibration before the test"
TWICE = "customers on both sides"
COMPLETE = "labels complete"


@dataclass(frozen=True)
class Part:
    """Rows of one date in one role.

    Attributes:
        customers: Whose rows; None for the whole population.
    """

    at: datetime
    customers: frozenset[str] | None = None

    def shares(self, other: Part) -> int:
        """Return how many customers both name; whole populations are told apart by dates alone."""
        if self.customers is None or other.customers is None:
            return len(self.customers or other.customers or ())
        return len(self.customers & other.customers)


@dataclass(frozen=True)
class Fit:
    """One fit of a plan.

    Attributes:
        made_at: When it is made: labels complete later are not known to it.
        learn: What it learns from.
        calibrate: What it is calibrated on; those learners saw only ``held_out``.
        held_out: What the learners that are calibrated saw.
    """

    made_at: datetime
    learn: tuple[Part, ...]
    calibrate: tuple[Part, ...] = ()
    held_out: tuple[Part, ...] = ()
    test: tuple[Part, ...] = ()


def training_plan(history: History, *, config: ChurnConfig) -> tuple[Fit, ...]:
    """Return the fits that training makes of a history: one a test date, and the published one."""
    tests = [(date.at, (Part(date.at),)) for date in dates_to_test(history, config=config)]
    fits = []
    for made_at, test in [*tests, (history.as_of, ())]:
        dates = history.before(made_at)
        held_out, calibrate = split(dates, history=history, config=config)
        fits.append(
            Fit(
                made_at=made_at,
                learn=_parts(date.at for date in dates),
                calibrate=_parts(date.at for date in calibrate),
                held_out=_parts(date.at for date in held_out),
                test=test,
            )
        )
    return tuple(fits)


def audit_splits(
    fits: Sequence[Fit], *, horizon: timedelta, known_until: datetime
) -> tuple[Verdict, ...]:
    """Judge a plan."""
    return (
        _apart(fits),
        _gap(fits, horizon),
        _calibration(fits, horizon),
        _twice(fits, horizon),
        _complete(fits, horizon, known_until),
    )


def _parts(dates: Iterable[datetime]) -> tuple[Part, ...]:
    return tuple(Part(at) for at in dates)


def _taught(fit: Fit) -> tuple[Part, ...]:
    return (*fit.learn, *fit.held_out)


def _apart(fits: Sequence[Fit]) -> Verdict:
    both = sorted(
        {
            test.at
            for fit in fits
            for test in fit.test
            for part in _taught(fit)
            if part.at >= test.at
        }
    )
    if both:
        return leak(
            APART,
            f"the label windows from {_days(both)} are learnt from and tested on",
            "test on dates after all that is learnt from; a random split shows the model the same "
            "season and the same weeks that it is judged on",
            dates=[at.isoformat() for at in both],
        )
    return passed(APART, f"{len(fits)} fits learn from dates before their test alone")


def _gap(fits: Sequence[Fit], horizon: timedelta) -> Verdict:
    gaps = [
        later.at - part.at
        for fit in fits
        for earlier, laters in ((fit.learn, fit.test), (fit.held_out, fit.calibrate))
        for part in earlier
        for later in laters
    ]
    return _least(
        GAP,
        gaps,
        horizon,
        "leave at least the horizon between a date to learn from and the next to calibrate or "
        "test on, so that no label window reaches over the boundary",
    )


def _calibration(fits: Sequence[Fit], horizon: timedelta) -> Verdict:
    gaps = [t.at - part.at for fit in fits for part in fit.calibrate for t in fit.test]
    return _least(
        CALIBRATION,
        gaps,
        horizon,
        "calibrate on dates whose labels were complete before the test date",
    )


def _least(check: str, gaps: Sequence[timedelta], horizon: timedelta, remedy: str) -> Verdict:
    if not gaps:
        return passed(check, "nothing is held out")
    least = min(gaps)
    evidence = {"least_days": least / timedelta(days=1), "horizon_days": horizon.days}
    if least < horizon:
        return leak(
            check,
            f"dates {least.days} days apart share part of a label window of {horizon.days} days",
            remedy,
            **evidence,
        )
    return passed(check, f"dates stand {least.days} days or more apart", **evidence)


def _twice(fits: Sequence[Fit], horizon: timedelta) -> Verdict:
    shared = 0
    for fit in fits:
        for later in (*fit.test, *fit.calibrate):
            sides = _taught(fit) if later in fit.test else fit.held_out
            for part in sides:
                if abs(later.at - part.at) < horizon:
                    shared += later.shares(part)
    if shared:
        return leak(
            TWICE,
            f"{shared:,} customers stand on both sides with one label window",
            "put all rows of a label window on one side",
            customers=shared,
        )
    return passed(TWICE, "no customer stands on both sides with one label window")


def _complete(fits: Sequence[Fit], horizon: timedelta, known_until: datetime) -> Verdict:
    early = {
        part.at
        for fit in fits
        for part in (*_taught(fit), *fit.calibrate)
        if part.at + horizon > fit.made_at
    }
    early |= {test.at for fit in fits for test in fit.test if test.at + horizon > known_until}
    early |= {part.at for fit in fits for part in _taught(fit) if part.at + horizon > known_until}
    if early:
        return leak(
            COMPLETE,
            f"label windows from {_days(sorted(early))} had not ended, or purchases are known only "
            f"until {known_until:%Y-%m-%d}",
            "use dates whose whole label window lies before the moment of the fit and is covered "
            "by the purchases loaded",
            dates=[at.isoformat() for at in sorted(early)],
            known_until=known_until.isoformat(),
        )
    return passed(COMPLETE, f"all label windows end by {known_until:%Y-%m-%d}")


def _days(dates: Sequence[datetime]) -> str:
    shown = [f"{at:%Y-%m-%d}" for at in dates[:4]]
    return ", ".join(shown) + (f" and {len(dates) - 4} more" if len(dates) > 4 else "")


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
