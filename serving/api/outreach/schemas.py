"""Schemas of contact lists and of experiments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from serving.api.churn.schemas import ListFilters, ScoreSource
from serving.api.openapi import (
    ID,
    Flag,
    Request,
    ResponseModel,
    Who,
    Why,
    described,
    optional,
    with_example,
)
from serving.store.lists import DEFAULT_HOLD_OUT

MOST_CONTACTED = 20_000
MOST_HELD_OUT = 0.5
LIST_ID = "20260302T090000Z-00000001"

ExperimentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ListRequest(Request):
    """Whom to contact in a campaign, with a random hold-out to learn from."""

    model_config = with_example(
        experiment="winback-2026-03",
        capacity=500,
        action="call",
        filters={"tier": ["high"]},
        rank_by="probability",
        hold_out=0.1,
        made_by="Ann",
        reason="Win back before Easter",
    )

    experiment: ExperimentName = described(
        "Name of the experiment that the list belongs to: letters, digits, `.`, `_` and `-`, at "
        "most 64. Within it a customer always falls the same way.",
        "winback-2026-03",
    )
    capacity: Annotated[int, Field(strict=True, ge=1, le=MOST_CONTACTED)] = described(
        "How many to contact, 1 to 20,000; those held out come on top.", 500
    )
    action: Annotated[Who, StringConstraints(max_length=64)] = described(
        "What is done with them, at most 64 characters; one for the whole experiment.", "call"
    )
    filters: ListFilters = Field(
        default_factory=ListFilters,
        description="Which customers may be on it.",
        examples=[{"tier": ["high"]}],
    )
    rank_by: Literal["probability", "value_at_risk"] = described(
        "Whom to take first: the highest `probability` of churn, or the most `value_at_risk`. "
        "Customers outside the population have neither.",
        "value_at_risk",
        default="probability",
    )
    hold_out: Annotated[float, Field(gt=0, le=MOST_HELD_OUT)] | None = optional(
        "Share held out at random, above 0 and at most 0.5; fixed by the experiment's first list, "
        f"{DEFAULT_HOLD_OUT:g} where that says none.",
        0.1,
    )
    again: Flag = described(
        "Whether customers of the experiment may be listed again, in their arm.", default=False
    )
    made_by: Who = described("Who asks, at most 200 characters.", "Ann")
    reason: Why = described("Why, at most 1,000 characters.", "Win back before Easter")

    @field_validator("hold_out", mode="before")
    @classmethod
    def _above_zero(cls, hold_out: Any) -> Any:
        if not isinstance(hold_out, bool) and hold_out == 0:
            raise ValueError(
                "must be above 0; got 0. Without a hold-out nobody can tell later what the "
                "contacts did: hold out a little, such as 0.05"
            )
        return hold_out


class ListQuery(Request):
    """Which part of a list to read."""

    arm: Literal["treat", "control", "all"] = described(
        "Of a CSV file: those to contact, those held out, or `all`. JSON tells both.",
        default="treat",
    )


class ListedCustomer(ResponseModel):
    """One customer of a list."""

    customer_id: str = described("The customer's id.", "C000017")
    place: int = described("Place on the list, from 1; the first to contact first.", 1)
    probability: float | None = described("Probability of churn when the list was made.", 0.712345)
    value_at_risk_minor: int | None = described("Value at risk then, minor units.", None)


class ListCounts(ResponseModel):
    """How many customers went which way."""

    candidates: int = described("Left by the filters, with what the ranking is by.", 2)
    without_consent: int = described("Of those, passed over: they must not be contacted.", 0)
    in_experiment: int = described("Passed over: in the experiment already.", 0)
    contact: int = described("On the list, to contact.", 1)
    held_out: int = described("On the list, held out.", 1)


class ContactListResponse(ScoreSource):
    """A contact list as it is kept."""

    list_id: str = described("Its id.", LIST_ID)
    experiment: str = described("The experiment.", "winback-2026-03")
    action: str = described("What is done with those contacted.", "call")
    hold_out: float = described("Share held out at random.", 0.1)
    made_by: str = described("Who asked for it.", "Ann")
    made_at: datetime = described("When, UTC.", "2026-03-02T09:00:00Z")
    reason: str = described("Why.", "Win back before Easter")
    capacity: int = described("How many were to be contacted.", 500)
    rank_by: str = described("What the ranking was by.", "probability")
    filters: dict[str, Any] = described("The filters that were set.", {"tier": ["high"]})
    again: bool = described("Whether customers of the experiment could be listed again.", False)
    counts: ListCounts = described("How many customers are on it, and why not others.")
    warnings: list[str] = described(
        "What to know of the list.", ["1 of 500 to contact: the filters leave no more"]
    )
    contact: list[ListedCustomer] = described("Whom to contact.")
    held_out: list[ListedCustomer] = described(
        "Who is held out: do not contact them, or nothing can be learnt.",
        [
            {
                "customer_id": "C000042",
                "place": 2,
                "probability": 0.704418,
                "value_at_risk_minor": None,
            }
        ],
    )


NAME = "winback-2026-03"


def _interval(estimate: float, low: float, high: float) -> dict[str, float]:
    return {"estimate": estimate, "low": low, "high": high}


def _arm(arm: str, customers: int, retained: float, value_minor: float) -> dict[str, Any]:
    shares = {"retained": retained, "value_minor": value_minor}
    return {"arm": arm, "customers": customers} | shares


def _outcome(
    plain: tuple[float, float], adjusted: tuple[float, float], *, removed: float
) -> dict[str, Any]:
    """Return the example of an outcome from its estimates and their standard errors."""
    return {"plain": _effect(*plain), "adjusted": _effect(*adjusted), "variance_removed": removed}


def _effect(estimate: float, error: float) -> dict[str, Any]:
    ends = (estimate, estimate - 1.96 * error, estimate + 1.96 * error)
    return {
        "per_customer": _interval(*(round(end, 6) for end in ends)),
        "total": _interval(*(round(end * 7206, 2) for end in ends)),
        "standard_error": error,
    }


class ExperimentCustomers(ResponseModel):
    """Who was decided about."""

    decided: int = described("Customers decided about.", 9120)
    complete: int = described("Of those, with a horizon that has ended.", 8000)
    waiting: int = described("Of those, still on their way.", 1120)
    other_arm: int = described("Put into the other arm later; they count in the first.", 0)


class ExperimentArm(ResponseModel):
    """What came of one arm."""

    arm: str = described("`treat` or `control`.", "treat")
    customers: int = described("Customers whose horizon has ended.", 7206)
    retained: float | None = described("Share who bought in the horizon.", 0.6213)
    value_minor: float | None = described("Mean net money in it, minor units.", 18240.5)


class SampleRatio(ResponseModel):
    """Whether as many are in each arm as the draw should give."""

    treat: int = described("Customers contacted.", 7206)
    control: int = described("Customers held out.", 794)
    expected_treat: float = described("Contacted by plan.", 7200.0)
    p_value: float = described("Chance of such a ratio under a sound draw (chi-square).", 0.823063)
    alarm: bool = described("Whether it is below 0.001: then believe no other figure.", False)


class Interval(ResponseModel):
    """A figure with its 95 % interval."""

    estimate: float = described("The figure.", 0.034)
    low: float = described("Lower end.", 0.012)
    high: float = described("Upper end.", 0.056)


class ExperimentEffect(ResponseModel):
    """What a contact did, one way of reckoning."""

    per_customer: Interval = described("Contacted less held out, a customer.")
    total: Interval = described("The same over all who were contacted.")
    standard_error: float = described("Of the figure a customer (robust).", 0.0112)


class ExperimentOutcome(ResponseModel):
    """What a contact did to one outcome."""

    plain: ExperimentEffect = described("The difference of the arms.")
    adjusted: ExperimentEffect = described("Adjusted for what was known before: use this.")
    variance_removed: float = described("Share of variance that adjusting removed.", 0.22)


class ExperimentAdvice(ResponseModel):
    """Whether to stop."""

    word: str = described(
        "`go on`, `stop: it helps`, `stop: it harms`, `stop: no effect worth having "
        "within reach`, or `mend first`: the arms are not as planned.",
        "go on",
    )
    reason: str = described(
        "Why.",
        "at all looks together retention changed by -2.4 to +8.1 points, about 160,000 more "
        "customers would show 1 points",
    )
    least_effect: float = described("Smallest gain in retention worth having.", 0.01)
    low: float | None = described(
        "Lower end of an interval of the gain in retention that holds however often "
        "one looks; null where nothing can be told.",
        -0.0236,
    )
    high: float | None = described("Its upper end.", 0.081)
    information_share: float | None = described(
        "What is known, as a share of what finds the least effect with 80 % power.", 0.0475
    )


class QiniPoint(ResponseModel):
    """One point of the curves."""

    share: float = described("Share of customers contacted first.", 0.2)
    uplift: Interval = described(
        "Retention gained over all customers, by effect.", _interval(0.0132, 0.0035, 0.0228)
    )
    risk: Interval = described(
        "The same where the highest risk comes first.", _interval(0.0061, -0.0034, 0.0155)
    )
    random: float = described("The same in a random order.", 0.0057)


class QiniCoefficients(ResponseModel):
    """Areas between the curves and the random line."""

    uplift: Interval = described("Ranking by effect.", _interval(0.0046, 0.0004, 0.0088))
    risk: Interval = described("Ranking by risk.", _interval(0.0002, -0.0041, 0.0043))
    difference: Interval = described(
        "Effect less risk, on the same draws.", _interval(0.0044, -0.0008, 0.0097)
    )


class ExperimentUplift(ResponseModel):
    """Ranking by effect beside ranking by risk, by models that never saw the customer."""

    curve: list[QiniPoint] = described("By share contacted, with bootstrap bands.")
    coefficient: QiniCoefficients = described("The areas, with bootstrap bands.")
    better_by: str | None = described(
        "`uplift` where that is better beyond doubt; else null.", None
    )


class ExperimentResponse(ResponseModel):
    """What is known of one experiment."""

    result_set: str = described("Id of the published results.", ID)
    experiment: str = described("Its name.", NAME)
    as_of: datetime = described("What was known then counts, UTC.", "2026-07-01T00:00:00Z")
    horizon_days: int = described("Days after the decision in which a purchase counts.", 90)
    actions: list[str] = described("What was done.", ["call"])
    first_decided_at: datetime = described("First decision, UTC.", "2026-03-02T09:00:00Z")
    last_decided_at: datetime = described("Last decision, UTC.", "2026-04-20T09:00:00Z")
    customers: ExperimentCustomers = described("How many were decided about.")
    arms: list[ExperimentArm] = described(
        "`treat`, then `control`.",
        [_arm("treat", 7206, 0.6213, 18240.5), _arm("control", 794, 0.5894, 16902.1)],
    )
    sample_ratio: SampleRatio | None = described("Null where the planned share is not stated.")
    retention: ExperimentOutcome | None = described(
        "What a contact did to the share who stay; null with too few customers.",
        _outcome((0.0319, 0.0183), (0.0287, 0.0164), removed=0.1969),
    )
    value_minor: ExperimentOutcome | None = described(
        "What it did to money within the horizon, minor units.",
        _outcome((1338.4, 910.0), (1190.2, 700.0), removed=0.4083),
    )
    adjusted_for: list[str] = described(
        "Features that the adjustment is for.", ["churn_probability", "spend_minor_90d"]
    )
    advice: ExperimentAdvice = described("Whether to stop, and why.")
    uplift: ExperimentUplift | None = described("Ranking by effect; null for too little data.")
    no_uplift: str | None = described("Why there is no ranking by effect; else null.", None)
    warnings: list[str] = described("What to know.", [])


class ExperimentEntry(ResponseModel):
    """One experiment in short."""

    experiment: str = described("Its name.", NAME)
    as_of: datetime = described("What was known then counts, UTC.", "2026-07-01T00:00:00Z")
    decided: int = described("Customers decided about.", 9120)
    advice: str = described("Whether to stop.", "go on")


class ExperimentsResponse(ResponseModel):
    """The experiments with published results."""

    result_set: str = described("Id of the published results.", ID)
    experiments: list[ExperimentEntry] = described("By name.")
