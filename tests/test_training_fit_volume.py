import json
import re
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from pydantic import ValidationError
from volume_world import DAY, START, around_the_clock, history, office

from features.calendar.clock import from_epoch, local_times, to_epoch
from features.calendar.queues import Event
from features.errors import TooLittleDataError
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.levels import Smoothing
from serving.models.volume.model import open_volume_model
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.fit.volume import train_volume
from training.models.volume.components import fit_smoothing, smoothing_of
from training.models.volume.effects import fit_effects

DAYS = 150
AS_OF = from_epoch(START + DAYS * DAY)
CONFIG = VolumeConfig(origins=2, refits=1, boosting_rounds=5, boosting_rows=8000, threads=1)


def world():
    queues = (
        history(office(), days=DAYS, per_hour=40, seed=1),
        history(around_the_clock(), days=DAYS, per_hour=6, seed=2),
    )
    return {h.queue.queue: h for h in queues}


def train(root, told=None):
    return train_volume(
        Histories(world()),
        as_of=AS_OF,
        config=CONFIG,
        root=root,
        now=AS_OF,
        progress=None if told is None else lambda stage, share: told.append((stage, share)),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("bundles"))


def test_the_card_says_what_the_model_is(trained):
    card = open_volume_model(trained.bundle).card
    assert card["model"] == "volume"
    assert card["training_start"] == from_epoch(START).isoformat()
    assert card["training_end"] == AS_OF.isoformat()
    assert card["queues"] == ["hotline", "office"]
    assert card["horizon_days"] == 28
    assert card["metrics"] == dict(trained.metrics)
    assert card["config"] == CONFIG.model_dump()
    assert card["versions"]["lightgbm"]
    json.dumps(card, allow_nan=False)


def test_metrics_have_names_that_a_tracking_server_takes_and_finite_values(trained):
    assert {"skill", "wape", "wape_1-24h", "wape_15-28d", "coverage_80"} <= set(trained.metrics)
    for name, value in trained.metrics.items():
        assert re.fullmatch(r"[\w./ -]+", name)
        assert np.isfinite(value)
    assert trained.metrics["skill"] > 0.1


def test_there_are_pictures_and_tables(trained):
    assert set(trained.figures) == {"last_origin", "wape_by_lead", "coverage"}
    assert {"accuracy", "weights", "orders"} <= set(trained.tables)
    weights = trained.tables["weights"]
    assert weights.drop(columns=["queue", "lead"]).sum(axis=1).to_numpy() == pytest.approx(1)


def test_the_same_input_gives_the_same_bundle(trained, tmp_path):
    told = []
    again = train(tmp_path, told)
    for name in ("state.json", "tweedie.txt", "l1.txt", "golden.json"):
        assert (again.bundle / name).read_bytes() == (trained.bundle / name).read_bytes()
    with np.load(again.bundle / "arrays.npz") as a, np.load(trained.bundle / "arrays.npz") as b:
        assert all(np.array_equal(a[name], b[name]) for name in b)
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_a_queue_that_never_was_observed_is_left_out(tmp_path):
    histories = world()
    blind = replace(histories["office"], queue=office("blind"))
    blind = replace(blind, offered=np.full(len(blind.starts), np.nan))
    trained = train_volume(
        Histories({**histories, "blind": blind}),
        as_of=AS_OF,
        config=CONFIG,
        root=tmp_path,
        now=AS_OF,
    )
    model = open_volume_model(trained.bundle)
    assert "blind" not in model.card["queues"]
    found = model.forecast(
        {"blind": blind}, events=(), made_at=AS_OF, until=AS_OF + timedelta(days=1)
    )
    assert found.queues["blind"].method == "none"


def test_a_failed_fit_leaves_no_bundle(tmp_path):
    short = {n: h.before(from_epoch(START + 30 * DAY)) for n, h in world().items()}
    with pytest.raises(TooLittleDataError):
        train_volume(
            Histories(short),
            as_of=from_epoch(START + 30 * DAY),
            config=CONFIG,
            root=tmp_path,
            now=AS_OF,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"horizon_days": 57}, {"origins": 0}, {"tuned": 1}])
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(ValidationError):
        VolumeConfig(**wrong)


def test_holidays_are_learnt_and_shared_with_a_queue_that_has_none_of_its_own():
    queue = around_the_clock(country="US", open_on_holidays=True)
    past = history(queue, days=400, per_hour=30, seed=5)
    dates = [date(2025, 5, 26), date(2025, 7, 4), date(2025, 9, 1)]
    day = local_times(past.starts, queue.time_zone).day
    quiet = np.isin(day, [d.toordinal() - date(1970, 1, 1).toordinal() for d in dates])
    eased = replace(past, offered=np.where(quiet, np.floor(past.offered * 0.2), past.offered))
    effects = fit_effects({"hotline": eased}, events=(), known_by=int(past.starts[-1]))
    assert effects.effect("hotline", "holiday:Memorial Day") < 0.6
    assert effects.effect("hotline", "eve") == pytest.approx(1, abs=0.1)
    # Another queue takes the name's effect over, and for a name that nobody has seen the group's.
    named, unknown = (effects.effect("other", f"holiday:{x}") for x in ("Memorial Day", "X"))
    assert named < unknown < 1


def test_the_size_of_an_event_is_learnt_from_the_last_ones():
    past = history(around_the_clock(time_zone="UTC"), days=200, per_hour=30, seed=6)
    firsts = [START + 40 * DAY, START + 90 * DAY, START + 130 * DAY]
    events = [Event(f"e{i}", "promotion", f, f + 2 * DAY, 0) for i, f in enumerate(firsts)]
    busy = np.any([(past.starts >= f) & (past.starts < f + 2 * DAY) for f in firsts], axis=0)
    lifted = replace(past, offered=np.where(busy, 2 * past.offered, past.offered))
    effects = fit_effects({"hotline": lifted}, events=events, known_by=to_epoch(AS_OF) + 200 * DAY)
    assert effects.effect("hotline", "event:promotion") == pytest.approx(2, rel=0.15)
    assert effects.effect("new", "event:promotion") > 1.5


def test_smoothing_follows_a_random_walk_and_averages_noise():
    rng = np.random.default_rng(7)
    walk = 1000 * np.exp(np.cumsum(rng.normal(0, 0.05, 180)))
    noise = 1000 * np.exp(rng.normal(0, 0.05, 180))
    gappy = walk.copy()
    gappy[50:60] = np.nan
    assert smoothing_of(walk).alpha > 0.6
    assert smoothing_of(gappy).alpha > 0.6
    assert smoothing_of(noise).alpha < 0.2


def test_too_short_a_queue_gets_the_default_smoothing():
    past = {"q": history(office("q"), days=20, per_hour=5)}
    found = fit_smoothing(past, events=(), effects=DayEffects({}, {}), known_by=0)
    assert found == {"": Smoothing(alpha=0.15)}
