"""Every table, declared once: columns, units, keys, ranges, rules.

Pure data, no library. Checks, docs, lake, mapping and quality read it, so a column is added here
alone. Every timestamp is aware UTC.
"""

from __future__ import annotations

from features.calendar.clock import INTERVAL_MINUTES, WEEKDAYS
from features.contracts.schema import Column, Rule, Table
from features.errors import UnknownNameError

CHANNELS = ("voice", "chat", "email", "message", "social", "visit", "other")
OUTCOMES = ("answered", "abandoned", "resolved", "transferred", "open")
PURCHASE_KINDS = ("purchase", "return", "renewal", "cancellation")
ARMS = ("treat", "control")

ORDER_STAGES = ("placed", "shipped", "completed", "returned")
"""Steps of an order that contacts may follow; a cancellation counts as returned."""

_MONTH = 30 * 86400
_MANY = 10_000_000


def _id(name: str, doc: str, nullable: bool = False, references: str | None = None) -> Column:
    personal = references == "customers" or name == "agent_id"
    return Column(
        name, "string", doc, nullable, format="id", references=references, personal=personal
    )


def _customer(doc: str, nullable: bool = False) -> Column:
    return _id("customer_id", doc, nullable, "customers")


def _queue(doc: str) -> Column:
    return Column("queue", "string", doc, format="name", references="queues")


def _aht(doc: str) -> Column:
    hint = "; empty where nothing was handled: `null_values` in the mapping"
    return Column("aht_seconds", "float", doc, True, 0.001, _MONTH, hint=hint)


_AVAILABLE_AT = Column(
    "available_at", "timestamp", "When we learnt it; by default the moment of ingest."
)

INTERACTIONS = Table(
    "interactions",
    ("interaction_id",),
    "started_at",
    (
        _id("interaction_id", "The contact's id in its source."),
        _customer("Who contacted us, where known.", True),
        _queue("The queue it was offered to."),
        Column("channel", "string", "How it came.", values=CHANNELS),
        Column("topic", "string", "What it was about.", True),
        Column("started_at", "timestamp", "When it was offered to the queue."),
        Column("wait_seconds", "float", "Wait until answered or abandoned.", True, 0, _MONTH),
        Column("handle_seconds", "float", "Talk, hold and after-work.", True, 0, _MONTH),
        Column("outcome", "string", "How it ended.", values=OUTCOMES),
        Column("transfers", "integer", "Times it was handed on.", True, 0, 1000),
        Column("resolved", "boolean", "Whether the matter was settled.", True),
        Column("csat", "integer", "Satisfaction from a survey, 1 to 5.", True, 1, 5),
        Column("nps", "integer", "Recommendation from a survey, 0 to 10.", True, 0, 10),
        Column("sentiment", "float", "Sentiment of the text, -1 to 1.", True, -1, 1),
        _id("agent_id", "Who handled it.", True),
        _id("order_id", "The purchase it was about.", True, "purchases"),
        _AVAILABLE_AT,
    ),
    "One contact of a customer with the centre.",
    feed_column="queue",
)

INTERVALS = Table(
    "intervals",
    ("queue", "interval_start"),
    "interval_start",
    (
        _queue("The queue."),
        Column("interval_start", "timestamp", "Start of the interval, which is left-closed."),
        Column("interval_minutes", "integer", "Length of the interval.", False, 1, 1440),
        Column("offered", "integer", "Contacts offered.", False, 0, _MANY),
        Column("answered", "integer", "Contacts answered.", True, 0, _MANY),
        Column("abandoned", "integer", "Contacts abandoned.", True, 0, _MANY),
        _aht("Average handle time; empty where nothing was handled."),
        _AVAILABLE_AT,
    ),
    "Counts per queue and interval, for a centre that keeps no single contacts.",
    rules=(
        Rule(
            "on_grid",
            ("interval_start", "interval_minutes"),
            "`interval_start`: not on the grid of `interval_minutes`; check the zone",
        ),
    ),
    feed_column="queue",
    exclusive=("queue", "interval_start", "interval_minutes"),
)

PURCHASES = Table(
    "purchases",
    ("purchase_id",),
    "purchased_at",
    (
        _id("purchase_id", "The order's, return's or renewal's id in its source."),
        _customer("Who bought."),
        Column("purchased_at", "timestamp", "When it was placed."),
        Column("kind", "string", "What it was.", values=PURCHASE_KINDS),
        Column("amount_minor", "integer", "Money in minor units; negative for a return."),
        Column("currency", "string", "ISO 4217 code.", format="currency"),
        Column("items", "integer", "Pieces.", True, 0, _MANY),
        Column("category", "string", "Main category.", True),
        Column("confirmed_at", "timestamp", "When it was confirmed.", True),
        Column("shipped_at", "timestamp", "When it left.", True),
        Column("completed_at", "timestamp", "When it arrived or ended.", True),
        Column(
            "discount_minor", "integer", "Discount in minor units.", True, 0, 10**11, added=True
        ),
        Column(
            "term_ends_at",
            "timestamp",
            "End of the paid term; may lie ahead.",
            True,
            added=True,
            ahead=True,
        ),
        _AVAILABLE_AT,
    ),
    "One order, return, renewal or cancellation.",
    rules=(
        Rule(
            "not_positive",
            ("amount_minor",),
            "`amount_minor`: above 0 for a return; map it with `scale = -1` or -100",
            when=("kind", "return"),
        ),
    ),
    feed_column="kind",
)

