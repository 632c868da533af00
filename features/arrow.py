"""Arrow files, hashes of rows, and sorted ids."""

from __future__ import annotations

import bisect
import os
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

UInt64 = npt.NDArray[np.uint64]

_NULL = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_WORD = 8


def _mix(values: UInt64) -> UInt64:
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def hash_rows(columns: Sequence[pa.Array], *, seed: int = 0) -> UInt64:
    """Return one 64-bit hash a row, uint64[n]; another seed gives an unrelated one.

    The order of columns counts, a null differs from every value, and integers, times, floats and
    booleans hash by their 64 bits (``-0.0`` as ``0.0``).

    >>> same = hash_rows([pa.array(["a", None]), pa.array([1, 2])])
    >>> bool((same == hash_rows([pa.array(["a", None]), pa.array([1, 2])])).all())
    True
    """
    state = np.full(len(columns[0]), _mix(np.array([seed], dtype=np.uint64) + _NULL)[0])
    for column in columns:
        state = _mix(state * np.uint64(3) + _values(column))
    return state


def hex_ids(columns: Sequence[pa.Array]) -> pa.Array:
    """Return one id a row, 32 hexadecimal digits made from all columns of that row.

    >>> ids = hex_ids([pa.array(["a", "a"]), pa.array(["1", "2"])])
    >>> len(ids[0].as_py()), ids[0] == ids[1]
    (32, False)
    """
    n = len(columns[0])
    words = np.empty((n, 2), dtype=">u8")
    words[:, 0], words[:, 1] = hash_rows(columns, seed=1), hash_rows(columns, seed=2)
    digits = pa.py_buffer(words.tobytes().hex().encode())
    offsets = pa.py_buffer(np.arange(n + 1, dtype=np.int64) * 32)
    return pa.LargeStringArray.from_buffers(n, offsets, digits).cast(pa.string())


def _values(column: pa.Array) -> UInt64:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = _strings(column.cast(pa.large_string()))
    else:
        values = _mix(_bits(column))
    if column.null_count:
        values[pc.is_null(column).to_numpy(zero_copy_only=False)] = _NULL
    return values


def _bits(column: pa.Array) -> UInt64:
    if pa.types.is_floating(column.type):
        numbers = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(np.float64)
        return np.asarray(numbers + 0.0).view(np.uint64)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    whole = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return np.asarray(whole, dtype=np.int64).view(np.uint64)


def _strings(column: pa.LargeStringArray) -> UInt64:
    """Fold each string's bytes in words of eight, the last padded with zeros, and its length."""
    n = len(column)
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset :][: n + 1]
    starts, lengths = offsets[:-1], np.diff(offsets)
    data = column.buffers()[2]
    padded = np.zeros((0 if data is None else data.size) + _WORD, dtype=np.uint8)
    if data is not None:
        padded[: data.size] = np.frombuffer(data, dtype=np.uint8)
    # Every position as the start of a little-endian word: a view, nothing is copied.
    words = np.ndarray((len(padded) - _WORD + 1,), dtype="<u8", buffer=padded, strides=(1,))
    state = _mix(lengths.astype(np.uint64))
    rows = np.flatnonzero(lengths > 0)
    position = 0
    while len(rows):
        left = np.minimum(lengths[rows] - position, _WORD).astype(np.uint64)
        shift = (np.uint64(_WORD) - left) * np.uint64(8)
        word = words[starts[rows] + position] << shift >> shift
        state[rows] = _mix(state[rows] * np.uint64(5) + word)
        position += _WORD
        rows = rows[lengths[rows] > position]
    return state


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


def read_arrow(path: Path) -> pa.Table:
    """Map an Arrow IPC file into memory and return it as a table that copies nothing."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def write_arrow(path: Path, table: pa.Table) -> None:
    """Write an Arrow IPC file in one uncompressed batch, so that readers can map it."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
