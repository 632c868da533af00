"""The public names of the three rooms keep to the words of the glossary."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from benchmarks.house import ROOT, module_files

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def rows() -> list[list[str]]:
    """Return the cells of each term: term, Chinese, meaning, words not to use."""
    lines = re.findall(r"^\| (.*) \|$", GLOSSARY, flags=re.MULTILINE)
    return [[cell.strip() for cell in f"{line} ".split("|")] for line in lines[1:]]


def words(name: str) -> list[str]:
    """Return the words of a name in snake_case or CamelCase."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def public_names(tree: ast.AST) -> Iterator[str]:
    """Yield the public functions, classes, parameters and fields of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            yield node.name
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                        yield inner.target.id
            else:
                given = node.args
                yield from (a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs))


def test_every_term_stands_once_with_its_chinese_and_its_meaning() -> None:
    terms = [row[0] for row in rows()]
    assert len(terms) > 40
    assert len(set(terms)) == len(terms)
    for row in rows():
        assert len(row) == 4, row
        assert re.search(r"[\u4e00-\u9fff]", row[1]), row
        assert row[2], row


@pytest.mark.parametrize(
    ("name", "expected"),
    [("bad_days", ["bad", "days"]), ("AHTByCell", ["aht", "by", "cell"]), ("_x1y", ["x", "y"])],
)
def test_a_name_is_taken_apart_into_its_words(name: str, expected: list[str]) -> None:
    assert words(name) == expected


def test_no_public_name_has_a_word_that_the_glossary_replaces() -> None:
    banned = {word for row in rows() for word in row[3].split(", ") if word}
    assert banned
    found = {
        f"{module}: {name}"
        for module, path in module_files().items()
        for name in (*public_names(ast.parse(path.read_text(encoding="utf-8"))), module)
        if banned & set(words(name))
    }
    assert not found
