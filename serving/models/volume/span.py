"""A part of a forecast's horizon."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from features.calendar import epoch
from serving.models.volume.forecast import QueueForecast

_BY_INTERVAL = ("starts", "is_open", "mean", "quantiles", "parts", "baseline", "aht_seconds")


def cut(forecast: QueueForecast, rows: slice) -> QueueForecast:
    """Return a forecast that holds some of its intervals alone."""
    columns: dict[str, Any] = {name: getattr(forecast, name)[rows] for name in _BY_INTERVAL}
    return replace(forecast, **columns)


def rest(forecast: QueueForecast, *, now: datetime) -> QueueForecast:
    """Return a forecast from its first interval at or after a moment, as it is."""
    return cut(forecast, slice(int(np.searchsorted(forecast.starts, epoch(now))), None))
