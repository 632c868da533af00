from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.arrow import read_arrow, write_arrow
from features.calendar.clock import to_epoch
from features.calendar.queues import Queue, event_from_json, queue_from_json, queue_to_json
from features.errors import DamagedArtefactError, NotPublishedError
from features.snapshot import (
    FeatureTable,
    open_current_snapshot,
    open_snapshot,
    quarters_from_table,
    quarters_to_table,
)
from features.volume.history import QueueHistory, no_quarters


def table_of(ids, batch=3):
    ids = sorted(ids, key=str.encode)
    values = np.arange(len(ids), dtype=np.float64)
    whole = pa.table({"customer_id": pa.array(ids, pa.string()), "x": values, "y": -values})
    cut = pa.Table.from_batches(whole.to_batches(max_chunksize=batch), whole.schema)
    return FeatureTable(cut.column("customer_id"), ("x", "y"), (cut.column("x"), cut.column("y")))


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=20))
@settings(max_examples=40, deadline=None)
def test_every_id_is_found_and_no_other(ids):
    table = table_of(ids)
    for row, id in enumerate(sorted(ids, key=str.encode)):
        assert table.find(id) == row
        assert id + "\x00" in ids or table.find(id + "\x00") is None
    assert len(table) == len(ids)


def test_a_matrix_is_cut_by_rows_and_ordered_by_names():
    table = table_of(["a", "b", "c", "d", "e", "f", "g"])
    assert table.matrix(["y", "x"], 2, 5).tolist() == [[-2, 2], [-3, 3], [-4, 4]]
    assert table.matrix(["x"]).shape == (7, 1)
    assert table.matrix([], 0, 2).shape == (2, 0)
    with pytest.raises(KeyError):
        table.matrix(["z"])


def test_null_becomes_nan():
    column = pa.chunked_array([pa.array([1.0, None])])
    table = FeatureTable(pa.chunked_array([pa.array(["a", "b"])]), ("x",), (column,))
    assert np.isnan(table.matrix(["x"])[1, 0])


def test_a_history_before_a_moment_holds_only_intervals_that_had_ended():
    starts = np.arange(5, dtype=np.int64) * 3600
    values = np.arange(5, dtype=np.float64)
    history = QueueHistory(Queue("q"), starts, values, values, values)
    cut = history.before(datetime(1970, 1, 1, 2, 59, 59, tzinfo=UTC))
    assert cut.offered.tolist() == [0.0, 1.0]
    assert history.before(datetime(1970, 1, 1, 3, tzinfo=UTC)).offered.tolist() == [0.0, 1.0, 2.0]
    assert len(history.before(datetime(1969, 1, 1, tzinfo=UTC)).starts) == 0


def test_what_was_not_observed_is_nan_and_zero_is_observed():
    values = np.array([0.0, np.nan, 3.0])
    history = QueueHistory(Queue("q"), np.arange(3, dtype=np.int64), values, values, values)
    assert history.observed.tolist() == [True, False, True]


def test_queues_and_events_read_back_from_json():
    queue = Queue("q", opening=(None, (), ((0, 60), (90, 1440)), None, None, None, None))
    assert queue_from_json(queue_to_json(queue)) == queue
    event = {"event_id": "e", "kind": "k", "starts_at": 1, "ends_at": 2, "known_at": 0}
    assert event_from_json(event | {"queues": ["a"], "size": None}).queues == ("a",)


def test_contacts_by_quarter_read_back_from_their_table(tmp_path):
    rng = np.random.default_rng(0)
    quarters = {"b": rng.uniform(size=(168, 4)), "a": no_quarters()}
    write_arrow(tmp_path / "q.arrow", quarters_to_table(quarters))
    found = quarters_from_table(read_arrow(tmp_path / "q.arrow"))
    assert list(found) == ["b", "a"]
    assert all((found[name] == quarters[name]).all() for name in quarters)
    write_arrow(tmp_path / "none.arrow", quarters_to_table({}))
    assert quarters_from_table(read_arrow(tmp_path / "none.arrow")) == {}


def test_an_arrow_file_reads_back_in_one_batch(tmp_path):
    whole = pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})])
    write_arrow(tmp_path / "a.arrow", whole)
    found = read_arrow(tmp_path / "a.arrow")
    assert found.equals(whole)
    assert found.column("a").num_chunks == 1


def test_nothing_published_and_damage_are_told_apart(tmp_path):
    with pytest.raises(NotPublishedError):
        open_current_snapshot(tmp_path)
    (tmp_path / "x").mkdir()
    with pytest.raises(DamagedArtefactError):
        open_snapshot(tmp_path / "x")


def test_replacing_a_field_leaves_a_history_unchanged():
    values = np.zeros(1)
    history = QueueHistory(
        Queue("q"), np.array([to_epoch(datetime(2026, 1, 1, tzinfo=UTC))]), values, values, values
    )
    assert replace(history, offered=values + 1).offered.tolist() == [1.0]
    assert history.offered.tolist() == [0.0]
