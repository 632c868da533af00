"""The command ``python -m features``: verbs, output, exit codes, and the docs of the contracts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from features.__main__ import app
from features.console import exit_code
from features.contracts.schema import contract_markdown
from features.contracts.tables import TABLES
from features.errors import EbbflowError
from features.intake.mapping import ColumnSource, FileOptions, RowOptions, TimeOptions, load_mapping

ROOT = Path(__file__).resolve().parents[1]
CUSTOMERS = "No,State\n1,EU\n2,\n"
MAPPING = 'table = "customers"\n[columns]\ncustomer_id = "No"\nregion = "State"\n'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "crm.csv").write_text(CUSTOMERS)
    (tmp_path / "crm.toml").write_text(MAPPING)
    return tmp_path


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def load(files: Path, *more: str) -> Result:
    mapping = files / "crm.toml"
    home = files / "home"
    return call("ingest", "customers", files / "crm.csv", "-m", mapping, "--home", home, *more)


def test_ingest_prints_a_table_for_people(files: Path) -> None:
    result = load(files)
    assert result.exit_code == 0
    assert re.search(r"new\s+2", result.stdout)


def test_ingest_prints_json_for_machines(files: Path) -> None:
    report = json.loads(load(files, "--json").stdout)
    assert (report["rows_read"], report["kept"], report["repeated"]) == (2, 2, 0)
    assert json.loads(load(files, "--json").stdout)["repeated"] == 2


def test_ingest_reads_a_database(files: Path) -> None:
    query = "SELECT 'c1' AS customer_id, '2026-01-01T00:00Z' AS joined_at"
    result = call(
        "ingest", "customers", "--from", "sqlite://", "--query", query, "--home", files, "--json"
    )
    assert json.loads(result.stdout)["kept"] == 1


def test_quality_prints_a_summary_first(files: Path) -> None:
    load(files)
    result = call("quality", "--home", files / "home")
    assert result.exit_code == 0
    assert result.stdout.index("The lake") < result.stdout.index("customers: share filled")
    document = json.loads(call("quality", "--home", files / "home", "--json").stdout)
    shares = {c["column"]: c["filled"] for c in document["tables"][0]["columns"]}
    assert shares["region"] == 0.5


def test_tables_prints_the_contracts(files: Path) -> None:
    assert "`interaction_id`" in call("tables", "interactions").stdout
    assert [t["name"] for t in json.loads(call("tables", "--json").stdout)] == list(TABLES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest", "customer", "crm.csv"], "unknown table 'customer'"),
        (["ingest", "customers", "nowhere.csv"], "no such file"),
        (["ingest", "customers", "crm.csv", "--from", "sqlite://"], "expected both or none"),
        (["ingest", "customers", "crm.csv", "-m", "none.toml"], "mapping `none.toml`"),
        (["quality", "--table", "quues"], "Did you mean `queues`"),
    ],
)
def test_wrong_input_is_one_clear_error_with_code_2(
    files: Path, arguments: list[str], message: str
) -> None:
    named = [str(files / a) if a.startswith("crm") else a for a in arguments]
    with pytest.raises(EbbflowError, match=re.escape(message)) as caught:
        call(*named, "--home", files / "home")
    assert exit_code(caught.value) == 2


def test_an_error_ends_the_command_without_a_traceback(files: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "features", "ingest", "customers", "crm.csv"],
        check=False,
        capture_output=True,
        text=True,
        cwd=files,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: file `crm.csv`, missing column `customer_id`")
    assert "Traceback" not in result.stderr


# --- the docs ---


def docs() -> str:
    return (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_the_docs_hold_each_contract_as_the_code_does(name: str) -> None:
    assert contract_markdown(TABLES[name]) in docs(), "run: python -m features tables"


def test_the_docs_name_every_key_of_a_mapping() -> None:
    for section in (FileOptions, TimeOptions, ColumnSource, RowOptions):
        for key in section.model_fields:
            assert f"`{key}`" in docs(), f"{section.__name__}.{key}"


def test_every_mapping_in_the_docs_is_a_mapping(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", docs(), flags=re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        path = tmp_path / "m.toml"
        path.write_text(block, encoding="utf-8")
        load_mapping(path)
