"""The one family of errors.

EbbflowError
├── InputError              something a user gave is not as it must be
│   ├── UnreadableFileError    a file that cannot be opened, decoded or parsed
│   ├── MappingError           a mapping that does not fit the table or the file
│   ├── ContractError          columns or values that break a table's contract
│   ├── RefusedLoadError       too large a share of a load's rows is bad
│   ├── UnknownNameError       a queue, customer, table or set nobody knows
│   └── HorizonError           a time outside the span that can be answered
├── ConfigError             a setting or configuration file is wrong
├── DatabaseError           the service's own database cannot be read or written
├── TooLittleDataError      a model is asked to learn from less than it needs
├── ArtefactError           a published folder
│   ├── NotPublishedError      nothing has been published yet
│   ├── SetGoneError           a set that a request names is gone, or not fit any more
│   ├── DamagedArtefactError   files are missing or differ from their checksums
│   └── IncompatibleArtefactError  written for another contract or schema
└── PromotionRefusedError   a challenger failed a gate

Every message names the thing, what was given, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EbbflowError(Exception):
    """Root of all errors that Ebbflow raises on purpose.

    Args:
        thing: What is wrong, named so that a user can find it.
        got: The value or state that was found.
        expected: What would have been right.
        remedy: What to do next.
        field: Path of the offending field or column, for machines.

    >>> print(InputError("column `wait`", got="text", expected="seconds", remedy="map a number"))
    column `wait`: got text; expected seconds. Map a number.
    """

    def __init__(
        self,
        thing: str,
        *,
        got: object = None,
        expected: object = None,
        remedy: str | None = None,
        field: str | None = None,
    ) -> None:
        self.thing = thing
        self.got = got
        self.expected = expected
        self.remedy = remedy
        self.field = field
        given = (("got", got), ("expected", expected))
        parts = [f"{word} {value}" for word, value in given if value is not None]
        text = f"{thing}: {'; '.join(parts)}" if parts else thing
        if remedy:
            end = "" if remedy.endswith("?") else "."
            text = f"{text.rstrip('.')}. {remedy[0].upper()}{remedy[1:].rstrip('.')}{end}"
        super().__init__(text)


class InputError(EbbflowError):
    """Something a user gave is not as it must be."""


class UnreadableFileError(InputError):
    """A file cannot be opened, decoded or parsed."""


class MappingError(InputError):
    """A mapping does not fit its table or its file."""


class ContractError(InputError):
    """Columns or values break a table's contract."""


class RefusedLoadError(InputError):
    """Too large a share of a load's rows is bad; nothing was written."""


class UnknownNameError(InputError):
    """A name of some kind, such as ``queue``, that nobody knows; near known ones are suggested."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, field: str | None = None
    ) -> None:
        names = sorted(known)
        self.suggestions = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if self.suggestions:
            remedy = "did you mean " + " or ".join(f"`{n}`" for n in self.suggestions) + "?"
        elif names:
            remedy = f"known: {', '.join(names[:10])}" + (", …" if len(names) > 10 else "")
        else:
            remedy = f"no {kind} is known yet"
        shown = name if len(name) <= 80 else f"{name[:77]}…"
        super().__init__(f"unknown {kind} {shown!r}", remedy=remedy, field=field)


class HorizonError(InputError):
    """A time lies outside the span that can be answered."""


class ConfigError(EbbflowError):
    """A setting or a configuration file is wrong."""


class DatabaseError(EbbflowError):
    """The service's own database cannot be read or written."""


class TooLittleDataError(EbbflowError):
    """A model is asked to learn from less than it needs."""


class ArtefactError(EbbflowError):
    """A published folder is missing, damaged or incompatible."""


class NotPublishedError(ArtefactError):
    """Nothing of this kind has been published yet."""


class SetGoneError(ArtefactError):
    """A set that a request names is gone, or not fit any more."""


class DamagedArtefactError(ArtefactError):
    """Files of a published folder are missing or differ from their checksums."""


class IncompatibleArtefactError(ArtefactError):
    """A published folder was written for another contract or schema."""


class PromotionRefusedError(EbbflowError):
    """A challenger failed a gate; the champion stays."""
