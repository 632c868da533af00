"""Print the README's figures from the results of the benchmarks: python -m benchmarks.readme."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS

ORDER = ("features", "ingest", "simulate", "server", "accuracy")
_MET = {True: "yes", False: "**no**", None: "not measured"}


def markdown(results: Path = RESULTS) -> str:
    """Return the accuracy of the volume model by set, then every goal with what was measured."""
    found = {name: json.loads((results / f"{name}.json").read_text()) for name in ORDER}
    return "\n".join([*_accuracy(found["accuracy"]), "", *_goals(found)])


def _accuracy(result: dict[str, Any]) -> list[str]:
    lines = [
        "WAPE over 28 days ahead, pooled over rolling origins (`python -m benchmarks.accuracy`):",
        "",
        "| set | Ebbflow | same hour last week | mean of 4 weeks | hours in the 80 % band |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        if row.get("lead") == "all" and row.get("queue") == "all queues":
            shares = (row["wape"], row["wape_seasonal_naive"], row["wape_mean4"])
            cells = [row["set"], *(f"{100 * s:.1f} %" for s in shares)]
            lines.append(f"| {' | '.join(cells)} | {100 * row['coverage_80']:.0f} % |")
    return lines


def _goals(found: dict[str, Any]) -> list[str]:
    lines = ["| what | goal | measured | met |", "|---|---|---|---|"]
    for result in found.values():
        for check in result["checks"]:
            cells = (check["what"], check["goal"], check["value"], _MET[check["met"]])
            lines.append(f"| {' | '.join(cells)} |")
    runs = (f"{name} {result['date'][:10]}" for name, result in found.items())
    machine = found["accuracy"]["machine"]
    lines += [
        "",
        f"{machine['system']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{', '.join(runs)}. Raw figures and versions: `benchmarks/results/`; to measure again: "
        "`make benchmark-core`.",
    ]
    return lines


if __name__ == "__main__":
    print(markdown())
