"""The lake: commits, pinned readers, the chain of versions."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.arrow import hash_rows, hex_ids
from features.contracts.tables import QUEUES
from features.errors import InputError, UnknownNameError
from features.lake.delta import LOADS, MANY_SMALL, Change, Lake, lake_schema, write_parquet
from features.lake.versions import OPEN, Rows, VersionPlan, place

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = lake_schema(QUEUES)


def staged(folder: Path, *names: str) -> Path:
    path = folder / f"{names[0]}.parquet"
    with write_parquet(path, SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist([{"queue": n} for n in names], schema=SCHEMA))
    return path


def test_nothing_loaded_is_an_empty_lake(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "nowhere")
    assert lake.versions() == {}
    assert lake.files("queues") == []
    assert lake.read(LOADS).num_rows == 0
    assert not (tmp_path / "nowhere").exists()


def test_an_unknown_table_is_named_with_near_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean `queues`"):
        Lake(tmp_path).read("queue")


def test_a_commit_adds_and_removes_files_at_once_and_readers_keep_theirs(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "a folder, größer")
    with lake.writing() as staging:
        lake.commit(Change("queues", SCHEMA, (staged(staging, "a"),)), now=NOW)
    pinned = lake.files("queues")
    first = lake.versions()["queues"]
    with lake.writing() as staging:
        change = Change("queues", SCHEMA, (staged(staging, "a", "b"),), tuple(pinned))
        version = lake.commit(change, now=NOW)
    assert lake.versions() == {"queues": version}
    assert version == first + 1
    assert lake.files("queues", first) == pinned
    assert duckdb.read_parquet(pinned).fetchall()[0][0] == "a"
    assert lake.read("queues").column("queue").to_pylist() == ["a", "b"]


def test_what_a_killed_load_left_behind_is_swept_away(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    (tmp_path / "_staging").mkdir()
    (tmp_path / "_staging" / "half.parquet").write_bytes(b"half")
    with lake.writing() as staging:
        assert list(staging.iterdir()) == []
    assert not (tmp_path / "_staging").exists()


def test_a_lake_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="lake"), Lake(tmp_path / "file" / "lake").writing():
        pass


def test_many_small_files_of_a_small_table_are_joined(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for number in range(MANY_SMALL + 1):
        with lake.writing() as staging:
            rows = pa.Table.from_pylist(
                [{"load_id": str(number), "table": "q", "loaded_at": NOW, "report": "{}"}],
                schema=lake.schema(LOADS),
            )
            lake.append(LOADS, rows, staging=staging, now=NOW)
    assert len(lake.files(LOADS)) == 1
    found = sorted(lake.read(LOADS).column("load_id").to_pylist(), key=int)
    assert found == [str(number) for number in range(MANY_SMALL + 1)]


# --- hashes ---


@given(
    st.lists(
        st.tuples(st.none() | st.text(max_size=20), st.none() | st.integers(-9, 9)), min_size=1
    )
)
@settings(max_examples=60, deadline=None)
def test_rows_hash_alike_exactly_when_they_are_equal(
    rows: list[tuple[str | None, int | None]],
) -> None:
    texts = pa.array([row[0] for row in rows], pa.string())
    numbers = pa.array([row[1] for row in rows], pa.int64())
    hashes = hash_rows([texts, numbers]).tolist()
    for i, left in enumerate(rows):
        for j, right in enumerate(rows):
            assert (hashes[i] == hashes[j]) == (left == right)


def test_a_hash_does_not_depend_on_where_in_an_array_a_row_stands() -> None:
    words = pa.array(["x", "a longer word than eight bytes", None, "", "größer"])
    whole = hash_rows([words]).tolist()
    assert hash_rows([words.slice(1, 3)]).tolist() == whole[1:4]


def test_a_hash_stays_the_same_for_ever() -> None:
    # Content that is stored is compared with this function after every upgrade.
    columns = [pa.array(["contact-1", None]), pa.array([1.5, -0.0]), pa.array([True, None])]
    digest = hashlib.sha256(hash_rows(columns).astype("<u8").tobytes()).hexdigest()
    assert digest[:16] == "732c26beaaf0be93"
    assert (
        hex_ids([pa.array(["a"]), pa.array(["b"])])[0].as_py() == "24bbfd42e79a2738b53a459b794b7415"
    )


# --- versions, against a replay in plain Python ---

row = st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 2))
loads = st.lists(st.lists(row, max_size=6), max_size=4)


def rows_of(load: list[tuple[str, int, int]]) -> Rows:
    keys = pa.array([key for key, _, _ in load], pa.string())
    return Rows(
        np.stack([hash_rows([keys], seed=1), hash_rows([keys], seed=2)]),
        np.array([available for _, available, _ in load], dtype=np.int64),
        np.array([content for _, _, content in load], dtype=np.int64),
    )


class Store:
    """Stored versions, as ingest keeps them."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, int]] = []
        self.ends = np.empty(0, dtype=np.int64)

    def load(self, load: list[tuple[str, int, int]]) -> VersionPlan:
        placed = place(rows_of(load), stored=rows_of(self.rows), stored_superseded=self.ends.copy())
        kept = np.flatnonzero(placed.keep)
        self.rows += [load[i] for i in kept]
        self.ends = np.concatenate([placed.stored_superseded, placed.superseded[kept]])
        return placed

    def known(self, key: str, at: int) -> list[int]:
        return [
            content
            for (k, available, content), end in zip(self.rows, self.ends, strict=True)
            if k == key and available <= at and end > at
        ]


