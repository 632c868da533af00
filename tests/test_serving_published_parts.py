"""What a worker serves follows the pointers, whole, and never for the worse."""

from __future__ import annotations

import shutil
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from serving_world import NOW, World, build_world, put_card, put_forecast, put_scores, put_snapshot

from features.artefact import CURRENT, MANIFEST
from features.errors import NotPublishedError
from features.home import Home
from serving.published.parts import RETRY_AFTER, Watcher

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build_world(tmp_path)


@pytest.fixture
def watcher(world: World) -> Watcher:
    watcher = Watcher(world.home)
    watcher.refresh(now=NOW)
    return watcher


def test_an_empty_home_serves_nothing_and_says_what_to_run(tmp_path: Path) -> None:
    watcher = Watcher(Home(tmp_path / "nowhere"))
    assert watcher.refresh(now=NOW) == ()
    assert watcher.published.refusals == {}
    assert watcher.published.refreshed_at == NOW
    with pytest.raises(NotPublishedError, match=r"training promote volume.*serving forecast"):
        watcher.published.require_forecast()
    with pytest.raises(NotPublishedError, match=r"training promote churn.*serving score"):
        watcher.published.require_scores()


def test_a_promoted_model_is_not_asked_for_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    put_card(home, model="churn")
    watcher = Watcher(home)
    watcher.refresh(now=NOW)
    with pytest.raises(NotPublishedError) as caught:
        watcher.published.require_scores()
    assert "promote" not in str(caught.value)


def test_everything_published_is_in_force_after_one_refresh(world: World) -> None:
    watcher = Watcher(world.home)
    changed = watcher.refresh(now=NOW)
    found = watcher.published
    assert set(changed) == {"forecast", "scores", "volume", "churn", "snapshot"}
    assert found.require_forecast().id == world.forecast
    assert found.require_scores().id == world.scores
    assert found.cards["volume"].id == world.volume_bundle
    assert found.cards["churn"].meta["card"]["metrics"] == {"auc": 0.78}
    assert found.snapshot is not None
    assert found.snapshot.id == world.snapshot
    assert found.refusals == {}


def test_a_refresh_without_news_keeps_what_is_open(watcher: Watcher) -> None:
    before = watcher.published
    assert watcher.refresh(now=LATER) == ()
    after = watcher.published
    assert after.forecast is before.forecast
    assert after.scores is before.scores
    assert after.refreshed_at == LATER


def test_a_new_set_replaces_the_old_one_and_leaves_readers_of_the_old_one_alone(
    world: World, watcher: Watcher
) -> None:
    before = watcher.published
    second = put_forecast(world.home, factor=2.0, now=LATER)
    assert watcher.refresh(now=LATER) == ("forecast",)
    assert watcher.published.require_forecast().id == second
    assert watcher.published.require_forecast().queue("phone").mean.max() == 40
    assert before.require_forecast().queue("phone").mean.max() == 20
    assert watcher.published.scores is before.scores


def test_cards_and_snapshot_follow_their_pointers_too(world: World, watcher: Watcher) -> None:
    bundle = put_card(world.home, model="volume", card={"metrics": {"wape": 0.1}}, now=LATER)
    snapshot = put_snapshot(world.home, now=LATER)
    assert watcher.refresh(now=LATER) == ("volume", "snapshot")
    assert watcher.published.cards["volume"].id == bundle
    assert watcher.published.cards["churn"].id == world.churn_bundle
    assert watcher.published.snapshot is not None
    assert watcher.published.snapshot.id == snapshot


def test_a_damaged_set_is_refused_with_its_reason_and_the_old_one_serves_on(
    world: World, watcher: Watcher
) -> None:
    bad = put_scores(world.home, now=LATER)
    (world.home.scores / bad / "records.ndjson").write_bytes(b"{}")
    assert watcher.refresh(now=LATER) == ()
    refusal = watcher.published.refusals["scores"]
    assert (refusal.part, refusal.id, refusal.at) == ("scores", bad, LATER)
    assert "records.ndjson" in refusal.reason
    assert watcher.published.require_scores().id == world.scores
    assert watcher.published.require_scores().record("c001") is not None


