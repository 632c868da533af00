"""Results of experiments over HTTP, and the whole way there: list, hold-out, outcome, advice."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features_rows import contact, load, purchase
from serving_client import Server, serving
from serving_world import MADE_AT, NOW, customer_ids, put_scores

from features.console import run
from features.home import Home
from serving.api import openapi
from serving.api.outreach.schemas import ExperimentResponse, ExperimentsResponse

LIST = {
    "experiment": "winback",
    "capacity": 90,
    "action": "call",
    "hold_out": 0.4,
    "made_by": "Ann",
    "reason": "Easter",
}
LATER = NOW + timedelta(days=120)
Command = Callable[..., Any]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a verb of a room in this process; returns what it printed, parsed where it is JSON."""
    monkeypatch.delenv("EBBFLOW_DATABASE_URL", raising=False)

    def call(room: str, *words: str, code: int = 0) -> Any:
        module = __import__(f"{room}.__main__", fromlist=["app"])
        monkeypatch.setattr(sys, "argv", [f"python -m {room}", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(module.app)
        said = capsys.readouterr()
        assert int(ended.value.code or 0) == code, said.err
        if code:
            return said.err
        return json.loads(said.out) if "--json" in words else said.out

    return call


def buy(home: Home, made: dict[str, Any], *, treat: float, control: float) -> None:
    """Let a share of each arm buy two days after the decision, and everybody before it."""
    rng = np.random.default_rng(0)
    rows = [
        purchase(f"b{i}", who, MADE_AT - timedelta(days=int(rng.integers(5, 100))))
        for i, who in enumerate(customer_ids())
    ]
    for arm, share in (("contact", treat), ("held_out", control)):
        listed = [one["customer_id"] for one in made[arm]]
        rows += [
            purchase(f"a-{who}", who, NOW + timedelta(days=2), amount_minor=5_000)
            for who in listed[: round(share * len(listed))]
        ]
    # The last thing known moves the as-of on.
    seen = [contact("c", "c000", LATER - timedelta(days=1))]
    load(home, {"purchases": rows, "interactions": seen})


def ask_list(home: Home, **more: Any) -> dict[str, Any]:
    # One key, so that the arms are the same at each run.
    with serving(home.root, new_key=lambda: b"k" * 32) as server:
        response = server.http.post("/v1/churn/lists", json={**LIST, **more})
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made


def problem(response: Any, status: int, kind: str) -> str:
    assert response.status_code == status, response.text
    document = openapi.ProblemDetails.model_validate_json(response.content)
    assert document.type == f"/docs#problem-{kind}"
    return document.detail


@pytest.fixture
def told(tmp_path: Path, command: Command) -> Home:
    """A home whose experiment came to its end and was analysed."""
    home = Home(tmp_path)
    put_scores(home)
    buy(home, ask_list(home), treat=0.8, control=0.4)
    command("features", "ingest", "outreach", "--home", str(tmp_path))
    command("training", "experiments", "--home", str(tmp_path))
    return home


@pytest.fixture
def server(told: Home) -> Iterator[Server]:
    with serving(told.root, now=LATER) as running:
        yield running


def test_what_a_contact_did_is_told_from_the_list_to_the_advice(server: Server) -> None:
    response = server.http.get("/v1/experiments/winback")
    assert response.status_code == 200, response.text
    found = ExperimentResponse.model_validate_json(response.content)
    treat, control = found.arms
    assert (treat.customers, found.customers.waiting) == (90, 0)
    assert (treat.retained, treat.value_minor) == (0.8, 4_000)
    assert control.retained == pytest.approx(0.4, abs=0.01)
    assert found.sample_ratio is not None
    assert not found.sample_ratio.alarm
    assert found.sample_ratio.expected_treat == pytest.approx(
        0.6 * (treat.customers + control.customers), abs=0.01
    )
    assert found.retention is not None
    assert found.retention.plain.per_customer.estimate == pytest.approx(0.4, abs=0.01)
    assert found.retention.plain.total.estimate == pytest.approx(36, abs=1)
    assert found.advice.word == "stop: it helps"
    assert found.actions == ["call"]
    assert "churn_probability" in found.adjusted_for
    assert found.uplift is None
    assert "300 at least in each arm" in str(found.no_uplift)


def test_the_experiments_are_listed(server: Server) -> None:
    response = server.http.get("/v1/experiments")
    found = ExperimentsResponse.model_validate_json(response.content)
    (entry,) = found.experiments
    assert (entry.experiment, entry.advice) == ("winback", "stop: it helps")


@pytest.mark.parametrize("address", ["/v1/experiments", "/v1/experiments/winback"])
def test_an_answer_that_still_holds_is_not_sent_again(server: Server, address: str) -> None:
    tag = server.http.get(address).headers["etag"]
    again = server.http.get(address, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_an_unknown_experiment_names_the_known_ones(server: Server) -> None:
    assert "`winback`" in problem(server.http.get("/v1/experiments/winbak"), 404, "unknown-name")
    assert "winback" in problem(server.http.get("/v1/experiments/a/b"), 404, "unknown-name")


def test_without_results_the_answer_says_what_to_run(tmp_path: Path) -> None:
    put_scores(Home(tmp_path))
    with serving(tmp_path) as server:
        for address in ("/v1/experiments", "/v1/experiments/x"):
            detail = problem(server.http.get(address), 409, "not-published")
            assert "python -m training experiments" in detail
        parts = [part["part"] for part in server.http.get("/readyz").json()["parts"]]
    assert "experiments" not in parts


def test_readiness_tells_of_the_results_and_of_damaged_ones(told: Home, server: Server) -> None:
    def part() -> Any:
        parts = server.http.get("/readyz").json()["parts"]
        return next(one for one in parts if one["part"] == "experiments")

    assert part()["refused"] is None
    (folder,) = [path for path in told.experiments.iterdir() if path.is_dir()]
    copy = folder.with_name("zzz")
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "results.json").write_text("{}")
    (told.experiments / "CURRENT").write_text("zzz\n")
    server.watcher.refresh(now=LATER)
    assert "results.json" in part()["refused"]
    assert server.http.get("/v1/experiments/winback").status_code == 200


def test_outcomes_that_are_not_complete_yet_do_not_count(told: Home, command: Command) -> None:
    home = str(told.root)
    early = (NOW + timedelta(days=60)).isoformat()
    (found,) = command("training", "experiments", "--home", home, "--as-of", early, "--json")
    assert found["customers"]["complete"] == 0
    assert found["retention"] is None
    assert "no customer's horizon has ended" in found["advice"]["reason"]
    days = ("--horizon-days", "30")
    (short,) = command("training", "experiments", "--home", home, "--as-of", early, *days, "--json")
    assert short["customers"]["waiting"] == 0
    assert short["arms"][0]["retained"] == 0.8


def test_results_of_other_experiments_stay_as_they_were(told: Home, command: Command) -> None:
    ask_list(told, experiment="other", capacity=40)
    home = str(told.root)
    command("features", "ingest", "outreach", "--home", home)
    words = ("--experiment", "other", "--json")
    (only,) = command("training", "experiments", "--home", home, *words)
    assert only["experiment"] == "other"
    with serving(told.root, now=LATER) as server:
        listed = server.http.get("/v1/experiments").json()["experiments"]
    assert [entry["experiment"] for entry in listed] == ["other", "winback"]


def test_the_table_tells_effects_and_advice(told: Home, command: Command) -> None:
    said = command("training", "experiments", "--home", str(told.root))
    for words in ("winback: call", "retention, points, adjusted", "advice: stop: it helps"):
        assert words in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--experiment", "winbak"), 2, "winback"),
        (("--treat-share", "1.5"), 2, "above 0 and below 1"),
        (("--least-effect", "0"), 2, "above 0 and below 1"),
        (("--as-of", "2026-13-01"), 2, "--as-of"),
        (("--figure", "x.pdf"), 2, ".png"),
    ],
)
def test_what_cannot_be_asked_is_named(
    told: Home, command: Command, words: tuple[str, ...], code: int, said: str
) -> None:
    found = command("training", "experiments", "--home", str(told.root), *words, code=code)
    assert said in found


def test_without_a_decision_the_command_says_where_they_come_from(
    tmp_path: Path, command: Command
) -> None:
    load(
        Home(tmp_path),
        {"interactions": [contact("c", "c000", datetime.fromisoformat("2026-03-20T00:00:00Z"))]},
    )
    said = command("training", "experiments", "--home", str(tmp_path), code=1)
    assert "python -m features ingest outreach" in said
