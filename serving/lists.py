"""Contact lists: who of a ranking is contacted, and who is held out at random to learn from.

The highest risk is not where a contact helps most (Ascarza, "Retention futility", 2018). A keyed
hash of the id decides the arm: within an experiment a customer always falls the same way.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Int64
from serving.published.score_set import ScoreFilter, ScoreSet

Arm = Literal["treat", "control"]
KEY_BYTES = 32


@dataclass(frozen=True)
class Experiment:
    """What holds for every list of an experiment.

    Attributes:
        key: Key of the hash that decides the arm.
        hold_out: Share that is held out, in (0, 0.5].
        action: What is done with those contacted.
    """

    name: str
    key: bytes
    hold_out: float
    action: str

    def arm(self, customer_id: str) -> Arm:
        """Return whether a customer is contacted, ``treat``, or held out, ``control``."""
        return "control" if share_of(customer_id, key=self.key) < self.hold_out else "treat"


@dataclass(frozen=True)
class Candidate:
    """One customer of a ranking; the value at risk in minor units. None stands for not known."""

    customer_id: str
    probability: float | None
    value_minor: int | None = None


@dataclass(frozen=True)
class Decision:
    """One customer of a list; places count from 0, the first of the ranking first."""

    place: int
    candidate: Candidate
    arm: Arm


@dataclass(frozen=True)
class Assignment:
    """The customers of a list, in the order of the ranking.

    Attributes:
        left_out: Customers passed over because they are in the experiment already.
    """

    decisions: tuple[Decision, ...]
    left_out: int


def random_key() -> bytes:
    """Return a key that nobody can guess."""
    return secrets.token_bytes(KEY_BYTES)


def share_of(customer_id: str, *, key: bytes) -> float:
    """Return where a customer falls in [0, 1): HMAC-SHA256 of the id under the key.

    >>> round(share_of("C000017", key=b"k" * 32), 4), round(share_of("C000017", key=b"l" * 32), 4)
    (0.218, 0.8038)
    """
    digest = hmac.digest(key, customer_id.encode("utf-8"), "sha256")
    # The first 53 bits: as many as a double holds, so that 1.0 is out of reach.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def assign(
    ranking: Iterable[Candidate],
    *,
    experiment: Experiment,
    capacity: int,
    known: Container[str],
) -> Assignment:
    """Go down a ranking until as many as the capacity are to be contacted.

    Those met on the way who fall into the hold-out are on the list too, as its control; customers
    in ``known`` are passed over. The ranking holds each customer once, the first to contact first;
    the capacity is at least 1.

    >>> everybody = Experiment("x", b"k" * 32, 0.5, "call")
    >>> found = assign([Candidate(c, None) for c in "abcdefgh"], experiment=everybody, capacity=2,
    ...              known={"a"})
    >>> [d.arm for d in found.decisions].count("treat"), found.left_out
    (2, 1)
    """
    decisions: list[Decision] = []
    left_out = 0
    free = capacity
    for candidate in ranking:
        if candidate.customer_id in known:
            left_out += 1
            continue
        arm = experiment.arm(candidate.customer_id)
        decisions.append(Decision(len(decisions), candidate, arm))
        free -= arm == "treat"
        if free == 0:
            break
    return Assignment(tuple(decisions), left_out)


@dataclass(frozen=True)
class ListCriteria:
    """The criteria of a list, who made it, and why.

    Attributes:
        capacity: How many to contact.
        filters: JSON text.
        again: Whether customers who are in the experiment already may be listed again.
    """

    capacity: int
    rank_by: str
    filters: str
    again: bool
    by: str
    reason: str


@dataclass(frozen=True)
class ListSource:
    """What a list was made from.

    Attributes:
        score_set: Id of the score set.
        as_of: Its as-of, epoch seconds.
        model_version: Id of its churn bundle.
        candidates: How many customers the filters left.
        without_consent: How many of them must not be contacted.
    """

    score_set: str
    as_of: int
    model_version: str
    candidates: int
    without_consent: int


@dataclass(frozen=True)
class ContactList:
    """One stored list, made at ``at``, epoch seconds."""

    list_id: str
    experiment: Experiment
    criteria: ListCriteria
    source: ListSource
    at: int
    assignment: Assignment

    def count(self, arm: Arm) -> int:
        """Return how many customers of the list are in an arm."""
        return sum(decision.arm == arm for decision in self.assignment.decisions)


RANK_COLUMNS = {"probability": "probability", "value_at_risk": "value_at_risk_minor"}
"""Column of ``scores.arrow`` by what a ranking is by."""
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True)
class Ranked:
    """The filtered customers of a score set, the first to contact first.

    Attributes:
        rows: Their rows in the set, int64[n].
        without_consent: How many more passed the filters but must not be contacted.
    """

    set: ScoreSet
    rows: Int64
    without_consent: int

    def candidates(self) -> Iterator[Candidate]:
        """Yield the customers in order; ids are read in blocks, as far as they are needed."""
        table = self.set.table
        for start in range(0, len(self.rows), _ROWS_AT_ONCE):
            part = table.take(pa.array(self.rows[start : start + _ROWS_AT_ONCE]))
            columns = ("customer_id", "probability", "value_at_risk_minor")
            yield from map(Candidate, *(part.column(name).to_pylist() for name in columns))


def ranked(of: ScoreSet, *, by: str, only: ScoreFilter) -> Ranked:
    """Return the filtered customers in descending order; ties stand in the order of the ids.

    Customers without the value of ``by``, a key of ``RANK_COLUMNS``, are left out; so are those
    known not to consent to a contact.
    """
    values = of.table.column(RANK_COLUMNS[by]).cast(pa.float64())
    no_consent = pc.equal(of.table.column("consent"), False).fill_null(False).to_numpy()
    numbers = values.to_numpy()
    keep = of.matches(only) & ~np.isnan(numbers)
    rows = np.flatnonzero(keep & ~no_consent)
    order = np.argsort(-numbers[rows], kind="stable")
    return Ranked(of, rows[order], int((keep & no_consent).sum()))
