"""How published files are read in place: mapped columns, sorted ids, lines at offsets."""

from __future__ import annotations

import bisect
import os
import weakref
from pathlib import Path

import pyarrow as pa

_STRIDE = 64
"""Rows between two ids that are kept in memory: a look-up reads log2 of it from the map."""


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return a mapped column as one array, without a copy; a column without rows has no chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def int64_view(column: pa.Array) -> memoryview:
    """Return a column of int64 as a view that gives Python integers.

    Indexing it takes a third of the time that indexing a numpy array takes.
    """
    return _int64(column.buffers()[1])


class FileLines:
    """The bytes of a file, read at offsets: no map, so what was read stays out of our memory."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._handle)

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop)."""
        parts = []
        while start < stop:
            part = os.pread(self._handle, stop - start, start)
            if not part:
                break
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class SortedIds:
    """The sorted ids, searched in place.

    Args:
        ids: Arrow ``large_string`` array sorted by UTF-8 bytes, without nulls.
    """

    def __init__(self, ids: pa.Array) -> None:
        _, offsets, data = ids.buffers()
        self._offsets = _int64(offsets)
        self._data = memoryview(data or b"")
        self._length = len(ids)
        self._fences = [self._at(row) for row in range(0, self._length, _STRIDE)]

    def __len__(self) -> int:
        return self._length

    def _at(self, row: int) -> bytes:
        return bytes(self._data[self._offsets[row] : self._offsets[row + 1]])

    def text(self, row: int) -> str:
        """Return the id in a row."""
        return self._at(row).decode()

    def after(self, customer_id: str) -> int:
        """Return the first row whose id is greater than this one."""
        row = self._left(key := _key(customer_id))
        return row + 1 if row < self._length and self._at(row) == key else row

    def from_id(self, customer_id: str) -> int:
        """Return the first row whose id is this one or greater."""
        return self._left(_key(customer_id))

    def find(self, customer_id: str) -> int | None:
        """Return the row of this id, or None."""
        row = self._left(key := _key(customer_id))
        return row if row < self._length and self._at(row) == key else None

    def _left(self, key: bytes) -> int:
        block = max(bisect.bisect_right(self._fences, key) - 1, 0)
        low, high = block * _STRIDE, min((block + 1) * _STRIDE, self._length)
        offsets, data = self._offsets, self._data
        while low < high:
            middle = (low + high) // 2
            if bytes(data[offsets[middle] : offsets[middle + 1]]) < key:
                low = middle + 1
            else:
                high = middle
        return low


def _int64(buffer: pa.Buffer | None) -> memoryview:
    # Indexing a memoryview gives a Python int in a third of the time that numpy takes.
    return memoryview(buffer or b"").cast("q")


def _key(customer_id: str) -> bytes:
    # A lone surrogate is no text that was ever stored; it sorts somewhere and is not found.
    return customer_id.encode("utf-8", "surrogatepass")
