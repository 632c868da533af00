"""Exit codes, options, JSON and tables, for all commands."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from features.errors import (
    ArtefactError,
    ConfigError,
    EbbflowError,
    InputError,
    PromotionRefusedError,
)

EXIT_CODES = """Exit codes: 0 done; 1 failed; 2 wrong input, mapping or setting; 3 refused by a \
gate; 4 something that must be published first is missing or unfit."""

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="EBBFLOW_HOME",
        help="Folder that holds the lake, snapshots, bundles and published sets.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document for a machine.")]

DEFAULT_HOME = Path(".ebbflow")


def exit_code(error: EbbflowError) -> int:
    """Return the process exit code for an error.

    >>> exit_code(InputError("file `a.csv`", got="nothing"))
    2
    """
    if isinstance(error, InputError | ConfigError):
        return 2
    if isinstance(error, PromotionRefusedError):
        return 3
    return 4 if isinstance(error, ArtefactError) else 1


def run(app: typer.Typer) -> None:
    """Run a command; an expected error ends it with one clear message and its exit code.

    So does an error of the system: a full disk, a folder that cannot be written.
    """
    try:
        app()
    except EbbflowError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(exit_code(error)) from None
    except OSError as error:
        where = f"`{error.filename}`: " if error.filename else ""
        sys.stderr.write(
            f"error: {where}{error.strerror or error}. "
            "Check that the place exists, is yours and has room.\n"
        )
        raise SystemExit(1) from None


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def parse_moment(text: str, *, option: str) -> datetime:
    """Read the moment that an option states in ISO 8601 with a zone, as aware UTC.

    Raises:
        InputError: It is no time, or has no zone.

    >>> parse_moment("2026-03-01T01:00+01:00", option="--since").isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        utc = moment.astimezone(UTC)
        if moment.tzinfo is not None:
            return utc
    remedy = "write it like 2026-03-01T00:00Z"
    raise InputError(option, got=repr(text), expected="ISO 8601 with a zone", remedy=remedy)


_UNWATCHED_COLUMNS = 200


def console(*, stderr: bool = False) -> Console:
    """Return a console; in a file or a pipe it is wide enough that no cell is folded."""
    terminal = Console(stderr=stderr, highlight=False)
    if not terminal.is_terminal:
        terminal.width = _UNWATCHED_COLUMNS
    return terminal


def grid(*columns: str, numbers: Collection[str] = ()) -> Table:
    """Return an empty table whose cells fold on a narrow terminal and lose no letter.

    Columns whose titles are among ``numbers`` stand to the right.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table