def test_a_refusal_ends_when_a_good_set_comes(world: World, watcher: Watcher) -> None:
    bad = put_scores(world.home, now=LATER)
    (world.home.scores / bad / "scores.arrow").unlink()
    watcher.refresh(now=LATER)
    good = put_scores(world.home, now=LATER)
    assert watcher.refresh(now=LATER) == ("scores",)
    assert watcher.published.refusals == {}
    assert watcher.published.require_scores().id == good


def test_a_folder_still_being_copied_is_tried_again_later_and_not_before(
    world: World, watcher: Watcher
) -> None:
    id = put_scores(world.home, now=LATER)
    records = world.home.scores / id / "records.ndjson"
    whole = records.read_bytes()
    records.write_bytes(whole[:100])
    watcher.refresh(now=LATER)
    records.write_bytes(whole)
    assert watcher.refresh(now=LATER + timedelta(seconds=5)) == ()
    assert watcher.published.refusals["scores"].at == LATER
    assert watcher.refresh(now=LATER + RETRY_AFTER) == ("scores",)
    assert watcher.published.require_scores().id == id


def test_a_pointer_to_nothing_or_gone_keeps_what_serves(world: World, watcher: Watcher) -> None:
    (world.home.forecasts / CURRENT).write_text("20990101T000000Z-deadbeef\n")
    (world.home.scores / CURRENT).unlink()
    (world.home.snapshots / CURRENT).write_bytes(b"\xff\xfe")
    assert watcher.refresh(now=LATER) == ()
    found = watcher.published
    assert found.require_forecast().id == world.forecast
    assert found.require_scores().id == world.scores
    assert set(found.refusals) == {"forecast", "scores", "snapshot"}
    assert "gone" in found.refusals["scores"].reason


def test_everything_deleted_still_answers_from_what_is_open(world: World, watcher: Watcher) -> None:
    shutil.rmtree(world.home.root)
    watcher.refresh(now=LATER)
    found = watcher.published
    assert found.require_scores().page(limit=500).rows == 200
    assert found.require_forecast().queue("mail").mean[0] == 0.3
    assert found.cards["churn"].id == world.churn_bundle
    assert len(found.refusals) == 5


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"id": 1}', '{"id":"x","kind":"volume-bundle","created_at":"?"}']
)
def test_an_unreadable_card_is_refused(world: World, watcher: Watcher, content: str) -> None:
    id = put_card(world.home, model="volume", now=LATER)
    (world.home.bundles("volume") / id / MANIFEST).write_text(content)
    assert watcher.refresh(now=LATER) == ()
    assert "unreadable manifest" in watcher.published.refusals["volume"].reason
    assert watcher.published.cards["volume"].id == world.volume_bundle


def test_a_bundle_of_the_other_model_is_refused(world: World, watcher: Watcher) -> None:
    root = world.home.bundles("volume")
    shutil.copytree(world.home.bundles("churn") / world.churn_bundle, root / world.churn_bundle)
    (root / CURRENT).write_text(world.churn_bundle)
    watcher.refresh(now=LATER)
    assert "churn-bundle" in watcher.published.refusals["volume"].reason


def test_the_reason_of_a_refusal_is_told_to_who_asks_for_the_set(tmp_path: Path) -> None:
    home = Home(tmp_path)
    bad = put_scores(home)
    (home.scores / bad / "records.ndjson").write_bytes(b"")
    watcher = Watcher(home)
    watcher.refresh(now=NOW)
    with pytest.raises(NotPublishedError, match=r"records\.ndjson"):
        watcher.published.require_scores()


def test_readers_in_other_threads_always_see_one_whole_set(world: World, watcher: Watcher) -> None:
    stop = threading.Event()
    torn: list[str] = []

    def read() -> None:
        while not stop.is_set():
            scores = watcher.published.require_scores()
            record = scores.record("c001")
            if record is None or scores.id.encode() not in record:
                torn.append(scores.id)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for second in range(10):
        id = put_scores(world.home, now=LATER)
        refreshers = [
            threading.Thread(
                target=watcher.refresh, kwargs={"now": LATER + timedelta(seconds=second)}
            )
            for _ in range(2)
        ]
        for refresher in refreshers:
            refresher.start()
        for refresher in refreshers:
            refresher.join()
        assert watcher.published.require_scores().id == id
    stop.set()
    for reader in readers:
        reader.join()
    assert torn == []
