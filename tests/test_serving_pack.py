"""The Bento: what goes in, and that it serves from an empty machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from serving_world import World, build_world, put_forecast
from test_serving_service import spawn, stop

from features.artefact import current_id, list_ids
from features.errors import ConfigError, DamagedArtefactError, NotPublishedError
from features.home import Home
from serving.pack import SOURCES, pack, stage_home
from serving.published.parts import Watcher
from serving.settings import VERSION, Settings, find_home

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build_world(tmp_path / "home")


def test_the_bento_installs_exactly_the_core_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bentofile = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert bentofile["python"]["packages"] == project["dependencies"]
    assert bentofile["python"]["lock_packages"] is False


def test_the_version_that_is_answered_is_the_projects() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_only_what_is_in_force_is_staged(world: World, tmp_path: Path) -> None:
    newer = put_forecast(world.home, factor=2.0)
    found = stage_home(world.home, to=tmp_path / "staged")
    staged = Home(tmp_path / "staged")
    assert [path.name for path in list_ids(staged.forecasts)] == [newer]
    assert found == {
        "bundles/volume": world.volume_bundle,
        "bundles/churn": world.churn_bundle,
        "snapshots": world.snapshot,
        "forecasts": newer,
        "scores": world.scores,
    }
    watcher = Watcher(staged)
    from serving_world import NOW

    assert len(watcher.refresh(now=NOW)) == 5
    assert current_id(staged.scores) == world.scores


def test_an_empty_home_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(NotPublishedError, match="python -m serving forecast"):
        pack(Home(tmp_path), source=ROOT)


def test_a_pointer_to_nothing_cannot_be_packed(world: World, tmp_path: Path) -> None:
    (world.home.scores / "CURRENT").write_text("gone\n")
    with pytest.raises(DamagedArtefactError, match="gone"):
        stage_home(world.home, to=tmp_path / "staged")


def test_a_place_without_the_source_cannot_be_packed_from(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="checkout"):
        pack(world.home, source=tmp_path)


def test_a_service_in_a_bento_answers_from_what_was_packed_with_it(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    assert find_home(Settings(home=None), source=source) == Path(".ebbflow")
    (tmp_path / "bento.yaml").write_text("")
    assert find_home(Settings(home=None), source=source) == source / ".ebbflow"
    assert find_home(Settings(home=tmp_path), source=source) == tmp_path


@pytest.mark.slow
def test_a_bento_serves_from_an_empty_machine(world: World, tmp_path: Path) -> None:
    variables = os.environ | {"BENTOML_HOME": str(tmp_path / "bentoml")}
    done = subprocess.run(
        [sys.executable, "-m", "serving", "pack", "--home", str(world.home.root), "--json"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # BentoML prints a banner of its own first.
    packed = json.loads(done.stdout[done.stdout.index("{") :])
    assert packed["contents"]["forecasts"] == world.forecast
    inside = Path(packed["path"]) / "src"
    assert {p.name for p in inside.iterdir()} <= {*SOURCES, ".ebbflow"}
    assert not (inside / "features" / "home.py").is_symlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    process, port = spawn(empty, "bentoml", "serve", packed["path"], cwd=empty, EBBFLOW_HOME="")
    try:
        import urllib.request

        address = f"http://127.0.0.1:{port}/v1/forecast?queue=mail"
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert json.load(answer)["forecast_set"] == world.forecast
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert b"<h1>Ebbflow</h1>" in page.read()
    finally:
        assert stop(process) == 0
