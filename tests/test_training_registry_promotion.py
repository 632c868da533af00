from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_world import AS_OF, NOW, Centre, publish_snapshot, train

from features.artefact import current_id, list_ids, point_to, write_artefact
from features.errors import (
    DamagedArtefactError,
    NotPublishedError,
    PromotionRefusedError,
    UnknownNameError,
)
from features.home import Home, ModelName
from features.snapshot import open_current_snapshot
from serving.published.parts import open_model
from training.registry import promotion
from training.registry.artifacts import TrainingResult
from training.registry.gates import Gate, Limits, examine, rank_correlation
from training.registry.promotion import PromotionResult, promote, rollback
from training.registry.tracking import Tracking, Version

MODELS: tuple[ModelName, ...] = ("volume", "churn")


@dataclass(frozen=True)
class Works:
    """A tracking store with versions 1 (a), 2 (b) and 3 (c) of each model, and a template home."""

    tracking: Tracking
    template: Path
    versions: dict[ModelName, list[Version]]
    bundles: dict[ModelName, list[Path]]


def record(tracking: Tracking, trained: TrainingResult) -> Version:
    return tracking.record(
        trained,
        as_of=AS_OF,
        started_at=NOW,
        ended_at=NOW,
        data_versions={},
        data_root=Path("/lake"),
    )


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Works:
    root = tmp_path_factory.mktemp("works")
    tracking = Tracking(root / "mlruns")
    publish_snapshot(Home(root / "home"), centre=Centre())
    trained = {
        model: [train(model, root / model, centre=Centre(seed=seed)) for seed in (1, 2, 3)]
        for model in MODELS
    }
    return Works(
        tracking=tracking,
        template=root / "home",
        versions={m: [record(tracking, one) for one in trained[m]] for m in MODELS},
        bundles={m: [one.bundle for one in trained[m]] for m in MODELS},
    )


@pytest.fixture
def home(works: Works, tmp_path: Path) -> Home:
    shutil.copytree(works.template, tmp_path / "home")
    for model in MODELS:
        works.tracking.drop_alias(model, alias="champion")
        works.tracking.set_alias(model, alias="challenger", number=3)
    return Home(tmp_path / "home")


# Random seeds differ by more than the tolerance; what the gates measure has its own tests.
LENIENT = Limits(accuracy_loss=1.0)


def install(
    works: Works, home: Home, model: ModelName, number: int, **options: Any
) -> PromotionResult:
    return promote(
        home,
        tracking=works.tracking,
        model=model,
        now=NOW + timedelta(days=number),
        who="ada",
        number=number,
        **{"limits": LENIENT, **options},
    )


def back(works: Works, home: Home, model: ModelName) -> PromotionResult:
    return rollback(
        home, tracking=works.tracking, model=model, now=NOW, who="ben", reason="odd peaks"
    )


def champion(works: Works, model: ModelName) -> int | None:
    version = works.tracking.aliased(model, alias="champion")
    return None if version is None else version.number


@pytest.mark.parametrize("model", MODELS)
def test_the_challenger_serves_after_its_promotion(
    works: Works, home: Home, model: ModelName
) -> None:
    change = promote(home, tracking=works.tracking, model=model, now=NOW, who="ada")
    bundle = works.versions[model][2].bundle_id
    assert (change.changed, change.from_bundle, change.to_bundle) == (True, None, bundle)
    assert current_id(home.bundles(model)) == bundle
    open_model(model, home.bundles(model) / bundle).check_golden()
    assert champion(works, model) == 3
    assert works.tracking.aliased(model, alias="challenger") is None
    (entry,) = promotion.read(home.ledger)
    assert (entry.who, entry.action, entry.version) == ("ada", "promote", 3)
    assert (entry.from_bundle, entry.to_bundle) == (None, bundle)
    assert [gate["name"] for gate in entry.gates] == [gate.name for gate in change.gates]


