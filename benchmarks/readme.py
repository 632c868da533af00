"""Print the README's figures from the results of the benchmarks: python -m benchmarks.readme."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from serving.models.volume.distribution import LEAD_BUCKETS

ORDER = (
    "features",
    "ingest",
    "simulate",
    "server",
    "scoring",
    "live",
    "churn",
    "experiments",
    "volume",
    "volume_scale",
    "staffing",
    "service",
)
OURS, BASELINES = "Ebbflow", ("seasonal naive", "mean of 4 weeks")
CHURN = {
    "auc": "AUC",
    "average_precision": "average precision",
    "top_decile_lift": "top-decile lift",
    "log_loss": "log loss",
    "ece": "calibration error",
    "maximum_profit": "maximum profit",
    "value_captured": "leavers' money in the top tenth",
    "seconds": "seconds",
}
"""Figures of the churn benchmark's rows, and what the README calls them."""
_MET = {True: "yes", False: "**no**", None: "not measured"}


def markdown(results: Path = RESULTS) -> str:
    """Return the accuracy of both models by set, then every goal with what was measured."""
    found = {name: json.loads((results / f"{name}.json").read_text()) for name in ORDER}
    parts = (_volume(found["volume"]), _churn(found["churn"]), _goals(found))
    return "\n\n".join("\n".join(lines) for lines in parts)


def _volume(result: dict[str, Any]) -> list[str]:
    """Return WAPE and coverage by set, with one figure a lead in each cell."""
    leads = [label for _, _, label in LEAD_BUCKETS]
    lines = [
        f"WAPE, %, at leads of {', '.join(leads)}, from six rolling origins over each set's year "
        "(`python -m benchmarks.volume`; 1-24 h are six days a set):",
        "",
        "| set | Ebbflow | better seasonal baseline | best other peer | hours in the 80 % band "
        "| day totals in it |",
        "|---|---|---|---|---|---|",
    ]
    by_set: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in result["rows"]:
        if "who" in row:
            by_set.setdefault(row["set"], {})[row["lead"], row["who"]] = row
    for name, rows in by_set.items():
        names = dict.fromkeys(who for _, who in rows)
        others = [who for who in names if who not in (OURS, *BASELINES)]
        cells = [
            [f"{100 * rows[lead, OURS]['wape']:.1f}" for lead in leads],
            [f"{100 * min(rows[lead, who]['wape'] for who in BASELINES):.1f}" for lead in leads],
            [_best(rows, others, lead) for lead in leads],
            [f"{100 * rows[lead, OURS]['coverage_80']:.0f}" for lead in leads],
            [f"{100 * rows[lead, OURS]['coverage_80_days']:.0f}" for lead in leads],
        ]
        lines.append(f"| {' | '.join([name, *(' / '.join(cell) for cell in cells)])} |")
    return lines


def _best(rows: dict[tuple[str, str], dict[str, Any]], others: list[str], lead: str) -> str:
    """Return the least WAPE of the other peers at a lead, with its owner's name."""
    if not others:
        return "-"
    best = min(others, key=lambda who: rows[lead, who]["wape"])
    return f"{100 * rows[lead, best]['wape']:.1f} ({best})"


def _churn(result: dict[str, Any]) -> list[str]:
    """Return the churn figures by set and model, each the mean over the set's dates."""
    lines = [
        "Churn, means over the dates of each set, every model fitted on the past of each date alone"
        " (`python -m benchmarks.churn`):",
        "",
        f"| set | model | {' | '.join(CHURN.values())} |",
        f"|---|---|{'---|' * len(CHURN)}",
    ]
    by: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in result["rows"]:
        by.setdefault((row["set"], row["who"]), []).append(row)
    for (name, who), rows in by.items():
        means = [sum(row[key] for row in rows) / len(rows) for key in CHURN]
        lines.append(f"| {name} | {who} | {' | '.join(f'{mean:.3g}' for mean in means)} |")
    return lines


def _goals(found: dict[str, Any]) -> list[str]:
    lines = ["| what | goal | measured | met |", "|---|---|---|---|"]
    for result in found.values():
        for check in result["checks"]:
            if check["goal"] == "-":
                continue
            cells = (check["what"], check["goal"], check["value"], _MET[check["met"]])
            lines.append(f"| {' | '.join(cells)} |")
    runs = (f"{name} {result['date'][:10]}" for name, result in found.items())
    machine = found["volume"]["machine"]
    lines += [
        "",
        f"{machine['system']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{', '.join(runs)}. Raw figures and versions: `benchmarks/results/`; to measure again: "
        "`make benchmark-core`, `make benchmark-volume`, `make benchmark-staffing`, "
        "`make benchmark-churn` and `make benchmark-experiments`.",
    ]
    return lines


if __name__ == "__main__":
    print(markdown())
