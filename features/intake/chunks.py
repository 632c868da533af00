"""What every reader gives: chunks of rows under the source's own names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.errors import ContractError, UnreadableFileError

CHUNK_ROWS = 262_144
"""Rows of a chunk, about: few enough for the memory, enough for whole-column work to pay."""

AGAIN = "export or copy it again; nothing of this load was kept"


@dataclass(frozen=True)
class UnreadableRow:
    """A row that could not be split into fields; its number is from 1, 0 where unknown."""

    number: int
    reason: str
    text: str


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source.

    Attributes:
        rows: Under the source's column names; text stays text.
        numbers: Each row's number in its source, from 1 and without the header, int64[n].
        broken: Rows that could not be read.
        done: Share of the source that has been read, in [0, 1]; None where unknown.
    """

    rows: pa.RecordBatch
    numbers: npt.NDArray[np.int64]
    broken: tuple[UnreadableRow, ...]
    done: float | None


def unreadable(
    path: Path, got: object, *, where: str = "", remedy: str = AGAIN
) -> UnreadableFileError:
    """Return the error for a file that cannot be opened, decoded or parsed."""
    return UnreadableFileError(f"file `{path}`{where}", got=got, remedy=remedy)


def check_columns(what: str, got: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a source that lacks a wanted column.

    Raises:
        ContractError: With the missing ones, near names and what is there.
    """
    missing = [name for name in wanted if name not in got]
    if not missing:
        return
    unused = {name.lower(): name for name in got if name not in wanted}
    diff = []
    for name in missing:
        near = difflib.get_close_matches(name.lower(), list(unused), n=1, cutoff=0.5)
        diff.append(f"`{name}`" + (f" (near: `{unused[near[0]]}`)" if near else ""))
    raise ContractError(
        f"{what}, missing column{'s' if len(missing) > 1 else ''} {', '.join(diff)}",
        got=", ".join(f"`{n}`" for n in got) or "no columns",
        expected=", ".join(f"`{n}`" for n in wanted),
        remedy="correct the names in the mapping; docs/data.md shows how",
        field=missing[0],
    )
