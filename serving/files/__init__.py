"""Files that scheduling tools import: written and read without a loss, byte for byte the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from serving.files.connect import read_connect, write_connect
from serving.files.genesys import read_genesys, write_genesys
from serving.files.plain_csv import read_csv, write_csv
from serving.files.rows import Rows

FormatName = Literal["json", "csv", "genesys", "connect"]
"""What ``?format=`` takes: JSON and the names of ``FORMATS``."""


@dataclass(frozen=True)
class Format:
    """A file format; its name is that of ``?format=``."""

    name: str
    media_type: str
    suffix: str
    write: Callable[[Sequence[Rows]], bytes]
    read: Callable[[bytes], list[Rows]]


FORMATS: Mapping[str, Format] = {
    file_format.name: file_format
    for file_format in (
        Format("csv", "text/csv", ".csv", write_csv, read_csv),
        Format("genesys", "application/gzip", ".json.gz", write_genesys, read_genesys),
        Format("connect", "text/csv", ".csv", write_connect, read_connect),
    )
}
"""The formats beside JSON, by name."""
