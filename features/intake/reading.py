"""Finding files and reading each in its format, chunk by chunk."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from features.errors import UnreadableFileError
from features.intake.columnar import csv_columns, open_parquet, read_csv, read_parquet
from features.intake.loose import ndjson_columns, read_ndjson
from features.intake.source import Chunk, check_columns
from features.mapping import FileOptions

_ENDINGS = {
    ".csv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that names and globs stand for, each once, in order.

    Raises:
        UnreadableFileError: A name or glob matches no file; a near name is suggested.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        matches = [path] if path.is_file() else _glob(path)
        if not matches:
            names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
            remedy = f"did you mean `{path.parent / near[0]}`?" if near else None
            if path.is_dir():
                remedy = f"name what is inside, such as '{path}/*.csv'"
            raise UnreadableFileError(
                f"file `{pattern}`",
                got="a folder" if path.is_dir() else "no such file",
                expected="a file, or a glob that matches some",
                remedy=remedy,
            )
        files.update(dict.fromkeys(matches))
    return list(files)


def _glob(path: Path) -> list[Path]:
    if not any(sign in str(path) for sign in "*?["):
        return []
    matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    return sorted(match for match in matches if match.is_file())


def format_of(path: Path, options: FileOptions) -> str:
    """Return ``csv``, ``parquet`` or ``ndjson``, as the mapping or the file's ending says.

    Raises:
        UnreadableFileError: Neither says.

    >>> format_of(Path("calls.csv.gz"), FileOptions())
    'csv'
    """
    if options.format is not None:
        return options.format
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    if not endings or endings[-1] not in _ENDINGS:
        raise UnreadableFileError(
            f"file `{path}`",
            got=f"the ending `{path.suffix}`",
            expected=f"one of {', '.join(_ENDINGS)}, with or without .gz",
            remedy='say `format = "csv"` (or parquet, ndjson) under [file] in the mapping',
        )
    return _ENDINGS[endings[-1]]


def columns_of(path: Path, options: FileOptions) -> list[str]:
    """Return the names of a file's columns; NDJSON is read whole for them.

    Raises:
        UnreadableFileError: The file is empty, damaged, or not in its encoding.
    """
    kind = format_of(path, options)
    if kind == "parquet":
        with open_parquet(path) as file:
            return list(file.schema_arrow.names)
    return csv_columns(path, options) if kind == "csv" else ndjson_columns(path, options)


def read_file(path: Path, *, columns: Sequence[str], options: FileOptions) -> Iterator[Chunk]:
    """Yield a file's rows, with the wanted columns alone.

    Raises:
        UnreadableFileError: The file is empty, damaged, half-written, or not in its encoding.
        ContractError: A wanted column is missing; the message holds a diff.
    """
    kind = format_of(path, options)
    if kind == "ndjson":
        yield from read_ndjson(path, columns, options)
        return
    check_columns(f"file `{path}`", columns_of(path, options), columns)
    if kind == "parquet":
        yield from read_parquet(path, columns)
    else:
        yield from read_csv(path, columns, options)
