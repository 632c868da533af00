"""Single contacts with their waits, handle times and agents, as known at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.calendar import DAY_SECONDS, Bool, Int64
from features.windows import happened, second_of, written

Int32 = npt.NDArray[np.int32]
Float32 = npt.NDArray[np.float32]

_NOBODY = -1


@dataclass(frozen=True)
class Waits:
    """Contacts whose wait is over, in order of time, one value a contact in each array.

    Attributes:
        queues: Names of queues, sorted.
        agents: Ids of agents, sorted.
        queue: Place in ``queues``, int32[n].
        started_at: When it was offered to the queue, epoch seconds, int64[n], ascending.
        wait_seconds: Until it was answered or abandoned, float32[n]; NaN where not stated.
        handle_seconds: float32[n]; NaN where not stated, and of abandoned contacts.
        abandoned: bool[n]; all others were answered.
        agent: Place in ``agents``, -1 where not stated, int32[n].
    """

    queues: tuple[str, ...]
    agents: tuple[str, ...]
    queue: Int32
    started_at: Int64
    wait_seconds: Float32
    handle_seconds: Float32
    abandoned: Bool
    agent: Int32

    def __len__(self) -> int:
        """Return the number of contacts."""
        return len(self.started_at)


NO_WAITS = Waits(
    (),
    (),
    *(
        np.empty(0, kind)
        for kind in (np.int32, np.int64, np.float32, np.float32, np.bool_, np.int32)
    ),
)
"""Of a centre that keeps no single contacts."""


def waited_contacts(interactions: ir.Table, as_of: datetime, *, days: int) -> ir.Table:
    """Return contacts of the last days whose wait was over as known at ``as_of``, sorted.

    Args:
        interactions: The lake's table.
        as_of: Aware, whole seconds.
        days: How many days of 24 hours to look back.

    Returns:
        ``queue``, ``ts`` (epoch seconds), ``wait`` and ``handle`` (float32 seconds, null where
        not stated), ``abandoned`` (boolean) and ``agent`` (null where not stated).
    """
    at = written(as_of)
    # An open matter may have been answered: without it, too large a share would be abandoned.
    waited = (interactions.outcome != "open") | interactions.wait_seconds.notnull()
    rows = interactions.filter(waited)
    rows = rows.select(
        queue=rows.queue,
        ts=second_of(rows.started_at),
        wait=rows.wait_seconds.cast("float32"),
        handle=rows.handle_seconds.cast("float32"),
        abandoned=rows.outcome == "abandoned",
        agent=rows.agent_id,
        available_at=rows.available_at,
        superseded_at=rows.superseded_at,
    )
    rows = happened(rows, at)
    rows = rows.filter(rows.ts >= at.second - days * DAY_SECONDS)
    # Some exports write a handle time for abandoned contacts: nobody's work.
    rows = rows.mutate(handle=rows.abandoned.ifelse(ibis.null("float32"), rows.handle))
    rows = rows.drop("available_at", "superseded_at")
    # By all columns, so that contacts of one second stand in the same order on every run.
    return rows.order_by("ts", "queue", "wait", "handle", "agent", "abandoned")


def waits_of(batches: pa.RecordBatchReader) -> Waits:
    """Gather rows of ``waited_contacts`` batch by batch, queues and agents as numbers."""
    queues, agents = _NameCodes({}), _NameCodes({})
    parts: list[tuple[npt.NDArray[np.generic], ...]] = [
        (
            queues.codes(batch.column("queue")),
            *(
                batch.column(name).to_numpy(zero_copy_only=False)
                for name in ("ts", "wait", "handle", "abandoned")
            ),
            agents.codes(batch.column("agent")),
        )
        for batch in batches
        if len(batch)
    ]
    if not parts:
        return NO_WAITS
    queue, started, wait, handle, abandoned, agent = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return Waits(
        queues=queues.names,
        agents=agents.names,
        queue=queues.places[queue],
        started_at=started,
        wait_seconds=wait,
        handle_seconds=handle,
        abandoned=abandoned,
        agent=agents.places[agent],
    )


@dataclass(frozen=True)
class _NameCodes:
    """Numbers of names in the order that they are met; no name has -1."""

    numbers: dict[str, int]

    def codes(self, column: pa.Array) -> Int32:
        encoded = column.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        own = [self.numbers.setdefault(name, len(self.numbers)) for name in names]
        # The last place is for rows without a name.
        code_of = np.array([*own, _NOBODY], dtype=np.int32)
        codes: Int32 = code_of[encoded.indices.fill_null(len(own)).to_numpy()]
        return codes

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.numbers))

    @property
    def places(self) -> Int32:
        """Where each number's name stands among ``names``; the last is for no name."""
        places = np.full(len(self.numbers) + 1, _NOBODY, dtype=np.int32)
        places[[self.numbers[name] for name in self.names]] = np.arange(len(self.numbers))
        return places
