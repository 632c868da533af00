"""A picture of the record: where in the week the published forecasts miss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from features.calendar import Float64
from features.contracts import WEEKDAYS
from features.errors import InputError
from training.volume.record import Measures, Record
from training.volume.record_sums import FULL, INTRADAY

_HOURS = range(0, 24, 3)


def draw_record(record: Record, path: Path) -> None:
    """Write heat maps of WAPE and bias by hour of the week as a PNG.

    Raises:
        InputError: The name does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise InputError("`--figure`", got=f"`{path}`", expected="a name that ends in .png")
    record_figure(record).savefig(path, dpi=120)


def record_figure(record: Record) -> Figure:
    """Return heat maps of WAPE and bias, days down and hours across."""
    week = record.by_hour(FULL if record.queues(FULL) else INTRADAY)
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    figure.suptitle("Where in the week published forecasts miss", x=0.01, ha="left")
    wape, bias = _values(week, "wape"), _values(week, "bias")
    # One hour with a contact or two may miss by 500 %; it must not bleach all others.
    highest = _high(wape)
    widest = _high(np.abs(bias))
    for axis, values, norm, colours, label in zip(
        figure.subplots(2, 1, sharex=True),
        (wape, bias),
        (Normalize(0, highest), TwoSlopeNorm(0, -widest, widest)),
        ("YlGnBu", "RdBu_r"),
        ("missed / all contacts (WAPE), %", "too high (+) or too low (-), %"),
        strict=True,
    ):
        image = axis.imshow(values, aspect="auto", cmap=colours, norm=norm)
        axis.set_yticks(range(7), [day.capitalize() for day in WEEKDAYS])
        axis.set_facecolor("#eeeeee")
        figure.colorbar(image, ax=axis, label=label, extend="max" if norm.vmin == 0 else "both")
    axis.set_xticks(_HOURS, [f"{hour:02d}" for hour in _HOURS])
    axis.set_xlabel("hour on the queue's clock; grey: nothing to judge")
    return figure


def _values(week: Sequence[Sequence[Measures]], name: str) -> Float64:
    return 100 * np.array([[getattr(found, name) for found in day] for day in week], np.float64)


def _high(values: Float64) -> float:
    known = values[~np.isnan(values)]
    return max(float(np.percentile(known, 95)), 1.0) if len(known) else 100.0
