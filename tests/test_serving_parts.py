"""The table of published parts: one row a kind, and everything that tells of a part reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.artefact import point_to, write_artefact
from features.home import Home
from serving import pack
from serving.published import parts, status
from serving.published.parts import PARTS_BY_KIND, PARTS_TABLE, Part, Watcher, read_manifest

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_each_kind_has_one_row_and_a_place_of_its_own() -> None:
    home = Home(Path("home"))
    assert len(PARTS_BY_KIND) == len({part.root(home) for part in PARTS_TABLE}) == len(PARTS_TABLE)


def test_what_a_request_can_miss_says_so_and_everything_has_a_remedy() -> None:
    for part in PARTS_TABLE:
        assert part.commands
        assert part.missing or not part.made_by
        assert part.remedy.startswith("run `python -m ")


def test_a_set_is_made_by_a_model_that_has_a_row_too() -> None:
    for part in PARTS_TABLE:
        assert part.made_by is None or PARTS_BY_KIND[part.made_by].open_model is not None


def test_a_row_more_is_watched_told_of_and_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    root = tmp_path / "bundles" / "churn"
    late = Part(
        "late",
        root=lambda home: home.root / "late",
        open=lambda path: read_manifest(path, kind="late-bundle"),
        commands=("python -m training fit late",),
        title="Model for late orders",
    )
    table = (*PARTS_TABLE, late)
    for module in (parts, pack, status):
        monkeypatch.setattr(module, "PARTS_TABLE", table)
    for module in (parts, status):
        monkeypatch.setattr(module, "PARTS_BY_KIND", {part.kind: part for part in table})
    for kind, folder in (("late-bundle", tmp_path / "late"), ("score-set", home.scores)):
        with write_artefact(
            folder, kind=kind, schema=1, created_at=NOW, lineage={}, meta={}, id="one"
        ):
            pass
        point_to(folder, "one")
    assert not root.exists()

    watcher = Watcher(home)
    assert "late" in watcher.refresh(now=NOW)
    ready = status.readiness(watcher.published, overrides=0, trouble=None, now=NOW)
    assert [part["part"] for part in ready["parts"]][-1] == "late"
    assert pack.stage_home(home, to=tmp_path / "packed") == {"late": "one", "scores": "one"}
    monkeypatch.setattr(pack, "PARTS_TABLE", (*PARTS_TABLE, replace(late, packed=False)))
    assert "late" not in pack.stage_home(home, to=tmp_path / "smaller")
