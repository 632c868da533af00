"""The simulated centre on disk: files as other systems write them, and their mappings."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from features.commands import simulate as command
from features.contracts.tables import TABLES
from features.errors import ConfigError, InputError
from features.intake.load import ingest
from features.intake.mapping import load_mapping
from features.lake.delta import Lake
from features.simulate import SOURCES, SimulationConfig, Source, Written, simulate, write
from features.simulate.exports import repeated_hour_rows

NOW = datetime(2026, 4, 20, tzinfo=UTC)
CONFIG = SimulationConfig(
    until=datetime(2026, 4, 10, tzinfo=UTC), customers=200, days=30, bad_share=0.004
)
SEED = 11


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(CONFIG, seed=SEED, out=tmp_path_factory.mktemp("simulated") / "centre")


def rows_of(written: Written, source: Source) -> list[dict[str, Any]]:
    """Read a source's rows with the standard library (and Parquet with Arrow)."""
    rows: list[dict[str, Any]] = []
    for path in sorted((written.out / source.name).glob(source.files)):
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        elif path.suffix == ".ndjson":
            rows += [json.loads(line) for line in path.read_text().splitlines()]
        else:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
            delimiter = ";" if source.name == "telephony" else ","
            rows += list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
    return rows


def source_named(name: str) -> Source:
    return next(source for source in SOURCES if source.name == name)


def every_file(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_writes_the_same_bytes(written: Written, tmp_path: Path) -> None:
    again = write(CONFIG, seed=SEED, out=tmp_path / "again")
    assert every_file(again.out) == every_file(written.out)
    assert again.sources == written.sources


def test_there_is_a_folder_a_source_with_its_mapping_and_the_truth_apart(
    written: Written,
) -> None:
    folders = {path.name for path in written.out.iterdir()}
    assert folders == {source.name for source in SOURCES} | {"truth"}
    truth = {path.name for path in (written.out / "truth").iterdir()}
    assert truth == {
        "facts.json", "volume.parquet", "customers.parquet", "churn.parquet", "campaign.parquet",
    }  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_each_mapping_fits_its_table_and_its_files(written: Written, source: Source) -> None:
    mapping = load_mapping(written.out / source.name / "mapping.toml")
    assert mapping.table == source.table
    assert set(mapping.theirs) <= set(rows_of(written, source)[0])


def test_the_files_do_not_use_our_column_names(written: Written) -> None:
    for source in SOURCES:
        theirs = set(rows_of(written, source)[0])
        shared = theirs & set(TABLES[source.table].column_names)
        assert shared <= {"currency", "confirmed_at", "shipped_at"}, source.name


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_the_counts_are_those_of_the_files(written: Written, source: Source) -> None:
    counts = written.sources[source.name]
    rows = rows_of(written, source)
    files = list((written.out / source.name).glob(source.files))
    assert (len(rows), len(files)) == (counts.rows, counts.files)
    assert counts.rows == counts.versions + counts.duplicates + counts.bad_rows
    exact = Counter(tuple(str(value) for value in row.values()) for row in rows)
    assert sum(exact.values()) - len(exact) == counts.duplicates
    key = next(iter(rows[0]))
    good = {row[key] for row in rows if row[key] and not str(row[key]).startswith("X")}
    assert len(good) == counts.ids


def test_the_facts_tell_the_same_counts(written: Written) -> None:
    facts = json.loads((written.out / "truth" / "facts.json").read_text())
    for name, counts in written.sources.items():
        assert facts["files"][name]["rows"] == counts.rows
        assert facts["files"][name]["bad"] == counts.bad
    assert facts["contacts"]["late"] == written.contacts.late > 0
    assert facts["contacts"]["corrected"] == written.contacts.corrected > 0
    assert facts["config"]["seed"] == SEED


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        (
            "telephony",
            {"negative_wait", "unparsable_time", "time_in_the_future", "unknown_disposition",
             "missing_id", "hour_that_does_not_exist"},
        ),
        ("tickets", {"unknown_channel", "unparsable_time", "recommendation_out_of_range"}),
        ("shop", {"missing_customer", "missing_time"}),
    ],
)  # fmt: skip
def test_each_kind_of_bad_row_is_there(written: Written, source: str, kinds: set[str]) -> None:
    bad = written.sources[source].bad
    assert set(bad) == kinds
    assert all(count >= 1 for count in bad.values())


def test_bad_calls_are_as_many_as_counted(written: Written) -> None:
    rows, bad = rows_of(written, source_named("telephony")), written.sources["telephony"].bad
    starts = [row["CallStart"] for row in rows]
    assert sum(row["WaitSec"].startswith("-") for row in rows) == bad["negative_wait"]
    assert starts.count("n/a") == bad["unparsable_time"]
    assert starts.count("29/03/2026 02:30:00") == bad["hour_that_does_not_exist"]
    assert sum(not row["CallId"] for row in rows) == bad["missing_id"]


