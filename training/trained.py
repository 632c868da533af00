"""What a fit hands over: a bundle on disk and what is worth recording about it.

Promotion compares models by ``skill`` (volume) or ``auc``, ``log_loss`` and ``base_log_loss``
(churn), all measured out of sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.home import ModelName

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Trained:
    """One fitted model, not yet recorded and not yet promoted.

    Attributes:
        bundle: Folder that ``features.artefact.writing`` made; its name is the bundle's id.
        params: What the fit was asked for and what it chose, flat, for the tracking run.
        metrics: Figures measured out of sample, by flat name such as ``skill`` or ``auc``.
        lineage: Ids and versions of the data that it was made from, JSON-ready.
    """

    model: ModelName
    bundle: Path
    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