@pytest.mark.parametrize("model", MODELS)
def test_rollbacks_lead_back_step_by_step_and_are_recorded(
    works: Works, home: Home, model: ModelName
) -> None:
    ids = [version.bundle_id for version in works.versions[model]]
    for number in (1, 2, 3):
        install(works, home, model, number)
    assert back(works, home, model).to_bundle == ids[1]
    assert champion(works, model) == 2
    assert back(works, home, model).to_bundle == ids[0]
    assert current_id(home.bundles(model)) == ids[0]
    with pytest.raises(NotPublishedError, match="no bundle before"):
        back(works, home, model)
    last = promotion.read(home.ledger)[-1]
    assert (last.action, last.who, last.reason) == ("rollback", "ben", "odd peaks")
    assert (last.from_bundle, last.to_bundle, last.version) == (ids[1], ids[0], 1)


def test_promoting_what_serves_changes_nothing_and_sets_the_alias(works: Works, home: Home) -> None:
    install(works, home, "volume", 1)
    works.tracking.set_alias("volume", alias="champion", number=2)
    change = install(works, home, "volume", 1)
    assert not change.changed
    assert champion(works, "volume") == 1
    assert len(promotion.read(home.ledger)) == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_loss_of_accuracy_is_refused_and_can_be_forced_with_a_reason(
    works: Works, home: Home, model: ModelName
) -> None:
    install(works, home, model, 1)
    before = current_id(home.bundles(model))
    strict = Limits(accuracy_loss=-1.0)  # asks the challenger to be better by more than it can
    seen: list[tuple[Gate, ...]] = []
    with pytest.raises(PromotionRefusedError, match=r"stays below.*--force-reason"):
        install(works, home, model, 2, limits=strict, seen=seen.append)
    assert [gate.passed for gate in seen[0]].count(False) >= 1
    assert current_id(home.bundles(model)) == before
    assert len(promotion.read(home.ledger)) == 1
    assert champion(works, model) == 1
    install(works, home, model, 2, limits=strict, force_reason="the old one knows no holidays")
    entry = promotion.read(home.ledger)[-1]
    assert entry.reason == "the old one knows no holidays"
    assert not all(gate["passed"] for gate in entry.gates)
    assert champion(works, model) == 2


@pytest.mark.parametrize(
    ("model", "limits"),
    [
        ("volume", Limits(accuracy_loss=1.0, forecast_change=1e-9)),
        ("churn", Limits(accuracy_loss=1.0, rank_correlation=1.0)),
    ],
)
def test_a_wild_change_of_the_answers_is_refused(
    works: Works, home: Home, model: ModelName, limits: Limits
) -> None:
    install(works, home, model, 1)
    with pytest.raises(PromotionRefusedError, match=r"differs by|rank correlation"):
        install(works, home, model, 2, limits=limits)


def test_a_model_worse_than_its_baseline_is_refused_even_as_the_first(
    works: Works, home: Home, tmp_path: Path
) -> None:
    bundle = doctored(works.bundles["volume"][0], tmp_path, metrics={"skill": -0.01})
    gates = examined(home, "volume", bundle)
    assert [gate.name for gate in gates if not gate.passed] == [
        "skill over seasonal naive, at least the baseline's"
    ]
    assert gates[-1].forcible


def test_a_card_without_the_figure_is_not_taken_on_trust(
    works: Works, home: Home, tmp_path: Path
) -> None:
    bundle = doctored(works.bundles["churn"][0], tmp_path, metrics={"auc": 0.9})
    failed = [gate for gate in examined(home, "churn", bundle) if not gate.passed]
    assert [gate.detail for gate in failed] == ["the bundle's card does not have it"]


def doctored(
    bundle: Path,
    root: Path,
    *,
    metrics: dict[str, float] | None = None,
    change: dict[str, float] | None = None,
) -> Path:
    """Return a sound artefact whose card or golden answers say something else.

    Args:
        bundle: A real bundle.
        root: Where the new one is written.
        metrics: The card's metrics.
        change: What to add to each array of this name in ``golden.npz``.
    """
    artefact = open_model("volume" if "volume" in str(bundle) else "churn", bundle).artefact
    meta = {**artefact.meta, "card": {**artefact.meta["card"]}}
    if metrics is not None:
        meta["card"]["metrics"] = metrics
    with write_artefact(
        root, kind=artefact.kind, schema=artefact.schema, created_at=NOW, lineage={}, meta=meta
    ) as folder:
        for file in bundle.iterdir():
            if file.name != "manifest.json":
                shutil.copy(file, folder / file.name)
        if change is not None:
            with np.load(folder / "golden.npz") as stored:
                arrays = {name: stored[name] + change.get(name, 0) for name in stored.files}
            np.savez_compressed(folder / "golden.npz", **arrays)
    return root / folder.name.removeprefix(".writing-")


