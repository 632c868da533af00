"""What `make house` counts, on a small tree of which the counts are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.house import circle, functions, import_graph, module_files, recipes


@pytest.fixture
def house(tmp_path: Path) -> Path:
    texts = {
        "features/__init__.py": "",
        "features/a.py": "from features import b\n\n\ndef f():\n    return b\n",
        "features/b.py": "def g():\n    import features.a\n",
        "serving/__init__.py": "",
        "serving/c.py": "import json\nfrom features.a import f\n",
        "docs/contributing.md": "# X\n\n## The house\n\n1. `no`: x\n\n## Add a b\n\n1. `y`: z\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_modules_are_found_by_their_dotted_names(house: Path) -> None:
    found = module_files(house)
    assert set(found) == {"features", "features.a", "features.b", "serving", "serving.c"}
    assert found["features"] == house / "features" / "__init__.py"


def test_imports_are_ours_alone_and_those_inside_functions_too(house: Path) -> None:
    graph = import_graph(module_files(house))
    assert graph["features.a"] == {"features.b"}
    assert graph["features.b"] == {"features.a"}
    assert graph["serving.c"] == {"features.a"}


def test_a_circle_is_named_whole(house: Path) -> None:
    found = circle(import_graph(module_files(house)))
    assert found[0] == found[-1]
    assert set(found) == {"features.a", "features.b"}


def test_functions_are_measured_in_lines(house: Path) -> None:
    found = set(functions(module_files(house)))
    assert found == {(2, "features.a.f"), (2, "features.b.g")}


def test_recipes_are_the_sections_that_add_something(house: Path) -> None:
    assert recipes(house) == {"Add a b": ["y"]}
