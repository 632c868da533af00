"""What to do about a customer: a table of rules that the user edits.

The first rule that fits gives the action; the last fits everybody. ``actions.toml`` in the home
replaces the shipped table.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from features.arrays import Bool, Float64
from features.errors import ConfigError, UnknownNameError
from serving.models.churn.model import TIERS, ChurnScores
from serving.models.churn.reasons import REASON_GROUPS, ReasonCatalogue
from serving.models.churn.value import SEGMENTS, STAGES

CONSENTS = ("yes", "no", "unknown")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")

HEADER = """\
# What to do about a customer. The first rule that fits gives the action; the last must fit all.
# A rule fits where all of its conditions hold; a condition that is left out always does.
#   action           the word that the CRM gets: lower-case letters, digits, `_`
#   why              a sentence for people
#   consent          "yes", "no" or "unknown": may this customer be contacted?
#   reasons          groups of reasons; fits where one of the customer's reasons is of one of them
#   tiers            "critical", "high", "medium", "low"
#   stages           "new", "active", "at_risk", "lapsed", "won_back", "prospect"
#   segments         segments, such as "champion"
#   min_value_minor  least value at risk, in minor units of money
"""

SHIPPED = f"""\
{HEADER}
[[rule]]
action = "no_contact"
why = "The customer does not want to be contacted."
consent = ["no"]

[[rule]]
action = "none"
why = "Nothing was bought yet: there is nobody to keep."
stages = ["prospect"]

[[rule]]
action = "win_back"
why = "Worth something once and silent for long."
stages = ["lapsed"]
segments = ["dormant_valuable"]

[[rule]]
action = "none"
why = "Silent for longer than the model judges."
stages = ["lapsed"]

[[rule]]
action = "solve_problem"
why = "Something went wrong and is not put right: solve it before anything is sold."
tiers = ["critical", "high"]
reasons = ["unresolved", "dissatisfied", "late_delivery", "returns", "cancellations"]

[[rule]]
action = "priority_service"
why = "Waited long or gave up: answer this customer first."
tiers = ["critical", "high"]
reasons = ["long_waits"]

[[rule]]
action = "advise"
why = "Asked and did not buy: somebody should help to choose."
tiers = ["critical", "high", "medium"]
reasons = ["asked_not_bought"]

[[rule]]
action = "welcome"
why = "New, and likely not to come back: help with the first steps."
tiers = ["critical", "high"]
stages = ["new"]

[[rule]]
action = "call"
why = "Much is at stake: a person should call."
tiers = ["critical"]
segments = ["champion", "big_spender", "slipping_valuable"]

[[rule]]
action = "offer"
why = "Falls silent: send a reason to come back."
tiers = ["critical", "high"]

[[rule]]
action = "remind"
why = "A little late: a reminder costs little."
tiers = ["medium"]

[[rule]]
action = "none"
why = "Nothing needs to be done."
"""

_Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
_Action = Annotated[str, StringConstraints(pattern=rf"^{_WORD.pattern}$")]


class Rule(BaseModel):
    """One rule: an action, and whom it fits; an empty condition fits everybody."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    action: _Action
    why: _Text
    consent: tuple[Literal["yes", "no", "unknown"], ...] = ()
    reasons: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    min_value_minor: int | None = Field(default=None, ge=0)

    @property
    def fits_all(self) -> bool:
        """Whether it has no condition."""
        return not self.model_dump(exclude={"action", "why"}, exclude_defaults=True)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rule: tuple[Rule, ...] = Field(min_length=1)


