"""What a CRM asks and is answered about contact lists, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from serving.http.fields import Request
from serving.http.override_schemas import Who, Why
from serving.http.schemas import MOST_MONEY, Words
from serving.http.shapes import ID, Answer
from serving.list_store import DEFAULT_HOLD_OUT

MOST_CONTACTED = 20_000
MOST_HELD_OUT = 0.5
LIST_ID = "20260302T090000Z-00000001"

ExperimentName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
]


class ListFilters(Request):
    """Which customers of the score set may be on a list; all where a filter is left out."""

    tier: Words = Field(
        default=None, max_length=20, description="Only these tiers.", examples=[["high"]]
    )
    stage: Words = Field(
        default=None,
        max_length=20,
        description="Only these stages of the life cycle.",
        examples=[["at_risk"]],
    )
    segment: Words = Field(
        default=None, max_length=20, description="Only these segments.", examples=[["champion"]]
    )
    action: Words = Field(
        default=None,
        max_length=20,
        description="Only customers for whom one of these actions is suggested.",
        examples=[["call"]],
    )
    min_probability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Only customers with at least this probability of churn, in [0, 1].",
        examples=[0.3],
    )
    min_value: int | None = Field(
        default=None,
        ge=0,
        le=MOST_MONEY,
        description="Only customers with at least this value at risk, minor units.",
        examples=[10_000],
    )


class ListRequest(Request):
    """Whom to contact in a campaign, with a random hold-out to learn from."""

    experiment: ExperimentName = Field(
        description="Name of the experiment that the list belongs to: letters, digits, `.`, `_` "
        "and `-`, at most 64. Within it a customer always falls the same way.",
        examples=["winback-2026-03"],
    )
    capacity: int = Field(
        ge=1,
        le=MOST_CONTACTED,
        strict=True,
        description="How many to contact, 1 to 20,000; those held out come on top.",
        examples=[500],
    )
    action: Annotated[Who, StringConstraints(max_length=64)] = Field(
        description="What is done with them, at most 64 characters; one for the whole experiment.",
        examples=["call"],
    )
    filters: ListFilters = Field(
        default_factory=ListFilters,
        description="Which customers may be on it.",
        examples=[{"tier": ["high"]}],
    )
    rank_by: Literal["probability", "value_at_risk"] = Field(
        default="probability",
        description="Whom to take first: the highest `probability` of churn, or the most "
        "`value_at_risk`. Customers outside the population have neither.",
        examples=["value_at_risk"],
    )
    hold_out: float | None = Field(
        default=None,
        gt=0,
        le=MOST_HELD_OUT,
        description="Share held out at random, above 0 and at most 0.5; fixed by the experiment's "
        f"first list, {DEFAULT_HOLD_OUT:g} where that says none.",
        examples=[0.1],
    )
    again: bool = Field(
        default=False,
        strict=True,
        description="Whether customers who are in the experiment already may be listed again; "
        "each keeps the arm.",
        examples=[False],
    )
    made_by: Who = Field(description="Who asks, at most 200 characters.", examples=["Ann"])
    reason: Why = Field(
        description="Why, at most 1,000 characters.", examples=["Win back before Easter"]
    )

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

    arm: Literal["treat", "control", "all"] = Field(
        default="treat",
        description="Of a CSV file: those to contact (`treat`), those held out (`control`), or "
        "`all`. JSON tells both, apart.",
        examples=["treat"],
    )


class Listed(Answer):
    """One customer of a list."""

    customer_id: str = Field(description="The customer's id.", examples=["C000017"])
    place: int = Field(
        description="Place on the list, from 1; the first to contact first.", examples=[1]
    )
    probability: float | None = Field(
        description="Probability of churn when the list was made.", examples=[0.712345]
    )
    value_at_risk_minor: int | None = Field(
        description="Value at risk then, minor units; null where it was not known.",
        examples=[18240],
    )


class ListCounts(Answer):
    """How many customers went which way."""

    candidates: int = Field(
        description="Left by the filters, with what the ranking is by.", examples=[1830]
    )
    without_consent: int = Field(
        description="Of those, passed over: they must not be contacted.", examples=[41]
    )
    in_experiment: int = Field(description="Passed over: in the experiment already.", examples=[0])
    contact: int = Field(description="On the list, to contact.", examples=[1])
    held_out: int = Field(description="On the list, held out.", examples=[1])


class ContactListAnswer(Answer):
    """A contact list as it is kept."""

    list_id: str = Field(description="Its id.", examples=[LIST_ID])
    experiment: str = Field(description="The experiment.", examples=["winback-2026-03"])
    action: str = Field(description="What is done with those contacted.", examples=["call"])
    hold_out: float = Field(description="Share held out at random.", examples=[0.1])
    made_by: str = Field(description="Who asked for it.", examples=["Ann"])
    made_at: datetime = Field(description="When, UTC.", examples=["2026-03-02T09:00:00Z"])
    reason: str = Field(description="Why.", examples=["Win back before Easter"])
    capacity: int = Field(description="How many were to be contacted.", examples=[500])
    rank_by: str = Field(description="What the ranking was by.", examples=["probability"])
    filters: dict[str, Any] = Field(
        description="The filters that were set.", examples=[{"tier": ["high"]}]
    )
    again: bool = Field(
        description="Whether customers of the experiment could be listed again.", examples=[False]
    )
    score_set: str = Field(description="Id of the score set it was made from.", examples=[ID])
    as_of: datetime = Field(
        description="What that looks back from, UTC.", examples=["2026-03-02T04:00:00Z"]
    )
    model_version: str = Field(description="Id of the churn bundle.", examples=[ID])
    counts: ListCounts = Field(description="How many customers are on it, and why not others.")
    warnings: list[str] = Field(description="What to know of the list.", examples=[[]])
    contact: list[Listed] = Field(description="Whom to contact.")
    held_out: list[Listed] = Field(
        description="Who is held out: do not contact them, or nothing can be learnt."
    )
