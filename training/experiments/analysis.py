"""One experiment's results: what happened in each arm, what the contact did, whether to stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Float64
from features.errors import TooLittleDataError
from training.experiments import LEAST_EFFECT
from training.experiments.effects import (
    Advice,
    Effect,
    Ratio,
    adjusters,
    advise,
    effect,
    sample_ratio,
)
from training.experiments.sample import PROBABILITY, ExperimentData, Sample
from training.experiments.uplift import Qini, check_enough, cross_fit, pseudo_effect, qini

LEAST_TO_COMPARE = 20
"""Customers of each arm below which nothing is compared."""
FEW_EVENTS = 10
MOST_RANKED = 100_000
"""Customers, drawn at random, that rankings are compared on: more would take memory, not doubt."""
SEED = 0


@dataclass(frozen=True)
class Outcome:
    """What a contact did to one outcome.

    Attributes:
        plain: The difference of the arms.
        adjusted: Adjusted for what was known before the decision.
    """

    plain: Effect
    adjusted: Effect

    @property
    def variance_removed(self) -> float:
        """Share of the plain difference's variance that the adjustment took away."""
        before = self.plain.standard_error**2
        return 1 - self.adjusted.standard_error**2 / before if before > 0 else 0.0


@dataclass(frozen=True)
class Result:
    """What is known of one experiment.

    Attributes:
        retention: What a contact did to the share that stays; None where it cannot be told.
        value: The same of money within the horizon, minor units.
        qini: Ranking by effect beside ranking by risk; None where the data do not suffice.
        no_uplift: Why there is none; empty where there is.
    """

    decided: ExperimentData
    ratio: Ratio | None
    retention: Outcome | None
    value: Outcome | None
    adjusted_for: tuple[str, ...]
    advice: Advice
    qini: Qini | None
    no_uplift: str
    warnings: tuple[str, ...]


def analyse(decided: ExperimentData, *, least_effect: float = LEAST_EFFECT) -> Result:
    """Analyse one experiment; too few customers are an answer that says so, never an error.

    ``least_effect``: The smallest effect on retention worth having, above 0.
    """
    sample = decided.sample
    warnings = _warnings(decided)
    ratio = None
    if decided.share_stated and len(sample):
        ratio = sample_ratio(sample.treated, sample.share)
    if sample.smaller_arm() < LEAST_TO_COMPARE:
        few = _too_few(sample)
        advice = _mend(ratio) or few
        return Result(decided, ratio, None, None, (), advice, None, few.reason, warnings)
    covariates, names = adjusters(sample)
    retention = _outcome(sample, sample.retained, covariates)
    value = _outcome(sample, sample.value, covariates)
    advice = advise(retention.adjusted, customers=len(sample), least_effect=least_effect)
    if _few_events(sample):
        warnings += (
            f"fewer than {FEW_EVENTS} customers of an arm stayed, or left: the intervals are rough",
        )
        advice = Advice("go on", "too few customers of an arm stayed, or left, to tell")
    advice = _mend(ratio) or advice
    found, why = _qini(sample)
    return Result(decided, ratio, retention, value, names, advice, found, why, warnings)


def _mend(ratio: Ratio | None) -> Advice | None:
    """Return the advice to believe nothing where the arms are not as planned."""
    if ratio is None or not ratio.alarm:
        return None
    return Advice(
        "mend first",
        f"{ratio.treated:,} customers were contacted where {ratio.expected_treated:,.0f} were "
        f"planned (p = {ratio.p_value:.1g}): find out who is missing before any figure is "
        "believed",
    )


def _outcome(sample: Sample, outcome: Float64, covariates: Float64) -> Outcome:
    treated, weight = sample.treated, sample.weight
    return Outcome(
        plain=effect(outcome, treated=treated, weight=weight),
        adjusted=effect(outcome, treated=treated, weight=weight, covariates=covariates),
    )


def _qini(sample: Sample) -> tuple[Qini | None, str]:
    """Compare ranking by effect with ranking by risk; or say why it cannot be done yet."""
    try:
        check_enough(sample)
    except TooLittleDataError as error:
        return None, str(error)
    # The seed is fixed: the same experiment gives the same curve.
    rng = np.random.default_rng(SEED)
    if len(sample) > MOST_RANKED:
        sample = sample.take(np.sort(rng.permutation(len(sample))[:MOST_RANKED]))
    fitted = cross_fit(sample, rng=rng)
    risk = sample.column(PROBABILITY)
    if risk is None or np.isnan(risk).any():
        risk = 1 - fitted.untouched
    found = qini(
        pseudo_effect(sample, fitted.untouched), by_uplift=fitted.effect, by_risk=risk, rng=rng
    )
    return found, ""


def _few_events(sample: Sample) -> bool:
    counts = []
    for arm in (sample.treated, ~sample.treated):
        stayed = int(sample.retained[arm].sum())
        counts += [stayed, int(arm.sum()) - stayed]
    return min(counts) < FEW_EVENTS


def _too_few(sample: Sample) -> Advice:
    treated = int(sample.treated.sum())
    held = len(sample) - treated
    if len(sample) == 0:
        return Advice("go on", "no customer's horizon has ended yet")
    if min(treated, held) == 0:
        missing = "held out" if held == 0 else "contacted"
        return Advice("go on", f"nobody whose horizon has ended was {missing}: nothing to compare")
    return Advice(
        "go on",
        f"{treated:,} customers contacted and {held:,} held out have come to the end of their "
        f"horizon: {LEAST_TO_COMPARE} of each at least are compared",
    )


def _warnings(decided: ExperimentData) -> tuple[str, ...]:
    found = []
    if not decided.share_stated:
        found.append(
            "the chance of being contacted is not stated, so the sample ratio is not checked: give "
            "it with `--treat-share`, or as `treat_share` of `outreach`"
        )
    if decided.other_arm:
        found.append(
            f"{decided.other_arm:,} customers were put into the other arm later: they count in "
            "the first, and the effect is understated"
        )
    if len(decided.actions) > 1:
        found.append(f"several actions are mixed: {', '.join(decided.actions)}")
    return tuple(found)
