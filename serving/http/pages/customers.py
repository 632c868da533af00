"""The page for team leaders: who may leave, why, what is at stake and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from html import escape
from typing import Any
from urllib.parse import quote

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from serving.http import facts
from serving.http.pages.style import page, prose, table
from serving.published import Published
from serving.sets.score_writer import REASONS
from serving.sets.scores import ScoreSet, iso

MOST_CUSTOMERS = 10
MOST_REASONS = 8
_STYLE = """
.bar{background:var(--tide);height:.8rem;min-width:1px;margin:.35rem 0;border-radius:2px}
td:nth-child(3){min-width:5rem}.people td{min-width:0}
.people code{display:inline-block;min-width:6.5rem}
.people ul{margin:0;padding-left:1.1rem}
.do{white-space:nowrap;font-weight:600;color:var(--tide)}
@media (max-width:40rem){table:not(.stack) tr>:nth-child(3){display:none}}
"""


def customers_page(published: Published) -> str:
    """Return the page as HTML.

    Args:
        published: What is in force.
    """
    scores = published.scores
    if scores is None:
        body = f'<p class="soft">No scores yet: {prose(facts.REMEDIES["scores"])}.</p>'
    else:
        body = _scores(scores)
    return page(
        "Ebbflow: customers",
        '<header><h1>Customers who may leave</h1><p class="lead">How many, why, what is at stake '
        'and what to do.</p><nav aria-label="Page"><a href="/">Ebbflow</a>'
        '<a href="#most">Most at stake</a><a href="#tiers">By risk</a>'
        '<a href="#stages">By stage</a><a href="#reasons">Why</a>'
        f'<a href="/docs">API documentation</a></nav></header><main id="main">{body}</main>',
        style=_STYLE,
    )


def _scores(scores: ScoreSet) -> str:
    total = pc.sum(scores.table.column("value_at_risk_minor")).as_py()
    when = f"{scores.as_of.astimezone(UTC):%a %-d %b %Y, %H:%M} UTC"
    at_stake = "" if total is None else f" <b>{money(total)}</b> of the next 12 months are at risk."
    warnings = "".join(f"<li>{prose(text)}</li>" for text in scores.warnings)
    return (
        f"<p>{scores.scored:,} of {len(scores):,} customers are scored, from what was known on "
        f'<time datetime="{iso(scores.as_of)}">{when}</time>.{at_stake} Money stands in whole '
        "units of the shop's currency.</p>"
        + (f'<div class="note" role="status"><ul>{warnings}</ul></div>' if warnings else "")
        + f'<h2 id="most">Most at stake</h2>{_most(scores)}'
        + f'<h2 id="tiers">By risk</h2>{_by(scores, "tier", scores.tiers)}'
        + f'<h2 id="stages">By stage of the life cycle</h2>{_by(scores, "stage", scores.stages)}'
        + f'<h2 id="reasons">Why</h2>{_reasons(scores)}'
    )


def money(minor: float) -> str:
    """Return money as people write it.

    >>> money(1_234_567)
    '12,346'
    """
    return f"{minor / 100:,.0f}"


def _words(word: str | None) -> str:
    return escape((word or "-").replace("_", " "))


def _most(scores: ScoreSet) -> str:
    """List the customers with most value at risk."""
    rows = []
    for record in map(orjson.loads, scores.most_at_risk(MOST_CUSTOMERS)):
        reasons = "".join(f"<li>{escape(reason['text'])}</li>" for reason in record["reasons"])
        rows.append(
            [
                f"<code>{escape(record['customer_id'])}</code>",
                f"<b>{money(record['value_at_risk_minor'])}</b> of "
                f"{money(record['value_at_risk_minor'] + record['expected_value_minor'])}",
                f"{100 * record['probability']:.0f} % to leave",
                f"{_words(record['stage'])}, {_words(record['segment'])}",
                f"<ul>{reasons}</ul>" if reasons else "",
                f'<span class="do">{_words(record["action"])}</span>',
            ]
        )
    if not rows:
        return '<p class="soft">Nobody\'s value is known: no money in the purchases so far.</p>'
    head = ["customer", "at risk in 12 months", "chance", "who", "why", "what to do"]
    return f'<div class="people">{table(head, rows)}</div>'


def _by(scores: ScoreSet, column: str, words: Sequence[str]) -> str:
    """Count customers and sum the value at risk by the words of a column."""
    sums = scores.table.group_by(column).aggregate(
        [("probability", "mean"), ("value_at_risk_minor", "sum"), ([], "count_all")]
    )
    found = {row[column]: row for row in sums.to_pylist()}
    none = {"count_all": 0, "probability_mean": None, "value_at_risk_minor_sum": None}
    most = max((row["count_all"] for word, row in found.items() if word in words), default=1)
    rows = []
    for word in words:
        row: dict[str, Any] = found.get(word, none)
        mean, at_risk = row["probability_mean"], row["value_at_risk_minor_sum"]
        rows.append(
            [
                f"<b>{_words(word)}</b>",
                f"{row['count_all']:,}",
                f'<div class="bar" style="width:{row["count_all"] / most:.1%}"></div>',
                "-" if mean is None else f"{100 * mean:.0f} %",
                "-" if at_risk is None else money(at_risk),
                f'<a href="/v1/churn/scores?{column}={quote(word)}">list</a>',
            ]
        )
    head = [column, "customers", "", "mean chance", "value at risk", "who"]
    return table(head, rows, numbers=(1, 3, 4))


def _reasons(scores: ScoreSet) -> str:
    """Count the reasons of customers in all tiers but the last, each with one who has it."""
    risky = pc.is_in(scores.table.column("tier"), value_set=pa.array(scores.tiers[:-1]))
    some = scores.table.filter(risky)
    counts: dict[str, int] = {}
    for k in range(1, REASONS + 1):
        for row in pc.value_counts(some.column(f"reason_{k}")).to_pylist():
            if row["values"] is not None:
                counts[row["values"]] = counts.get(row["values"], 0) + row["counts"]
    rows = []
    for code, count in sorted(counts.items(), key=lambda item: -item[1])[:MOST_REASONS]:
        share = count / max(some.num_rows, 1)
        rows.append(
            [
                escape(_example(scores, some, code)),
                f"{count:,}",
                f'<div class="bar" style="width:{share:.1%}"></div>',
                f"{100 * share:.0f} %",
            ]
        )
    if not rows:
        return '<p class="soft">No reasons.</p>'
    but = _words(scores.tiers[-1])
    return (
        f"<p>Of {some.num_rows:,} customers in any tier but <i>{but}</i>; a customer has up to "
        f"{REASONS} reasons. Each is shown as one of them has it.</p>"
        + table(["reason, as one customer has it", "customers", "", "share"], rows, numbers=(1, 3))
    )


def _example(scores: ScoreSet, some: pa.Table, code: str) -> str:
    """Return a reason's sentence for the first customer who has it."""
    for k in range(1, REASONS + 1):
        row = pc.index(some.column(f"reason_{k}").cast(pa.string()), code).as_py()
        if row >= 0:
            record = orjson.loads(scores.record(some.column("customer_id")[row].as_py()) or b"{}")
            return str(record["reasons"][k - 1]["text"])
    return code
