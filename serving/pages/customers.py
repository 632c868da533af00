"""The page for team leaders: who may leave, why, what is at stake and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from serving.pages.render import render
from serving.published.parts import Published
from serving.published.score_set import ScoreSet
from serving.published.score_writer import REASONS
from serving.published.status import REMEDIES

MOST_CUSTOMERS = 10
MOST_REASONS = 8


@dataclass(frozen=True)
class CustomerGroup:
    """The customers with one word in a column.

    Attributes:
        word: A tier or a stage.
        customers: How many.
        mean_probability: None without customers.
        value_at_risk_minor: Sum, minor units; None where no value is known.
    """

    word: str
    customers: int = 0
    mean_probability: float | None = None
    value_at_risk_minor: float | None = None


def customers_page(published: Published) -> str:
    """Return the page as HTML."""
    scores = published.scores
    if scores is None:
        return render("customers.html", scores=None, remedy=REMEDIES["scores"])
    risky = scores.table.filter(
        pc.is_in(scores.table.column("tier"), value_set=pa.array(scores.tiers[:-1]))
    )
    return render(
        "customers.html",
        scores=scores,
        total_minor=pc.sum(scores.table.column("value_at_risk_minor")).as_py(),
        most=[orjson.loads(record) for record in scores.most_at_risk(MOST_CUSTOMERS)],
        tiers=customer_groups(scores, "tier", words=scores.tiers),
        stages=customer_groups(scores, "stage", words=scores.stages),
        risky=risky.num_rows,
        reasons=_reasons(scores, risky),
        reasons_each=REASONS,
    )


def customer_groups(scores: ScoreSet, column: str, *, words: Sequence[str]) -> list[CustomerGroup]:
    """Return the customers by the words of a column, one group a word."""
    sums = scores.table.group_by(column).aggregate(
        [([], "count_all"), ("probability", "mean"), ("value_at_risk_minor", "sum")]
    )
    groups = {
        row[column]: CustomerGroup(
            row[column],
            row["count_all"],
            row["probability_mean"],
            row["value_at_risk_minor_sum"],
        )
        for row in sums.to_pylist()
    }
    return [groups.get(word, CustomerGroup(word)) for word in words]


def _reasons(scores: ScoreSet, risky: pa.Table) -> list[tuple[str, int]]:
    """Return the most frequent reasons, as one customer has each, and how many have it."""
    counts: Counter[str] = Counter()
    for k in range(1, REASONS + 1):
        for row in pc.value_counts(risky.column(f"reason_{k}")).to_pylist():
            if row["values"] is not None:
                counts[row["values"]] += row["counts"]
    return [
        (_reason_example(scores, risky, code), count)
        for code, count in counts.most_common(MOST_REASONS)
    ]


def _reason_example(scores: ScoreSet, risky: pa.Table, code: str) -> str:
    """Return a reason's sentence for the first customer who has it."""
    for k in range(1, REASONS + 1):
        row = pc.index(risky.column(f"reason_{k}").cast(pa.string()), code).as_py()
        if row >= 0:
            record = scores.record(risky.column("customer_id")[row].as_py())
            return str(orjson.loads(record or b"{}")["reasons"][k - 1]["text"])
    return code
