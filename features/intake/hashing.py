"""Hashes of Arrow columns, a whole column at a time.

Two rows are the same content when their hashes are equal, today and after any upgrade of a
library, so the function is written down here: words of eight bytes are folded with the finaliser
of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). It
guards against chance, not against an attacker.
"""

from __future__ import annotations

from collections.abc import Sequence

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
