"""What a churn fit can be asked for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serving.models.churn.trees import MAX_SPLITS


class ChurnConfig(BaseModel):
    """Settings of the churn model.

    With ``definition = "purchase"`` a customer is judged who bought within ``active_days``, and
    the label is no purchase or renewal within ``horizon_days``. With ``"contract"`` a customer is
    judged whose contract runs, and the label is a cancellation within ``horizon_days``, or a term
    that ends within them and is not renewed by ``grace_days`` after its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    definition: Literal["purchase", "contract"] = Field(
        "purchase", description="What churn is: no purchase, or a contract that ends."
    )
    horizon_days: int = Field(90, ge=7, le=730, description="Days that the label looks ahead.")
    active_days: int = Field(
        180,
        ge=7,
        le=1460,
        description="Purchases: a customer is judged who bought within these days.",
    )
    grace_days: int = Field(
        30,
        ge=0,
        le=365,
        description="Contracts: days after a term's end in which a renewal still counts.",
    )
    step_days: int = Field(15, ge=1, le=365, description="Days between two dates to learn from.")
    grid_dates: int = Field(36, ge=1, le=120, description="Most dates to learn from.")
    test_dates: int = Field(4, ge=1, le=24, description="Most dates to test on.")
    test_step: int = Field(
        6,
        ge=1,
        le=24,
        description="Most steps of the grid between two dates to test on: by default a season.",
    )
    calibrate_dates: int = Field(4, ge=1, le=12, description="Most dates to calibrate on.")
    min_history_days: int = Field(
        60, ge=1, le=730, description="Days of purchases that the first date must look back on."
    )
    min_customers: int = Field(
        200, ge=20, description="A date with fewer customers in its population is left out."
    )
    rows_per_date: int = Field(
        10_000, ge=100, description="Customers to learn from at one date; more are sampled."
    )
    trees: int = Field(480, ge=1, le=1000, description="Boosted trees.")
    leaves: int = Field(
        8, ge=2, le=MAX_SPLITS + 1, description="Most leaves of a tree; few keep reasons fast."
    )
    learning_rate: float = Field(0.04, gt=0, le=1, description="Step of the boosting.")
    min_leaf_customers: int = Field(50, ge=1, description="Fewest rows in a leaf.")
    ridges: tuple[float, ...] = Field(
        (20.0, 100.0, 500.0),
        min_length=1,
        description="Penalties on a weight of the logistic regression, in rows, to choose from by "
        "later dates; the first counts where history is too short to choose.",
    )
    tiers_by: Literal["capacity", "money"] = Field(
        "capacity",
        description="What tiers are cut by: shares of the customers, the likeliest to leave first "
        "(`capacity`: how many can be contacted), or value at risk (`money`).",
    )
    tier_money_minor: tuple[int, int, int] = Field(
        (0, 0, 0),
        description="With tiers by money: least value at risk of the tiers critical, high and "
        "medium, minor units; the rest is low. To be set then.",
    )
    tier_shares: tuple[float, float, float] = Field(
        (0.05, 0.15, 0.30),
        description="Shares of customers in the tiers critical, high and medium; the rest is low.",
    )
    num_threads: int = Field(2, ge=1, le=64, description="Threads of the boosting.")
    seed: int = Field(7, ge=0, description="Seed of sampling and boosting.")

    @model_validator(mode="after")
    def _shares_fit(self) -> ChurnConfig:
        if min(self.ridges) <= 0:
            raise ValueError("ridges must each be above 0")
        if min(self.tier_shares) <= 0 or sum(self.tier_shares) >= 1:
            raise ValueError("tier_shares must each be above 0 and sum to less than 1")
        return self

    @model_validator(mode="after")
    def _money_fits(self) -> ChurnConfig:
        critical, high, medium = self.tier_money_minor
        if self.tiers_by == "money" and not critical > high > medium > 0:
            raise ValueError(
                "tier_money_minor must fall from critical to medium and be above 0 with "
                'tiers_by = "money"'
            )
        if self.tiers_by == "capacity" and any(self.tier_money_minor):
            raise ValueError('tier_money_minor counts only with tiers_by = "money"')
        return self

    @property
    def known_days(self) -> int:
        """Days after a date at which its labels are complete."""
        return self.horizon_days + (self.grace_days if self.definition == "contract" else 0)

    @property
    def described(self) -> str:
        """The definition as a sentence."""
        if self.definition == "contract":
            return (
                f"a cancellation within {self.horizon_days} days, or a term that ends within them "
                f"and is not renewed by {self.grace_days} days after its end, among customers "
                "whose contract runs"
            )
        return (
            f"no purchase or renewal within {self.horizon_days} days, among customers with one in "
            f"the last {self.active_days} days"
        )

    @property
    def recent_days(self) -> int:
        """Days of the shorter label that says early how customers have bought of late.

        A third of the horizon, in whole steps, so that its dates are dates of the grid.
        """
        steps = max(1, round(self.horizon_days / 3 / self.step_days))
        return min(steps * self.step_days, self.horizon_days)

    @property
    def least_history_days(self) -> int:
        """Days of purchases without which nothing can be learnt and tested."""
        return self.min_history_days + 2 * self.known_days
