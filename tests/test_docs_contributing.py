"""The recipes of docs/contributing.md, followed in a copy of the checkout: each change works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.house import ROOMS, ROOT, recipes

# By recipe: in each place that is written, the text that is put in, and before what it goes.
# Without an anchor the text goes to the end, of a new file too.
CHANGES: dict[str, dict[str, tuple[tuple[str, str | None], ...]]] = {
    "Add a feature": {
        "features/customers/features.py": (
            (
                'Feature("order_minor_ever", "money", "minor units", "Mean purchase so far.",\n'
                '            ("spend_ever", "purchases_ever"), ratio),\n    ',
                'Feature("purchases_ever", ',
            ),
        ),
    },
    "Add a column": {
        "features/contracts/tables.py": (
            (
                'Column("points", "integer", "Points of the loyalty card.", True, minimum=0),\n'
                "        ",
                'Column("region", "string", "Region.", True),',
            ),
        ),
    },
    "Add a file format": {
        "serving/files/tool.py": (
            (
                "from serving.files.plain_csv import read_csv, write_csv\n\n\n"
                "def write_tool(rows):\n    return write_csv(rows).replace(b',', b';')\n\n\n"
                "def read_tool(data):\n    return read_csv(data.replace(b';', b','))\n",
                None,
            ),
        ),
        "serving/files/__init__.py": (
            ("from serving.files.tool import read_tool, write_tool\n", "\nFormatName = "),
            ('"tool", ', '"json", "csv"'),
            (
                'Format("tool", "text/csv", ".csv", write_tool, read_tool),\n        ',
                'Format("csv", ',
            ),
        ),
    },
    "Add an engine": {
        "features/engine/tool.py": (
            (
                "from features.engine.duckdb import DuckDBEngine\n\n\n"
                "class ToolEngine(DuckDBEngine):\n    asked = 0\n\n"
                "    def arrow(self, *arguments, **options):\n"
                "        ToolEngine.asked += 1\n"
                "        return super().arrow(*arguments, **options)\n",
                None,
            ),
        ),
    },
    "Add a model component": {
        "serving/models/volume/outlook.py": (
            (
                '"slow_twice": Component(lambda past: 2 * past.slow),\n    ',
                '"smoothing": Component(',
            ),
        ),
    },
    "Add a route": {
        "serving/api/outreach/routes.py": (
            (
                '\n\n@outreach_router.get(\n    "/v1/outreach/hello",\n    summary="A greeting",\n'
                '    responses=openapi.responses("It.", schemas.Hello),\n)\n'
                "async def get_hello() -> Response:\n"
                '    """Say hello."""\n'
                '    return Response(b\'{"word":"hello"}\', media_type=JSON)\n',
                None,
            ),
            ("from serving.api.outreach import schemas\n", "from serving.api.state import"),
        ),
        "serving/api/outreach/schemas.py": (
            (
                '\n\nclass Hello(ResponseModel):\n    """A greeting."""\n\n'
                '    word: str = described("It.", "hello")\n',
                None,
            ),
        ),
    },
    "Add a page": {
        "serving/pages/word.py": (
            (
                "from serving.pages.render import render\n\n\n"
                'def word_page(word):\n    return render("word.html", word=word)\n',
                None,
            ),
        ),
        "serving/pages/templates/word.html": (
            (
                '{% extends "base.html" %}\n{% block title %}Word{% endblock %}\n'
                "{% block style %}{% endblock %}\n"
                "{% block body %}<p>{{ word }}</p>{% endblock %}\n",
                None,
            ),
        ),
        "serving/pages/routes.py": (
            ("from serving.pages.word import word_page\n", "\nPAGE_POLICY"),
            (
                '@app.get("/word", include_in_schema=False)\n'
                "    async def get_word() -> Response:\n"
                '        return _html(word_page("<hello>"))\n\n    ',
                '@app.get("/docs", ',
            ),
        ),
    },
    "Add a reason text": {
        "training/models/churn/reasons.toml": (
            (
                "[[group]]\ncode = \"card\"\nfeatures = 'points'\n\n[[group.reason]]\n"
                'feature = "points"\ncondition = "below"\nunit = "count"\n'
                'en = "only {value} points (usually {usual})"\n'
                'zh = "仅有 {value} 点（通常 {usual} 点）"\n\n',
                "[[group]]\n",
            ),
        ),
    },
}
PROOF = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

from features.contracts.schema import contract_markdown
from features.contracts.tables import table
from features.engine.tool import ToolEngine
from features.home import Home
from features.intake.load import ingest
from features.lake.delta import Lake
from features.store import FeatureStore
from serving.api.staffing.requests import StaffingQuery
from serving.app import create_app
from serving.files import FORMATS
from serving.files.rows import Rows
from serving.models.volume.outlook import COMPONENT_TABLE, COMPONENTS, OrdinaryHistory
from serving.published.parts import Watcher
from serving.settings import Settings, json_log
from training.models.churn.bundle import reason_book
from training.models.volume.weights import prior_weights

folder, now = Path(sys.argv[1]), datetime(2026, 3, 1, tzinfo=UTC)
home, proof = Home(folder), {}
lake = Lake(home.lake)

(folder / "customers.csv").write_text("customer_id,points\\nc1,7\\nc2,-1\\n")
report = ingest(lake, "customers", files=[folder / "customers.csv"], now=now, max_bad_share=0.9)
proof["points"] = lake.read("customers")["points"].to_pylist()
proof["refused"] = sum(report.quarantined.values())
proof["told"] = "points" in contract_markdown(table("customers"))

(folder / "orders.csv").write_text(
    "purchase_id,customer_id,purchased_at,amount_minor,currency,kind,available_at\\n"
    "p1,c1,2026-01-01T00:00Z,100,EUR,purchase,2026-01-01T00:00Z\\n"
    "p2,c1,2026-02-01T00:00Z,300,EUR,purchase,2026-02-01T00:00Z\\n"
)
ingest(lake, "purchases", files=[folder / "orders.csv"], now=now)
with FeatureStore(home, engine=ToolEngine()) as store:
    store.latest(now=now)
    proof["feature"] = store.customers([now])["order_minor_ever"].drop_null().to_pylist()
proof["asked"] = ToolEngine.asked > 0

hours = np.arange(4.0)
past = OrdinaryHistory(hours[None], hours, hours, hours, hours)
proof["component"] = COMPONENT_TABLE["slow_twice"].forecast(past).tolist()
proof["weights"] = prior_weights().shape[-1] == len(COMPONENTS)

tool = FORMATS["tool"]
rows = Rows("sales", "voice", "UTC", np.array([0]), 60, np.array([40.0]), np.array([300.0]))
proof["written"] = tool.write([rows]).decode()
proof["read"] = tool.read(tool.write([rows]))[0].volume.tolist()
proof["format"] = StaffingQuery.model_validate({"format": "tool"}).format

book = reason_book(("points",), np.array([[9.0], [9.0]]))
proof["reasons"] = [[phrase.text["en"], phrase.text["zh"]] for phrase in book.phrases]

log = json_log(sys.stderr.buffer)
app = create_app(Watcher(home), settings=Settings(), clock=lambda: now, log=log)
client = TestClient(app)
proof["route"] = client.get("/v1/outreach/hello").json()
proof["documented"] = "/v1/outreach/hello" in client.get("/openapi.json").json()["paths"]
proof["page"] = client.get("/word").text
print(json.dumps(proof))
"""


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the copy answers, once every recipe was followed in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for places in CHANGES.values():
        for place, changes in places.items():
            path = copy / place
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            for added, before in changes:
                assert before is None or before in text, (place, before)
                text = text + added if before is None else text.replace(before, added + before, 1)
            path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROOF, str(tmp_path_factory.mktemp("home"))],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_there_are_eight_recipes_of_at_most_three_places() -> None:
    assert set(recipes()) == set(CHANGES)
    assert all(0 < len(places) <= 3 for places in recipes().values())


