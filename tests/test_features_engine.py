from datetime import UTC, datetime

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.contracts.tables import CUSTOMERS, TABLES
from features.engine.duckdb import DuckDBEngine
from features.engine.protocol import HAPPENED_AT, LAKE_COLUMNS, Query, schema_of
from features.lake.delta import lake_schema


@pytest.fixture(scope="module")
def engine():
    with DuckDBEngine(threads=1) as opened:
        yield opened


def written(path, **values):
    schema = lake_schema(CUSTOMERS)
    row = {name: None for name in schema.names} | values  # noqa: C420 # merged with the values
    pq.write_table(pa.Table.from_pylist([row], schema=schema), path)
    return str(path)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_a_table_without_files_is_empty_and_typed(engine, table):
    rows = engine.scan([], table)
    assert rows.schema() == schema_of(table)
    assert engine.arrow(rows.count().as_table()).to_pylist() == [{rows.count().get_name(): 0}]
    again = (HAPPENED_AT,) if table.event_time else ()
    assert tuple(rows.columns) == (*table.column_names, *LAKE_COLUMNS, *again)


def test_files_are_read_with_moments_to_the_microsecond(engine, tmp_path):
    moment = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
    one = written(tmp_path / "a 'quoted' name.parquet", customer_id="ä", joined_at=moment)
    two = written(tmp_path / "b.parquet", customer_id="b", joined_at=None)
    rows = engine.scan([one, two], CUSTOMERS)
    found = engine.arrow(rows.order_by("customer_id")).to_pylist()
    assert [row["customer_id"] for row in found] == ["b", "ä"]  # by bytes, not by alphabet
    assert found[1]["joined_at"].replace(tzinfo=UTC) == moment
    assert rows.schema() == schema_of(CUSTOMERS)


def test_rows_in_memory_can_be_filtered_kept_and_streamed(engine):
    rows = engine.memory(pa.table({"n": list(range(10))}))
    kept = engine.keep(rows.filter(rows.n % 2 == 0))
    assert engine.arrow(kept.n.sum().as_table()).column(0).to_pylist() == [20]
    reader = engine.batches(kept.order_by("n"), rows=2)
    assert reader.read_all().column("n").to_pylist() == [0, 2, 4, 6, 8]


def test_a_query_compiled_once_runs_with_each_value_over_views_and_kept_rows():
    rows = ibis.table({"n": "int64", "t": "timestamp(6)"}, name="rows")
    since, until = ibis.param("int64"), ibis.param("timestamp(6)")
    chosen = rows.filter((rows.n >= since) & (rows.t < until)).select("n").order_by("n")
    query = Query(chosen, {"since": since, "until": until})
    noon = datetime(2026, 1, 1, 12)  # noqa: DTZ001 # the lake's moments are naive UTC
    moments = [noon.replace(hour=hour) for hour in (11, 12, 13)]
    data = pa.table({"n": [1, 2, 3], "t": pa.array(moments, pa.timestamp("us"))})
    with DuckDBEngine(threads=1) as viewed, DuckDBEngine(threads=1) as kept:
        viewed.view(viewed.memory(data), name="rows")
        kept.keep(kept.memory(data), name="rows")
        for engine in (viewed, kept):
            for since_n, expected in ((1, [1]), (2, []), (-5, [1])):
                found = engine.run(query, {"since": since_n, "until": noon})
                assert found.column("n").to_pylist() == expected
            later = {"since": 2, "until": noon.replace(hour=23)}
            assert engine.stream(query, later).read_all().column("n").to_pylist() == [2, 3]


def test_zoned_moments_come_back_as_utc(engine):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    rows = engine.memory(pa.table({"t": pa.array([moment], pa.timestamp("us", "UTC"))}))
    assert engine.arrow(rows).schema.field("t").type == pa.timestamp("us", "UTC")
    assert engine.arrow(rows.filter(rows.t == ibis.literal(moment))).num_rows == 1


def test_nothing_is_written_into_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with DuckDBEngine(threads=1, memory_limit="64MB") as small:
        rows = small.memory(pa.table({"n": list(range(1000))}))
        small.arrow(rows.order_by("n"))
    assert list(tmp_path.iterdir()) == []
