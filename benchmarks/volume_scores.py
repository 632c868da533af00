"""What the volume benchmark keeps of each forecast, and the measures read off it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.peers import SEASONAL_NAIVE
from features.arrays import Float64
from serving.models.volume.distribution import LEAD_BUCKETS, QUANTILE_LEVELS
from training.evaluate.metrics import bias, coverage, pinball, wape

OURS = "Ebbflow"
LEADS = tuple(label for _, _, label in LEAD_BUCKETS)
LEVELS = np.array(QUANTILE_LEVELS)
LEAST_HOUR, LEAST_DAY = 1.0, 5.0
"""Contacts forecast from which an hour's and a day's coverage is judged: below, a band of whole
counts covers far more than it says, whatever the model."""
LOW, HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


@dataclass(frozen=True)
class Windows:
    """Forecasts from several origins, observed intervals alone.

    Attributes:
        rows: A row a queue, origin and interval: ``origin``, ``queue``, ``start`` (epoch
            seconds), ``lead`` (label of the bucket), ``is_open``, ``actual`` (contacts), and one
            column of contacts a forecaster, under its name.
        quantiles: Ours, float64[rows, 19], contacts.
        band: The reference band around seasonal naive, float64[rows, 19], contacts.
        days: A row a queue, origin and whole local day: ``origin``, ``queue``, ``lead``,
            ``actual``, ``mean``, ``low`` and ``high`` (the 80 % band of the day's contacts).
        seconds: A row an origin and forecaster: ``origin``, ``who``, ``seconds``.
        today: What ``volume_intraday.corrected_days`` returned; empty for real data.
    """

    rows: pd.DataFrame
    quantiles: Float64
    band: Float64
    days: pd.DataFrame
    seconds: pd.DataFrame
    today: pd.DataFrame

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        """Put the windows of several queues or origins into one."""
        return cls(
            rows=pd.concat([p.rows for p in parts], ignore_index=True),
            quantiles=np.concatenate([p.quantiles for p in parts]),
            band=np.concatenate([p.band for p in parts]),
            days=pd.concat([p.days for p in parts], ignore_index=True),
            seconds=pd.concat([p.seconds for p in parts], ignore_index=True),
            today=pd.concat([p.today for p in parts], ignore_index=True),
        )

    @property
    def forecasters(self) -> list[str]:
        """Everybody who forecast, ourselves first."""
        return list(self.rows.columns[self.rows.columns.get_loc(OURS) :])


def measured(name: str, windows: Windows) -> pd.DataFrame:
    """Return the measures by lead and forecaster, pooled over queues and origins.

    Args:
        name: The set.
        windows: Its forecasts.

    Returns:
        ``set``, ``lead`` (a label, or ``all``), ``who``, ``wape``, ``bias``, ``pinball``,
        ``coverage_80`` (of open hours with a contact or more forecast), ``coverage_80_all`` (of
        all open hours), ``coverage_80_days`` (of totals of days with five contacts or more
        forecast), ``seconds`` (an origin's, training included); NaN where a forecaster gives no
        distribution.
    """
    found = []
    seconds = windows.seconds.groupby("who")["seconds"].mean()
    for lead in ("all", *LEADS):
        rows = windows.rows
        mine = np.ones(len(rows), bool) if lead == "all" else (rows["lead"] == lead).to_numpy()
        for who in windows.forecasters:
            part = rows[mine]
            actual, mean = part["actual"].to_numpy(), part[who].to_numpy()
            record: dict[str, object] = {"set": name, "lead": lead, "who": who}
            record |= {"wape": wape(actual, mean), "bias": bias(actual, mean)}
            band = {OURS: windows.quantiles, SEASONAL_NAIVE: windows.band}.get(who)
            if band is not None:
                band, opened = band[mine], part["is_open"].to_numpy()
                record["pinball"] = pinball(actual, band, LEVELS)
                busy = opened & (part[OURS].to_numpy() >= LEAST_HOUR)
                for column, use in (("coverage_80", busy), ("coverage_80_all", opened)):
                    record[column] = coverage(actual[use], band[use, LOW], band[use, HIGH])
            if who == OURS:
                record["coverage_80_days"] = _days(windows.days, lead)
            found.append(record | {"seconds": seconds[who]})
    return pd.DataFrame(found).round(4)


def _days(days: pd.DataFrame, lead: str) -> float:
    part = days if lead == "all" else days[days["lead"] == lead]
    part = part[part["mean"] >= LEAST_DAY]
    return coverage(*(part[c].to_numpy(float) for c in ("actual", "low", "high")))


def by_queue(windows: Windows) -> pd.DataFrame:
    """Return WAPE by queue, lead and forecaster, with the contacts an open hour of the queue."""
    found = []
    opened = windows.rows[windows.rows["is_open"]]
    rate = opened.groupby("queue")["actual"].mean()
    for (queue, lead), part in windows.rows.groupby(["queue", "lead"]):
        actual = part["actual"].to_numpy()
        wapes = {who: wape(actual, part[who].to_numpy()) for who in windows.forecasters}
        found.append({"queue": queue, "lead": lead, "per_hour": rate.get(queue, 0.0), **wapes})
    return pd.DataFrame(found)


def reliability(windows: Windows) -> Float64:
    """Return the share of open hours at or below each quantile, float64[19].

    An hour that equals a quantile counts as half: counts of quiet queues often do.
    """
    opened = windows.rows["is_open"].to_numpy()
    actual, quantiles = windows.rows["actual"].to_numpy()[opened, None], windows.quantiles[opened]
    below: Float64 = ((actual < quantiles) + 0.5 * (actual == quantiles)).mean(axis=0)
    return below


def text_table(name: str, table: pd.DataFrame) -> str:
    """Return the measures of a set as text: WAPE by lead, then our distribution by lead."""
    leads = ("all", *LEADS)
    lines = [f"{name}: WAPE, %", f"{'':<24}" + "".join(f"{lead:>9}" for lead in leads) + "   s"]
    for who, part in table.groupby("who", sort=False):
        cells = part.set_index("lead")["wape"].reindex(leads) * 100
        line = f"{who:<24}" + "".join(f"{cell:9.1f}" for cell in cells)
        lines.append(line + f"{part['seconds'].iloc[0]:8.1f}")
    ours = table[table["who"] == OURS].set_index("lead").reindex(leads)
    reference = table[table["who"] == SEASONAL_NAIVE].set_index("lead").reindex(leads)
    for label, cells in (
        ("bias, %", ours["bias"] * 100),
        ("pinball, %", ours["pinball"] * 100),
        ("pinball of naive band, %", reference["pinball"] * 100),
        ("80 % band: hours, %", ours["coverage_80"] * 100),
        ("all open hours, %", ours["coverage_80_all"] * 100),
        ("80 % band: days, %", ours["coverage_80_days"] * 100),
        ("naive band: hours, %", reference["coverage_80"] * 100),
    ):
        lines.append(f"{label:<24}" + "".join(f"{cell:9.1f}" for cell in cells))
    return "\n".join(lines)
