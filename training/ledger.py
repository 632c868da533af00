"""The ledger of promotions and roll-backs: who changed what serves, when, why, on what evidence.

One JSON line an entry, synced *before* the change is made. An entry counts as carried out when the
next one, or what serves now, agrees.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from features.errors import DamagedArtefactError
from features.home import ModelName


@dataclass(frozen=True)
class Entry:
    """One promotion or roll-back.

    Attributes:
        from_bundle: Id of the bundle that served before, None where none did.
        to_bundle: Id of the bundle that serves from then on.
        version: Its registered version, None where the registry does not know it.
        reason: Why; for a forced promotion the reason that was given.
        gates: What was measured, as ``training.gates.Gate`` turned into JSON.
    """

    at: datetime
    who: str
    action: Literal["promote", "rollback"]
    model: ModelName
    from_bundle: str | None
    to_bundle: str
    version: int | None
    reason: str
    gates: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)


def append(path: Path, entry: Entry) -> None:
    """Append one entry and return once it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**asdict(entry), "at": entry.at.isoformat()}
    line = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
    with path.open("ab+") as file:
        if file.tell() and not _ends_with_newline(path):
            line = "\n" + line  # a crash cut the last entry short: it must not swallow this one
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def read(path: Path) -> tuple[Entry, ...]:
    """Return all entries, oldest first; none where nothing was ever promoted.

    A line that a crash cut short is left out: its change was never made.

    Raises:
        DamagedArtefactError: A whole line is not an entry.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except ValueError:
            continue
        try:
            document["at"] = datetime.fromisoformat(document["at"])
            document["gates"] = tuple(document["gates"])
            entries.append(Entry(**document))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedArtefactError(
                f"ledger `{path.name}` line {number}",
                got=f"no entry ({error})",
                remedy="restore the file from a backup, or remove that line",
            ) from error
    return tuple(entries)


def previous(entries: Sequence[Entry], *, model: ModelName, serving: str) -> str | None:
    """Return the bundle that a roll-back of one model leads to, None where there is none.

    A promotion goes one step forward, a roll-back one step back: rolling back twice goes two
    steps back. Entries that were not carried out do not count.
    """
    mine = [entry for entry in entries if entry.model == model]
    found_after = [*(entry.from_bundle for entry in mine), serving][1:]
    path: list[str] = []
    for entry, after in zip(mine, found_after, strict=True):
        if entry.to_bundle != after:
            continue
        if entry.action == "rollback" and entry.to_bundle in path:
            while path[-1] != entry.to_bundle:
                path.pop()
        elif path[-1:] != [entry.to_bundle]:
            path.append(entry.to_bundle)
    while path and path[-1] == serving:
        path.pop()
    return path[-1] if path else None