class Replay:
    """What is known, told moment by moment: each moment's contents, the one in force last."""

    def __init__(self) -> None:
        self.told: dict[str, dict[int, list[int]]] = {"a": {}, "b": {}}

    def known(self, key: str, at: float) -> list[int]:
        moments = [moment for moment in self.told[key] if moment <= at]
        return self.told[key][max(moments)][-1:] if moments else []

    def load(self, load: list[tuple[str, int, int]]) -> None:
        for key, told in self.told.items():
            familiar = {content for contents in told.values() for content in contents}
            for moment in sorted({a for k, a, _ in load if k == key}):
                said = [c for k, a, c in load if (k, a) == (key, moment)]
                self.tell(key, moment, list(dict.fromkeys(reversed(said)))[::-1], familiar)

    def tell(self, key: str, moment: int, said: list[int], familiar: set[int]) -> None:
        before = self.told[key].get(moment, [])
        *overruled, last = said
        overruled = [c for c in overruled if c not in before and c not in familiar]
        if last in before:
            self.told[key][moment] = overruled + before
        elif before or overruled or self.known(key, moment - 0.5) != [last]:
            self.told[key][moment] = overruled + before + [last]


@given(loads)
@settings(max_examples=120, deadline=None)
def test_the_plain_predicate_finds_the_version_that_a_replay_finds(
    history: list[list[tuple[str, int, int]]],
) -> None:
    store, replay = Store(), Replay()
    for load in history:
        store.load(load)
        replay.load(load)
        for key in "ab":
            for at in range(6):
                assert store.known(key, at) == replay.known(key, at)


@given(loads)
@settings(max_examples=80, deadline=None)
def test_loading_the_same_rows_again_changes_nothing(
    history: list[list[tuple[str, int, int]]],
) -> None:
    store = Store()
    for load in history:
        store.load(load)
        before = store.ends.tolist()
        placed = store.load(load)
        assert not placed.keep.any()
        assert store.ends.tolist() == before


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1, max_size=6))
@settings(max_examples=80, deadline=None)
def test_the_same_rows_without_a_time_of_their_own_change_nothing_later(
    load: list[tuple[str, int]],
) -> None:
    store = Store()
    store.load([(key, 10, content) for key, content in load])
    before = store.ends.tolist()
    assert not store.load([(key, 20, content) for key, content in load]).keep.any()
    assert store.ends.tolist() == before


def test_a_late_version_takes_its_place_in_the_chain() -> None:
    store = Store()
    store.load([("a", 1, 0), ("a", 9, 2)])
    placed = store.load([("a", 5, 1)])
    assert store.ends.tolist() == [5, OPEN, 9]
    assert placed.new.tolist() == [False]


def test_contradictory_rows_of_one_moment_are_found_and_not_kept() -> None:
    nothing = rows_of([])
    placed = place(
        rows_of([("a", 1, 0), ("a", 1, 2), ("b", 1, 0), ("b", 1, 0)]),
        stored=nothing,
        stored_superseded=np.empty(0, dtype=np.int64),
        contradictory=np.zeros(4, dtype=bool),
    )
    assert placed.contradictory.tolist() == [True, True, False, False]
    assert placed.keep.tolist() == [False, False, False, True]
