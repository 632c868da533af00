"""What a CRM asks and is answered about contact lists, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from serving.http.fields import Request
from serving.http.override_schemas import Who, Why
from serving.http.schemas import Flag, Money, Probability, Words
from serving.http.shapes import Answer, ScoreSource, described, optional, with_example
from serving.list_store import DEFAULT_HOLD_OUT

MOST_CONTACTED = 20_000
MOST_HELD_OUT = 0.5
LIST_ID = "20260302T090000Z-00000001"

ExperimentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ListFilters(Request):
    """Which customers of the score set may be on a list; all where a filter is left out."""

    tier: Words | None = optional("Only these tiers.", ["high"])
    stage: Words | None = optional("Only these stages of the life cycle.", ["at_risk"])
    segment: Words | None = optional("Only these segments.", ["champion"])
    action: Words | None = optional("Only where one of these is suggested.", ["call"])
    min_probability: Probability | None = optional("Only this churn probability or more.", 0.3)
    min_value: Money | None = optional("Only this value at risk or more, minor units.", 10_000)


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
    def _some(cls, hold_out: Any) -> Any:
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


class Listed(Answer):
    """One customer of a list."""

    customer_id: str = described("The customer's id.", "C000017")
    place: int = described("Place on the list, from 1; the first to contact first.", 1)
    probability: float | None = described("Probability of churn when the list was made.", 0.712345)
    value_at_risk_minor: int | None = described("Value at risk then, minor units.", None)


class ListCounts(Answer):
    """How many customers went which way."""

    candidates: int = described("Left by the filters, with what the ranking is by.", 2)
    without_consent: int = described("Of those, passed over: they must not be contacted.", 0)
    in_experiment: int = described("Passed over: in the experiment already.", 0)
    contact: int = described("On the list, to contact.", 1)
    held_out: int = described("On the list, held out.", 1)


class ContactListAnswer(ScoreSource):
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
    contact: list[Listed] = described("Whom to contact.")
    held_out: list[Listed] = described(
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
