"""The definitions on Spark: the same rows, to the last bit, as on DuckDB."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from features_rows import load, purchase

from features.contracts.tables import TABLES
from features.customers.labels import ChurnLabels
from features.engine.duckdb import DuckDBEngine
from features.engine.protocol import schema_of
from features.engine.spark import SparkEngine
from features.home import Home
from features.intake.load import ingest
from features.intake.mapping import load_mapping
from features.lake.delta import Lake
from features.simulate import SOURCES, SimulationConfig, write
from features.store import FeatureStore
from features.volume.contacts import contact_cells

pyspark_sql = pytest.importorskip("pyspark.sql", reason="extra `spark` is not installed")
pytestmark = [
    pytest.mark.slow,
    # Of pyspark itself: pandas and sockets that it leaves to the garbage collector.
    pytest.mark.filterwarnings("ignore"),
]

END = datetime(2026, 3, 2, tzinfo=UTC)
NOW = END + timedelta(days=2)
GRID = [END - timedelta(days=days) for days in (0, 45)]
TERM = {"kind": "purchase", "term_ends_at": END - timedelta(days=60)}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("centre")
    write(SimulationConfig(until=END, customers=80, days=150), seed=1, out=folder / "files")
    home = Home(folder / "home")
    for source in SOURCES:
        files = folder / "files" / source.name
        mapping = load_mapping(files / "mapping.toml")
        pattern = str(files / source.files)
        ingest(Lake(home.lake), source.table, now=NOW, files=[pattern], mapping=mapping)
    start = END - timedelta(days=140)
    renewal = {"kind": "renewal", "term_ends_at": END + timedelta(days=90)}
    rows = [
        purchase("t1", "leaves", start, **TERM),
        purchase("t2", "stays", start, **TERM),
        purchase("t3", "stays", END - timedelta(days=61), **renewal),
    ]
    load(home, {"purchases": rows})
    return home


@pytest.fixture(scope="module")
def session():
    builder = pyspark_sql.SparkSession.builder.master("local[1]")
    for name, value in (
        ("spark.ui.enabled", "false"),
        ("spark.sql.shuffle.partitions", "2"),
        ("spark.sql.session.timeZone", "Asia/Tokyo"),  # the engine sets its own
    ):
        builder = builder.config(name, value)
    return builder.getOrCreate()


@pytest.fixture(scope="module")
def both(home, session):
    """The store of one lake on DuckDB and on Spark."""
    with (
        FeatureStore(home, engine=SparkEngine(session)) as spark,
        FeatureStore(home, threads=1) as duckdb,
    ):
        yield duckdb, spark


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda store: store.customers([END]), id="customers"),
        pytest.param(
            lambda store: store._engine.arrow(contact_cells(store._tables["interactions"], END)),
            id="contacts by queue and cell",
        ),
        pytest.param(lambda store: store.outcomes(END, horizon_days=30), id="outcomes"),
        pytest.param(lambda store: store.customers(GRID), id="customers at many as-ofs"),
        pytest.param(lambda store: store.labels(GRID, horizon_days=30), id="labels"),
        pytest.param(
            lambda store: store.contract_labels([END - timedelta(days=80)], horizon_days=30),
            id="labels of contracts",
        ),
    ],
)
def test_a_table_is_the_same_on_both(both, answer):
    expected, found = (answer(store) for store in both)
    assert expected.num_rows > 0
    assert found.schema.equals(expected.schema)
    assert found.equals(expected)


def test_orders_and_their_delays_are_the_same_on_both(both):
    expected, found = (store.orders(END) for store in both)
    assert len(expected.starts) > 0
    np.testing.assert_array_equal(found.starts, expected.starts)
    np.testing.assert_array_equal(found.counts, expected.counts)


def test_waits_are_the_same_on_both(both):
    expected, found = (store.waits(END, days=60) for store in both)
    assert len(expected) > 0
    for field in fields(expected):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))


def test_queues_and_events_are_the_same_on_both(both):
    duckdb, spark = both
    assert duckdb.queues(END) == spark.queues(END)
    assert duckdb.events(END) == spark.events(END)
    assert duckdb.latest(now=NOW) == spark.latest(now=NOW)


def test_rows_batch_by_batch_are_the_same_on_both(both):
    definition = ChurnLabels(horizon_days=30, active_days=180)
    expected, found = (store._passes.batches(definition, GRID[1]).read_all() for store in both)
    assert expected.num_rows > 0
    assert found.equals(expected)


def test_a_table_is_read_with_the_types_of_its_contract(home, both):
    _, spark = both
    with DuckDBEngine(threads=1) as duckdb:
        for name, contract in TABLES.items():
            files = Lake(home.lake).files(name)
            found = spark._engine.scan(files, contract).schema().to_pyarrow()
            assert found == schema_of(contract).to_pyarrow()
            assert found == duckdb.scan(files, contract).schema().to_pyarrow()
