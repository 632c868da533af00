"""Readers of Parquet and CSV, through Arrow."""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from features.errors import ContractError, UnreadableFileError
from features.intake.chunks import AGAIN, CHUNK_ROWS, Chunk, UnreadableRow, unreadable
from features.intake.mapping import FileOptions

_BLOCK_BYTES = 1 << 24
BROKEN_STREAM = (OSError, EOFError, zlib.error)
"""What Python raises for a compressed file that is damaged or ends too early."""

_SIGNS = {
    b"\x1f\x8b": "it is packed by gzip: let its name end in .gz",
    b"PK": "it is a zip archive or a spreadsheet: export it as CSV",
    b"PAR1": 'it is Parquet: say `format = "parquet"` under [file] in the mapping',
    b"\xff\xfe": 'say `encoding = "utf-16"` under [file] in the mapping',
    b"\xfe\xff": 'say `encoding = "utf-16"` under [file] in the mapping',
}
"""How files begin that are no text in the usual encodings, and what to do about each."""


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        UnreadableFileError: It is empty, half-written or no Parquet.
    """
    if path.stat().st_size == 0:
        raise unreadable(path, "an empty file")
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, f"no whole Parquet file ({error})") from error


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Chunk]:
    """Yield the wanted columns of a Parquet file.

    Raises:
        UnreadableFileError: It is damaged.
    """
    with open_parquet(path) as file:
        total, read = max(file.metadata.num_rows, 1), 0
        try:
            for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=list(columns)):
                numbers = np.arange(read + 1, read + 1 + batch.num_rows, dtype=np.int64)
                read += batch.num_rows
                yield Chunk(_without_dictionaries(batch, path), numbers, (), read / total)
        except (OSError, pa.ArrowException) as error:
            after = f", after row {read}"
            raise unreadable(path, f"damaged Parquet ({error})", where=after) from error


def _without_dictionaries(batch: pa.RecordBatch, path: Path) -> pa.RecordBatch:
    """Return a batch without dictionaries, with its text checked and its zoned times in UTC."""
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            # A moment is the same in any zone, also in one that nobody knows.
            column = column.cast(pa.timestamp(kind.unit, "UTC"))
        try:
            if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
                column = column.cast(pa.string())
            elif pa.types.is_fixed_size_binary(kind):
                column = column.cast(pa.binary()).cast(pa.string())
            else:
                column.validate(full=True)
        except pa.ArrowInvalid:
            where, remedy = f", column `{name}`", "write that column as text"
            raise unreadable(path, "bytes that are not utf-8", where=where, remedy=remedy) from None
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacked when it ends in ``.gz``."""
    if path.suffix.lower() == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def csv_columns(path: Path, options: FileOptions) -> list[str]:
    """Return the names in the header of a CSV file.

    Raises:
        UnreadableFileError: The file is empty, damaged, or not in its encoding.
        ContractError: A name stands twice in the header.
    """
    try:
        with open_bytes(path) as file:
            start = file.read(1 << 16)
    except BROKEN_STREAM as error:
        raise unreadable(path, f"damaged gzip ({error})") from error
    if not start.strip():
        raise unreadable(path, "an empty file")
    text = start.decode(options.encoding, errors="replace").removeprefix("\ufeff")
    if "\0" in text.split("\n", 1)[0]:
        raise _wrong_encoding(path, options)
    names = next(csv.reader(text.splitlines(), delimiter=options.delimiter))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        what, got = f"file `{path}`, header", f"{twice[0]!r} twice"
        raise ContractError(what, got=got, expected="each name once", field=twice[0])
    return names


def read_csv(path: Path, columns: Sequence[str], options: FileOptions) -> Iterator[Chunk]:
    """Yield the wanted columns of a CSV file, all as text; rows of another width are broken.

    Raises:
        UnreadableFileError: The file is damaged, half-written, or not in its encoding.
    """
    names = csv_columns(path, options)
    numbers = _RowNumbers()
    size = max(path.stat().st_size, 1)
    try:
        with pa.OSFile(str(path)) as raw:
            reader = pyarrow.csv.open_csv(
                pa.CompressedInputStream(raw, "gzip") if path.suffix.lower() == ".gz" else raw,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=names,
                    skip_rows=1,
                    block_size=_BLOCK_BYTES,
                    encoding=options.encoding,
                    # Only a single thread knows the numbers of the rows it refuses.
                    use_threads=False,
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=options.delimiter,
                    newlines_in_values=True,
                    invalid_row_handler=numbers.skip,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=["", *options.null_values],
                    strings_can_be_null=True,
                    include_columns=list(columns),
                ),
            )
            for batch in reader:
                given = numbers.next(batch.num_rows)
                yield Chunk(batch, given, numbers.take_broken(), min(raw.tell() / size, 1.0))
            if rest := numbers.take_broken(all_of_them=True):
                empty = pa.RecordBatch.from_pylist([], schema=reader.schema)
                yield Chunk(empty, np.empty(0, dtype=np.int64), rest, 1.0)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, options) from error
    except (OSError, pa.ArrowException) as error:
        if "UTF8" in str(error) or "UTF-8" in str(error):
            raise _wrong_encoding(path, options) from error
        quote = "straddling" in str(error) or "quot" in str(error)
        remedy = f"a quote may be left open; {AGAIN}" if quote else AGAIN
        raise unreadable(path, f"no whole CSV file ({error})", remedy=remedy) from error


class _RowNumbers:
    """Numbers the good rows of a file around the broken ones, which Arrow reports ahead."""

    def __init__(self) -> None:
        self._broken: list[UnreadableRow] = []
        self._next = 1
        self._given = 0

    def skip(self, row: Any) -> str:
        reason = "a row of another width; expected as many fields as the header names"
        # Arrow counts lines from 1 with the header's among them.
        self._broken.append(UnreadableRow((row.number or 1) - 1, reason, row.text))
        return "skip"

    def next(self, rows: int) -> npt.NDArray[np.int64]:
        skipped = np.array([b.number for b in self._broken if b.number >= self._next], np.int64)
        candidates = np.arange(self._next, self._next + rows + len(skipped), dtype=np.int64)
        numbers = candidates[~np.isin(candidates, skipped)][:rows]
        if rows:
            self._next = int(numbers[-1]) + 1
        return numbers

    def take_broken(self, *, all_of_them: bool = False) -> tuple[UnreadableRow, ...]:
        ready = [b for b in self._broken[self._given :] if all_of_them or b.number < self._next]
        self._given += len(ready)
        return tuple(ready)


def _wrong_encoding(path: Path, options: FileOptions) -> UnreadableFileError:
    """Return the error that names the first byte that does not decode."""
    line, position, bad = _first_bad_byte(path, options.encoding)
    with path.open("rb") as file:
        start = file.read(4)
    usual = 'say the encoding under [file] in the mapping, such as `encoding = "cp1252"`'
    return unreadable(
        path,
        f"{bad}, which is not {options.encoding}",
        where=f", line {line}, byte {position}",
        remedy=next((told for sign, told in _SIGNS.items() if start.startswith(sign)), usual),
    )


def _first_bad_byte(path: Path, encoding: str) -> tuple[int, int, str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    lines, start = 1, 0
    with open_bytes(path) as file:
        while block := file.read(1 << 20):
            state = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                at = error.start - state
                lines += block[: max(at, 0)].count(b"\n")
                return lines, start + at, f"byte 0x{error.object[error.start]:02x}"
            lines += block.count(b"\n")
            start += len(block)
    return 1, 0, "text with zero bytes"
