"""Writing a simulated centre to disk month by month, so that memory stays bounded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import InputError
from features.simulate import exports
from features.simulate.centre import SimulationConfig
from features.simulate.history import History, Month
from features.simulate.simulation import customers_truth, law_facts, volume_truth
from features.simulate.tables import ContactCounts, calendar_table, customers_table, queues_table

TRUTH = "truth"
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Source:
    """One export of the simulated centre, a folder of its own.

    Attributes:
        name: The folder's name.
        table: Our table that it fills.
        files: Glob of its data files, in the folder.
    """

    name: str
    table: str
    files: str

    @property
    def mapping(self) -> str:
        """Text of the ``mapping.toml`` beside the files."""
        path = Path(__file__).parent / "mappings" / f"{self.name}.toml"
        return path.read_text(encoding="utf-8")


SOURCES: tuple[Source, ...] = (
    Source("queues", "queues", "queues.csv"),
    Source("calendar", "calendar", "events.csv"),
    Source("crm", "customers", "customers.csv"),
    Source("telephony", "interactions", "calls-*.csv.gz"),
    Source("tickets", "interactions", "tickets-*.ndjson"),
    Source("shop", "purchases", "orders-*.parquet"),
    Source("outreach", "outreach", "decisions.csv"),
)
"""The exports, in an order in which they can be ingested."""


@dataclass(frozen=True)
class Written:
    """A simulated centre on disk: its folder, and what stands there, by the name of the source."""

    out: Path
    contacts: ContactCounts
    sources: dict[str, exports.SourceCounts]


def write(
    config: SimulationConfig, *, seed: int, out: Path, progress: Progress | None = None
) -> Written:
    """Simulate a centre and write its exports, their mappings and the truth.

    The same configuration and seed give the same bytes. Nothing stands in ``out`` before all is
    written.

    Args:
        config: What the centre is to be.
        seed: Seed of all randomness.
        out: Folder to make; it may exist if it is empty.
        progress: Called with a word and the share that is done.

    Raises:
        InputError: ``out`` is a file, or holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"folder `{out}`",
            got="something that is already there",
            expected="a new or an empty folder",
            remedy="name another one, or remove it first",
            field="out",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    hidden = out.parent / f".writing-{out.name}"
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        writer = _Writer(config, seed=seed, root=hidden)
        writer.run(progress or (lambda _word, _share: None))
        os.replace(hidden, out)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return Written(out, writer.contacts, writer.counts)


class _Writer:
    """One run: the history, the folder it fills and what has been counted."""

    def __init__(self, config: SimulationConfig, *, seed: int, root: Path) -> None:
        self.config, self.seed, self.root = config, seed, root
        self.history = History(config, seed=seed)
        self.rng = np.random.default_rng([seed, 1])
        self.counts = {source.name: exports.SourceCounts() for source in SOURCES}
        self.contacts = ContactCounts()

    def run(self, progress: Progress) -> None:
        for source in SOURCES:
            folder = self.root / source.name
            folder.mkdir(parents=True)
            (folder / "mapping.toml").write_text(source.mapping, encoding="utf-8")
        (self.root / TRUTH).mkdir()
        centre, customers = self.history.centre, customers_table(self.history.population)
        self._write_list("queues", "queues.csv", exports.queue_list(queues_table(centre)))
        self._write_list("calendar", "events.csv", exports.event_list(calendar_table(centre)))
        self._write_list("crm", "customers.csv", exports.crm(customers))
        churn: pq.ParquetWriter | None = None
        for month in self.history.months():
            self._write_month(month)
            for table in month.churn:
                if churn is None:
                    path = self.root / TRUTH / "churn.parquet"
                    churn = pq.ParquetWriter(path, table.schema, compression="zstd")
                churn.write_table(table)
            done = month.span[1] - self.config.start
            progress(month.label, done / (self.config.end - self.config.start))
        if churn is not None:
            churn.close()
        self._write_truth()

    def _write_list(self, source: str, name: str, table: pa.Table) -> None:
        exports.write_csv(table, self.root / source / name)
        counts = self.counts[source]
        counts.files, counts.rows, counts.versions, counts.ids = 1, *[len(table)] * 3

    def _write_month(self, month: Month) -> None:
        rows, label = month.interactions, month.label
        calls = exports.calls(rows, rng=self.rng), exports.call_faults(*month.span)
        tickets = exports.tickets(rows), exports.TICKET_FAULTS
        orders = exports.orders(month.purchases), exports.ORDER_FAULTS
        for source, (clean, faults), name, write_file in (
            ("telephony", calls, f"calls-{label}.csv.gz", exports.write_csv),
            ("tickets", tickets, f"tickets-{label}.ndjson", exports.write_ndjson),
            ("shop", orders, f"orders-{label}.parquet", exports.write_parquet),
        ):
            if len(clean):
                counts = self.counts[source]
                faulty = exports.plant_faults(
                    clean, faults, config=self.config, counts=counts, rng=self.rng
                )
                write_file(faulty, self.root / source / name)
        voice = rows.filter(pc.equal(rows["channel"], "voice"))
        started_at = exports.epoch_seconds(voice["started_at"])
        self.counts["telephony"].repeated_hour += exports.repeated_hour_rows(started_at)
        self.contacts += month.counts

    def _write_truth(self) -> None:
        history, folder = self.history, self.root / TRUTH
        volume = volume_truth(history.centre, history.arrivals)
        exports.write_parquet(volume, folder / "volume.parquet")
        exports.write_parquet(customers_truth(history), folder / "customers.parquet")
        campaign = history.campaign
        self._write_list("outreach", "decisions.csv", exports.decisions(campaign.outreach))
        exports.write_parquet(campaign.truth, folder / "campaign.parquet")
        document = law_facts(history.centre, seed=self.seed)
        document["files"] = {name: asdict(counts) for name, counts in self.counts.items()}
        document["contacts"] = asdict(self.contacts)
        text = json.dumps(document, indent=1, ensure_ascii=False)
        (folder / "facts.json").write_text(text + "\n", encoding="utf-8")