def examined(
    home: Home, model: ModelName, bundle: Path, *, champion: Path | None = None
) -> tuple[Gate, ...]:
    return examine(
        model,
        challenger=bundle,
        champion=champion,
        snapshot=open_current_snapshot(home.snapshots),
        limits=LENIENT,
    )


@pytest.mark.parametrize(
    ("model", "change"), [("volume", {"forecast_0": 0.01}), ("churn", {"probability": 0.01})]
)
def test_another_golden_answer_is_refused_and_cannot_be_forced(
    works: Works, home: Home, tmp_path: Path, model: ModelName, change: dict[str, float]
) -> None:
    install(works, home, model, 1)
    trained = TrainingResult(
        model, doctored(works.bundles[model][1], tmp_path, change=change), {}, {}
    )
    version = record(works.tracking, trained)
    with pytest.raises(PromotionRefusedError, match=r"golden requests.*cannot be forced"):
        install(works, home, model, version.number, force_reason="I know better")
    assert champion(works, model) == 1


def test_a_bundle_of_the_other_model_is_refused(works: Works, home: Home) -> None:
    (gate,) = examined(home, "volume", works.bundles["churn"][0])
    assert (gate.name, gate.passed, gate.forcible) == ("bundle opens", False, False)


def test_a_snapshot_without_a_feature_is_named(works: Works, home: Home) -> None:
    publish_snapshot(home, centre=Centre(), without="purchases_90d")
    with pytest.raises(PromotionRefusedError, match=r"no feature purchases_90d.*features build"):
        install(works, home, "churn", 1)
    assert current_id(home.bundles("churn")) is None


def test_without_a_snapshot_nothing_is_promoted(works: Works, tmp_path: Path, home: Home) -> None:
    with pytest.raises(NotPublishedError, match="no snapshot is published"):
        install(works, Home(tmp_path / "empty"), "volume", 1)


def test_without_a_challenger_the_way_on_is_named(works: Works, home: Home) -> None:
    works.tracking.drop_alias("churn", alias="challenger")
    with pytest.raises(NotPublishedError, match="python -m training fit churn"):
        promote(home, tracking=works.tracking, model="churn", now=NOW, who="ada")
    with pytest.raises(UnknownNameError):
        install(works, home, "churn", 99)


def test_a_damaged_champion_is_named_and_does_not_block_its_successor(
    works: Works, home: Home
) -> None:
    install(works, home, "volume", 1)
    serving = home.bundles("volume") / works.versions["volume"][0].bundle_id
    (serving / "state.json").write_text("{}")
    change = install(works, home, "volume", 2)
    assert "unfit itself" in change.gates[-1].detail
    with pytest.raises(PromotionRefusedError, match="differs from its checksum"):
        back(works, home, "volume")
    assert current_id(home.bundles("volume")) == change.to_bundle


def test_a_damaged_copy_is_replaced_from_the_archive(works: Works, home: Home) -> None:
    install(works, home, "volume", 1)
    install(works, home, "volume", 2)
    copy = home.bundles("volume") / works.versions["volume"][0].bundle_id
    (copy / "state.json").unlink()
    install(works, home, "volume", 1)
    open_model("volume", copy).check_golden()


def test_a_rollback_needs_no_registry(works: Works, home: Home, tmp_path: Path) -> None:
    install(works, home, "volume", 1)
    install(works, home, "volume", 2)
    change = rollback(
        home,
        tracking=Tracking(tmp_path / "elsewhere"),
        model="volume",
        now=NOW,
        who="ben",
        reason="",
    )
    assert current_id(home.bundles("volume")) == works.versions["volume"][0].bundle_id
    assert "has no version" in change.warning


def test_a_rollback_before_any_promotion_says_so(works: Works, home: Home) -> None:
    with pytest.raises(NotPublishedError, match="no churn bundle serves"):
        back(works, home, "churn")


class Crash(BaseException):
    """The process is gone: nothing after it touches the disk."""


