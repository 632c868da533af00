"""What the fits can be asked for: one TOML file, checked, with a section a model."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from features.errors import ConfigError, UnknownNameError
from serving.models.churn.learners import MAX_SPLITS


class VolumeConfig(BaseModel):
    """Settings of ``train_volume``; the defaults suit hourly queues with a year of history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon_days: int = Field(28, ge=1, le=56, description="Days ahead that are forecast.")
    origins: int = Field(14, ge=1, le=60, description="Most rolling origins of the back-test.")
    step_days: int = Field(
        20,
        ge=1,
        le=91,
        description="Days between rolling origins; no multiple of 7, so that every weekday is met.",
    )
    least_history_days: int = Field(
        28, ge=14, description="Days of history that a rolling origin needs before it."
    )
    refits: int = Field(
        3, ge=1, description="Fits spread over the origins; one origin uses the last fit before it."
    )
    boosting_rounds: int = Field(100, ge=1, le=5000, description="Trees of each LightGBM model.")
    boosting_rows: int = Field(60_000, ge=2000, description="Most rows LightGBM learns from.")
    boosting_outlooks: int = Field(
        4000, ge=10, description="Most past moments, over all queues, that rows are made from."
    )
    threads: int = Field(2, ge=1, description="Threads of LightGBM in training.")
    seed: int = Field(1, ge=0, description="Seed of every random choice.")


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


class Config(BaseModel):
    """Everything that a fit can be asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume: VolumeConfig = Field(
        default_factory=VolumeConfig, description="Forecasts of contacts by queue and interval."
    )
    churn: ChurnConfig = Field(
        default_factory=ChurnConfig, description="Scores of customers who may leave."
    )


def load_config(path: Path | None) -> Config:
    """Read a configuration file; without one every key has its default.

    Raises:
        ConfigError: The file cannot be read or parsed, a key is unknown (near names are
            suggested) or a value is of a wrong type or out of range.
    """
    if path is None:
        return Config()
    what = f"configuration file `{path}`"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            what,
            got=error.strerror or str(error),
            expected="a readable TOML file",
            remedy="`python -m training config > FILE` writes one with every default",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            what, got=str(error), expected="TOML in UTF-8", remedy="correct the file"
        ) from error
    try:
        # JSON mode is strict about types and yet takes an array for a tuple.
        return Config.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        problems = [_problem(entry) for entry in error.errors(include_url=False)]
        raise ConfigError(
            what,
            got="; ".join(text for text, _ in problems),
            remedy="correct it; `python -m training config` shows every key with its default",
            field=problems[0][1],
        ) from error


def _problem(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is wrong in words, and the path of the key."""
    keys = [str(part) for part in entry["loc"]]
    path = ".".join(keys)
    if entry["type"] == "extra_forbidden":
        unknown = UnknownNameError("key", keys[-1], _keys_beside(keys))
        return f"unknown key `{path}` ({unknown.remedy})", path
    return f"`{path}` = {entry['input']!r} ({entry['msg']})", path


def _keys_beside(keys: list[str]) -> list[str]:
    """Return the keys that are known where a path's last key stands."""
    model: Any = Config
    for key in keys[:-1]:
        model = model.model_fields[key].annotation
    return list(model.model_fields)


def settings(model: type[BaseModel], *, prefix: str = "") -> Iterator[tuple[str, FieldInfo, Any]]:
    """Yield each key of a configuration class as dotted path, field and default."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, prefix=f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field, field.get_default(call_default_factory=True)


def render(model: type[BaseModel] = Config) -> str:
    """Return the TOML file that says every key with its meaning and default.

    A key without a default value (None) stands as a comment.
    """
    lines = ["# Every key of the training configuration with its default; leave out what fits."]
    table = ""
    for path, field, default in settings(model):
        inside, _, name = path.rpartition(".")
        if inside != table:
            table = inside
            lines += ["", f"[{table}]"]
        lines.append(f"# {field.description}")
        lines.append(f"# {name} =" if default is None else f"{name} = {_toml(default)}")
    return "\n".join(lines) + "\n"


def reference(model: type[BaseModel] = Config) -> str:
    """Return every key with its default and meaning as a Markdown table, for the docs."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{path}` | `{_toml(default)}` | {field.description} |"
        for path, field, default in settings(model)
    ]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list | frozenset):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # TOML writes these scalars as JSON does