@dataclass(frozen=True)
class ActionTable:
    """The rules in their order."""

    rules: tuple[Rule, ...]

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that can come, in the order of the rules."""
        return tuple(dict.fromkeys(rule.action for rule in self.rules))

    def choose(self, scores: ChurnScores, *, book: ReasonCatalogue, consent: Float64) -> Any:
        """Return the action of each customer as an index into ``actions``, int16[n].

        ``consent``: 1 where a customer may be contacted, 0 where not, NaN where unknown,
        float64[n].
        """
        chosen = np.full(len(consent), -1, dtype=np.int16)
        for rule in self.rules:
            fits = (chosen < 0) & _fits(rule, scores, book=book, consent=consent)
            chosen[fits] = self.actions.index(rule.action)
        return chosen

    def render(self) -> str:
        """Return the table as the TOML file that gives it, with an explanation on top."""
        parts = [HEADER]
        for rule in self.rules:
            stated = rule.model_dump(mode="json", exclude_defaults=True)
            # TOML writes texts, numbers and lists of texts as JSON does.
            lines = [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in stated.items()]
            parts.append("\n".join(["[[rule]]", *lines, ""]))
        return "\n".join(parts)


def _fits(rule: Rule, scores: ChurnScores, *, book: ReasonCatalogue, consent: Float64) -> Bool:
    """Return whom a rule fits, bool[n]."""
    fits = np.full(len(consent), True)
    if rule.consent:
        # Place 2, unknown, where the consent is no number.
        known = np.where(np.isnan(consent), 2, np.where(consent > 0, 0, 1))
        fits &= _among(known.astype(np.int8), CONSENTS, rule.consent)
    for codes, words, wanted in (
        (scores.tier, TIERS, rule.tiers),
        (scores.stage, STAGES, rule.stages),
        (scores.segment, SEGMENTS, rule.segments),
    ):
        if wanted:
            fits &= _among(codes, words, wanted)
    if rule.reasons:
        of_group = [book.groups[phrase.group] in rule.reasons for phrase in book.phrases]
        fits &= np.array([*of_group, False])[scores.reasons.phrase].any(axis=1)
    if rule.min_value_minor is not None:
        fits &= scores.value_at_risk_minor >= rule.min_value_minor
    return fits


def _among(codes: Any, words: Sequence[str], wanted: Collection[str]) -> Bool:
    # Code -1, no word, reads the last entry.
    matching: Bool = np.array([*(word in wanted for word in words), False])[codes]
    return matching


def shipped_actions() -> ActionTable:
    """Return the table that stands where the user has none.

    >>> shipped_actions().actions[0]
    'no_contact'
    """
    return parse_actions(SHIPPED, what="the shipped table of actions")


def read_actions(path: Path) -> ActionTable:
    """Return the user's table, or the shipped one where there is no such file.

    Raises:
        ConfigError: The file cannot be read, or a rule is not as it must be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return shipped_actions()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"table of actions `{path}`",
            got=str(error),
            expected="TOML in UTF-8",
            remedy="correct the file, or delete it for the shipped table",
        ) from error
    return parse_actions(text, what=f"table of actions `{path}`")


def parse_actions(text: str, *, what: str) -> ActionTable:
    """Return the table that a TOML text gives.

    Raises:
        ConfigError: A rule is not as it must be; the error names it and its key.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            what, got=str(error), expected="TOML in UTF-8", remedy="correct the file"
        ) from error
    try:
        # JSON mode is strict about types and yet takes an array for a tuple.
        rules = _File.model_validate_json(json.dumps(document, default=str)).rule
    except ValidationError as error:
        raise _wrong(what, error.errors(include_url=False)) from error
    for number, rule in enumerate(rules, start=1):
        _check_words(rule, what=f"{what}, rule {number}")
        if rule.fits_all != (number == len(rules)):
            raise ConfigError(
                f"{what}, rule {number}",
                got="no condition, so the rules after it never fit"
                if rule.fits_all
                else "conditions in the last rule",
                expected="exactly the last rule without conditions",
                remedy='end the table with a rule such as `action = "none"` and a `why`',
            )
    return ActionTable(rules)


def _wrong(what: str, problems: Sequence[Mapping[str, Any]]) -> ConfigError:
    first = problems[0]
    place = [str(part + 1) if isinstance(part, int) else part for part in first["loc"]]
    path = ".".join(place)
    if first["type"] == "extra_forbidden":
        known = list(Rule.model_fields) if len(place) > 1 else list(_File.model_fields)
        got = f"unknown key `{path}` ({UnknownNameError('key', place[-1], known).remedy})"
    elif first["type"] == "missing":
        got = f"no `{path}`"
    else:
        got = f"`{path}` = {first['input']!r} ({first['msg']})"
    return ConfigError(
        what, got=got, remedy="correct it; `python -m serving actions` explains every key",
        field=path,
    )  # fmt: skip


def _check_words(rule: Rule, *, what: str) -> None:
    for key, words, known in (
        ("tiers", rule.tiers, TIERS),
        ("stages", rule.stages, STAGES),
        ("segments", rule.segments, SEGMENTS),
        ("reasons", rule.reasons, REASON_GROUPS),
    ):
        for word in words:
            if word not in known:
                unknown = UnknownNameError(key.removesuffix("s"), word, known)
                raise ConfigError(
                    f"{what}, `{key}`", got=repr(word), remedy=unknown.remedy, field=key
                )
