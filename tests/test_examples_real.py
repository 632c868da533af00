"""The public data sets, each from its file to an answer over HTTP, with the mappings we ship."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from real import FOLDER, need
from serving_client import serving

from examples.real import SETS, load, train
from features.home import Home
from features.intake.load import Report
from training.config import Config

QUICK = Config.model_validate(
    {
        "volume": {"origins": 4, "refits": 1, "boosting_rounds": 60, "boosting_outlooks": 400},
        "churn": {"test_dates": 2, "trees": 60},
    }
)


def _clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def _trained(name: str, root: Path) -> tuple[list[Report], Home]:
    """Load, train on and publish a set."""
    need(name)
    home = Home(root / "home")
    reports = load(SETS[name], home=home, data=FOLDER, now=_clock())
    train(SETS[name], home=home, mlruns=root / "mlruns", config=QUICK, clock=_clock)
    return reports, home


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, s in SETS.items() if s.model == "volume"])
def test_a_volume_set_is_loaded_trained_on_and_answered_from(name: str, tmp_path: Path) -> None:
    reports, home = _trained(name, tmp_path)
    for report in reports:
        assert report.kept > 0
        assert sum(report.quarantined.values()) < 0.001 * report.rows_read
    with serving(home.root, now=_clock()) as server:
        queues = [q["queue"] for q in server.http.get("/v1/queues").json()["queues"]]
        answer = server.http.post("/v1/forecast", json={"queues": queues}).json()
    assert [q["queue"] for q in answer["queues"]] == queues
    for queue in answer["queues"]:
        assert len(queue["intervals"]) >= 7 * 24 - 1
        assert sum(i["volume"]["mean"] for i in queue["intervals"]) > 0
        for interval in queue["intervals"]:
            levels = list(interval["volume"]["quantiles"].values())
            assert levels == sorted(levels)
            assert levels[0] >= 0


@pytest.mark.slow
def test_the_shop_is_loaded_trained_on_and_answered_from(tmp_path: Path) -> None:
    reports, home = _trained("online_retail_ii", tmp_path)
    assert reports[0].kept == reports[0].rows_read == 31_682
    with serving(home.root, now=_clock()) as server:
        answer = server.http.post(
            "/v1/churn/scores", json={"customer_ids": ["13085", "12346", "nobody"]}
        ).json()
    assert answer["unknown"] == ["nobody"]
    assert [s["customer_id"] for s in answer["scores"]] == ["13085", "12346"]
    assert all(0 <= s["probability"] <= 1 for s in answer["scores"] if s["in_population"])
