from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from volume_world import DAY, START, around_the_clock, history, office

from features.calendar.clock import from_epoch, to_epoch
from features.errors import TooLittleDataError
from serving.models.volume.outlook import COMPONENTS
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.evaluate.volume_backtest import judged_windows, run_backtest, score_table
from training.models.volume.weights import Evidence, learn_weights, prior_weights

DAYS = 130
AS_OF = from_epoch(START + DAYS * DAY)
CONFIG = VolumeConfig(origins=4, refits=1, boosting_rounds=5, boosting_rows=5000, threads=1)


def world():
    queues = (
        history(office(), days=DAYS, per_hour=40, seed=1),
        history(around_the_clock(), days=DAYS, per_hour=6, seed=2),
    )
    return {h.queue.queue: h for h in queues}


@pytest.fixture(scope="module")
def backtest():
    return run_backtest(Histories(world()), as_of=AS_OF, config=CONFIG)


def test_nothing_that_comes_after_an_origin_changes_its_forecast(backtest):
    last = backtest.origins[-1]
    poisoned = {
        name: replace(h, offered=np.where(h.starts >= to_epoch(last), 7 * h.offered, h.offered))
        for name, h in world().items()
    }
    other = run_backtest(Histories(poisoned), as_of=AS_OF, config=CONFIG)
    before = [w for w in backtest.windows if w.origin == to_epoch(last)]
    after = [w for w in other.windows if w.origin == to_epoch(last)]
    assert len(before) == len(after) == 2
    for a, b in zip(before, after, strict=True):
        assert np.array_equal(a.mean, b.mean)
        assert np.array_equal(a.quantiles, b.quantiles)
        assert a.actual.sum() < b.actual.sum()


def test_baselines_are_what_a_planner_would_copy(backtest):
    window = next(w for w in backtest.windows if w.row == backtest.queues.index("hotline"))
    past = world()["hotline"]
    count = dict(zip(past.starts.tolist(), past.offered.tolist(), strict=True))
    at = 30  # an interval within the first week, before any clock change
    weeks = [count[int(window.starts[at]) - 7 * DAY * k] for k in (1, 2, 3, 4)]
    assert window.naive[at] == weeks[0]
    assert window.mean4[at] == pytest.approx(np.mean(weeks))


def test_only_windows_with_evidence_before_them_are_judged(backtest):
    first_end = min(w.ends for w in backtest.windows)
    assert all(w.origin >= first_end for w in judged_windows(backtest))


def test_it_beats_both_baselines_on_a_calm_centre(backtest):
    table = score_table(backtest)
    pooled = table[(table["queue"] == "all queues") & (table["lead"] == "all")].iloc[0]
    assert pooled["wape"] < pooled["wape_mean4"] < pooled["wape_seasonal_naive"]
    assert pooled["coverage_80"] == pytest.approx(0.8, abs=0.06)
    assert abs(pooled["bias"]) < 0.05


def test_what_was_not_observed_is_no_target():
    holed = {
        name: replace(h, offered=np.where(h.starts >= to_epoch(AS_OF) - 5 * DAY, np.nan, h.offered))
        for name, h in world().items()
    }
    found = run_backtest(Histories(holed), as_of=AS_OF, config=CONFIG)
    last = [w for w in found.windows if w.origin == to_epoch(found.origins[-1])]
    assert all(w.starts.max() < to_epoch(AS_OF) - 5 * DAY for w in last)
    assert all(np.isfinite(w.actual).all() for w in last)


def test_a_history_that_is_too_short_is_refused():
    short = {n: h.before(from_epoch(START) + timedelta(days=40)) for n, h in world().items()}
    with pytest.raises(TooLittleDataError, match="volume history"):
        run_backtest(Histories(short), as_of=from_epoch(START + 40 * DAY), config=CONFIG)
    with pytest.raises(TooLittleDataError):
        run_backtest(Histories({}), as_of=AS_OF, config=CONFIG)


def evidence(best: int, contacts: float) -> Evidence:
    """Build a window in which one component was right and the others wild."""
    rng = np.random.default_rng(best)
    actual = rng.poisson(contacts / 500, 500) + 1.0
    parts = actual[:, None] * rng.uniform(0.2, 1.8, (500, len(COMPONENTS)))
    parts[:, best] = actual
    gram, cross = parts.T @ parts / 10, parts.T @ actual / 10
    every = np.full(4, actual.sum())
    return Evidence(np.tile(gram, (4, 1, 1)), np.tile(cross, (4, 1)), every, np.full(4, 500.0))


def test_weights_go_to_the_component_that_was_right_and_are_shares():
    found = learn_weights([(0, evidence(2, 50_000))] * 6, queues=1, window_share=1.0)
    assert found.shape == (2, 4, len(COMPONENTS))
    assert (found >= 0).all()
    assert found.sum(axis=2) == pytest.approx(1)
    assert (found[:, :, 2] > 0.85).all()


def test_the_prior_trusts_the_long_run_more_the_further_ahead_and_never_one_raw_week():
    prior = prior_weights()
    assert prior.sum(axis=1) == pytest.approx(1)
    assert (prior[:, COMPONENTS.index("last_week")] == 0).all()
    slow, fast = (prior[:, COMPONENTS.index(name)] for name in ("slow", "fast"))
    assert (np.diff(slow / fast) >= 0).all()
    assert slow[-1] > fast[-1]


def test_without_evidence_the_weights_are_the_prior():
    found = learn_weights([], queues=2, window_share=1.0)
    assert found == pytest.approx(np.tile(prior_weights(), (3, 1, 1)))


def test_a_queue_without_a_window_has_the_weights_of_all_the_others():
    found = learn_weights([(0, evidence(3, 50_000))] * 4, queues=2, window_share=1.0)
    assert found[1] == pytest.approx(found[2], abs=1e-6)


def test_totals_of_days_are_judged_by_queue_and_lead(backtest):
    table = score_table(backtest)
    assert table["coverage_80_days"].between(0, 1).all()
    # One window's days lie on one side together, so that 49 days say little of the share.
    assert table["coverage_80_days"][0] > 0.5


def test_queues_cut_short_teach_what_a_young_queues_errors_are(backtest):
    shapes, young = backtest.state.shapes, backtest.state.young
    assert len(shapes) == len(backtest.queues) + 1
    mean, bucket = np.full(1, 20.0), np.full(1, 3)
    widths = [
        float(np.diff(shape.quantiles(mean, bucket)[0, [1, 17]])[0])
        for shape in (shapes[-1], young)
    ]
    assert widths[0] < widths[1] < 3 * widths[0]
