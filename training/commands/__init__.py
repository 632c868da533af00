"""What the verbs of ``python -m training`` share: options, and lines for people."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from features.console import parse_moment
from features.errors import InputError
from features.home import ModelName

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Progress = Callable[[str, float], None]
"""Told the step under way, in words, and the share that is done, in [0, 1]."""

DEFAULT_MLRUNS = Path("mlruns")

ModelArgument = Annotated[ModelName, typer.Argument(help="Which model.")]
VolumeArgument = Annotated[Literal["volume"], typer.Argument(help="Which model.")]
MlrunsOption = Annotated[
    Path,
    typer.Option(
        "--mlruns",
        envvar="EBBFLOW_MLRUNS",
        help="Folder of the MLflow database and artefacts.",
        show_default=True,
    ),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(help="As known at this time (ISO 8601 with zone); default: latest data."),
]
QueuesOption = Annotated[
    list[str] | None, typer.Option("--queue", help="Only this queue; may be repeated.")
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV for a spreadsheet.")]


def read_as_of(text: str | None) -> datetime | None:
    """Return the moment that ``--as-of`` states; None where it is left out."""
    return None if text is None else parse_moment(text, option="--as-of")


def one_format(*, json: bool, csv: bool) -> None:
    """Refuse ``--json`` together with ``--csv``."""
    if json and csv:
        raise InputError("`--json` and `--csv`", got="both", expected="one of them")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture as a PNG that is the same for the same figures."""
    if path.suffix.lower() != ".png":
        raise InputError("`--figure`", got=f"`{path}`", expected="a name that ends in .png")
    figure.savefig(path, dpi=120, metadata={"Software": None})


def tell(text: str, *, stderr: bool = False) -> None:
    """Print a line with rich's markup; its numbers are not coloured, and it is not folded."""
    Console(stderr=stderr).print(text, highlight=False, soft_wrap=True)


def warn(*warnings: str) -> None:
    """Print warnings on standard error, a line each."""
    for warning in warnings:
        tell(f"[yellow]warning:[/] {warning}", stderr=True)


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show steps on standard error: a moving bar on a terminal, a line a step elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        last = [""]

        def show(step: str, share: float) -> None:
            if step != last[0]:
                last[0] = step
                tell(f"{title}: {share:4.0%} {step}", stderr=True)

        yield show
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with ProgressBar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda step, share: bar.update(task, completed=share, description=f"{title}: {step}")
