"""Contact lists in the service's database; rows are added, never changed.

The first list of an experiment fixes its key, hold-out and action: with another share or action,
its customers could not be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from features.calendar.clock import from_epoch
from features.errors import InputError, UnknownNameError
from serving.lists import (
    Assignment,
    Candidate,
    ContactList,
    Decision,
    Experiment,
    ListCriteria,
    ListSource,
    assign,
)
from serving.store.database import METADATA, Database, StoredResponse, find_response, store_response

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
    """The contact lists of one database; its methods raise `DatabaseError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stored_response(self, key: str | None) -> StoredResponse | None:
        """Return the id of the list that an idempotency key created; None for a new key."""
        if key is None:
            return None
        with self._database.reading() as connection:
            return find_response(connection, key)

    def add(
        self,
        ranking: Iterable[Candidate],
        *,
        experiment: Experiment,
        hold_out: float | None,
        criteria: ListCriteria,
        source: ListSource,
        at: int,
        key: str | None = None,
        digest: str = "",
    ) -> StoredResponse:
        """Assign the customers of a list and store it, all or nothing.

        Args:
            ranking: Customers, the first to contact first.
            experiment: The experiment as it begins, if this is its first list.
            hold_out: The share requested; None for the experiment's own.
            at: Epoch seconds.
            key: The request's idempotency key, ``digest`` its digest.

        Returns:
            The list's id; for a key that was used before, the id of the list of then.

        Raises:
            InputError: The experiment has another hold-out or action, or nobody is left to list.
        """
        with self._database.writing() as connection:
            earlier = find_response(connection, key)
            if earlier is not None:
                return earlier
            known = _find_experiment(connection, experiment.name)
            if known is None:
                row = asdict(experiment)
                row["experiment"] = row.pop("name")
                connection.execute(_EXPERIMENTS.insert(), row)
            else:
                _check_comparable(known, experiment, hold_out=hold_out)
                experiment = known
            listed = set() if criteria.again else _listed_customers(connection, experiment.name)
            assignment = assign(
                ranking, experiment=experiment, capacity=criteria.capacity, known=listed
            )
            if not assignment.decisions:
                raise _nobody_left(source, assignment)
            last = connection.execute(sa.select(sa.func.max(_LISTS.c.number))).scalar() or 0
            list_id = f"{from_epoch(at):%Y%m%dT%H%M%SZ}-{last + 1:08d}"
            contact_list = ContactList(list_id, experiment, criteria, source, at, assignment)
            connection.execute(_LISTS.insert(), _list_row(contact_list, last + 1))
            connection.execute(_DECISIONS.insert(), _decision_rows(contact_list))
            response = StoredResponse(digest, list_id.encode())
            store_response(connection, key, response, at=at)
            return response

    def find(self, list_id: str) -> ContactList:
        """Return one list.

        Raises:
            UnknownNameError: There is no such list.
        """
        last: list[str] = []
        with self._database.reading(holding=_LISTS) as connection:
            if connection is not None:
                joined = sa.select(_LISTS, _EXPERIMENTS).join(_EXPERIMENTS)
                row = connection.execute(joined.where(_LISTS.c.list_id == list_id)).first()
                if row is not None:
                    return _read_list(connection, row)
                ids = sa.select(_LISTS.c.list_id).order_by(_LISTS.c.number.desc()).limit(100)
                last = list(connection.execute(ids).scalars())
        raise UnknownNameError("contact list", list_id, last, field="list_id")


def _find_experiment(connection: sa.Connection, name: str) -> Experiment | None:
    query = sa.select(_EXPERIMENTS).where(_EXPERIMENTS.c.experiment == name)
    row = connection.execute(query).first()
    return None if row is None else _read_experiment(row)


def _read_experiment(row: Any) -> Experiment:
    return Experiment(row.experiment, row.key, row.hold_out, row.action)


def _check_comparable(known: Experiment, requested: Experiment, *, hold_out: float | None) -> None:
    """Refuse a list whose customers could not be compared with the experiment's others."""
    began = f"with which experiment `{known.name}` began"
    if hold_out is not None and hold_out != known.hold_out:
        raise InputError(
            "`hold_out`",
            got=hold_out,
            expected=f"{known.hold_out:g}, {began}",
            remedy="leave it out, or begin another experiment",
            field="hold_out",
        )
    if requested.action != known.action:
        raise InputError(
            "`action`",
            got=f"`{requested.action}`",
            expected=f"`{known.action}`, {began}",
            remedy="begin another experiment for another action",
            field="action",
        )


def _nobody_left(source: ListSource, assignment: Assignment) -> InputError:
    return InputError(
        "the list",
        got=f"nobody: of {source.candidates:,} customers that the filters leave, "
        f"{source.without_consent:,} must not be contacted and {assignment.left_out:,} are in the "
        "experiment already",
        expected="one customer at least",
        remedy="widen `filters`, or set `again` to list customers a second time",
        field="filters",
    )


def _listed_customers(connection: sa.Connection, experiment: str) -> set[str]:
    query = sa.select(_DECISIONS.c.customer_id).join(_LISTS)
    return set(connection.execute(query.where(_LISTS.c.experiment == experiment)).scalars())


def _list_row(contact_list: ContactList, number: int) -> dict[str, Any]:
    criteria = asdict(contact_list.criteria)
    return {
        "list_id": contact_list.list_id,
        "number": number,
        "experiment": contact_list.experiment.name,
        "made_at": contact_list.at,
        "made_by": criteria.pop("by"),
        "left_out": contact_list.assignment.left_out,
        **criteria,
        **asdict(contact_list.source),
    }


def _decision_rows(contact_list: ContactList) -> list[dict[str, Any]]:
    return [
        {
            "list_id": contact_list.list_id,
            "place": decision.place,
            "arm": decision.arm,
            "customer_id": decision.candidate.customer_id,
            "probability": decision.candidate.probability,
            "value_minor": decision.candidate.value_minor,
        }
        for decision in contact_list.assignment.decisions
    ]


def _read_list(connection: sa.Connection, row: Any) -> ContactList:
    query = sa.select(_DECISIONS).where(_DECISIONS.c.list_id == row.list_id)
    decisions = tuple(
        Decision(
            entry.place,
            Candidate(entry.customer_id, entry.probability, entry.value_minor),
            entry.arm,
        )
        for entry in connection.execute(query.order_by(_DECISIONS.c.place))
    )
    return ContactList(
        row.list_id,
        _read_experiment(row),
        ListCriteria(row.capacity, row.rank_by, row.filters, row.again, row.made_by, row.reason),
        ListSource(
            row.score_set, row.as_of, row.model_version, row.candidates, row.without_consent
        ),
        row.made_at,
        Assignment(decisions, row.left_out),
    )
