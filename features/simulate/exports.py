"""Our rows in the words of the systems that would have recorded them."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.contracts import WEEKDAYS
from features.simulate.formats import epoch_seconds, iso_text, local_text

PHONE_CLOCK = "Europe/Berlin"
PHONE_DATE = "%d/%m/%Y "
TICKET_CLOCK = "America/New_York"
ISO_DATE = "%Y-%m-%d "

_SKILLS = {"sales": "SALES_DE", "support": "SUPPORT_24", "billing": "BILLING_NY"}
_DISPOSITIONS = {"answered": "AN", "abandoned": "AB", "transferred": "TR"}
_INBOXES = {"chat": "web-chat", "email": "mail-us"}
_MEDIA = {"chat": "chat", "email": "mail"}
_KINDS = {"purchase": "order", "return": "refund"}
_CLASSES = {"consumer": "B2C", "business": "B2B"}
_GROUPS = {"treat": "called", "control": "held"}


def calls(interactions: pa.Table, *, rng: np.random.Generator) -> pa.Table:
    """Return the calls as the telephone system exports them, every field as text or whole number.

    Args:
        interactions: Rows of table ``interactions``.
        rng: Source of how handle time splits into talk and after-work.
    """
    rows = interactions.filter(pc.equal(interactions["channel"], "voice"))
    handle = pc.fill_null(rows["handle_seconds"], 0).cast(pa.int64()).to_numpy()
    wrap = (handle * rng.uniform(0.05, 0.25, len(rows))).astype(np.int64)
    gone = pc.is_null(rows["handle_seconds"]).to_numpy(zero_copy_only=False)
    return pa.table(
        {
            "CallId": rows["interaction_id"],
            "CallStart": local_text(epoch_seconds(rows["started_at"]), PHONE_CLOCK, PHONE_DATE),
            "Skill": _in_words(rows["queue"], _SKILLS),
            "CustNo": rows["customer_id"],
            "Reason": rows["topic"],
            "Disposition": _in_words(rows["outcome"], _DISPOSITIONS),
            "WaitSec": rows["wait_seconds"].cast(pa.int64()),
            "TalkSec": pa.array(handle - wrap, mask=gone),
            "WrapSec": pa.array(wrap, mask=gone),
            "Transfers": rows["transfers"],
            "FirstCallResolved": pc.if_else(rows["resolved"], "Y", "N"),
            "SurveyScore": rows["csat"],
            "AgentNo": rows["agent_id"],
            "OrderRef": rows["order_id"],
            "LoadedUtc": local_text(epoch_seconds(rows["available_at"]), "UTC", PHONE_DATE),
        }
    )


def tickets(interactions: pa.Table) -> pa.Table:
    """Return chats and mails as the ticket system exports them.

    Args:
        interactions: Rows of table ``interactions``.
    """
    rows = interactions.filter(pc.not_equal(interactions["channel"], "voice"))
    status = {
        "abandoned": "dropped",
        "transferred": "escalated",
        "resolved": "solved",
        "open": "pending",
    }
    unseen = pc.and_(pc.equal(rows["outcome"], "open"), pc.is_null(rows["wait_seconds"]))
    return pa.table(
        {
            "ticket": rows["interaction_id"],
            "created_at": iso_text(epoch_seconds(rows["started_at"]), TICKET_CLOCK),
            "updated_at": iso_text(epoch_seconds(rows["available_at"]), TICKET_CLOCK),
            "inbox": _in_words(rows["queue"], _INBOXES),
            "medium": _in_words(rows["channel"], _MEDIA),
            "requester": rows["customer_id"],
            "subject": rows["topic"],
            "status": pc.if_else(unseen, "new", _in_words(rows["outcome"], status)),
            "first_reply_ms": pc.multiply(rows["wait_seconds"].cast(pa.int64()), 1_000),
            "work_seconds": rows["handle_seconds"].cast(pa.int64()),
            "escalations": rows["transfers"],
            "is_solved": rows["resolved"],
            "recommend": rows["nps"],
            "tone": rows["sentiment"],
            "assignee": rows["agent_id"],
            "order_no": rows["order_id"],
        }
    )


def orders(purchases: pa.Table) -> pa.Table:
    """Return orders and refunds as the shop keeps them, money as decimals of the main unit.

    Args:
        purchases: Rows of table ``purchases``.
    """
    cents = purchases["amount_minor"].cast(pa.decimal128(19, 0))
    total = pc.multiply(cents, pa.scalar(Decimal("0.01")))
    return pa.table(
        {
            "order_no": purchases["purchase_id"],
            "buyer": purchases["customer_id"],
            "placed_at": purchases["purchased_at"],
            "type": _in_words(purchases["kind"], _KINDS),
            "total": total.cast(pa.decimal128(12, 2)),
            "currency": purchases["currency"],
            "pieces": purchases["items"],
            "department": purchases["category"],
            "confirmed_at": purchases["confirmed_at"],
            "shipped_at": purchases["shipped_at"],
            "delivered_at": purchases["completed_at"],
            "updated_at": purchases["available_at"],
        }
    )


def crm(customers: pa.Table) -> pa.Table:
    """Return customers as the CRM exports them.

    Args:
        customers: Rows of table ``customers``.
    """
    return pa.table(
        {
            "CustomerNo": customers["customer_id"],
            "Since": local_text(epoch_seconds(customers["joined_at"]), PHONE_CLOCK, ISO_DATE),
            "Class": _in_words(customers["segment"], _CLASSES),
            "State": customers["region"],
            "Preferences": customers["attributes"],
        }
    )


def queue_list(queues: pa.Table) -> pa.Table:
    """Return the centre's own list of its queues.

    Args:
        queues: Rows of table ``queues``.
    """
    return pa.table(
        {
            "Queue": queues["queue"],
            "Label": queues["name"],
            "Medium": queues["channel"],
            "Clock": queues["time_zone"],
            **{day.title(): queues[f"open_{day}"] for day in WEEKDAYS},
            "Holidays": queues["country"],
            "OpenOnHolidays": pc.if_else(queues["open_on_holidays"], "yes", "no"),
            "IntervalMin": queues["interval_minutes"],
            "GoalSec": queues["goal_seconds"],
            "GoalPercent": pc.multiply(queues["goal_share"], 100.0).cast(pa.int64()),
            "AhtSec": queues["default_aht_seconds"],
            "PatienceSec": queues["patience_seconds"],
            "AtOnce": queues["concurrency"],
            "DecidedUtc": _utc(queues["available_at"]),
        }
    )


def event_list(calendar: pa.Table) -> pa.Table:
    """Return the planners' events.

    Args:
        calendar: Rows of table ``calendar``.
    """
    return pa.table(
        {
            "EventNo": calendar["event_id"],
            "Type": calendar["kind"],
            "From": local_text(epoch_seconds(calendar["starts_at"]), PHONE_CLOCK, ISO_DATE),
            "Until": local_text(epoch_seconds(calendar["ends_at"]), PHONE_CLOCK, ISO_DATE),
            "Touches": calendar["queues"],
            "Size": calendar["size"],
            "AnnouncedUtc": _utc(calendar["known_at"]),
        }
    )


def decisions(outreach: pa.Table) -> pa.Table:
    """Return the decisions of the win-back trial.

    Args:
        outreach: Rows of table ``outreach``.
    """
    return pa.table(
        {
            "DecisionNo": outreach["outreach_id"],
            "Customer": outreach["customer_id"],
            "Trial": outreach["experiment"],
            "Group": _in_words(outreach["arm"], _GROUPS),
            "Action": outreach["action"],
            "DecidedUtc": _utc(outreach["decided_at"]),
            "StoredUtc": _utc(outreach["available_at"]),
        }
    )


def _utc(column: pa.ChunkedArray) -> pa.Array:
    return local_text(epoch_seconds(column), "UTC", ISO_DATE)


def _in_words(column: pa.ChunkedArray, theirs: dict[str, str]) -> pa.Array:
    """Return our words in theirs; a word they do not have is a mistake here, and fails."""
    place = pc.index_in(column, value_set=pa.array(list(theirs), pa.string()))
    if place.null_count > column.null_count:
        missing = set(pc.unique(column).to_pylist()) - set(theirs)
        raise AssertionError(f"no word in the export for {sorted(map(str, missing))}")
    return pa.array(list(theirs.values()), pa.string()).take(place)
