from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from training_world import AS_OF, CONFIG, NOW, Centre, fill_lake, publish_snapshot, train

from features.console import run
from features.errors import ArtefactError
from features.home import Home, ModelName
from features.store import FeatureStore
from serving.published.parts import open_model
from training.__main__ import app
from training.config import Config, load_config
from training.registry.tracking import Tracking

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``python -m training …`` in this process."""

    def call(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["python -m training", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(app)
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose lake is filled and whose snapshot is published, and a small configuration."""
    place = tmp_path_factory.mktemp("place")
    home = Home(place / "home")
    fill_lake(home, place, centre=Centre())
    with FeatureStore(home) as store:
        store.publish(as_of=AS_OF, now=NOW)
    lines = []
    for table in ("volume", "churn"):
        changed = getattr(CONFIG, table).model_dump(exclude_defaults=True)
        lines += [f"[{table}]", *(f"{key} = {value}" for key, value in changed.items())]
    (place / "config.toml").write_text("\n".join(lines))
    assert load_config(place / "config.toml") == CONFIG
    return place


def at(place: Path) -> tuple[str, ...]:
    return ("--home", str(place / "home"), "--mlruns", str(place / "mlruns"))


def fit_and_promote(command: Command, place: Path, model: ModelName) -> str:
    """Fit and promote a model by the commands, and return its bundle's id."""
    first = command("fit", model, "--config", place / "config.toml", *at(place), "--json")
    assert (first.code, f"fit {model}:" in first.err) == (0, True)
    fitted = json.loads(first.out)
    assert (fitted["model"], fitted["version"], fitted["aliases"]) == (model, 1, ["challenger"])
    assert fitted["as_of"] == AS_OF.isoformat()
    assert all(isinstance(value, float) for value in fitted["metrics"].values())

    promoted = command("promote", model, *at(place))
    assert promoted.code == 0
    assert f"bundle {fitted['bundle']} serves now" in promoted.out
    assert "golden requests" in promoted.err
    bundle = Home(place / "home").bundles(model) / fitted["bundle"]
    open_model(model, bundle).check_golden()
    return str(fitted["bundle"])


@pytest.mark.slow  # the whole feature pass at several as-ofs
def test_a_churn_model_goes_from_the_lake_to_serving(command: Command, place: Path) -> None:
    bundle = fit_and_promote(command, place, "churn")
    assert bundle in command("ledger", "--home", place / "home").out


def test_a_volume_model_goes_from_the_lake_to_serving_and_back(
    command: Command, place: Path
) -> None:
    bundle = fit_and_promote(command, place, "volume")
    again = command("fit", "volume", "--config", place / "config.toml", *at(place))
    assert "volume version 2 is the challenger" in again.out
    change = json.loads(command("promote", "volume", "--json", *at(place)).out)
    assert (change["changed"], change["from_bundle"]) == (True, bundle)
    assert {gate["passed"] for gate in change["gates"]} == {True}

    rolled = json.loads(
        command("rollback", "volume", "--reason", "odd peaks", "--json", *at(place)).out
    )
    assert (rolled["to_bundle"], rolled["version"]) == (bundle, 1)

    versions = json.loads(command("models", "--json", *at(place)).out)
    mine = [(v["version"], v["serves"], v["aliases"]) for v in versions if v["model"] == "volume"]
    assert mine == [(2, False, []), (1, True, ["champion"])]
    entries = json.loads(command("ledger", "--json", "--home", place / "home").out)
    assert [(e["action"], e["version"]) for e in entries if e["model"] == "volume"] == [
        ("promote", 1),
        ("promote", 2),
        ("rollback", 1),
    ]
    assert "odd peaks" in command("ledger", "--home", place / "home").out
    assert re.search(r"volume.*1.*champion.*yes", command("models", *at(place)).out)


def test_config_prints_a_file_that_reads_as_the_defaults(command: Command, tmp_path: Path) -> None:
    ended = command("config")
    (tmp_path / "config.toml").write_text(ended.out)
    assert load_config(tmp_path / "config.toml") == Config()


