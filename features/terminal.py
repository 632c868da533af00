"""Tables that people read on a terminal: narrow, and never cut where nobody watches."""

from __future__ import annotations

from collections.abc import Collection

from rich import box
from rich.console import Console
from rich.table import Table

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
