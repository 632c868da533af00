"""Contact lists as JSON with both arms apart, and as a CSV file to work down."""

from __future__ import annotations

import csv
import io
from typing import Any, Literal

import orjson

from features.calendar.clock import from_epoch, iso
from serving.lists import ContactList, Decision

CSV_COLUMNS = ("customer_id", "arm", "action", "place", "probability", "value_at_risk_minor")
PROBABILITY_DECIMALS = 6


def list_json(contact_list: ContactList) -> bytes:
    """Return a list as one JSON document."""
    criteria, source = contact_list.criteria, contact_list.source
    experiment = contact_list.experiment
    by_arm: dict[str, list[dict[str, Any]]] = {"treat": [], "control": []}
    for decision in contact_list.assignment.decisions:
        by_arm[decision.arm].append(_listed(decision))
    return orjson.dumps(
        {
            "list_id": contact_list.list_id,
            "experiment": experiment.name,
            "action": experiment.action,
            "hold_out": experiment.hold_out,
            "made_by": criteria.by,
            "made_at": iso(from_epoch(contact_list.at)),
            "reason": criteria.reason,
            "capacity": criteria.capacity,
            "rank_by": criteria.rank_by,
            "filters": orjson.loads(criteria.filters),
            "again": criteria.again,
            "score_set": source.score_set,
            "as_of": iso(from_epoch(source.as_of)),
            "model_version": source.model_version,
            "counts": {
                "candidates": source.candidates,
                "without_consent": source.without_consent,
                "in_experiment": contact_list.assignment.left_out,
                "contact": len(by_arm["treat"]),
                "held_out": len(by_arm["control"]),
            },
            "warnings": _list_warnings(contact_list),
            "contact": by_arm["treat"],
            "held_out": by_arm["control"],
        }
    )


def list_csv(contact_list: ContactList, *, arm: Literal["treat", "control", "all"]) -> bytes:
    """Return one arm of a list, or all of it, as a CSV file."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for decision in contact_list.assignment.decisions:
        if arm in ("all", decision.arm):
            customer_id, *ranking = _listed(decision).values()
            action = contact_list.experiment.action if decision.arm == "treat" else ""
            writer.writerow((customer_id, decision.arm, action, *ranking))
    return file.getvalue().encode()


def _listed(decision: Decision) -> dict[str, Any]:
    probability = decision.candidate.probability
    return {
        "customer_id": decision.candidate.customer_id,
        "place": decision.place + 1,
        "probability": None if probability is None else round(probability, PROBABILITY_DECIMALS),
        "value_at_risk_minor": decision.candidate.value_minor,
    }


def _list_warnings(contact_list: ContactList) -> list[str]:
    treated, control = contact_list.count("treat"), contact_list.count("control")
    capacity, warnings = contact_list.criteria.capacity, []
    if treated < capacity:
        warnings.append(f"{treated:,} of {capacity:,} to contact: the filters leave no more")
    if control == 0:
        warnings.append("nobody of this list is held out: it is too short to learn from alone")
    if treated == 0:
        warnings.append("everybody of this list is held out: there is nobody to contact")
    return warnings
