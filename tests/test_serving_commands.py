from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from features.console import exit_code
from features.errors import ConfigError, NotPublishedError
from serving import __main__
from serving.settings import ENV_PREFIX, Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _clean_environment() -> Iterator[None]:
    """Hide the user's settings, and undo what `run` tells the server that it becomes."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(ENV_PREFIX):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(__main__.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("verb", ["forecast", "score", "run", "pack", "openapi"])
def test_each_verb_explains_itself_with_an_example(verb: str) -> None:
    assert f"python -m serving {verb}" in " ".join(invoke(verb, "--help").split())


def test_the_document_is_printed_whole() -> None:
    document = json.loads(invoke("openapi"))
    assert document["info"]["title"] == "Ebbflow"
    assert set(document["paths"]) == {
        "/v1/forecast",
        "/v1/forecast/totals",
        "/v1/forecast/overrides",
        "/v1/forecast/overrides/{override_id}/withdraw",
        "/v1/events",
        "/v1/staffing",
        "/v1/queues",
        "/v1/churn/scores",
        "/v1/churn/lists",
        "/v1/churn/lists/{list_id}",
        "/v1/experiments",
        "/v1/experiments/{experiment}",
        "/v1/models",
        "/healthz",
        "/readyz",
        "/metrics",
    }


@pytest.mark.parametrize(("verb", "model"), [("forecast", "volume"), ("score", "churn")])
def test_publishing_without_a_model_names_the_remedy(verb: str, model: str, tmp_path: Path) -> None:
    with pytest.raises(NotPublishedError, match=f"training promote {model}") as caught:
        invoke(verb, "--home", str(tmp_path))
    assert exit_code(caught.value) == 4


def test_run_hands_over_to_bentoml_with_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: started.append(arguments))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    output = invoke("run", "--home", str(tmp_path), "--port", "0", "--workers", "2")
    assert started[0][1:5] == ["-m", "bentoml", "serve", "serving.service:Ebbflow"]
    assert os.environ["EBBFLOW_HOME"] == str(tmp_path)
    assert os.environ["EBBFLOW_WORKERS"] == "2"
    assert os.environ["BENTOML_DO_NOT_TRACK"] == "true"
    port = int(os.environ["EBBFLOW_PORT"])
    assert port > 0
    assert f"http://127.0.0.1:{port}" in output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EBBFLOW_PORT", "http"),
        ("EBBFLOW_PORT", "70000"),
        ("EBBFLOW_WORKERS", "0"),
        ("EBBFLOW_REFRESH_SECONDS", "60"),
        ("EBBFLOW_REQUEST_TIMEOUT_SECONDS", "nan"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"`{name}`.*{value}"):
        load_settings()


def test_the_settings_are_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"`{ENV_PREFIX}{name.upper()}`" in text


def test_what_the_server_cannot_afford_to_import_is_not_imported() -> None:
    import subprocess
    import sys

    script = (
        "import sys, serving.app, serving.settings, serving.published.parts;"
        "print([m for m in ('mlflow', 'duckdb', 'ibis', 'pandas', 'sklearn', 'statsforecast',"
        " 'deltalake') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_bentofile_starts_this_service() -> None:
    bentofile = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert bentofile["service"] == "serving.service:Ebbflow"


def test_a_host_that_is_not_ours_is_named_with_the_setting() -> None:
    with pytest.raises(ConfigError, match="EBBFLOW_HOST") as caught:
        invoke("run", "--host", "256.1.1.1", "--port", "0")
    assert exit_code(caught.value) == 2