def test_nothing_registered_is_an_empty_list(command: Command, tmp_path: Path) -> None:
    assert command("models", "--json", *at(tmp_path)).out == "[]\n"
    assert command("ledger", "--json", "--home", tmp_path).out == "[]\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("promote", "volume"), 4, "no challenger of volume"),
        (("promote", "volume", "--version", "7"), 2, "unknown version of volume '7'"),
        (("rollback", "churn"), 4, "no churn bundle serves"),
        (("fit", "volume", "--as-of", "2024-03-01"), 2, "ISO 8601 with a zone"),
        (("fit", "volume", "--as-of", "yesterday"), 2, "ISO 8601 with a zone"),
        (("fit", "churn", "--as-of", "0001-01-01T00:00+14:00"), 2, "ISO 8601 with a zone"),
        (("fit", "volume", "--config", "missing.toml"), 2, "missing.toml"),
        (("fit", "tickets"), 2, "'tickets' is not one of 'volume'"),
    ],
)
def test_what_cannot_be_done_ends_with_its_reason_and_code(
    command: Command, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    ended = command(*words, *at(tmp_path))
    assert ended.code == code
    assert said in " ".join(ended.err.replace("│", " ").split())
    assert ended.out == ""


def test_a_time_in_the_future_is_refused(command: Command, place: Path) -> None:
    ended = command("fit", "churn", "--as-of", "2999-01-01T00:00Z", *at(place))
    assert (ended.code, "no later than now" in ended.err) == (2, True)


def test_a_refusal_has_a_code_of_its_own(command: Command, place: Path, tmp_path: Path) -> None:
    """The bundle was trained on features that the home's snapshot does not have."""
    tracking = Tracking(place / "mlruns")
    trained = train("churn", tmp_path, centre=Centre())
    version = tracking.record(
        trained,
        as_of=AS_OF,
        started_at=NOW,
        ended_at=NOW,
        data_versions={},
        data_root=place / "home" / "lake",
    )
    home = Home(tmp_path / "home")
    publish_snapshot(home, centre=Centre(), without="purchases_90d")
    words = ("--version", version.number, "--home", home.root, "--mlruns", place / "mlruns")
    ended = command("promote", "churn", *words)
    assert ended.code == 3
    assert "no feature purchases_90d" in ended.err
    assert ended.out == ""


def test_an_empty_lake_is_told_with_the_way_on(command: Command, tmp_path: Path) -> None:
    ended = command("fit", "volume", *at(tmp_path))
    assert ended.code in {1, 2, 4}
    assert "features ingest" in ended.err
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow  # starts a process and makes a new database
def test_the_command_keeps_standard_output_and_error_clean(place: Path, tmp_path: Path) -> None:
    """In a process of its own: no word of MLflow, Alembic or a warning on either stream."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in {"MLFLOW_DISABLE_TELEMETRY", "OMP_WAIT_POLICY"}
    }
    environment |= {"EBBFLOW_HOME": str(place / "home"), "EBBFLOW_MLRUNS": str(tmp_path / "runs")}
    done = subprocess.run(
        [sys.executable, "-m", "training", "fit", "volume", "--config", place / "config.toml"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"volume version 1 is the challenger: .*\n", done.stdout)
    strange = [
        line
        for line in done.stderr.splitlines()
        if not line.startswith(("fit volume:", "warning:"))
    ]
    assert strange == []
    assert (tmp_path / "runs" / "mlflow.db").exists()


def test_every_verb_has_an_example_in_its_help(command: Command) -> None:
    shown = command("--help").out
    verbs = [info.name or info.callback.__name__ for info in app.registered_commands]  # type: ignore[union-attr]
    expected = (
        "accuracy bad-days config experiments fit leakage ledger models promote propose rollback "
        "service"
    )
    assert sorted(verbs) == expected.split()
    for verb in verbs:
        assert verb in shown
        ended = command(verb, "--help")
        assert ended.code == 0
        assert "Example: python -m training" in " ".join(ended.out.split())


def test_a_damaged_bundle_is_an_artefact_error() -> None:
    with pytest.raises(ArtefactError):
        open_model("volume", ROOT / "features")


def test_a_proposed_definition_is_a_configuration_and_says_why(
    place: Path, command: Command, tmp_path: Path
) -> None:
    words = ("propose", "churn", "--home", place / "home", "--as-of", AS_OF.isoformat())
    ended = command(*words)
    assert ended.code == 0, ended.err
    (tmp_path / "training.toml").write_text(ended.out, encoding="utf-8")
    churn = load_config(tmp_path / "training.toml").churn
    assert churn.horizon_days <= churn.active_days
    assert "gaps between purchases" in ended.err
    document = json.loads(command(*words, "--json").out)
    assert document["horizon_days"] == churn.horizon_days
    assert 0 < document["returning"] <= 1
