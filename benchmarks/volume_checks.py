"""The goals of the volume benchmark: each set's worst lead against what was asked."""

from __future__ import annotations

import pandas as pd

from benchmarks.peers import MEAN4, SEASONAL_NAIVE
from benchmarks.report import Check, at_least, at_most, skipped, within
from benchmarks.volume_scores import LEADS, OURS, Windows, by_queue

SOON, LATER = LEADS[:2], LEADS[2:]
BUSY = 5.0
"""Contacts an open hour from which no queue may be harmed."""


def goals(name: str, windows: Windows, table: pd.DataFrame) -> list[Check]:
    """Return the checks of one set.

    Args:
        name: The set.
        windows: Its forecasts.
        table: What ``volume_scores.measured`` returned.
    """
    wape = table.pivot_table("wape", "lead", "who").loc[list(LEADS)]
    baseline = wape[[SEASONAL_NAIVE, MEAN4]].min(axis=1)
    gain = (1 - wape[OURS] / baseline) * 100
    checks = []
    for leads, goal in ((SOON, 10), (LATER, 5)):
        worst = gain[list(leads)].idxmin()
        what = f"{name}: WAPE below the better seasonal baseline's, worst at {worst}"
        checks.append(at_least(what, float(gain[worst]), goal, unit=" %"))
    peers = wape.drop(columns=[OURS, SEASONAL_NAIVE, MEAN4])
    if len(peers.columns):
        lost = (1 - peers.min(axis=1) / wape[OURS]) * 100
        worst = lost.idxmax()
        what = f"{name}: WAPE of the best peer below ours ({peers.loc[worst].idxmin()}, {worst})"
        checks.append(at_most(what, float(lost[worst]), 1, unit=" %"))
    return [*checks, *_distribution(name, table), _harmless(name, windows)]


def _distribution(name: str, table: pd.DataFrame) -> list[Check]:
    ours, theirs = (
        table[table["who"] == who].set_index("lead").loc[list(LEADS)]
        for who in (OURS, SEASONAL_NAIVE)
    )
    gain = (1 - ours["pinball"] / theirs["pinball"]) * 100
    worst = gain.idxmin()
    what = f"{name}: pinball loss below seasonal naive's band, worst at {worst}"
    checks = [at_least(what, float(gain[worst]), 15, unit=" %")]
    for column, label, low, high in (
        ("coverage_80", "open hours", 77, 83),
        ("coverage_80_days", "day totals", 74, 86),
    ):
        share = ours[column].dropna() * 100
        what = f"{name}: {label} in the 80 % band"
        if share.empty:
            checks.append(skipped(what, f"{low}-{high} %", "nothing to judge by"))
            continue
        worst = (share - 80).abs().idxmax()
        checks.append(
            within(f"{what}, worst at {worst}", float(share[worst]), low, high, unit=" %")
        )
    return checks


def _harmless(name: str, windows: Windows) -> Check:
    """Check that no busy queue, at any lead, is worse off than with the seasonal baseline."""
    what = f"{name}: worse than seasonal naive at any queue of {BUSY:g}/h or more and lead"
    queues = by_queue(windows)
    busy = queues[queues["per_hour"] >= BUSY]
    if busy.empty:
        return skipped(what, "<= 2 %", "no queue is that busy")
    harm = (busy[OURS] / busy[SEASONAL_NAIVE] - 1) * 100
    where = busy.loc[harm.idxmax()]
    return at_most(f"{what} ({where['queue']}, {where['lead']})", float(harm.max()), 2, unit=" %")