def test_the_files_hold_the_rows_of_the_simulation_in_memory(written: Written) -> None:
    centre = simulate(CONFIG, seed=SEED)
    contacts = {
        (row["interaction_id"], row["available_at"]): row for row in centre.interactions.to_pylist()
    }
    calls = rows_of(written, source_named("telephony"))
    skills = {"SALES_DE": "sales", "SUPPORT_24": "support", "BILLING_NY": "billing"}
    seen = set()
    for call in calls:
        if not call["CallId"].startswith("I"):
            continue
        loaded = datetime.strptime(call["LoadedUtc"], "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)
        row = contacts[(call["CallId"], loaded)]
        wall = row["started_at"].astimezone(ZoneInfo("Europe/Berlin"))
        assert call["CallStart"] == f"{wall:%d/%m/%Y %H:%M:%S}"
        assert skills[call["Skill"]] == row["queue"]
        assert (call["CustNo"] or None) == row["customer_id"]
        assert float(call["WaitSec"]) == row["wait_seconds"]
        handle = int(call["TalkSec"]) + int(call["WrapSec"]) if call["TalkSec"] else None
        assert handle == row["handle_seconds"]
        seen.add((call["CallId"], loaded))
    assert len(seen) == written.sources["telephony"].versions


def test_tickets_tell_their_offset_and_keep_their_moment(written: Written) -> None:
    centre = simulate(CONFIG, seed=SEED)
    started = dict(
        zip(*(centre.interactions[c].to_pylist() for c in ("interaction_id", "started_at")),
            strict=True)
    )  # fmt: skip
    tickets = [t for t in rows_of(written, source_named("tickets")) if t["ticket"][0] == "I"]
    for ticket in tickets:
        at = datetime.fromisoformat(ticket["created_at"])
        assert at == started[ticket["ticket"]]
        assert at.utcoffset() == at.astimezone(ZoneInfo("America/New_York")).utcoffset()
    assert {ticket["status"] for ticket in tickets} == {
        "new", "pending", "solved", "escalated", "dropped",
    }  # fmt: skip


def test_money_is_decimal_in_the_main_unit(written: Written) -> None:
    table = pq.read_table(next((written.out / "shop").glob("orders-*.parquet")))
    assert pa.types.is_decimal(table.schema.field("total").type)
    centre = simulate(CONFIG, seed=SEED)
    minor = dict(
        zip(*(centre.purchases[c].to_pylist() for c in ("purchase_id", "amount_minor")),
            strict=True)
    )  # fmt: skip
    orders = [o for o in rows_of(written, source_named("shop")) if o["order_no"][0] != "X"]
    assert all(order["total"] * 100 == minor[order["order_no"]] for order in orders)
    assert {order["type"] for order in orders} == {"order", "refund"}


def test_ingest_keeps_all_good_rows_and_quarantines_all_bad_ones(
    written: Written, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    for source in SOURCES:
        folder, counts = written.out / source.name, written.sources[source.name]
        report = ingest(
            lake,
            source.table,
            now=NOW,
            files=[str(folder / source.files)],
            mapping=load_mapping(folder / "mapping.toml"),
        )
        assert report.rows_read == counts.rows, source.name
        assert report.new == counts.ids, source.name
        assert report.changed == counts.versions - counts.ids, source.name
        assert report.repeated == counts.duplicates, source.name
        assert sum(report.quarantined.values()) == counts.bad_rows, source.name


def test_the_hour_that_comes_twice_is_counted() -> None:
    def at(text: str) -> int:
        return int(datetime.fromisoformat(text).timestamp())

    # In Berlin 02:00 to 03:00 comes twice on 2025-10-26: from 00:00 and from 01:00 UTC.
    starts = ["2025-10-25T23:59:59Z", "2025-10-26T00:00:00Z", "2025-10-26T01:59:59Z",
              "2025-10-26T02:00:00Z", "2025-07-01T00:30:00Z"]  # fmt: skip
    assert repeated_hour_rows(pa.array([at(t) for t in starts]).to_numpy()) == 2


def test_a_clean_centre_has_neither_bad_nor_repeated_rows(tmp_path: Path) -> None:
    config = SimulationConfig(
        until=CONFIG.until, customers=50, days=28, bad_share=0, duplicate_share=0,
        late_share=0, correction_share=0,
    )  # fmt: skip
    clean = write(config, seed=1, out=tmp_path / "clean")
    for counts in clean.sources.values():
        assert (counts.duplicates, counts.bad_rows) == (0, 0)
    assert (clean.contacts.late, clean.contacts.corrected, clean.contacts.withheld) == (0, 0, 0)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="remove it first"):
        write(CONFIG, seed=SEED, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(word: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(CONFIG, seed=SEED, out=tmp_path / "centre", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_one(tmp_path: Path) -> None:
    shares: list[float] = []
    config = SimulationConfig(until=CONFIG.until, customers=10, days=28)
    write(config, seed=1, out=tmp_path / "c", progress=lambda word, share: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()

    @app.callback()
    def clock(context: typer.Context) -> None:
        context.obj = datetime(2026, 4, 10, 15, 30, tzinfo=UTC)

    app.command("simulate")(command)
    return app


def test_the_command_ends_with_yesterday_by_default(app: typer.Typer, tmp_path: Path) -> None:
    arguments = ["simulate", "--customers", "20", "--days", "28", "--seed", "2"]
    by_default = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "a")])
    assert by_default.exit_code == 0, by_default.output
    told = CliRunner().invoke(
        app, [*arguments, "--out", str(tmp_path / "b"), "--until", "2026-04-09"]
    )
    assert told.exit_code == 0, told.output
    assert every_file(tmp_path / "a") == every_file(tmp_path / "b")
    assert "features ingest interactions" in told.stdout


def test_the_command_tells_a_machine_what_to_ingest(app: typer.Typer, tmp_path: Path) -> None:
    out = tmp_path / "centre"
    arguments = ["--customers", "20", "--days", "28", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, ["simulate", *arguments])
    document = json.loads(result.stdout)
    assert document["until"] == "2026-04-10T00:00:00+00:00"
    assert [source["table"] for source in document["sources"]] == [s.table for s in SOURCES]
    for source in document["sources"]:
        assert Path(source["mapping"]).is_file()
        assert len(list(out.glob(str(Path(source["glob"]).relative_to(out))))) == source["files"]


def test_a_day_that_is_none_is_refused(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["simulate", "--out", str(tmp_path / "c"), "--until", "31.03.2026"]
    )
    assert isinstance(result.exception, ConfigError)
    assert result.exception.field == "until"
