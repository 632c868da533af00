import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from volume_world import DAY, START, around_the_clock, history, office, rates

from features.artefact import write_artefact
from features.calendar.clock import from_epoch, to_epoch
from features.calendar.queues import Event
from features.errors import DamagedArtefactError, HorizonError, InputError
from features.volume.history import QueueHistory
from serving.models.volume.distribution import QUANTILE_LEVELS
from serving.models.volume.model import VOLUME_BUNDLE_KIND, VOLUME_BUNDLE_SCHEMA, open_volume_model
from serving.staffing.queue_model import UNKNOWN, ServiceCalibration
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.fit.volume import train_volume

DAYS = 150
AS_OF = from_epoch(START + DAYS * DAY)
HORIZON = timedelta(days=28)


def world(days=DAYS):
    queues = (
        history(office(), days=days, per_hour=40, seed=1),
        history(around_the_clock(), days=days, per_hour=12, seed=2),
        history(around_the_clock("rare"), days=days, per_hour=0.05, seed=3),
    )
    return {h.queue.queue: h for h in queues}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    config = VolumeConfig(origins=3, refits=1, boosting_rounds=20, boosting_rows=20_000, threads=1)
    return train_volume(
        Histories(world()), as_of=AS_OF, config=config, root=tmp_path_factory.mktemp("b"), now=AS_OF
    ).bundle


@pytest.fixture(scope="module")
def model(bundle):
    return open_volume_model(bundle)


def ask(model, histories, *, events=(), made_at=AS_OF, until=None):
    until = until or made_at + HORIZON
    return model.forecast(histories, events=events, made_at=made_at, until=until)


@pytest.fixture(scope="module")
def forecast(model):
    return ask(model, world())


def test_it_comes_close_to_the_true_rates(forecast):
    for name, per_hour in (("office", 40), ("hotline", 12)):
        found = forecast.queues[name]
        truth = rates(found.queue, found.starts, per_hour)
        assert np.abs(found.mean - truth).sum() / truth.sum() < 0.10
        assert found.method == "combined"


def test_closed_intervals_are_exactly_zero(forecast):
    found = forecast.queues["office"]
    assert not found.is_open.all()
    assert not found.mean[~found.is_open].any()
    assert not found.quantiles[~found.is_open].any()
    assert (found.mean[found.is_open] > 0).all()


def test_quantiles_never_cross_and_are_never_negative(forecast):
    for found in forecast.queues.values():
        assert found.quantiles.shape == (len(found.starts), len(QUANTILE_LEVELS))
        assert (found.quantiles >= 0).all()
        assert (np.diff(found.quantiles, axis=1) >= 0).all()
        assert np.isfinite(found.mean).all()


def test_a_rare_queue_gets_whole_counts_and_a_mean_that_is_not_zero(forecast):
    found = forecast.queues["rare"]
    assert (found.quantiles == np.round(found.quantiles)).all()
    assert found.mean.sum() == pytest.approx(0.05 * 0.89 * 672, rel=0.5)


def test_it_covers_28_days_from_the_first_interval_at_or_after_made_at(forecast):
    found = forecast.queues["hotline"]
    assert found.starts[0] == to_epoch(AS_OF)
    assert len(found.starts) == 672
    assert forecast.made_at == forecast.as_of == AS_OF


def test_handle_time_follows_the_history_or_the_default(model, forecast):
    assert np.abs(forecast.queues["hotline"].aht_seconds / 240 - 1).max() < 0.05
    past = world()["hotline"]
    nothing = np.full(len(past.starts), np.nan)
    bare = replace(past, queue=replace(past.queue, default_aht_seconds=77.0), aht_seconds=nothing)
    assert set(ask(model, {"hotline": bare}).queues["hotline"].aht_seconds) == {77.0}


def test_nothing_after_made_at_changes_a_byte(model):
    made_at = AS_OF - timedelta(days=10, hours=7)
    poisoned = {
        name: replace(h, offered=np.where(h.starts >= to_epoch(made_at), 1e6, h.offered))
        for name, h in world().items()
    }
    plain, other = (ask(model, h, made_at=made_at) for h in (world(), poisoned))
    for name in plain.queues:
        assert plain.queues[name].mean.tobytes() == other.queues[name].mean.tobytes()


def test_an_event_known_later_changes_nothing(model):
    first = to_epoch(AS_OF) + DAY
    event = Event("e", "promotion", first, first + DAY, known_at=to_epoch(AS_OF) + 1)
    plain, other = (ask(model, world(), events=e) for e in ((), (event,)))
    assert plain.queues["hotline"].mean.tobytes() == other.queues["hotline"].mean.tobytes()


