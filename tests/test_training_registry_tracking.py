from __future__ import annotations

import csv
import json
import multiprocessing
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow.tracking import MlflowClient

from features.artefact import open_artefact, sha256, write_artefact
from features.errors import ConfigError, DamagedArtefactError, UnknownNameError
from features.home import ModelName
from training.registry.artifacts import TrainingResult
from training.registry.tracking import Tracking, Version

# MLflow's own mapping of its tables, when a test asks MLflow before the project does.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AS_OF = datetime(2026, 2, 28, tzinfo=UTC)


def trained(root: Path, *, model: ModelName = "volume", skill: float = 0.125) -> TrainingResult:
    """Return a hand-over whose bundle is an artefact with one file: tracking looks no deeper."""
    meta = {"card": {"model": model, "metrics": {"skill": skill}}}
    kind = f"{model}-bundle"
    with write_artefact(root, kind=kind, schema=1, created_at=NOW, lineage={}, meta=meta) as folder:
        (folder / "state.json").write_text(json.dumps({"skill": skill}))
    figure = Figure()
    figure.subplots().plot([1, 3, 2])
    return TrainingResult(
        model=model,
        bundle=root / folder.name.removeprefix(".writing-"),
        params={"boosting_rounds": 40, "note": "x" * 7000, **{f"key_{i}": i for i in range(150)}},
        metrics={"skill": skill, "undefined": float("nan")},
        tables={"backtest": pd.DataFrame({"queue": ["chat, web"], "wape": [0.25]})},
        figures={"leads": figure},
        lineage={"queues": ["chat"]},
    )


def record(tracking: Tracking, one: TrainingResult) -> Version:
    return tracking.record(
        one,
        as_of=AS_OF,
        started_at=NOW,
        ended_at=NOW + timedelta(minutes=2),
        data_versions={"interactions": 3, "queues": 0},
        data_root=Path("/lake"),
    )


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return Tracking(tmp_path_factory.mktemp("tracking") / "mlruns")


@pytest.fixture
def client(tracking: Tracking) -> MlflowClient:
    return MlflowClient(tracking_uri=tracking.uri, registry_uri=tracking.uri)


def test_a_run_holds_what_was_asked_measured_and_read(
    tracking: Tracking, client: MlflowClient, tmp_path: Path
) -> None:
    version = record(tracking, trained(tmp_path))
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 120_000
    assert run.data.metrics == {"skill": 0.125}
    assert run.data.params["key_149"] == "149"
    assert run.data.params["boosting_rounds"] == "40"
    assert run.data.params["note"] == "x" * 6000
    assert run.data.tags["as_of"] == "2026-02-28T00:00:00+00:00"
    assert run.data.tags["data.interactions"] == "3"
    assert run.data.tags["lineage.queues"] == '["chat"]'
    read = {entry.dataset.name: entry.dataset for entry in run.inputs.dataset_inputs}
    assert read["interactions"].digest == "version-3"
    assert json.loads(read["queues"].source) == {"path": "/lake/queues", "version": 0}


