"""The mappings that turn the exports of the simulated systems into our tables."""

from __future__ import annotations

from dataclasses import dataclass

TELEPHONY = """\
# Calls, as the telephone system in Berlin exports them: its own wall clock, one row a call.
table = "interactions"

[file]
delimiter = ";"

[time]
zone = "Europe/Berlin"
format = "%d/%m/%Y %H:%M:%S"
# The export does not say which of the two hours a call was in; a customary choice.
ambiguous = "earlier"

[columns]
interaction_id = "CallId"
customer_id = "CustNo"
queue = { column = "Skill", values = { SALES_DE = "sales", SUPPORT_24 = "support", \
BILLING_NY = "billing" } }
channel = { value = "voice" }
topic = "Reason"
started_at = "CallStart"
wait_seconds = "WaitSec"
handle_seconds = { sum = ["TalkSec", "WrapSec"] }
outcome = { column = "Disposition", values = { AN = "answered", AB = "abandoned", \
TR = "transferred" } }
transfers = "Transfers"
resolved = { column = "FirstCallResolved", values = { Y = true, N = false } }
csat = "SurveyScore"
agent_id = "AgentNo"
order_id = "OrderRef"
available_at = { column = "LoadedUtc", zone = "UTC" }
"""

TICKETS = """\
# Chats and mails, as the ticket system in New York exports them: ISO times with their offset.
table = "interactions"

[columns]
interaction_id = "ticket"
customer_id = "requester"
queue = { column = "inbox", values = { web-chat = "chat", mail-us = "email" } }
channel = { column = "medium", values = { chat = "chat", mail = "email" } }
topic = "subject"
started_at = "created_at"
wait_seconds = { column = "first_reply_ms", scale = 0.001 }
handle_seconds = "work_seconds"
outcome = { column = "status", values = { new = "open", pending = "open", solved = "resolved", \
escalated = "transferred", dropped = "abandoned" } }
transfers = "escalations"
resolved = "is_solved"
nps = "recommend"
sentiment = "tone"
agent_id = "assignee"
order_id = "order_no"
available_at = "updated_at"
"""

SHOP = """\
# Orders and refunds, as the shop's database gives them: UTC, money as decimals.
table = "purchases"

[columns]
purchase_id = "order_no"
customer_id = "buyer"
purchased_at = "placed_at"
kind = { column = "type", values = { order = "purchase", refund = "return" } }
amount_minor = { column = "total", scale = 100 }
currency = "currency"
items = "pieces"
category = "department"
confirmed_at = "confirmed_at"
shipped_at = "shipped_at"
completed_at = "delivered_at"
available_at = "updated_at"
"""

CRM = """\
# Customers, as the CRM in Berlin exports them.
table = "customers"

[time]
zone = "Europe/Berlin"
ambiguous = "earlier"

[columns]
customer_id = "CustomerNo"
joined_at = "Since"
segment = { column = "Class", values = { B2C = "consumer", B2B = "business" } }
region = "State"
attributes = "Preferences"
available_at = { after = "joined_at", seconds = 60 }
"""

QUEUES = """\
# The centre's own list of its queues; opening hours are local.
table = "queues"

[columns]
queue = "Queue"
name = "Label"
channel = "Medium"
time_zone = "Clock"
open_mon = "Mon"
open_tue = "Tue"
open_wed = "Wed"
open_thu = "Thu"
open_fri = "Fri"
open_sat = "Sat"
open_sun = "Sun"
country = "Holidays"
open_on_holidays = { column = "OpenOnHolidays", values = { yes = true, no = false } }
interval_minutes = "IntervalMin"
goal_seconds = "GoalSec"
goal_share = { column = "GoalPercent", scale = 0.01 }
default_aht_seconds = "AhtSec"
patience_seconds = "PatienceSec"
concurrency = "AtOnce"
available_at = { column = "DecidedUtc", zone = "UTC" }
"""

CALENDAR = """\
# Promotions, billing runs, launches and outages, as the planners keep them in Berlin.
table = "calendar"

[time]
zone = "Europe/Berlin"
format = "%Y-%m-%d %H:%M:%S"
ambiguous = "earlier"

[columns]
event_id = "EventNo"
kind = "Type"
starts_at = "From"
ends_at = "Until"
queues = "Touches"
size = "Size"
known_at = { column = "AnnouncedUtc", zone = "UTC" }
available_at = { column = "AnnouncedUtc", zone = "UTC" }
"""

OUTREACH = """\
# Who was called in the win-back trial, and who was held out of it.
table = "outreach"

[columns]
outreach_id = "DecisionNo"
customer_id = "Customer"
experiment = "Trial"
arm = { column = "Group", values = { called = "treat", held = "control" } }
action = "Action"
decided_at = { column = "DecidedUtc", zone = "UTC" }
treat_share = { value = 0.5 }
available_at = { column = "StoredUtc", zone = "UTC" }
"""


@dataclass(frozen=True)
class Source:
    """One export of the simulated centre, a folder of its own.

    Attributes:
        name: The folder's name.
        table: Our table that it fills.
        files: Glob of its data files, in the folder.
        mapping: Text of the ``mapping.toml`` beside them.
    """

    name: str
    table: str
    files: str
    mapping: str


SOURCES: tuple[Source, ...] = (
    Source("queues", "queues", "queues.csv", QUEUES),
    Source("calendar", "calendar", "events.csv", CALENDAR),
    Source("crm", "customers", "customers.csv", CRM),
    Source("telephony", "interactions", "calls-*.csv.gz", TELEPHONY),
    Source("tickets", "interactions", "tickets-*.ndjson", TICKETS),
    Source("shop", "purchases", "orders-*.parquet", SHOP),
    Source("outreach", "outreach", "decisions.csv", OUTREACH),
)
"""The exports, in an order in which they can be ingested."""
