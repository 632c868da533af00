"""Schemas of health, readiness and models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from serving.api.openapi import AS_OF, BUNDLE_ID, ID, ResponseModel, described


class ModelEntry(ResponseModel):
    """One promoted model."""

    model: str = described("`volume` or `churn`.", "volume")
    version: str = described("Id of the promoted bundle.", BUNDLE_ID)
    created_at: datetime = described("When the bundle was made, UTC.", "2026-03-01T02:00:00Z")
    card: dict[str, Any] = described(
        "The model card: metrics out of sample, training span, configuration, versions.",
        {"training_start": "2024-03-01T00:00:00Z", "metrics": {"wape": 0.14}},
    )
    serves: str | None = described("Id of the set in force, if this very version made it.", ID)


class ModelsResponse(ResponseModel):
    """The promoted models, with their cards."""

    models: list[ModelEntry] = described("At most one entry a model.")


class PartState(ResponseModel):
    """One published part."""

    part: str = described("`forecast`, `scores`, `volume`, `churn` or `snapshot`.", "forecast")
    id: str | None = described("Id of what is served; null for none.", ID)
    as_of: datetime | None = described("What it looks back from, UTC; null for none.", AS_OF)
    age_seconds: float | None = described("Seconds since it was published.", 5_400)
    remedy: str | None = described("What to run where it is missing; null where it is there.", None)
    refused: str | None = described("Why a newer folder is not served; null for none.", None)


class OverridesState(ResponseModel):
    """What this worker knows of planners' overrides."""

    known: int = described("Overrides of the published span that it knows, all layers.", 12)
    trouble: str | None = described(
        "Why the database cannot be read; null where it can. Forecasts are answered all the same.",
        None,
    )


class Readiness(ResponseModel):
    """Whether this worker can answer, from local facts."""

    ready: bool = described("Whether at least one set, a forecast or scores, is served.", True)
    version: str = described("Version of the software.", "0.1.0")
    refreshed_seconds_ago: float | None = described(
        "Seconds since the last look for new folders.", 0.8
    )
    parts: list[PartState] = described("Each published part.")
    overrides: OverridesState = described("Planners' overrides.")


class Health(ResponseModel):
    """That the process answers."""

    status: str = described("Always `ok`.", "ok")