def test_a_run_keeps_tables_pictures_the_card_and_one_archive(
    tracking: Tracking, client: MlflowClient, tmp_path: Path
) -> None:
    version = record(tracking, trained(tmp_path))

    def fetch(path: str) -> Path:
        return Path(client.download_artifacts(version.run_id, path, str(tmp_path)))

    with fetch("tables/backtest.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"queue": "chat, web", "wape": "0.25"}]
    assert fetch("pictures/leads.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(fetch("card.json").read_text())["metrics"] == {"skill": 0.125}
    files = client.list_artifacts(version.run_id, "bundle")
    assert [file.path for file in files] == [f"bundle/{version.bundle_id}.tar.gz"]


def test_the_newest_version_is_the_challenger_and_the_champion_stays(
    tracking: Tracking, tmp_path: Path
) -> None:
    first = record(tracking, trained(tmp_path))
    tracking.set_alias("volume", alias="champion", number=first.number)
    second = record(tracking, trained(tmp_path, skill=0.25))
    assert second.number == first.number + 1
    newest, before, *_ = tracking.versions("volume")
    assert (newest.number, newest.aliases) == (second.number, ("challenger",))
    assert (before.number, before.aliases) == (first.number, ("champion",))
    assert tracking.aliased("volume", alias="champion") == before
    assert newest.metrics == {"skill": 0.25}
    assert newest.as_of == AS_OF
    tracking.drop_alias("volume", alias="challenger")
    tracking.drop_alias("volume", alias="challenger")
    assert tracking.aliased("volume", alias="challenger") is None


def test_a_bundle_comes_back_as_it_was(tracking: Tracking, tmp_path: Path) -> None:
    one = trained(tmp_path)
    version = record(tracking, one)
    into = tmp_path / "into"
    into.mkdir()
    folder = tracking.fetch(version, into=into)
    artefact = open_artefact(folder, kind="volume-bundle", schema=1)
    assert artefact.id == one.bundle.name
    assert artefact.json("state.json") == {"skill": 0.125}


def archive_of(tracking: Tracking, version: Version) -> Path:
    return next((tracking.root / "artifacts").rglob(f"{version.bundle_id}.tar.gz"))


def test_an_archive_that_was_changed_is_refused(tracking: Tracking, tmp_path: Path) -> None:
    version = record(tracking, trained(tmp_path))
    with archive_of(tracking, version).open("ab") as file:
        file.write(b"x")
    assert sha256(archive_of(tracking, version)) != version.archive_sha256
    with pytest.raises(DamagedArtefactError, match="differs from its checksum"):
        tracking.fetch(version, into=tmp_path)


def test_a_missing_archive_is_named_with_its_place(tracking: Tracking, tmp_path: Path) -> None:
    version = record(tracking, trained(tmp_path))
    archive_of(tracking, version).unlink()
    with pytest.raises(DamagedArtefactError, match=f"version {version.number}.*no archive"):
        tracking.fetch(version, into=tmp_path)


def test_an_unknown_version_lists_the_known(tracking: Tracking, tmp_path: Path) -> None:
    record(tracking, trained(tmp_path))
    with pytest.raises(UnknownNameError, match=r"version of volume '9999'"):
        tracking.version("volume", number=9999)


def test_reading_makes_no_database(tmp_path: Path) -> None:
    empty = Tracking(tmp_path / "mlruns")
    assert empty.versions("churn") == ()
    assert empty.aliased("churn", alias="champion") is None
    assert list(tmp_path.iterdir()) == []


def test_a_relative_folder_is_stored_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Tracking(Path("mlruns")).uri == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(ConfigError, match=r"mlflow\.db"):
        Tracking(tmp_path).versions("volume")


def test_a_root_that_is_no_folder_is_named_before_anything_is_fitted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "mlruns"):
        with pytest.raises(ConfigError, match="file`, which is no folder that can be written"):
            Tracking(root).check()
    Tracking(tmp_path / "mlruns").check()
    assert not (tmp_path / "mlruns").exists()


def test_a_run_that_cannot_be_recorded_ends_as_failed_and_registers_nothing(
    tracking: Tracking, client: MlflowClient, tmp_path: Path
) -> None:
    one = trained(tmp_path, model="churn")
    before = tracking.versions("churn")
    (one.bundle / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError):
        record(tracking, one)
    assert tracking.versions("churn") == before
    experiment = client.get_experiment_by_name("ebbflow-churn")
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs if run.info.run_name == one.bundle.name] == ["FAILED"]


def _record_in_a_process(root: str, bundles: str) -> int:
    return record(Tracking(Path(root)), trained(Path(bundles), model="churn")).number


@pytest.mark.slow  # three processes make a database
def test_processes_record_at_the_same_time(tmp_path: Path) -> None:
    """Each makes the database, the experiment and the registered model if it comes first."""
    root = str(tmp_path / "mlruns")
    jobs = [(root, str(tmp_path / f"bundles-{i}")) for i in range(3)]
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        numbers = pool.starmap(_record_in_a_process, jobs)
    assert sorted(numbers) == [1, 2, 3]
    versions = Tracking(Path(root)).versions("churn")
    assert [version.number for version in versions] == [3, 2, 1]
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
