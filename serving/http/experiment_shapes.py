"""The answers about experiments, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from serving.http.shapes import ID, Answer

NAME = "winback-2026-03"


class ExperimentCustomers(Answer):
    """Who was decided about."""

    decided: int = Field(description="Customers decided about.", examples=[9120])
    complete: int = Field(description="Of those, with a horizon that has ended.", examples=[8000])
    waiting: int = Field(description="Of those, still on their way.", examples=[1120])
    other_arm: int = Field(
        description="Put into the other arm by a later decision; they count in the first.",
        examples=[0],
    )


class ExperimentArm(Answer):
    """What came of one arm."""

    arm: str = Field(description="`treat` or `control`.", examples=["treat"])
    customers: int = Field(description="Customers whose horizon has ended.", examples=[7200])
    retained: float | None = Field(
        description="Share who bought within the horizon; null without customers.", examples=[0.62]
    )
    value_minor: float | None = Field(
        description="Mean money within the horizon, minor units, returns taken off.",
        examples=[18240.5],
    )


class SampleRatio(Answer):
    """Whether as many are in each arm as the draw should give."""

    treat: int = Field(description="Customers contacted.", examples=[7200])
    control: int = Field(description="Customers held out.", examples=[800])
    expected_treat: float = Field(description="Contacted by plan.", examples=[7200.0])
    p_value: float = Field(
        description="Chance of a ratio at least as far off under a sound draw (chi-square).",
        examples=[0.84],
    )
    alarm: bool = Field(
        description="Whether it is below 0.001: then no other figure is to be believed.",
        examples=[False],
    )


class Interval(Answer):
    """A figure with its 95 % interval."""

    estimate: float = Field(description="The figure.", examples=[0.034])
    low: float = Field(description="Lower end.", examples=[0.012])
    high: float = Field(description="Upper end.", examples=[0.056])


class ExperimentEffect(Answer):
    """What a contact did, one way of reckoning."""

    per_customer: Interval = Field(description="Contacted less held out, a customer.")
    total: Interval = Field(description="The same over all who were contacted.")
    standard_error: float = Field(
        description="Of the figure a customer (robust).", examples=[0.0112]
    )


class ExperimentOutcome(Answer):
    """What a contact did to one outcome."""

    plain: ExperimentEffect = Field(description="The difference of the arms.")
    adjusted: ExperimentEffect = Field(
        description="Adjusted for what was known before the decision: the figure to go by."
    )
    variance_removed: float = Field(
        description="Share of the plain figure's variance that the adjustment took away.",
        examples=[0.22],
    )


class ExperimentAdvice(Answer):
    """Whether to stop."""

    word: str = Field(
        description="`go on`, `stop: it helps`, `stop: it harms`, `stop: no effect worth having "
        "within reach`, or `mend first`: the arms are not as planned.",
        examples=["go on"],
    )
    reason: str = Field(description="Why.", examples=["about 900 more customers would tell"])
    least_effect: float = Field(
        description="Smallest gain in retention worth having.", examples=[0.01]
    )
    low: float | None = Field(
        description="Lower end of an interval of the gain in retention that holds however often "
        "one looks; null where nothing can be told.",
        examples=[-0.008],
    )
    high: float | None = Field(description="Its upper end.", examples=[0.076])
    information_share: float | None = Field(
        description="What is known, as a share of what finds the least effect with 80 % power.",
        examples=[0.31],
    )


class QiniPoint(Answer):
    """One point of the curves."""

    share: float = Field(description="Share of customers contacted first.", examples=[0.2])
    uplift: Interval = Field(description="Retention gained over all customers, by effect.")
    risk: Interval = Field(description="The same where the highest risk comes first.")
    random: float = Field(description="The same in a random order.", examples=[0.0068])


class QiniCoefficients(Answer):
    """Areas between the curves and the random line."""

    uplift: Interval = Field(description="Ranking by effect.")
    risk: Interval = Field(description="Ranking by risk.")
    difference: Interval = Field(description="Effect less risk, on the same draws.")


class ExperimentUplift(Answer):
    """Ranking by effect beside ranking by risk, by models that never saw the customer."""

    curve: list[QiniPoint] = Field(description="By share contacted, with bootstrap bands.")
    coefficient: QiniCoefficients = Field(description="The areas, with bootstrap bands.")
    better_by: str | None = Field(
        description="`uplift` where ranking by effect is better beyond doubt; else null.",
        examples=[None],
    )


class ExperimentAnswer(Answer):
    """What is known of one experiment."""

    result_set: str = Field(description="Id of the published results.", examples=[ID])
    experiment: str = Field(description="Its name.", examples=[NAME])
    as_of: datetime = Field(
        description="What was known then counts, UTC.", examples=["2026-07-01T00:00:00Z"]
    )
    horizon_days: int = Field(
        description="Days after the decision in which a purchase counts.", examples=[90]
    )
    actions: list[str] = Field(description="What was done.", examples=[["call"]])
    first_decided_at: datetime = Field(
        description="First decision, UTC.", examples=["2026-03-02T09:00:00Z"]
    )
    last_decided_at: datetime = Field(
        description="Last decision, UTC.", examples=["2026-03-30T09:00:00Z"]
    )
    customers: ExperimentCustomers = Field(description="How many were decided about.")
    arms: list[ExperimentArm] = Field(description="`treat`, then `control`.")
    sample_ratio: SampleRatio | None = Field(
        description="The sample ratio check; null where the planned share is not stated."
    )
    retention: ExperimentOutcome | None = Field(
        description="What a contact did to the share who stay; null with too few customers."
    )
    value_minor: ExperimentOutcome | None = Field(
        description="What it did to money within the horizon, minor units."
    )
    adjusted_for: list[str] = Field(
        description="Features that the adjustment is for.", examples=[["churn_probability"]]
    )
    advice: ExperimentAdvice = Field(description="Whether to stop, and why.")
    uplift: ExperimentUplift | None = Field(
        description="Ranking by effect; null where the data do not suffice."
    )
    no_uplift: str | None = Field(
        description="Why there is no ranking by effect; null where there is.", examples=[None]
    )
    warnings: list[str] = Field(description="What to know.", examples=[[]])


class ExperimentEntry(Answer):
    """One experiment in short."""

    experiment: str = Field(description="Its name.", examples=[NAME])
    as_of: datetime = Field(
        description="What was known then counts, UTC.", examples=["2026-07-01T00:00:00Z"]
    )
    decided: int = Field(description="Customers decided about.", examples=[9120])
    advice: str = Field(description="Whether to stop.", examples=["go on"])


class ExperimentsAnswer(Answer):
    """The experiments with published results."""

    result_set: str = Field(description="Id of the published results.", examples=[ID])
    experiments: list[ExperimentEntry] = Field(description="By name.")
