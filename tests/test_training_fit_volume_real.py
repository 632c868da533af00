"""The volume model on real data: no lead and no queue worse than copying last week."""

from dataclasses import replace
from datetime import timedelta

import pytest
import real

from features.calendar.clock import from_epoch
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.evaluate.volume_backtest import run_backtest, score_table

CONFIG = VolumeConfig(
    origins=6, step_days=45, refits=1, boosting_rounds=80, boosting_rows=30_000, threads=1
)


@pytest.mark.slow
@pytest.mark.parametrize("load", [real.anonbank, real.montco, real.uihc, real.incidents])
def test_no_busy_queue_is_worse_than_seasonal_naive_at_any_lead(load):
    histories = load()
    as_of = from_epoch(
        max(int(h.starts[-1]) + h.queue.interval_minutes * 60 for h in histories.values())
    )
    histories = {n: h for n, h in histories.items() if h.offered[-6000:].mean() >= 1}
    recent = {n: cut(h, as_of) for n, h in histories.items()}
    table = score_table(run_backtest(Histories(recent), as_of=as_of, config=CONFIG))
    worse = table[table["wape"] > table["wape_seasonal_naive"]]
    assert worse.empty, worse.to_string()
    assert len(table) >= 10


def cut(history, as_of):
    """Keep two years, which bounds the test's time and not what the model may see."""
    first = int((as_of - timedelta(days=730)).timestamp())
    keep = history.starts >= first
    return replace(
        history,
        starts=history.starts[keep],
        offered=history.offered[keep],
        aht_seconds=history.aht_seconds[keep],
        handled=history.handled[keep],
    )
