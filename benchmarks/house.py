"""The structure of the three rooms in figures: ``make house``.

Size, circles of imports, what each recipe of ``docs/contributing.md`` touches, and how long the
commands take to start.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("features", "serving", "training")
RUNS = 5


def module_files(root: Path = ROOT) -> dict[str, Path]:
    """Return each module of the three rooms by its dotted name; a package by its ``__init__``."""
    files = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def import_graph(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return what each module imports of ours, in functions and for type checking too."""
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= (inner & files.keys()) or {node.module}
        graph[name] = (found & files.keys()) - {name}
    return graph


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return one circle of imports, first name again at the end; empty where there is none.

    >>> circle({"a": {"b"}, "b": set()})
    []
    >>> circle({"a": {"b"}, "b": {"a"}})
    ['a', 'b', 'a']
    """
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1] if found[0] > found[1] else found
    return []


def functions(files: Mapping[str, Path]) -> Iterator[tuple[int, str]]:
    """Yield each function's lines and its place."""
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{name}.{node.name}"


def recipes(root: Path = ROOT) -> dict[str, list[str]]:
    """Return the places that each recipe of ``docs/contributing.md`` names, by its title."""
    text = (root / "docs" / "contributing.md").read_text(encoding="utf-8")
    found = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        if title.startswith("Add "):
            found[title] = re.findall(r"^\d\. `([^`]+)`", body, flags=re.MULTILINE)
    return found


def _seconds(code: str) -> float:
    """Return the median time of a fresh interpreter that runs some code, in seconds."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return median(times)


def _sizes(files: Mapping[str, Path]) -> Table:
    table = Table("room", "modules", "folders", "lines", title="Size")
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in files.items()}
    for room in (*ROOMS, ""):
        names = [name for name in files if not room or name.split(".")[0] == room]
        folders = {files[name].parent for name in names}
        total = sum(lines[name] for name in names)
        table.add_row(room or "all", str(len(names)), str(len(folders)), f"{total:,}")
    return table


def main() -> None:
    """Print the figures."""
    console = Console()
    files = module_files()
    console.print(_sizes(files))
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in files.items()}
    module = max(lines, key=lambda name: lines[name])
    console.print(f"largest module    {module}: {lines[module]} lines")
    length, function = max(functions(files))
    console.print(f"largest function  {function}: {length} lines")
    console.print(f"circle of imports {' -> '.join(circle(import_graph(files))) or 'none'}\n")
    table = Table("recipe", "places", "which", title="What a change touches")
    for title, places in recipes().items():
        table.add_row(title, str(len(places)), "\n".join(places))
    console.print(table)
    table = Table("start", "seconds", title=f"Start-up, median of {RUNS}")
    bare = _seconds("pass")
    table.add_row("python", f"{bare:.2f}")
    for room in ROOMS:
        code = f"import sys; sys.argv = ['{room}', '--help']; import {room}.__main__"
        table.add_row(f"import {room}.__main__", f"{_seconds(code):.2f}")
    table.add_row("import serving.app", f"{_seconds('import serving.app'):.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