def test_new_history_moves_the_level_without_a_refit(model, forecast):
    later = world(DAYS + 21)["hotline"]
    moved = np.where(later.starts >= to_epoch(AS_OF), 2 * later.offered, later.offered)
    made_at = AS_OF + timedelta(days=21)
    found = ask(model, {"hotline": replace(later, offered=moved)}, made_at=made_at)
    ratio = found.queues["hotline"].mean.sum() / forecast.queues["hotline"].mean.sum()
    assert 1.6 < ratio < 2.2


def test_what_was_not_observed_is_missing_and_not_zero(model, forecast):
    past = world()["hotline"]
    gap = (past.starts >= to_epoch(AS_OF) - 30 * DAY) & (past.starts < to_epoch(AS_OF) - 20 * DAY)
    found = ask(model, {"hotline": replace(past, offered=np.where(gap, np.nan, past.offered))})
    assert found.queues["hotline"].mean.sum() == pytest.approx(
        forecast.queues["hotline"].mean.sum(), rel=0.1
    )


def test_a_queue_the_model_never_saw_is_answered_with_a_warning(model):
    new = history(around_the_clock("new"), days=14, per_hour=20, start=to_epoch(AS_OF) - 14 * DAY)
    young = history(around_the_clock("young"), days=6, per_hour=20, start=to_epoch(AS_OF) - 6 * DAY)
    grown = history(office("grown"), days=120, per_hour=20, start=to_epoch(AS_OF) - 120 * DAY)
    found = ask(model, {"new": new, "young": young, "grown": grown}).queues
    assert [found[n].method for n in ("new", "young", "grown")] == [
        "profile",
        "baseline",
        "combined",
    ]
    assert any("not among" in text for text in found["grown"].warnings)
    assert any("weeks of history" in text for text in found["young"].warnings)
    for one in found.values():
        truth = rates(one.queue, one.starts, 20)
        assert one.mean.sum() == pytest.approx(truth.sum(), rel=0.25)


def test_a_queue_without_history_is_zero_and_says_so(model):
    none = np.empty(0)
    empty = QueueHistory(office("empty"), none.astype(np.int64), none, none, none)
    found = ask(model, {"empty": empty}).queues["empty"]
    assert found.method == "none"
    assert not found.mean.any()
    assert not found.quantiles.any()
    assert any("no observed history" in text for text in found.warnings)


def test_a_queue_that_is_no_longer_observed_is_marked(model):
    old = world()["hotline"].before(AS_OF - timedelta(days=20))
    assert any(
        "last observed" in t for t in ask(model, {"hotline": old}).queues["hotline"].warnings
    )


def test_opening_hours_that_are_not_stated_are_learnt(model):
    past = world()["office"]
    unstated = replace(past.queue, opening=(None,) * 7, opening_source="assumed")
    found = ask(model, {"office": replace(past, queue=unstated)}).queues["office"]
    assert found.queue.opening_source == "learnt"
    assert not found.mean[~found.is_open].any()
    assert found.is_open.mean() < 0.4


@pytest.mark.parametrize("minutes", [15, 30])
def test_shorter_intervals_add_up_to_the_same_day(model, minutes):
    queue = around_the_clock("fine", interval_minutes=minutes)
    found = ask(
        model, {"fine": history(queue, days=120, per_hour=12, start=to_epoch(AS_OF) - 120 * DAY)}
    )
    one = found.queues["fine"]
    assert len(one.starts) == 672 * 60 // minutes
    assert one.mean.sum() == pytest.approx(rates(one.queue, one.starts, 12).sum(), rel=0.1)


@pytest.mark.parametrize(
    ("local_midnight", "hours"),
    [(datetime(2025, 3, 29, 23, tzinfo=UTC), 23), (datetime(2025, 10, 25, 22, tzinfo=UTC), 25)],
)
def test_days_of_23_and_25_hours_are_exact(model, local_midnight, hours):
    queue = around_the_clock("berlin", time_zone="Europe/Berlin")
    past = history(queue, days=80, per_hour=10, start=to_epoch(local_midnight) - 80 * DAY)
    found = ask(
        model,
        {"berlin": past},
        made_at=local_midnight,
        until=local_midnight + timedelta(hours=hours),
    )
    one = found.queues["berlin"]
    assert len(one.starts) == hours
    assert (one.mean > 0).all()


