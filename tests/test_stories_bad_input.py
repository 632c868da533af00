"""Bad input, end to end through the three commands and the HTTP API: never a traceback.

What a part alone does with bad input stands in the test of that part.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from features_rows import at, contact, load, purchase
from serving_client import serving
from serving_world import build_world, put_churn_bundle, put_volume_bundle

from features.artefact import current_id
from features.console import run
from features.home import Home
from features.lake.delta import QUARANTINE, Lake
from features.snapshot import open_current_snapshot

ROOT = Path(__file__).resolve().parents[1]
HEADER = "interaction_id,queue,channel,started_at,outcome,available_at\n"
LINE = "i{n},q,voice,2026-02-01T10:00:00Z,answered,2026-02-01T10:00:00Z\n"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``python -m ROOM …`` in this process."""

    def call(room: str, *words: object) -> Ended:
        app = importlib.import_module(f"{room}.__main__").app
        monkeypatch.setattr(sys, "argv", [f"python -m {room}", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(app)
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return call


def rows(count: int = 40) -> str:
    return HEADER + "".join(LINE.format(n=n) for n in range(count))


def parquet(**columns: Any) -> bytes:
    plain = {
        "interaction_id": ["a"],
        "queue": ["q"],
        "channel": ["voice"],
        "started_at": ["2026-02-01T10:00:00Z"],
        "outcome": ["answered"],
    }
    sink = io.BytesIO()
    pq.write_table(pa.table({**plain, **columns}), sink)
    return sink.getvalue()


# --- files ---


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no such file"),
        ("empty.csv", b"", "an empty file"),
        ("cut.csv.gz", gzip.compress(rows(2000).encode())[:-500], "Truncated compressed stream"),
        ("packed.csv", gzip.compress(rows().encode()), "It is packed by gzip"),
        ("sheet.csv", b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "It is a zip archive"),
        ("wide.csv", rows().encode("utf-16"), 'Say `encoding = "utf-16"`'),
        ("plain.csv.gz", rows().encode(), "damaged gzip"),
        ("cut.parquet", parquet()[:-40], "no whole Parquet file"),
        ("latin.csv", (rows() + LINE.replace(",q,", ",Süd,")).encode("cp1252"), "line 42, byte"),
        ("missing.csv", b"interaction_id,queue,channel,started,outcome\n", "(near: `started`)"),
        ("bytes.parquet", parquet(queue=pa.array([b"\xff\xfe"])), "column `queue`: got bytes"),
        ("clock.csv", rows().replace("Z", "").encode(), "without a zone"),
        ("calls.xlsx", b"PK", "the ending `.xlsx`"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_one_clear_error_and_nothing_is_kept(
    command: Command, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path, home = tmp_path / name, tmp_path / "home"
    if content is not None:
        path.write_bytes(content)
    ended = command("features", "ingest", "interactions", path, "--home", home)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert Lake(Home(home).lake).versions() == {}


def test_a_folder_is_refused_with_the_way_to_name_its_files(
    command: Command, tmp_path: Path
) -> None:
    ended = command("features", "ingest", "interactions", tmp_path, "--home", tmp_path)
    assert ended.code == 2
    assert f"Name what is inside, such as '{tmp_path}/*.csv'" in ended.err


def test_half_a_last_line_is_set_aside_and_pointed_at(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "half.csv"
    path.write_text(rows() + LINE[:20])
    words = ("features", "ingest", "interactions", path, "--home", tmp_path / "home", "--json")
    report = json.loads(command(*words).out)
    assert report["kept"] == 40
    assert sum(report["quarantined"].values()) == 1
    assert "ends without a line break" in report["warnings"][0]
    path.write_text(rows(41))
    again = json.loads(command(*words).out)
    assert (again["new"], again["repeated"], again["warnings"]) == (1, 40, [])


def test_what_parquet_can_hold_and_nobody_expects_is_read_or_named(
    command: Command, tmp_path: Path
) -> None:
    far = pa.timestamp("s", "Mars/Base")
    seconds = pa.array([1_770_000_000], far)
    contents = {
        "zone": parquet(started_at=seconds, available_at=seconds),
        "words": parquet(started_at=pa.array(["2026-02-01T10:00:00Z"]).dictionary_encode()),
        "bytes": parquet(queue=pa.array([b"q"])),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(content)
        home = tmp_path / name
        assert command("features", "ingest", "interactions", path, "--home", home).code == 0, name
        assert Lake(Home(home).lake).read("interactions")["queue"].to_pylist() == ["q"]


def test_bad_rows_are_set_aside_with_reason_and_place(command: Command, tmp_path: Path) -> None:
    bad = {
        "in the future": {"started_at": "2199-01-01T00:00:00Z"},
        "below 0": {"wait_seconds": -1},
        "no number": {"wait_seconds": "soon"},
        "none of voice": {"channel": "fax"},
        "no time that can be read": {"started_at": "2026-02-30T00:00:00Z"},
        "empty": {"interaction_id": ""},
        "longer than 512 characters": {"customer_id": "x" * 10_000},
    }
    plain = dict(zip(HEADER.strip().split(","), LINE.strip().split(","), strict=True))
    documents = [
        {**plain, "interaction_id": f"b{n}", **more} for n, more in enumerate(bad.values())
    ]
    path = tmp_path / "rows.ndjson"
    path.write_text("".join(json.dumps(d) + "\n" for d in documents))
    words = ["features", "ingest", "interactions", path, "--home", tmp_path / "home"]
    refused = command(*words)
    assert (refused.code, "7 bad of 7 rows" in refused.err) == (2, True)
    assert command(*words, "--max-bad-share", 1).code == 0
    kept = Lake(Home(tmp_path / "home").lake).read(QUARANTINE).to_pylist()
    assert [row["row_number"] for row in kept] == list(range(1, 8))
    for row, reason in zip(kept, bad, strict=True):
        assert reason in row["reason"]
        assert json.loads(row["row"])["queue"] == "q"


# --- what a planner's data may hold ---

INTERVAL = {
    "queue": "q", "interval_start": "2026-02-01T10:00Z", "interval_minutes": 60, "offered": 5,
    "aht_seconds": 300, "available_at": "2026-02-01T11:00Z",
}  # fmt: skip
STATED = {"queue": "q", "channel": "voice", "time_zone": "UTC", "available_at": "2026-01-01T00:00Z"}
EVENT = {
    "event_id": "e", "kind": "promotion", "starts_at": "2026-02-01T10:00Z",
    "ends_at": "2026-02-02T10:00Z", "known_at": "2026-01-01T00:00Z",
    "available_at": "2026-01-01T00:00Z",
}  # fmt: skip
OVERRIDE = {
    "override_id": "o", "queue": "q", "interval_start": "2026-04-01T10:00Z",
    "interval_minutes": 60, "offered": 12.5, "made_by": "Ann", "made_at": "2026-02-01T00:00Z",
    "available_at": "2026-02-01T00:00Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("intervals", {**INTERVAL, "offered": 6}, "two rows for one interval: equal `queue`"),
        ("intervals", {**INTERVAL, "interval_start": "2026-02-01T10:30Z", "interval_minutes": 30},
         "two rows for one time: their intervals overlap"),
        ("intervals", {**INTERVAL, "queue": "r", "offered": -1}, "`offered`: below 0"),
        ("intervals", {**INTERVAL, "queue": "r", "answered": -3}, "`answered`: below 0"),
        ("intervals", {**INTERVAL, "queue": "r", "aht_seconds": 0}, "`aht_seconds`: below 0.001"),
        ("intervals", {**INTERVAL, "queue": "r", "offered": 2.5}, "`offered`: no whole number"),
        ("queues", {**STATED, "queue": "r", "time_zone": "Mars/Base"}, "`time_zone`: no IANA zone"),
        ("queues", {**STATED, "queue": "r", "open_mon": "08:00-12:00,11:30-17:00"},
         "`open_mon`: no opening hours, or spans that overlap"),
        ("queues", {**STATED, "queue": "r", "open_tue": "22:00-06:00"}, "`open_tue`: no opening"),
        ("calendar", {**EVENT, "event_id": "f", "ends_at": "2026-01-31T10:00Z"},
         "`ends_at`: not after `starts_at`"),
        ("calendar", {**EVENT, "event_id": "f", "ends_at": None}, "`ends_at`: empty"),
        ("overrides", {**OVERRIDE, "override_id": "p", "offered": -1}, "`offered`: below 0"),
        ("overrides", {**OVERRIDE, "override_id": "p", "made_by": None}, "`made_by`: empty"),
        ("overrides", {**OVERRIDE, "override_id": "p", "made_at": "2199-01-01T00:00Z"},
         "`made_at`: in the future"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_set_aside_under_its_field_and_the_rest_is_kept(
    command: Command, tmp_path: Path, table: str, row: dict[str, Any], reason: str
) -> None:
    good = {"intervals": INTERVAL, "queues": STATED, "calendar": EVENT, "overrides": OVERRIDE}
    path = tmp_path / "rows.ndjson"
    path.write_text(f"{json.dumps(good[table])}\n{json.dumps(row)}\n")
    words = ("features", "ingest", table, path, "--home", tmp_path / "home")
    refused = command(*words)
    assert (refused.code, reason in refused.err, "row " in refused.err) == (2, True, True)
    assert command(*words, "--max-bad-share", 1).code == 0
    lake = Lake(Home(tmp_path / "home").lake)
    kept = lake.read(table).num_rows if lake.version(table) is not None else 0
    aside = lake.read(QUARANTINE).to_pylist()
    assert kept + len(aside) == 2  # nothing lost
    assert all(reason in found["reason"] for found in aside)
    assert aside[-1]["row_number"] == 2
    assert json.loads(aside[-1]["row"])["queue" if table != "calendar" else "event_id"]


def test_a_handle_time_of_zero_for_an_hour_without_a_contact_is_empty_where_the_mapping_says_so(
    command: Command, tmp_path: Path
) -> None:
    mapping = tmp_path / "counts.toml"
    names = ("queue", "interval_start", "interval_minutes", "offered", "available_at")
    mapping.write_text(
        'table = "intervals"\n[columns]\n'
        + "".join(f'{name} = "{name}"\n' for name in names)
        + 'aht_seconds = { column = "aht_seconds", null_values = ["0"] }\n'
    )
    path = tmp_path / "counts.csv"
    quiet = {**INTERVAL, "interval_start": "2026-02-01T11:00Z", "offered": 0, "aht_seconds": 0}
    path.write_text(
        ",".join(INTERVAL)
        + "".join("\n" + ",".join(map(str, row.values())) for row in (INTERVAL, quiet))
    )
    home = tmp_path / "home"
    ended = command("features", "ingest", "intervals", path, "-m", mapping, "--home", home)
    assert ended.code == 0, ended.err
    rows = Lake(Home(home).lake).read("intervals").sort_by("interval_start").to_pylist()
    assert [(row["offered"], row["aht_seconds"]) for row in rows] == [(5, 300.0), (0, None)]


def test_an_event_or_override_of_an_unknown_queue_is_kept_with_a_warning(
    command: Command, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    warnings = {}
    for table, row in (
        ("queues", {**STATED, "queue": "phone"}),
        ("calendar", {**EVENT, "queues": "phone, phoen"}),
        ("overrides", {**OVERRIDE, "queue": "fone"}),
    ):
        path = tmp_path / f"{table}.ndjson"
        path.write_text(json.dumps(row) + "\n")
        report = json.loads(
            command("features", "ingest", table, path, "--home", home, "--json").out
        )
        assert report["kept"] == 1
        warnings[table] = report["warnings"]
    assert warnings == {
        "queues": [],
        "calendar": ["queue 'phoen' is not in table `queues`; near: `phone`"],
        "overrides": ["queue 'fone' is not in table `queues`; near: `phone`"],
    }


def test_a_restated_length_that_overlaps_stored_rows_is_not_observed_and_said_at_the_build(
    command: Command, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    halves = [
        {**INTERVAL, "interval_start": f"2026-02-0{day}T{hour:02d}:{minute}Z",
         "interval_minutes": 30, "available_at": f"2026-02-0{day}T23:59Z"}
        for day in (1, 2, 3) for hour in range(24) for minute in ("00", "30")
    ]  # fmt: skip
    whole = {**INTERVAL, "interval_start": "2026-02-02T10:00Z", "available_at": "2026-02-04T00:00Z"}
    for name, documents in (("halves", halves), ("whole", [whole])):
        path = tmp_path / f"{name}.ndjson"
        path.write_text("".join(json.dumps(row) + "\n" for row in documents))
        assert command("features", "ingest", "intervals", path, "--home", home.root).code == 0
    built = command("features", "build", "--home", home.root, "--json")
    assert "rows overlap in time, the first at 2026-02-02 10:00 UTC" in built.out + built.err
    history = open_current_snapshot(home.snapshots).histories["q"]
    assert history.starts[~history.observed].tolist() == [1_770_026_400]


def test_a_horizon_beyond_the_trained_one_is_refused_at_publishing_and_over_http(
    command: Command, tmp_path: Path
) -> None:
    home = build_world(tmp_path).home
    put_volume_bundle(home)
    ended = command("serving", "forecast", "--horizon-days", 29, "--home", tmp_path)
    assert ended.code == 2
    assert "`horizon_days`: got 29; expected 1 to 28, as trained" in ended.err
    with serving(tmp_path) as server:
        answer = server.http.get("/v1/forecast?end=2026-04-18T00:00Z")
    assert answer.status_code == 422
    assert "end" in answer.text


# --- ids ---

IDS = (
    " lead", "trail ", "  ", "a/b?c=d&e#f", "%41", 'q"uote', "ap'os", "🙂", "né", "tab\tin", "..",
    "null", "NaN", "0012", "<script>", "back\\slash", "new\nline", "nul\0mid", "\u202eleft", "a,b",
    "=1+1", "L" * 512, "🙂" * 512, str(2**63), str(10**25),
)  # fmt: skip


def test_any_id_goes_from_a_file_to_http_byte_for_byte(command: Command, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    path = tmp_path / "orders.ndjson"
    documents = [
        {**purchase(f"p{n}", who, at(-10)), "purchased_at": "2026-02-19T00:00:01Z",
         "available_at": "2026-02-19T00:00:01Z"}
        for n, who in enumerate(IDS)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in documents))
    assert command("features", "ingest", "purchases", path, "--home", home.root).code == 0
    assert command("features", "build", "--home", home.root).code == 0
    put_churn_bundle(home, names=("purchase_recency_days", "purchases_90d"))
    assert command("serving", "score", "--home", home.root).code == 0
    with serving(home.root) as server:
        asked = [*IDS, "never seen", "x" * 10_000]
        answer = server.http.post("/v1/churn/scores", json={"customer_ids": asked}).json()
        pulled = server.http.get("/v1/churn/scores").content.split(b"\n")
    assert [score["customer_id"] for score in answer["scores"]] == list(IDS)
    assert answer["unknown"] == asked[-2:]
    assert [json.loads(line)["customer_id"] for line in pulled if line] == sorted(
        IDS, key=lambda who: who.encode()
    )


def test_a_number_beyond_64_bits_keeps_all_its_digits_as_an_id(
    command: Command, tmp_path: Path
) -> None:
    long = 12345678901234567890123
    path = tmp_path / "crm.ndjson"
    path.write_text(f'{{"customer_id": {long}}}\n{{"customer_id": {long + 1}}}\n')
    assert command("features", "ingest", "customers", path, "--home", tmp_path).code == 0
    ids = Lake(Home(tmp_path).lake).read("customers")["customer_id"].to_pylist()
    assert sorted(ids) == [str(long), str(long + 1)]


# --- empty and small sets ---


def test_nothing_loaded_or_promoted_is_told_with_the_next_command(
    command: Command, tmp_path: Path
) -> None:
    for words, code, remedy in (
        (("features", "build"), 1, "python -m features ingest"),
        (("serving", "forecast"), 4, "python -m training promote volume"),
        (("serving", "score"), 4, "python -m training promote churn"),
    ):
        ended = command(*words, "--home", tmp_path)
        assert (ended.code, remedy in ended.err) == (code, True), words


@pytest.mark.parametrize(
    ("tables", "queues", "customers"),
    [
        ({"purchases": [purchase("p", "solo", at(-10.01))]}, 0, 1),
        ({"interactions": [contact("i", None, at(-d)) for d in range(1, 9)]}, 1, 0),
        ({"interactions": [contact("i", "solo", at(-d)) for d in range(1, 9)]}, 1, 1),
    ],
    ids=["purchases only", "contacts of nobody", "one customer who never bought"],
)
def test_a_home_with_half_of_the_tables_builds_and_says_what_a_model_lacks(
    command: Command, tmp_path: Path, tables: dict[str, Any], queues: int, customers: int
) -> None:
    home = Home(tmp_path / "home")
    load(home, tables)
    assert command("features", "build", "--home", home.root).code == 0
    snapshot = open_current_snapshot(home.snapshots)
    assert (len(snapshot.histories), len(snapshot.customers)) == (queues, customers)
    for model in ("volume", "churn"):
        ended = command(
            "training", "fit", model, "--home", home.root, "--mlruns", tmp_path / "mlruns"
        )
        assert (ended.code, "expected at least" in ended.err) == (1, True), ended.err


# --- what was published is damaged ---


@pytest.mark.parametrize("content", [b"nowhere\n", b"../../etc\n", b"\xff\xfe\0", None])
def test_a_pointer_to_nothing_ends_each_command_clearly_and_serving_goes_on(
    command: Command, tmp_path: Path, content: bytes | None
) -> None:
    home = build_world(tmp_path).home
    with serving(tmp_path) as server:
        before = server.http.get("/v1/forecast").content
        for root in (home.bundles("volume"), home.bundles("churn"), home.forecasts, home.scores):
            (root / "CURRENT").unlink()
            (root / "CURRENT").mkdir() if content is None else (root / "CURRENT").write_bytes(
                content
            )
        for words in (("serving", "forecast"), ("serving", "score"), ("training", "models")):
            place = ("--mlruns", tmp_path / "mlruns") if words[0] == "training" else ()
            ended = command(*words, "--home", tmp_path, *place)
            assert ended.code == (0 if words[1] == "models" and content == b"nowhere\n" else 4)
        assert server.watcher.refresh(now=at(30)) == ()
        assert server.http.get("/v1/forecast").content == before
        assert "forecast" in server.watcher.published.refusals


def test_a_bundle_of_an_older_contract_is_refused_and_what_is_published_stays(
    command: Command, tmp_path: Path
) -> None:
    world = build_world(tmp_path)
    id = put_churn_bundle(world.home)
    manifest = world.home.bundles("churn") / id / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "contract_version": 0}))
    ended = command("serving", "score", "--home", tmp_path)
    assert ended.code == 4
    assert "contract 0; expected kind churn-bundle" in ended.err
    assert current_id(world.home.scores) == world.scores


@pytest.mark.parametrize("damage", ["cut", "gone", "log"])
def test_a_damaged_lake_is_named_and_the_snapshot_stays(
    command: Command, tmp_path: Path, damage: str
) -> None:
    home = Home(tmp_path)
    load(home, {"purchases": [purchase("p", "solo", at(-10.01))]})
    assert command("features", "build", "--home", tmp_path).code == 0
    before = current_id(home.snapshots)
    (file,) = (home.lake / "purchases").glob("*.parquet")
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-10])
    else:
        for log in (home.lake / "purchases" / "_delta_log").glob("*.json"):
            log.write_text("{half")
    for verb in ("build", "quality"):
        ended = command("features", verb, "--home", tmp_path)
        assert (ended.code, "lake table `purchases`: got" in ended.err) == (4, True), ended.err
    assert current_id(home.snapshots) == before


def test_a_home_that_is_no_folder_is_no_traceback(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    for words in (
        ("serving", "forecast"),
        ("training", "ledger"),
        ("features", "simulate", "--customers", 1, "--days", 28, "--out", path / "in"),
    ):
        home = () if words[1] == "simulate" else ("--home", path)
        ended = command(*words, *home)
        assert ended.code != 0
        assert ended.err.splitlines()[-1].startswith("error: `")


# --- interrupted ---

KILLED = """
import os, sys
from features.__main__ import app
import features.artefact

moves, allowed = 0, int(sys.argv.pop())
def dying(source, target, move=os.replace):
    global moves
    if "snapshots" in str(target):
        if moves == allowed:
            os._exit(9)
        moves += 1
    move(source, target)
features.artefact.os.replace = dying
app()
"""


@pytest.mark.parametrize("moves", [0, 1])
def test_a_build_that_is_killed_leaves_the_last_snapshot_and_can_be_run_again(
    command: Command, tmp_path: Path, moves: int
) -> None:
    home = Home(tmp_path)
    load(home, {"purchases": [purchase("p", "solo", at(-10.01))]})
    assert command("features", "build", "--home", tmp_path).code == 0
    before = current_id(home.snapshots)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "build", "--home", str(tmp_path), str(moves)],
        check=False, cwd=ROOT, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == 9, killed.stderr
    assert current_id(home.snapshots) == before
    assert command("features", "build", "--home", tmp_path).code == 0
    assert current_id(home.snapshots) != before