@dataclass
class Plug:
    """Pulled at the n-th change under a folder, and out from then on."""

    folder: str = ""
    left: int = -1

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.folder or not self._changes(event, args):
            return
        if self.left == 0:
            raise Crash
        self.left -= 1

    def _changes(self, event: str, args: tuple[Any, ...]) -> bool:
        writes = (
            event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        )
        moves = event in {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}
        return bool(writes or moves) and str(args[0]).startswith(self.folder)


PLUG = Plug()


@pytest.fixture(scope="module")
def plug() -> Plug:
    sys.addaudithook(PLUG.hook)  # for the life of the process; idle without a folder
    return PLUG


@contextlib.contextmanager
def pulled(plug: Plug, folder: Path, *, after: int) -> Iterator[None]:
    plug.folder, plug.left = str(folder), after
    try:
        yield
    finally:
        plug.folder = ""


def test_a_crash_at_any_change_leaves_a_good_state_that_a_second_try_completes(
    works: Works, home: Home, tmp_path: Path, plug: Plug
) -> None:
    install(works, home, "volume", 1)
    old, new = (version.bundle_id for version in works.versions["volume"][:2])
    swapped = []
    for after in range(1000):
        trial = Home(tmp_path / f"trial-{after}")
        shutil.copytree(home.root, trial.root)
        works.tracking.set_alias("volume", alias="champion", number=1)
        try:
            with pulled(plug, trial.root, after=after):
                install(works, trial, "volume", 2)
        except Crash:
            crashed = True
        else:
            crashed = False
        serving = current_id(trial.bundles("volume"))
        assert serving in {old, new}
        open_model("volume", trial.bundles("volume") / str(serving)).check_golden()
        assert {path.name for path in list_ids(trial.bundles("volume"))} <= {old, new}
        swapped.append(serving == new)

        install(works, trial, "volume", 2)
        assert current_id(trial.bundles("volume")) == new
        assert champion(works, "volume") == 2
        assert back(works, trial, "volume").to_bundle == old
        assert champion(works, "volume") == 1
        if not crashed:
            break
    assert len(swapped) > 10  # copies, the rename, the ledger, the pointer
    assert swapped == sorted(swapped)  # there is one point from which the new one serves


def test_a_crash_before_the_alias_follows_is_completed_by_a_second_try(
    works: Works, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(works, home, "volume", 1)

    def crash(*_: Any, **__: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(Tracking, "set_alias", crash)
        with pytest.raises(Crash):
            install(works, home, "volume", 2)
    assert current_id(home.bundles("volume")) == works.versions["volume"][1].bundle_id
    assert champion(works, "volume") == 1
    install(works, home, "volume", 2)
    assert champion(works, "volume") == 2
    assert back(works, home, "volume").to_bundle == works.versions["volume"][0].bundle_id


def test_a_pointer_moved_by_hand_is_left_behind_by_a_rollback(works: Works, home: Home) -> None:
    """The ledger does not know the move; the last promotion that took effect is gone back to."""
    for number in (1, 2, 3):
        install(works, home, "volume", number)
    ids = [version.bundle_id for version in works.versions["volume"]]
    point_to(home.bundles("volume"), ids[0])
    assert back(works, home, "volume").to_bundle == ids[1]


def test_an_archive_damaged_in_the_store_is_refused(works: Works, home: Home) -> None:
    version = record(works.tracking, train("churn", home.root / "more", centre=Centre(seed=9)))
    archive = next((works.tracking.root / "artifacts").rglob(f"{version.bundle_id}.tar.gz"))
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(DamagedArtefactError, match="checksum"):
        install(works, home, "churn", version.number)
    assert promotion.read(home.ledger) == ()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 1, 2, 2], [1, 1, 2, 2], 1.0),
        ([1, 2, 3], [5, 5, 5], 0.0),
        ([], [], 1.0),
        # d = (0, -1, 1, 0): 1 - 6 * 2 / (4 * 15)
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
    ],
)
def test_rank_correlation_of_hand_worked_cases(
    a: list[float], b: list[float], expected: float
) -> None:
    assert rank_correlation(np.array(a, float), np.array(b, float)) == pytest.approx(expected)
