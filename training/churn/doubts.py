"""What a person should know of the features that a churn fit learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.calendar import Bool
from training.churn.data import History
from training.leakage.echo import judge_echo

_SHOWN = 6


def doubts(history: History) -> list[str]:
    """Return warnings on features that are empty for everybody, or that are the label itself."""
    warnings = []
    empty_now = _empty(history)
    ever = np.zeros(len(history.names), dtype=bool)
    for date in history.dates:
        ever |= ~np.isnan(date.features).all(axis=0)
    for places, what in (
        (empty_now & ever, "are empty for everybody now and were filled before; check their feed"),
        (empty_now & ~ever, "are empty for everybody at every date and teach nothing"),
    ):
        if places.any():
            names = [name for name, here in zip(history.names, places, strict=True) if here]
            count = f"{len(names)} of {len(history.names)} features"
            warnings.append(f"{count} {what}: {_listed(names)}")
    echo = judge_echo(history.dates[0], history.names)
    if echo.passed is False:
        warnings.append(f"leak: {echo.found}; {echo.remedy}")
    return warnings


def empty_features(history: History) -> list[str]:
    """Return the features that are empty for everybody at the moment of the fit."""
    return [name for name, empty in zip(history.names, _empty(history), strict=True) if empty]


def _empty(history: History) -> Bool:
    return np.asarray(np.isnan(history.today).all(axis=0), dtype=bool)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    if len(names) <= _SHOWN:
        return shown
    return f"{shown} and {len(names) - _SHOWN} more; the card names all as `empty_features`"
