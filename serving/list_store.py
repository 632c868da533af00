"""Contact lists in the service's database: kept with their decisions, never changed.

Rows are only ever added. An experiment begins with its first list, which fixes its key, its
hold-out and its action: with another share, or another action, its customers could not be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from features.calendar import moment
from features.errors import InputError, UnknownNameError
from serving.answer_store import Answered, find_answer, keep_answer
from serving.database import METADATA, Database
from serving.lists import (
    Asked,
    Candidate,
    ContactList,
    Decision,
    Experiment,
    Picked,
    Source,
    pick,
)

DEFAULT_HOLD_OUT = 0.1
_EXPERIMENTS = sa.Table(
    "experiments",
    METADATA,
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("hold_out", sa.Double, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
)
_LISTS = sa.Table(
    "contact_lists",
    METADATA,
    sa.Column("list_id", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False, unique=True),
    sa.Column("experiment", sa.ForeignKey(_EXPERIMENTS.c.experiment), nullable=False, index=True),
    sa.Column("capacity", sa.Integer, nullable=False),
    sa.Column("rank_by", sa.Text, nullable=False),
    sa.Column("filters", sa.Text, nullable=False),
    sa.Column("again", sa.Boolean, nullable=False),
    sa.Column("score_set", sa.Text, nullable=False),
    sa.Column("as_of", sa.BigInteger, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("candidates", sa.Integer, nullable=False),
    sa.Column("without_consent", sa.Integer, nullable=False),
    sa.Column("left_out", sa.Integer, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
_DECISIONS = sa.Table(
    "list_decisions",
    METADATA,
    sa.Column("list_id", sa.ForeignKey(_LISTS.c.list_id), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("probability", sa.Double),
    sa.Column("value_minor", sa.BigInteger),
)


class ListStore:
    """The contact lists of one database.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def answered(self, key: str) -> Answered | None:
        """Return the id of the list that an idempotency key made; None for a new key.

        Raises:
            DatabaseError: The database cannot be read.
        """
        with self._database.reading() as connection:
            return None if connection is None else find_answer(connection, key)

    def make(
        self,
        ranking: Iterable[Candidate],
        *,
        experiment: Experiment,
        hold_out: float | None,
        asked: Asked,
        source: Source,
        at: int,
        key: str | None = None,
        digest: str = "",
    ) -> Answered:
        """Pick the customers of a list and keep it, all or nothing.

        Args:
            ranking: Customers, the first to contact first.
            experiment: What is to hold for the experiment if this is its first list.
            hold_out: The share that was asked for; None for the experiment's own.
            asked: What was asked for.
            source: What it is made from.
            at: When, epoch seconds.
            key: The request's idempotency key.
            digest: Of the request.

        Returns:
            The list's id; where the key was used before, that of the list of then.

        Raises:
            InputError: The experiment has another hold-out or action, or nobody is left to list.
            DatabaseError: The database cannot be written; nothing was kept.
        """
        with self._database.writing() as connection:
            before = None if key is None else find_answer(connection, key)
            if before is not None:
                return before
            known = _experiment(connection, experiment.name)
            if known is None:
                connection.execute(_EXPERIMENTS.insert(), _experiment_row(experiment))
            else:
                _check_same(known, experiment, hold_out=hold_out)
                experiment = known
            listed = set() if asked.again else _customers(connection, experiment.name)
            picked = pick(ranking, experiment=experiment, capacity=asked.capacity, known=listed)
            if not picked.decisions:
                raise _nobody(source, picked)
            number = _last_number(connection) + 1
            id = f"{moment(at):%Y%m%dT%H%M%SZ}-{number:08d}"
            made = ContactList(id, experiment, asked, source, at, picked)
            connection.execute(_LISTS.insert(), _list_row(made, number))
            connection.execute(_DECISIONS.insert(), _decision_rows(made))
            found = Answered(digest, id.encode())
            if key is not None:
                keep_answer(connection, key, found, at=at)
            return found

    def find(self, list_id: str) -> ContactList:
        """Return one list.

        Raises:
            UnknownNameError: There is no such list.
            DatabaseError: The database cannot be read.
        """
        last: Sequence[str] = ()
        with self._database.reading(holding=_LISTS) as connection:
            if connection is not None:
                joined = sa.select(_LISTS, _EXPERIMENTS).join(_EXPERIMENTS)
                row = connection.execute(joined.where(_LISTS.c.list_id == list_id)).first()
                if row is not None:
                    return _list(connection, row)
                ids = sa.select(_LISTS.c.list_id).order_by(_LISTS.c.number.desc()).limit(100)
                last = list(connection.execute(ids).scalars())
        raise UnknownNameError("contact list", list_id, last, field="list_id")