@pytest.mark.parametrize("recipe", CHANGES)
def test_a_change_writes_only_where_its_recipe_says(recipe: str) -> None:
    named = recipes()[recipe]
    assert set(CHANGES[recipe]) <= set(named)


def test_a_feature_is_a_row(proof: Mapping[str, Any]) -> None:
    assert proof["feature"] == [200.0]


def test_a_column_is_loaded_checked_and_told_of(proof: Mapping[str, Any]) -> None:
    assert proof["points"] == [7]
    assert proof["refused"] == 1
    assert proof["told"]


def test_a_format_is_taken_by_its_name_and_reads_what_it_wrote(proof: Mapping[str, Any]) -> None:
    assert "sales;voice" in proof["written"]
    assert proof["read"] == [40.0]
    assert proof["format"] == "tool"


def test_an_engine_answers_the_store(proof: Mapping[str, Any]) -> None:
    assert proof["asked"]


def test_a_component_forecasts_and_has_a_weight(proof: Mapping[str, Any]) -> None:
    assert proof["component"] == [0.0, 2.0, 4.0, 6.0]
    assert proof["weights"]


def test_a_route_answers_and_is_documented(proof: Mapping[str, Any]) -> None:
    assert proof["route"] == {"word": "hello"}
    assert proof["documented"]


def test_a_page_is_drawn(proof: Mapping[str, Any]) -> None:
    assert "<p>&lt;hello&gt;</p>" in proof["page"]


def test_a_reason_has_its_words_in_both_languages(proof: Mapping[str, Any]) -> None:
    assert any("points (usually" in en and "点" in zh for en, zh in proof["reasons"])
