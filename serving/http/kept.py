"""Score sets that a request names: the one in force, those replaced lately, those on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TypeVar

from features.artefact import list_ids
from features.calendar import Bool
from features.errors import ArtefactError, SetGoneError, UnknownNameError
from serving.sets.score_changes import changed_rows, open_columns
from serving.sets.scores import ScoreSet, open_score_set

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST_OPEN = 2
"""Sets that stay open, so that a pull under way can finish."""
MOST_CHANGES = 4
"""Answers to "who changed" that are kept: a byte a customer each."""


class KeptSets:
    """Opens the score sets that stand in a folder, and keeps the last few."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: OrderedDict[str, ScoreSet] = OrderedDict()
        self._changes: OrderedDict[tuple[str, str], Bool] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, scores: ScoreSet) -> None:
        """Keep a set that was replaced."""
        self._put(self._open, scores.id, scores, most=MOST_OPEN)

    def held(self, id: str) -> ScoreSet | None:
        """Return a set that is open already; None where it must be opened first."""
        return self._open.get(id)

    def open(self, id: str, *, current: ScoreSet) -> ScoreSet:
        """Open a set from disk; takes about a second per gigabyte.

        Raises:
            SetGoneError: It is not there any more, or not fit.
        """
        if id not in self._ids():
            raise SetGoneError(
                f"The score set asked for is not kept any more; `{current.id}` is in force",
                remedy="leave `set` and `after` out and begin the pull again",
                field="set",
            )
        try:
            found = open_score_set(self._root / id)
        except ArtefactError as error:
            raise _unfit(error, "set") from error
        self.keep(found)
        return found

    def changed(self, since: str, *, of: ScoreSet) -> Bool:
        """Return who changed since another set, bool[customers].

        Raises:
            UnknownNameError: No such set is kept.
            SetGoneError: It is not fit.
        """
        found = self._changes.get((of.id, since))
        if found is not None:
            return found
        known = self._ids()
        if since not in known:
            raise UnknownNameError("score set", since, known, field="changed_since")
        try:
            found = changed_rows(of, open_columns(self._root / since))
        except ArtefactError as error:
            raise _unfit(error, "changed_since") from error
        self._put(self._changes, (of.id, since), found, most=MOST_CHANGES)
        return found

    def _ids(self) -> list[str]:
        return [path.name for path in list_ids(self._root)]

    def _put(self, kept: OrderedDict[Key, Value], key: Key, value: Value, *, most: int) -> None:
        with self._lock:
            kept[key] = value
            kept.move_to_end(key)
            while len(kept) > most:
                kept.popitem(last=False)


def _unfit(error: ArtefactError, parameter: str) -> SetGoneError:
    return SetGoneError(
        str(error),
        remedy=f"leave `{parameter}` out and begin the pull again",
        field=parameter,
    )