def _experiment(connection: sa.Connection, name: str) -> Experiment | None:
    asked = sa.select(_EXPERIMENTS).where(_EXPERIMENTS.c.experiment == name)
    row = connection.execute(asked).first()
    return None if row is None else _experiment_of(row)


def _experiment_of(row: Any) -> Experiment:
    return Experiment(row.experiment, bytes(row.key), float(row.hold_out), row.action)


def _experiment_row(experiment: Experiment) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "key": experiment.key,
        "hold_out": experiment.hold_out,
        "action": experiment.action,
    }


def _check_same(known: Experiment, asked: Experiment, *, hold_out: float | None) -> None:
    """Refuse a list whose customers could not be compared with the experiment's others."""
    if hold_out is not None and hold_out != known.hold_out:
        raise InputError(
            "`hold_out`",
            got=hold_out,
            expected=f"{known.hold_out:g}, with which experiment `{known.name}` began",
            remedy="leave it out, or begin another experiment",
            field="hold_out",
        )
    if asked.action != known.action:
        raise InputError(
            "`action`",
            got=f"`{asked.action}`",
            expected=f"`{known.action}`, with which experiment `{known.name}` began",
            remedy="begin another experiment for another action",
            field="action",
        )


def _nobody(source: Source, picked: Picked) -> InputError:
    return InputError(
        "the list",
        got=f"nobody: of {source.candidates:,} customers that the filters leave, "
        f"{source.without_consent:,} must not be contacted and {picked.left_out:,} are in the "
        "experiment already",
        expected="one customer at least",
        remedy="widen `filters`, or set `again` to list customers a second time",
        field="filters",
    )


def _customers(connection: sa.Connection, experiment: str) -> set[str]:
    """Return who is on a list of an experiment."""
    of = sa.select(_DECISIONS.c.customer_id).join(_LISTS).where(_LISTS.c.experiment == experiment)
    return set(connection.execute(of).scalars())


def _last_number(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(_LISTS.c.number))).scalar() or 0)


def _list_row(made: ContactList, number: int) -> dict[str, Any]:
    asked, source = made.asked, made.source
    return {
        "list_id": made.list_id,
        "number": number,
        "experiment": made.experiment.name,
        "capacity": asked.capacity,
        "rank_by": asked.rank_by,
        "filters": asked.filters,
        "again": asked.again,
        "score_set": source.score_set,
        "as_of": source.as_of,
        "model_version": source.model_version,
        "candidates": source.candidates,
        "without_consent": source.without_consent,
        "left_out": made.picked.left_out,
        "made_at": made.at,
        "made_by": asked.by,
        "reason": asked.reason,
    }


def _decision_rows(made: ContactList) -> list[dict[str, Any]]:
    return [
        {
            "list_id": made.list_id,
            "place": decision.place,
            "customer_id": decision.who.customer_id,
            "arm": decision.arm,
            "probability": decision.who.probability,
            "value_minor": decision.who.value_minor,
        }
        for decision in made.picked.decisions
    ]


def _list(connection: sa.Connection, row: Any) -> ContactList:
    rows = connection.execute(
        sa.select(_DECISIONS)
        .where(_DECISIONS.c.list_id == row.list_id)
        .order_by(_DECISIONS.c.place)
    )
    decisions = tuple(
        Decision(
            int(one.place), Candidate(one.customer_id, one.probability, one.value_minor), one.arm
        )
        for one in rows
    )
    asked = Asked(
        int(row.capacity), row.rank_by, row.filters, bool(row.again), row.made_by, row.reason
    )
    source = Source(
        row.score_set,
        int(row.as_of),
        row.model_version,
        int(row.candidates),
        int(row.without_consent),
    )
    picked = Picked(decisions, int(row.left_out))
    return ContactList(row.list_id, _experiment_of(row), asked, source, int(row.made_at), picked)
