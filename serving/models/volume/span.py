"""A part of a forecast's horizon."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from features.calendar import epoch

if TYPE_CHECKING:
    from serving.models.volume.model import QueueForecast
    from serving.sets.forecast import PublishedForecast

Forecast = TypeVar("Forecast", "QueueForecast", "PublishedForecast")
_BY_INTERVAL = ("starts", "is_open", "mean", "quantiles", "parts", "baseline", "aht_seconds")


def cut(forecast: Forecast, rows: slice) -> Forecast:
    """Return a forecast that holds some of its intervals alone."""
    kept: dict[str, Any] = {name: getattr(forecast, name)[rows] for name in _BY_INTERVAL}
    return replace(forecast, **kept)


def rest(forecast: Forecast, *, now: datetime) -> Forecast:
    """Return a forecast from its first interval at or after a moment, as it is."""
    return cut(forecast, slice(int(np.searchsorted(forecast.starts, epoch(now))), None))