def test_no_queues_give_no_forecasts(model):
    assert ask(model, {}).queues == {}


@pytest.mark.parametrize("days", [0, -1, 29])
def test_an_end_outside_the_horizon_is_refused(model, days):
    with pytest.raises(HorizonError, match="end of the forecast"):
        ask(model, world(), until=AS_OF + timedelta(days=days))


def test_a_time_without_a_zone_is_refused(model):
    with pytest.raises(InputError, match="no time zone"):
        model.forecast({}, events=(), made_at=datetime(2025, 6, 1), until=AS_OF)  # noqa: DTZ001


def test_the_golden_request_is_replayed(model):
    model.check_golden()


def rewritten(bundle, root, change):
    """Copy a bundle, change one of its files, and sign it anew."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    with write_artefact(
        root,
        kind=VOLUME_BUNDLE_KIND,
        schema=VOLUME_BUNDLE_SCHEMA,
        created_at=AS_OF,
        lineage={},
        meta=manifest["meta"],
        id="copy",
    ) as folder:
        for name in manifest["files"]:
            (folder / name).write_bytes((bundle / name).read_bytes())
        change(folder, manifest["meta"])
    return root / "copy"


def test_a_forecast_carries_the_profile_within_the_hour_and_the_service(bundle, tmp_path):
    def served(folder, _meta):
        state = json.loads((folder / "state.json").read_text())
        state["service"] = {
            "office": asdict(ServiceCalibration(patience_seconds=75.0, contacts=900))
        }
        (folder / "state.json").write_text(json.dumps(state))

    model = open_volume_model(rewritten(bundle, tmp_path, served))
    counts = np.tile([1000.0, 2000.0, 3000.0, 4000.0], (168, 1))
    histories = world()
    histories["office"] = replace(histories["office"], quarters=counts)
    queues = ask(model, histories, until=AS_OF + timedelta(days=1)).queues
    assert queues["office"].quarters[30] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.001)
    assert (queues["hotline"].quarters == 0.25).all()
    assert queues["office"].service == ServiceCalibration(patience_seconds=75.0, contacts=900)
    assert queues["hotline"].service == UNKNOWN


def test_the_spread_of_handle_times_is_learnt_from_past_forecasts(model):
    # Means of one history are 240 seconds, give or take 5: next to nothing moves them.
    for shape in model.state.shapes:
        assert 0 <= shape.handle.day < 0.002
        assert 0 <= shape.handle.hour < 0.005


def test_a_bundle_that_forecasts_otherwise_than_when_made_is_found_out(bundle, tmp_path):
    def halve(folder, _meta):
        shapes = json.loads((folder / "shapes.json").read_text())
        for shape in (*shapes["queues"], shapes["young"]):
            shape["spread"] = [spread / 2 + 0.01 for spread in shape["spread"]]
        (folder / "shapes.json").write_text(json.dumps(shapes))

    other = open_volume_model(rewritten(bundle, tmp_path, halve))
    with pytest.raises(DamagedArtefactError, match="another forecast"):
        other.check_golden()


def _drop_a_queue(folder, _meta):
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "queues": state["queues"][1:]}))


def _cut_the_trees(folder, _meta):
    text = (folder / "tweedie.txt").read_text()
    (folder / "tweedie.txt").write_text(text[:300])


def _drop_a_shape(folder, _meta):
    shapes = json.loads((folder / "shapes.json").read_text())
    (folder / "shapes.json").write_text(json.dumps({**shapes, "queues": shapes["queues"][1:]}))


def _cut_a_curve(folder, _meta):
    shapes = json.loads((folder / "shapes.json").read_text())
    shapes["young"]["curve"] = shapes["young"]["curve"][1:]
    (folder / "shapes.json").write_text(json.dumps(shapes))


def _empty_the_arrays(folder, _meta):
    (folder / "arrays.npz").write_bytes(b"")


def _rename_a_component(folder, _meta):
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "components": ["other"]}))


def _drop_the_card(_folder, meta):
    del meta["card"]


@pytest.mark.parametrize(
    "change",
    [
        _drop_a_queue,
        _cut_the_trees,
        _drop_a_shape,
        _cut_a_curve,
        _empty_the_arrays,
        _rename_a_component,
        _drop_the_card,
    ],
)
def test_a_bundle_that_does_not_fit_together_is_refused(bundle, tmp_path, change):
    with pytest.raises(DamagedArtefactError):
        open_volume_model(rewritten(bundle, tmp_path, change))
