"""What a fit of the volume model may be asked for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class VolumeConfig(BaseModel):
    """Settings of ``train_volume``; the defaults suit hourly queues with a year of history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon_days: int = Field(28, ge=1, le=56, description="Days ahead that are forecast.")
    origins: int = Field(14, ge=1, le=60, description="Most rolling origins of the back-test.")
    step_days: int = Field(
        20,
        ge=1,
        le=91,
        description="Days between rolling origins; no multiple of 7, so that every weekday is met.",
    )
    least_history_days: int = Field(
        28, ge=14, description="Days of history that a rolling origin needs before it."
    )
    refits: int = Field(
        3, ge=1, description="Fits spread over the origins; one origin uses the last fit before it."
    )
    boosting_rounds: int = Field(100, ge=1, le=5000, description="Trees of each LightGBM model.")
    boosting_rows: int = Field(60_000, ge=2000, description="Most rows LightGBM learns from.")
    boosting_outlooks: int = Field(
        4000, ge=10, description="Most past moments, over all queues, that rows are made from."
    )
    threads: int = Field(2, ge=1, description="Threads of LightGBM in training.")
    seed: int = Field(1, ge=0, description="Seed of every random choice.")
