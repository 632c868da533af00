"""Orders as rows of table ``purchases``: amounts, shipping, returns, and when each is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from operator import add

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_SECONDS
from features.calendar.queues import opening_text
from features.contracts.tables import TABLES
from features.simulate.contacts import Contacts, Int8
from features.simulate.customers import LAW, REGIONS, Attribution, Orders, Population
from features.simulate.events import Centre

CATEGORIES = ("audio", "garden", "kitchen", "lighting", "office", "toys")
RETURN_SHARE = 0.05
_AMOUNT_MEDIAN_MINOR = (4_200, 14_500)
"""Median amount by segment."""
_SHIPPING = ("confirmed_at", "shipped_at", "completed_at")


def purchases_table(
    centre: Centre,
    population: Population,
    orders: Orders,
    *,
    first_number: int,
    rng: np.random.Generator,
) -> pa.Table:
    """Return rows of table ``purchases``, by ``purchased_at``, then ``available_at``.

    An order is known when it is placed, and again, with its shipping, when it has arrived; a
    return is a row of its own. Orders are numbered from ``first_number`` on.
    """
    end, n = centre.config.end, len(orders.customer)
    second = (rng.beta(2.6, 1.8, n) * DAY_SECONDS).astype(np.int64)
    at = centre.config.start + orders.day * DAY_SECONDS + second
    at = np.where(orders.joining, population.joined_at[orders.customer], at)
    confirmed = at + rng.integers(600, 5_400, n)
    lag_days = 1.1 * rng.lognormal(0, 0.4, n) + np.where(orders.late, rng.uniform(5, 11, n), 0)
    shipped = confirmed + (lag_days * DAY_SECONDS).astype(np.int64)
    arrived = shipped + rng.integers(DAY_SECONDS, 4 * DAY_SECONDS, n)
    median = np.array(_AMOUNT_MEDIAN_MINOR)[population.segment[orders.customer]]
    complete = pa.table(
        {
            "purchase_id": ids("O", first_number + np.arange(n)),
            "customer_id": ids("C", orders.customer),
            "purchased_at": times(at),
            "kind": repeated("purchase", n),
            "amount_minor": np.rint(median * rng.lognormal(0, 0.65, n)).astype(np.int64) + 100,
            "currency": repeated("EUR", n),
            "items": 1 + rng.poisson(1.2, n),
            "category": words(CATEGORIES, rng.integers(0, len(CATEGORIES), n)),
            "confirmed_at": times(confirmed),
            "shipped_at": times(shipped),
            "completed_at": times(arrived),
            "discount_minor": pa.nulls(n, pa.int64()),
            "term_ends_at": pa.nulls(n, TIMESTAMP),
        }
    )
    returned_at = arrived + rng.integers(DAY_SECONDS, 9 * DAY_SECONDS, n)
    returned = np.flatnonzero((rng.random(n) < RETURN_SHARE) & (returned_at < end))
    placed = without_values(complete, _SHIPPING)
    new = placed.append_column("available_at", times(np.minimum(at + 60, end)))
    here = np.flatnonzero(arrived <= end)
    done = complete.take(pa.array(here)).append_column("available_at", times(arrived[here]))
    back = _returns(placed, returned, returned_at[returned], first_number, end)
    keys = ("purchased_at", "purchase_id", "available_at")
    return pa.concat_tables([new, done, back]).sort_by([(key, "ascending") for key in keys])


def _returns(placed: pa.Table, rows: Int64, at: Int64, first_number: int, end: int) -> pa.Table:
    orders = placed.take(pa.array(rows))
    changed = {
        "purchase_id": ids("R", first_number + rows),
        "purchased_at": times(at),
        "kind": repeated("return", len(rows)),
        "amount_minor": pa.array(-orders["amount_minor"].to_numpy()),
    }
    returns = with_columns(orders, changed)
    return returns.append_column("available_at", times(np.minimum(at + 60, end)))


TIMESTAMP = pa.timestamp("us", tz="UTC")
ORDER_TOPIC, REPEAT_TOPIC = "delivery", "complaint"
OUTCOMES = ("answered", "abandoned", "transferred", "resolved", "open")
_KNOWN_LATER = ("wait_seconds", "handle_seconds", "transfers", "resolved", "csat", "nps",
                "sentiment", "agent_id")  # fmt: skip
"""What is not known of a mail that came but was not handled yet."""
_AGENTS_PER_QUEUE = 24
_ORDER, _REPEAT = 1, 2


def times(seconds: Int64, *, missing: Bool | None = None) -> pa.Array:
    """Return epoch seconds as aware UTC timestamps; null where missing."""
    micro = pa.array(np.asarray(seconds, dtype=np.int64) * 1_000_000, mask=missing)
    return micro.cast(TIMESTAMP)


def ids(prefix: str, numbers: Int64, *, missing: Bool | None = None) -> pa.Array:
    """Return ids of a prefix and nine digits; null where missing.

    >>> ids("C", np.array([7])).to_pylist()
    ['C000000007']
    """
    text = pc.utf8_lpad(pa.array(numbers, mask=missing).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise(prefix, text, "")


def words(vocabulary: Sequence[str | None], index: Int64 | Int8) -> pa.Array:
    """Return a word for each index; null for -1."""
    known = pa.array([*vocabulary, None], pa.string())
    return known.take(pa.array(np.asarray(index, dtype=np.int64) % len(known)))


def repeated(word: str, n: int) -> pa.Array:
    """Return one word n times."""
    return pa.array([word] * n, pa.string())


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Return a table with other values in some of its columns."""
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def without_values(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return a table with nulls in some of its columns."""
    empty = {name: pa.nulls(len(table), table.schema.field(name).type) for name in names}
    return with_columns(table, empty)


def customers_table(population: Population) -> pa.Table:
    """Return rows of table ``customers``."""
    n = len(population)
    return pa.table(
        {
            "customer_id": ids("C", np.arange(n)),
            "joined_at": times(population.joined_at),
            "segment": words(LAW.segments, population.segment),
            "region": words(REGIONS, population.region),
            "attributes": words(
                ('{"newsletter": false}', '{"newsletter": true}'),
                population.newsletter.astype(np.int64),
            ),
            "consent": pa.nulls(n, pa.bool_()),
            "available_at": times(population.joined_at + 60),
        }
    )


def queues_table(centre: Centre) -> pa.Table:
    """Return rows of table ``queues``; one that opens later is known 14 days before."""
    start = centre.config.start
    known = [max(first - 14 * DAY_SECONDS, start) for first in centre.opens_at]
    *names, available_at = TABLES["queues"].column_names
    rows = []
    for law in centre.laws:
        opening = {f"open_{day}": text for day, text in opening_text(law.queue).items()}
        values = asdict(law.queue) | opening
        rows.append({name: values[name] for name in names})
    return pa.Table.from_pylist(rows).append_column(available_at, times(np.array(known)))


def calendar_table(centre: Centre) -> pa.Table:
    """Return rows of table ``calendar``: the events known by the end, as soon as each was known."""
    events = [event for event in centre.events if event.known_at <= centre.config.end]
    known = times(np.array([event.known_at for event in events], dtype=np.int64))
    return pa.table(
        {
            "event_id": pa.array([e.event_id for e in events], pa.string()),
            "kind": pa.array([e.kind for e in events], pa.string()),
            "starts_at": times(np.array([e.starts_at for e in events], dtype=np.int64)),
            "ends_at": times(np.array([e.ends_at for e in events], dtype=np.int64)),
            "queues": pa.array([",".join(e.queues) or None for e in events], pa.string()),
            "size": pa.array([e.size for e in events], pa.float64()),
            "known_at": known,
            "available_at": known,
        }
    )


@dataclass(frozen=True)
class ContactCounts:
    """How contacts became known.

    Attributes:
        late: Contacts that became known hours or days late.
        corrected: Calls of which a corrected version is there too.
        withheld: Contacts that nobody knows of by the end, because they are so late.
        unlinked: Contacts without a customer's id, of those that are known.
    """

    late: int = 0
    corrected: int = 0
    withheld: int = 0
    unlinked: int = 0

    def __add__(self, other: ContactCounts) -> ContactCounts:
        return ContactCounts(*map(add, astuple(self), astuple(other)))


def interactions_table(
    centre: Centre,
    contacts: Contacts,
    attribution: Attribution,
    *,
    first_number: int,
    rng: np.random.Generator,
) -> tuple[pa.Table, ContactCounts]:
    """Return rows of table ``interactions``, by ``started_at``, then ``available_at``.

    Contacts are numbered from ``first_number`` on.
    """
    config, n = centre.config, len(contacts)
    mail = np.array([law.queue.patience_seconds is None for law in centre.laws])[contacts.queue]
    voice = np.array([law.source == "telephony" for law in centre.laws])[contacts.queue]
    hidden = rng.random(n) < config.unlinked_share + 0.3 * contacts.abandoned
    complete = _complete_interactions(
        centre,
        contacts,
        attribution,
        first_number=first_number,
        hidden=hidden,
        voice=voice,
        rng=rng,
    )
    late = rng.random(n) < config.late_share
    delay = np.where(late, rng.integers(6 * 3_600, 10 * DAY_SECONDS, n), 0)
    handled = np.nan_to_num(contacts.handle_seconds).astype(np.int64)
    ended = contacts.started_at + contacts.wait_seconds.astype(np.int64) + handled
    # A contact that runs over the end of the history is closed by it; mail simply stays open.
    at_end = np.where(mail, ended + 30, np.minimum(ended + 30, config.end)) + delay
    at_start = np.minimum(contacts.started_at + 60, config.end) + delay
    known = np.where(mail, at_start, at_end) <= config.end
    corrected = voice & ~contacts.abandoned & (rng.random(n) < config.correction_share)
    corrected_at = at_end + rng.integers(DAY_SECONDS, 3 * DAY_SECONDS, n)
    more_seconds = rng.integers(30, 600, n)
    again = corrected & known & (corrected_at <= config.end)
    opened = without_values(_rows_known_at(complete, mail & known, at_start), _KNOWN_LATER)
    opened = with_columns(opened, {"outcome": repeated("open", len(opened))})
    closed = _rows_known_at(complete, known & (at_end <= config.end), at_end)
    # A correction adds after-work that was booked later.
    longer = _rows_known_at(complete, again, corrected_at)
    seconds = pc.add(longer["handle_seconds"], pa.array(more_seconds[again].astype(np.float64)))
    versions = [opened, closed, with_columns(longer, {"handle_seconds": seconds})]
    counts = ContactCounts(
        late=int((late & known).sum()),
        corrected=int(again.sum()),
        withheld=int((~known).sum()),
        unlinked=int((known & (hidden | (attribution.customer < 0))).sum()),
    )
    keys = ("started_at", "interaction_id", "available_at")
    return pa.concat_tables(versions).sort_by([(key, "ascending") for key in keys]), counts


def _complete_interactions(
    centre: Centre,
    contacts: Contacts,
    attribution: Attribution,
    *,
    first_number: int,
    hidden: Bool,
    voice: Bool,
    rng: np.random.Generator,
) -> pa.Table:
    n, gone, laws = len(contacts), contacts.abandoned, centre.laws
    stranger = attribution.customer < 0
    csat, nps, sentiment = _draw_opinions(contacts, rng)
    # The angry answer a survey most often, the delighted next.
    place, delighted = rng.random(n), (contacts.badness == 0) & (rng.random(n) < 0.2)
    unasked = gone | (place >= 0.03 + 0.12 * (contacts.badness >= 0.5) + 0.06 * delighted)
    outcome = np.where(voice, 0, np.where(contacts.resolved, 3, 4))
    outcome = np.where(gone, 1, np.where(contacts.transferred, 2, outcome))
    about_order = ~stranger & (attribution.reason == _ORDER) & (attribution.order >= 0)
    agent = rng.integers(0, _AGENTS_PER_QUEUE, n) + _AGENTS_PER_QUEUE * contacts.queue
    agents = [f"A{k:04d}" for k in range(_AGENTS_PER_QUEUE * len(laws))]
    return pa.table(
        {
            "interaction_id": ids("I", first_number + np.arange(n)),
            "customer_id": ids("C", attribution.customer, missing=stranger | hidden),
            "queue": words([law.name for law in laws], contacts.queue),
            "channel": words([law.queue.channel for law in laws], contacts.queue),
            "topic": _draw_topics(centre, contacts, attribution, rng),
            "started_at": times(contacts.started_at),
            "wait_seconds": pa.array(contacts.wait_seconds),
            "handle_seconds": pa.array(contacts.handle_seconds, mask=gone),
            "outcome": words(OUTCOMES, outcome),
            "transfers": pa.array(contacts.transferred.astype(np.int64), mask=gone),
            "resolved": pa.array(contacts.resolved, mask=gone),
            "csat": pa.array(csat, mask=unasked | ~voice),
            "nps": pa.array(nps, mask=unasked | voice),
            "sentiment": pa.array(sentiment, mask=gone | voice),
            "agent_id": words(agents, np.where(gone, -1, agent)),
            "order_id": ids("O", attribution.order, missing=~about_order | hidden),
        }
    )


def _draw_topics(
    centre: Centre, contacts: Contacts, attribution: Attribution, rng: np.random.Generator
) -> pa.Array:
    vocabulary = [topic for law in centre.laws for topic in law.topics]
    counts = np.array([len(law.topics) for law in centre.laws])
    first = np.cumsum(counts) - counts
    topic = first[contacts.queue] + rng.integers(0, 1 << 30, len(contacts)) % counts[contacts.queue]
    own = attribution.customer >= 0
    topic[own & (attribution.reason == _ORDER)] = len(vocabulary)
    topic[own & (attribution.reason == _REPEAT)] = len(vocabulary) + 1
    return words([*vocabulary, ORDER_TOPIC, REPEAT_TOPIC], topic)


def _draw_opinions(contacts: Contacts, rng: np.random.Generator) -> tuple[Int64, Int64, Float64]:
    n, bad = len(contacts), contacts.badness
    csat = np.rint(4.7 - 2.4 * bad + 0.8 * rng.standard_normal(n)).clip(1, 5).astype(np.int64)
    nps = np.rint(8.8 - 5.0 * bad + 1.6 * rng.standard_normal(n)).clip(0, 10).astype(np.int64)
    # Adding zero turns -0.0 into 0.0.
    sentiment = np.round((0.35 - 0.7 * bad + 0.3 * rng.standard_normal(n)).clip(-1, 1), 2) + 0.0
    return csat, nps, sentiment


def _rows_known_at(complete: pa.Table, chosen: Bool, available_at: Int64) -> pa.Table:
    rows = np.flatnonzero(chosen)
    return complete.take(pa.array(rows)).append_column("available_at", times(available_at[rows]))
