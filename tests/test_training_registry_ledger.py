from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DamagedArtefactError
from training.registry.promotion import Entry, append, previous, read

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(
    to: str, *, after: str | None, action: str = "promote", model: str = "volume", reason: str = ""
) -> Entry:
    return Entry(
        at=NOW,
        who="ada",
        action=action,  # type: ignore[arg-type]
        model=model,  # type: ignore[arg-type]
        from_bundle=after,
        to_bundle=to,
        version=1,
        reason=reason,
        gates=({"name": "golden requests", "passed": True},),
    )


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    path = tmp_path / "home" / "ledger.ndjson"
    entries = (entry("a", after=None), entry("b", after="a", reason='„quoted" 顧客\nline'))
    for one in entries:
        append(path, one)
    assert read(path) == entries
    assert len(path.read_text().splitlines()) == 2


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path / "ledger.ndjson") == ()


def test_an_entry_cut_short_by_a_crash_is_left_out_and_does_not_swallow_the_next(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.ndjson"
    first, lost, last = (entry(name, after=None) for name in "abc")
    append(path, first)
    append(path, lost)
    path.write_bytes(path.read_bytes()[:-20])
    assert read(path) == (first,)
    append(path, last)
    assert read(path) == (first, last)


def test_a_line_that_is_no_entry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.ndjson"
    append(path, entry("a", after=None))
    with path.open("a") as file:
        file.write('{"at": "yesterday"}\n')
    with pytest.raises(DamagedArtefactError, match="line 2"):
        read(path)


def test_a_rollback_leads_one_promotion_back_and_twice_leads_two_back() -> None:
    entries = [entry("a", after=None), entry("b", after="a"), entry("c", after="b")]
    assert previous(entries, model="volume", serving="c") == "b"
    entries.append(entry("b", after="c", action="rollback"))
    assert previous(entries, model="volume", serving="b") == "a"
    entries.append(entry("a", after="b", action="rollback"))
    assert previous(entries, model="volume", serving="a") is None


def test_an_entry_that_was_not_carried_out_does_not_count() -> None:
    entries = [entry("a", after=None), entry("b", after="a"), entry("lost", after="b")]
    assert previous(entries, model="volume", serving="b") == "a"
    entries.append(entry("c", after="b"))
    assert previous(entries, model="volume", serving="c") == "b"


def test_the_other_model_does_not_count() -> None:
    entries = [
        entry("a", after=None),
        entry("x", after=None, model="churn"),
        entry("b", after="a"),
        entry("y", after="x", model="churn"),
    ]
    assert previous(entries, model="volume", serving="b") == "a"
    assert previous(entries, model="churn", serving="y") == "x"


def test_nothing_is_before_the_first_bundle() -> None:
    assert previous([], model="volume", serving="a") is None
    assert previous([entry("a", after=None)], model="volume", serving="a") is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "back"]), st.booleans()), min_size=1, max_size=15
    )
)
def test_any_history_of_promotions_rollbacks_and_crashes_is_undone_step_by_step(
    steps: list[tuple[str, bool]],
) -> None:
    """The reference is a plain stack; a step that crashes leaves its entry and changes nothing."""
    entries: list[Entry] = []
    stack: list[str] = []
    for name, crashes in steps:
        serving = stack[-1] if stack else None
        back = name == "back"
        if back and len(stack) < 2:
            continue
        target = stack[-2] if back else name
        if target == serving:
            continue
        action = "rollback" if back else "promote"
        entries.append(entry(target, after=serving, action=action))
        if crashes:
            continue
        if back:
            stack.pop()
        else:
            stack.append(name)
    if stack:
        expected = stack[-2] if len(stack) > 1 else None
        assert previous(entries, model="volume", serving=stack[-1]) == expected