CUSTOMERS = Table(
    "customers",
    ("customer_id",),
    None,
    (
        _customer("The customer's id."),
        Column("joined_at", "timestamp", "When the customer joined.", True),
        Column("segment", "string", "The business's own segment.", True),
        Column("region", "string", "Region.", True),
        Column("attributes", "json", "Anything else, as a JSON object.", True, personal=True),
        Column("consent", "boolean", "Whether the customer may be contacted.", True, added=True),
        _AVAILABLE_AT,
    ),
    "What is known of a customer beside events.",
)

_OPENING = (
    "Opening on that weekday, local: `08:00-18:00`, several joined by `,`, `closed`; "
    "empty: not stated, learnt from the history."
)
QUEUES = Table(
    "queues",
    ("queue",),
    None,
    (
        _queue("The queue's name in every other table."),
        Column("name", "string", "A name for people.", True),
        Column("channel", "string", "How its contacts come.", values=CHANNELS),
        Column("time_zone", "string", "Its IANA zone, such as Europe/Berlin.", format="time_zone"),
        *(
            Column(f"open_{day}", "string", _OPENING, True, format="opening_hours")
            for day in WEEKDAYS
        ),
        Column("country", "string", "ISO 3166 code of its holidays.", True, format="country"),
        Column("open_on_holidays", "boolean", "Whether it opens on public holidays.", True),
        Column("interval_minutes", "integer", "60 by default.", True, 15, 60, INTERVAL_MINUTES),
        Column("goal_seconds", "float", "Service goal: answered within.", True, 0, _MONTH),
        Column("goal_share", "float", "Service goal: share answered within it.", True, 0, 1),
        Column("default_aht_seconds", "float", "AHT where no history says.", True, 1, _MONTH),
        Column("patience_seconds", "float", "Mean patience before hanging up.", True, 1, 86400),
        Column("concurrency", "integer", "Contacts an agent holds at once.", True, 1, 20),
        _AVAILABLE_AT,
    ),
    "One queue: its clock, opening hours and service goal.",
)

CALENDAR = Table(
    "calendar",
    ("event_id",),
    "starts_at",
    (
        _id("event_id", "The event's id."),
        Column("kind", "string", "holiday, promotion, billing, launch, outage or another word."),
        Column("starts_at", "timestamp", "First moment.", ahead=True),
        Column("ends_at", "timestamp", "One past the last moment.", ahead=True),
        Column(
            "queues",
            "string",
            "Queues it touches; empty: all.",
            True,
            format="list",
            references="queues",
        ),
        Column("size", "float", "How large, in the business's own measure.", True),
        Column("known_at", "timestamp", "When it was known that it would come."),
        _AVAILABLE_AT,
    ),
    "What was known ahead: holidays, promotions, billing runs, launches, outages.",
    rules=(
        Rule(
            "after",
            ("ends_at", "starts_at"),
            "`ends_at`: not after `starts_at`; it is one past the last moment",
        ),
    ),
    feed_column="kind",
)

OVERRIDES = Table(
    "overrides",
    ("override_id",),
    "made_at",
    (
        _id("override_id", "The override's id in its source."),
        _queue("The queue it is for."),
        Column("interval_start", "timestamp", "Start of the span that it is for.", ahead=True),
        Column("interval_minutes", "integer", "Length of the span.", False, 1, 1500),
        Column("offered", "float", "Contacts that the planner expects.", False, 0, _MANY),
        _aht("Average handle time expected."),
        Column("made_by", "string", "Who made it.", personal=True),
        Column("made_at", "timestamp", "When it was made."),
        Column("reason", "string", "Why.", True),
        Column("withdrawn_at", "timestamp", "When it was taken back, if it was.", True),
        _AVAILABLE_AT,
    ),
    "A planner's own number for a queue and a span of time, instead of the forecast's.",
    rules=(
        Rule(
            "whole_quarters",
            ("interval_start", "interval_minutes"),
            "`interval_start`, `interval_minutes`: not whole quarters of an hour",
        ),
    ),
)

OUTREACH = Table(
    "outreach",
    ("outreach_id",),
    "decided_at",
    (
        _id("outreach_id", "The decision's id."),
        _customer("Whom it was about."),
        Column("experiment", "string", "The experiment it belongs to."),
        Column("arm", "string", "Whether the customer was contacted.", values=ARMS),
        Column("action", "string", "What was done."),
        Column("decided_at", "timestamp", "When it was decided."),
        Column("treat_share", "float", "Chance of being contacted.", True, 0, 1, added=True),
        Column(
            "probability", "float", "Probability of churn at that time.", True, 0, 1, added=True
        ),
        _AVAILABLE_AT,
    ),
    "One decision to contact a customer, or not to, in an experiment.",
)

_ALL = (INTERACTIONS, INTERVALS, PURCHASES, CUSTOMERS, QUEUES, CALENDAR, OVERRIDES, OUTREACH)
TABLES: dict[str, Table] = {contract.name: contract for contract in _ALL}


def table(name: str) -> Table:
    """Return the table of that name.

    Raises:
        UnknownNameError: There is no such table; the message suggests near names.

    >>> table("purchases").key
    ('purchase_id',)
    """
    try:
        return TABLES[name]
    except KeyError:
        raise UnknownNameError("table", name, TABLES) from None
