"""Contacts as rows of table ``interactions``: topics, agents, surveys, and when each is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.calendar import DAY_SECONDS, Bool, Float64, Int64
from features.simulate.contacts import Contacts, Int8
from features.simulate.tables import ids, times, words
from features.simulate.world import World

ORDER_TOPIC, REPEAT_TOPIC = "delivery", "complaint"
_AGENTS_PER_QUEUE = 24
_ORDER, _REPEAT = 1, 2


@dataclass(frozen=True)
class Attribution:
    """Whose contacts they are, arrays of n.

    Attributes:
        customer: Index of the customer, -1 for a stranger, int64[n].
        reason: Index into ``REASONS``, int8[n]; meaningless for a stranger.
        order: Number of the customer's last order, -1 where none, int64[n].
        first_number: The number of the first contact; the others follow.
    """

    customer: Int64
    reason: Int8
    order: Int64
    first_number: int


@dataclass(frozen=True)
class InteractionRows:
    """Rows of table ``interactions`` and what is odd among them.

    Attributes:
        table: Every version that is known by the end, by ``started_at``, then ``available_at``.
        late: Rows that became known hours or days late.
        corrected: Rows that are a later, corrected version of a call.
        withheld: Contacts that nobody knows of by the end, because they are so late.
        unlinked: Contacts without a customer's id, of those that are known.
    """

    table: pa.Table
    late: int
    corrected: int
    withheld: int
    unlinked: int


def interaction_rows(
    world: World, contacts: Contacts, attribution: Attribution, *, rng: np.random.Generator
) -> InteractionRows:
    """Turn contacts into rows of table ``interactions``, every version by itself.

    Args:
        world: The centre.
        contacts: What became of each contact.
        attribution: Whose it is.
        rng: Source of topics, agents, survey answers and delays.
    """
    config, n = world.config, len(contacts)
    mail = np.array([m.patience_seconds is None for m in world.models])[contacts.queue]
    voice = np.array([m.source == "telephony" for m in world.models])[contacts.queue]
    hidden = rng.random(n) < config.unlinked_share + 0.3 * contacts.abandoned
    complete = _columns(world, contacts, attribution, hidden, voice, rng)
    late = rng.random(n) < config.late_share
    delay = np.where(late, rng.integers(6 * 3_600, 10 * DAY_SECONDS, n), 0)
    handled = np.nan_to_num(contacts.handle_seconds).astype(np.int64)
    ended = contacts.started_at + contacts.wait_seconds.astype(np.int64) + handled
    # A contact that runs over the end of the history is closed by it; mail simply stays open.
    at_end = np.where(mail, ended + 30, np.minimum(ended + 30, config.end)) + delay
    at_start = np.minimum(contacts.started_at + 60, config.end) + delay
    first_known = np.where(mail, at_start, at_end)
    known = first_known <= config.end
    corrected = voice & ~contacts.abandoned & (rng.random(n) < config.correction_share)
    corrected_at = at_end + rng.integers(DAY_SECONDS, 3 * DAY_SECONDS, n)
    more_seconds = rng.integers(30, 600, n)
    opened = _select(complete, mail & known, at_start)
    closed = _select(complete, known & (at_end <= config.end), at_end)
    again = corrected & known & (corrected_at <= config.end)
    fixed = _select(complete, again, corrected_at)
    versions = pa.concat_tables([_still_open(opened), closed, _longer(fixed, more_seconds[again])])
    return InteractionRows(
        table=versions.sort_by(
            [
                ("started_at", "ascending"),
                ("interaction_id", "ascending"),
                ("available_at", "ascending"),
            ]
        ),
        late=int((late & known).sum()),
        corrected=int(again.sum()),
        withheld=int((~known).sum()),
        unlinked=int((known & (hidden | (attribution.customer < 0))).sum()),
    )


def _columns(
    world: World,
    contacts: Contacts,
    attribution: Attribution,
    hidden: Bool,
    voice: Bool,
    rng: np.random.Generator,
) -> pa.Table:
    n, gone = len(contacts), contacts.abandoned
    stranger = attribution.customer < 0
    csat, nps, sentiment = _voices(contacts, rng)
    unasked = gone | (rng.random(n) >= _answers(contacts, rng))
    about_order = ~stranger & (attribution.reason == _ORDER) & (attribution.order >= 0)
    agent = rng.integers(0, _AGENTS_PER_QUEUE, n) + _AGENTS_PER_QUEUE * contacts.queue
    agents = [f"A{k:04d}" for k in range(_AGENTS_PER_QUEUE * len(world.models))]
    return pa.table(
        {
            "interaction_id": ids("I", attribution.first_number + np.arange(n)),
            "customer_id": ids("C", attribution.customer, missing=stranger | hidden),
            "queue": words([m.name for m in world.models], contacts.queue),
            "channel": words([m.queue.channel for m in world.models], contacts.queue),
            "topic": _topics(world, contacts, attribution, rng),
            "started_at": times(contacts.started_at),
            "wait_seconds": pa.array(contacts.wait_seconds),
            "handle_seconds": pa.array(contacts.handle_seconds, mask=gone),
            "outcome": _outcomes(contacts, voice),
            "transfers": pa.array(contacts.transferred.astype(np.int64), mask=gone),
            "resolved": pa.array(contacts.resolved, mask=gone),
            "csat": pa.array(csat, mask=unasked | ~voice),
            "nps": pa.array(nps, mask=unasked | voice),
            "sentiment": pa.array(sentiment, mask=gone | voice),
            "agent_id": words(agents, np.where(gone, -1, agent)),
            "order_id": ids("O", attribution.order, missing=~about_order | hidden),
        }
    )


def _outcomes(contacts: Contacts, voice: Bool) -> pa.Array:
    outcome = np.where(voice, 0, np.where(contacts.resolved, 3, 4))
    outcome = np.where(contacts.transferred, 2, outcome)
    outcome = np.where(contacts.abandoned, 1, outcome)
    return words(("answered", "abandoned", "transferred", "resolved", "open"), outcome)


def _topics(
    world: World, contacts: Contacts, attribution: Attribution, rng: np.random.Generator
) -> pa.Array:
    vocabulary = [topic for model in world.models for topic in model.topics]
    counts = np.array([len(model.topics) for model in world.models])
    first = np.cumsum(counts) - counts
    topic = first[contacts.queue] + rng.integers(0, 1 << 30, len(contacts)) % counts[contacts.queue]
    own = attribution.customer >= 0
    topic[own & (attribution.reason == _ORDER)] = len(vocabulary)
    topic[own & (attribution.reason == _REPEAT)] = len(vocabulary) + 1
    return words([*vocabulary, ORDER_TOPIC, REPEAT_TOPIC], topic)


def _answers(contacts: Contacts, rng: np.random.Generator) -> Float64:
    """Return the chance of answering a survey: the angry answer most, the delighted next."""
    delighted = (contacts.badness == 0) & (rng.random(len(contacts)) < 0.2)
    chance: Float64 = 0.03 + 0.12 * (contacts.badness >= 0.5) + 0.06 * delighted
    return chance


def _voices(contacts: Contacts, rng: np.random.Generator) -> tuple[Int64, Int64, Float64]:
    n, bad = len(contacts), contacts.badness
    csat = np.rint(4.7 - 2.4 * bad + 0.8 * rng.standard_normal(n)).clip(1, 5).astype(np.int64)
    nps = np.rint(8.8 - 5.0 * bad + 1.6 * rng.standard_normal(n)).clip(0, 10).astype(np.int64)
    # Adding zero turns -0.0 into 0.0.
    sentiment = np.round((0.35 - 0.7 * bad + 0.3 * rng.standard_normal(n)).clip(-1, 1), 2) + 0.0
    return csat, nps, sentiment


def _select(complete: pa.Table, chosen: Bool, available_at: Int64) -> pa.Table:
    rows = np.flatnonzero(chosen)
    return complete.take(pa.array(rows)).append_column("available_at", times(available_at[rows]))


def _still_open(table: pa.Table) -> pa.Table:
    """Return the first version of mail: it came, and nothing else is known yet."""
    later = ("wait_seconds", "handle_seconds", "transfers", "resolved", "csat", "nps",
             "sentiment", "agent_id")  # fmt: skip
    for name in later:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.nulls(len(table), table.schema.field(name).type))
    place = table.schema.get_field_index("outcome")
    return table.set_column(place, "outcome", pa.array(["open"] * len(table), pa.string()))


def _longer(table: pa.Table, more_seconds: Int64) -> pa.Table:
    """Return the corrected version of calls: after-work that was booked later."""
    place = table.schema.get_field_index("handle_seconds")
    longer = pc.add(table["handle_seconds"], pa.array(more_seconds.astype(np.float64)))
    return table.set_column(place, "handle_seconds", longer)
