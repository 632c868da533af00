"""Answers about contact lists: as JSON with both arms apart, and as a file to work down."""

from __future__ import annotations

import csv
import io
from typing import Any, Literal

import orjson

from features.calendar import moment
from serving.lists import ContactList, Decision
from serving.sets.scores import iso

CSV_COLUMNS = ("customer_id", "arm", "action", "place", "probability", "value_at_risk_minor")
PROBABILITY_DECIMALS = 6


def list_json(found: ContactList) -> bytes:
    """Return a list as one JSON document."""
    asked, source = found.asked, found.source
    by_arm: dict[str, list[dict[str, Any]]] = {"treat": [], "control": []}
    for decision in found.picked.decisions:
        by_arm[decision.arm].append(_listed(decision))
    return orjson.dumps(
        {
            "list_id": found.list_id,
            "experiment": found.experiment.name,
            "action": found.experiment.action,
            "hold_out": found.experiment.hold_out,
            "made_by": asked.by,
            "made_at": iso(moment(found.at)),
            "reason": asked.reason,
            "capacity": asked.capacity,
            "rank_by": asked.rank_by,
            "filters": orjson.loads(asked.filters),
            "again": asked.again,
            "score_set": source.score_set,
            "as_of": iso(moment(source.as_of)),
            "model_version": source.model_version,
            "counts": {
                "candidates": source.candidates,
                "without_consent": source.without_consent,
                "in_experiment": found.picked.left_out,
                "contact": len(by_arm["treat"]),
                "held_out": len(by_arm["control"]),
            },
            "warnings": _warnings(found),
            "contact": by_arm["treat"],
            "held_out": by_arm["control"],
        }
    )


def list_csv(found: ContactList, *, arm: Literal["treat", "control", "all"]) -> bytes:
    """Return a list as a CSV file.

    Args:
        found: The list.
        arm: Whom to write; a file that is worked down holds those to contact alone.
    """
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for decision in found.picked.decisions:
        if arm in ("all", decision.arm):
            one = _listed(decision)
            writer.writerow(
                (
                    one["customer_id"],
                    decision.arm,
                    found.experiment.action if decision.arm == "treat" else "",
                    one["place"],
                    one["probability"],
                    one["value_at_risk_minor"],
                )
            )
    return file.getvalue().encode()


def _listed(decision: Decision) -> dict[str, Any]:
    probability = decision.who.probability
    return {
        "customer_id": decision.who.customer_id,
        "place": decision.place + 1,
        "probability": None if probability is None else round(probability, PROBABILITY_DECIMALS),
        "value_at_risk_minor": decision.who.value_minor,
    }


def _warnings(found: ContactList) -> list[str]:
    treated, held = found.count("treat"), found.count("control")
    warnings = []
    if treated < found.asked.capacity:
        warnings.append(
            f"{treated:,} of {found.asked.capacity:,} to contact: the filters leave no more"
        )
    if held == 0:
        warnings.append("nobody of this list is held out: it is too short to learn from alone")
    if treated == 0:
        warnings.append("everybody of this list is held out: there is nobody to contact")
    return warnings
