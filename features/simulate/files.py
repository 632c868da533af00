"""Writing a simulated centre to disk month by month, so that memory stays bounded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.calendar import epoch, moment
from features.errors import InputError
from features.simulate import exports
from features.simulate.config import SimulationConfig
from features.simulate.dirt import (
    BAD_ORDERS,
    BAD_TICKETS,
    BadValue,
    bad_calls,
    repeated_hour_rows,
    soil,
)
from features.simulate.formats import epoch_seconds, write_csv, write_ndjson, write_parquet
from features.simulate.history import History, Month
from features.simulate.mappings import SOURCES
from features.simulate.tables import calendar_table, customers_table, queues_table
from features.simulate.truth import customers_truth, facts, volume_truth

TRUTH = "truth"
Progress = Callable[[str, float], None]


@dataclass
class SourceCounts:
    """What stands in the files of one source.

    Attributes:
        files: Files.
        rows: Rows in them: versions, duplicates and bad ones.
        versions: Good rows, each version of an id by itself.
        ids: Different ids of the good rows.
        duplicates: Rows that stand there a second time.
        bad: Rows that no reader can accept, by what is wrong with them.
        repeated_hour: Good rows in the hour that the wall clock went through twice.
    """

    files: int = 0
    rows: int = 0
    versions: int = 0
    ids: int = 0
    duplicates: int = 0
    bad: dict[str, int] = field(default_factory=dict)
    repeated_hour: int = 0

    @property
    def bad_rows(self) -> int:
        """All bad rows together."""
        return sum(self.bad.values())


@dataclass
class ContactCounts:
    """How contacts became known.

    Attributes:
        late: Contacts that became known hours or days late.
        corrected: Calls of which a corrected version is there too.
        withheld: Contacts that are so late that they are in no file.
        unlinked: Contacts without a customer's id, of those that are in a file.
    """

    late: int = 0
    corrected: int = 0
    withheld: int = 0
    unlinked: int = 0


@dataclass(frozen=True)
class Written:
    """A simulated centre on disk.

    Attributes:
        out: The folder.
        contacts: How contacts became known.
        sources: What stands in each source's files, by its name as in ``SOURCES``.
    """

    out: Path
    contacts: ContactCounts
    sources: dict[str, SourceCounts]


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
        self.counts = {source.name: SourceCounts() for source in SOURCES}
        self.contacts = ContactCounts()

    def run(self, progress: Progress) -> None:
        """Write everything."""
        for source in SOURCES:
            folder = self.root / source.name
            folder.mkdir(parents=True)
            (folder / "mapping.toml").write_text(source.mapping, encoding="utf-8")
        (self.root / TRUTH).mkdir()
        self._known_ahead()
        churn: pq.ParquetWriter | None = None
        for month in self.history.months():
            self._month(month)
            for table in month.churn:
                if churn is None:
                    path = self.root / TRUTH / "churn.parquet"
                    churn = pq.ParquetWriter(path, table.schema, compression="zstd")
                churn.write_table(table)
            progress(month.label, month.done)
        if churn is not None:
            churn.close()
        self._truth()

    def _known_ahead(self) -> None:
        world = self.history.world
        queues = queues_table(world)
        self._plain("queues", "queues.csv", exports.queue_list(queues))
        known = [event for event in world.events if event.known_at <= self.config.end]
        self._plain("calendar", "events.csv", exports.event_list(calendar_table(known)))
        customers = customers_table(self.history.population)
        self._plain("crm", "customers.csv", exports.crm(customers))

    def _plain(self, source: str, name: str, table: pa.Table) -> None:
        write_csv(table, self.root / source / name)
        counts = self.counts[source]
        counts.files, counts.rows, counts.versions, counts.ids = 1, *[len(table)] * 3

    def _month(self, month: Month) -> None:
        rows = month.interactions
        calls = exports.calls(rows.table, rng=self.rng)
        tickets = exports.tickets(rows.table)
        first, last = self._span(month.label)
        self._export("telephony", month.label, calls, bad_calls(first, last))
        self._export("tickets", month.label, tickets, BAD_TICKETS)
        self._export("shop", month.label, exports.orders(month.purchases), BAD_ORDERS)
        voice = rows.table.filter(pc.equal(rows.table["channel"], "voice"))
        started_at = epoch_seconds(voice["started_at"])
        self.counts["telephony"].repeated_hour += repeated_hour_rows(started_at)
        for name in ("late", "corrected", "withheld", "unlinked"):
            setattr(self.contacts, name, getattr(self.contacts, name) + getattr(rows, name))

    def _span(self, label: str) -> tuple[int, int]:
        year, month = (int(part) for part in label.split("-"))
        start = moment(0).replace(year=year, month=month, day=1)
        following = start.replace(year=year + month // 12, month=month % 12 + 1)
        return max(epoch(start), self.config.start), min(epoch(following), self.config.end)

    def _export(self, source: str, label: str, clean: pa.Table, kinds: dict[str, BadValue]) -> None:
        if len(clean) == 0:
            return
        counts = self.counts[source]
        dirty = soil(
            clean,
            kinds,
            config=self.config,
            planted=counts.bad,
            rng=self.rng,
        )
        folder = self.root / source
        if source == "telephony":
            write_csv(dirty.table, folder / f"calls-{label}.csv.gz", delimiter=";")
        elif source == "tickets":
            write_ndjson(dirty.table, folder / f"tickets-{label}.ndjson")
        else:
            write_parquet(dirty.table, folder / f"orders-{label}.parquet")
        counts.files += 1
        counts.rows += len(dirty.table)
        counts.versions += len(clean)
        counts.ids += len(pc.unique(clean.column(0)))
        counts.duplicates += dirty.duplicates
        for kind, count in dirty.bad.items():
            counts.bad[kind] = counts.bad.get(kind, 0) + count

    def _truth(self) -> None:
        history, folder = self.history, self.root / TRUTH
        write_parquet(volume_truth(history.world, history.arrivals), folder / "volume.parquet")
        write_parquet(customers_truth(history), folder / "customers.parquet")
        campaign = history.campaign
        self._plain("outreach", "decisions.csv", exports.decisions(campaign.outreach))
        write_parquet(campaign.truth, folder / "campaign.parquet")
        document = facts(history.world, seed=self.seed)
        document["files"] = {name: asdict(counts) for name, counts in self.counts.items()}
        document["contacts"] = asdict(self.contacts)
        text = json.dumps(document, indent=1, ensure_ascii=False)
        (folder / "facts.json").write_text(text + "\n", encoding="utf-8")
