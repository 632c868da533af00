"""Immutable folders: how everything that crosses a process boundary is written and read.

A published thing is a folder that never changes, with a ``manifest.json`` that holds its kind,
schema, lineage and the SHA-256 of each file; ``CURRENT`` beside it names the folder in force.
A writer fills a hidden folder, then renames it. A reader verifies a folder once and keeps it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.contracts.schema import CONTRACT_VERSION
from features.errors import (
    ArtefactError,
    DamagedArtefactError,
    IncompatibleArtefactError,
    NotPublishedError,
    UnknownNameError,
)

MANIFEST = "manifest.json"
CURRENT = "CURRENT"
_AGAIN = "publish it again"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Artefact:
    """A folder that was verified when it was opened.

    Attributes:
        id: Its name, unique under its root.
        kind: What it is, such as ``snapshot`` or ``volume-bundle``.
        schema: Version of this kind's file layout.
        created_at: Aware UTC.
        lineage: What it was made from: ids and versions.
        meta: The rest of the manifest, by kind.
    """

    path: Path
    id: str
    kind: str
    schema: int
    created_at: datetime
    lineage: Mapping[str, Any]
    meta: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """Return the path of one of its files.

        Raises:
            DamagedArtefactError: The folder has no such file.
        """
        path = self.path / name
        if not path.is_file():
            what = f"{self.kind} `{self.id}`"
            raise DamagedArtefactError(what, got=f"no file `{name}`", remedy=_AGAIN)
        return path

    def json(self, name: str) -> Any:
        """Return the parsed content of one of its JSON files."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))


def new_id(at: datetime) -> str:
    """Return a folder name that sorts by time and cannot collide.

    >>> from datetime import UTC
    >>> new_id(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))[:16]
    '20260102T030405Z'
    """
    return f"{at:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def write_artefact(
    root: Path,
    *,
    kind: str,
    schema: int,
    created_at: datetime,
    lineage: Mapping[str, Any],
    meta: dict[str, Any],
    id: str | None = None,
) -> Iterator[Path]:
    """Give a hidden folder to fill, and make it an artefact when the block ends well.

    Nothing is visible to readers before the block ends; an error leaves nothing behind.
    ``CURRENT`` is not touched: see ``point_to``. ``meta`` may be filled until the block ends. The
    artefact's id, by default from ``new_id``, is the folder's name without ``.writing-``.
    """
    name = id or new_id(created_at)
    if not _NAME.fullmatch(name):
        raise ArtefactError(f"artefact id {name!r}", expected="letters, digits, `.`, `_`, `-`")
    if (root / name).exists():
        raise ArtefactError(
            f"{kind} `{name}`",
            got="one that exists",
            expected="a new id",
            remedy="keep the old one",
        )
    root.mkdir(parents=True, exist_ok=True)
    hidden = root / f".writing-{name}"
    hidden.mkdir()
    try:
        yield hidden
        manifest = {
            "id": name,
            "kind": kind,
            "schema": schema,
            "contract_version": CONTRACT_VERSION,
            "created_at": created_at.isoformat(),
            "lineage": dict(lineage),
            "meta": meta,
            "files": {
                file.relative_to(hidden).as_posix(): {
                    "sha256": sha256(file),
                    "bytes": file.stat().st_size,
                }
                for file in sorted(hidden.rglob("*"))
                if file.is_file()
            },
        }
        text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
        (hidden / MANIFEST).write_text(text, encoding="utf-8")
        os.replace(hidden, root / name)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def point_to(root: Path, id: str) -> None:
    """Make one artefact the current one, atomically.

    Raises:
        UnknownNameError: The root holds no such artefact.
    """
    if not (root / id / MANIFEST).is_file():
        raise UnknownNameError("artefact", id, (p.name for p in list_ids(root)))
    temporary = root / f".{CURRENT}-{uuid.uuid4().hex[:8]}"
    temporary.write_text(f"{id}\n", encoding="utf-8")
    os.replace(temporary, root / CURRENT)


def list_ids(root: Path) -> list[Path]:
    """Return the artefact folders under a root, oldest first by name."""
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if (p / MANIFEST).is_file() and p.name[0] != ".")


def current_id(root: Path) -> str | None:
    """Return the name that ``CURRENT`` holds, or None where nothing was published.

    Raises:
        DamagedArtefactError: ``CURRENT`` cannot be read, or holds anything but a folder's name.
    """
    try:
        name = (root / CURRENT).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        got = error.strerror or str(error)
    except UnicodeDecodeError as error:
        got = str(error)
    else:
        if not name or _NAME.fullmatch(name):
            return name or None
        got = repr(name[:80])
    raise DamagedArtefactError(
        f"`{root / CURRENT}`",
        got=got,
        expected="the name of a folder beside it",
        remedy="delete it, then publish or promote again",
    )


def open_current(root: Path, *, kind: str, schema: int) -> Artefact:
    """Verify and return the artefact that ``CURRENT`` names.

    Raises:
        NotPublishedError: Nothing has been published under this root.
        ArtefactError: See ``open_artefact``.
    """
    id = current_id(root)
    if id is None:
        remedy = f"make one; it would stand in {root.name}/"
        raise NotPublishedError(f"no {kind} is published", remedy=remedy)
    return open_artefact(root / id, kind=kind, schema=schema)


def open_artefact(
    path: Path, *, kind: str, schema: int, only: Collection[str] | None = None
) -> Artefact:
    """Verify a folder against its manifest and return it; with ``only``, verify those files alone.

    Raises:
        DamagedArtefactError: The manifest is unreadable, or a file is missing or differs.
        IncompatibleArtefactError: The kind, schema or contract is another one.
    """
    what = f"{kind} `{path.name}`"
    if not path.is_dir():
        remedy = "publish it again, or restore it"
        raise DamagedArtefactError(what, got=f"no folder `{path}`", remedy=remedy)
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, dict[str, Any]] = manifest["files"]
        version = manifest["contract_version"]
        artefact = Artefact(
            path=path,
            id=manifest["id"],
            kind=manifest["kind"],
            schema=manifest["schema"],
            created_at=datetime.fromisoformat(manifest["created_at"]),
            lineage=manifest["lineage"],
            meta=manifest["meta"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"an unreadable manifest ({error})"
        raise DamagedArtefactError(what, got=got, remedy=_AGAIN) from error
    if (artefact.kind, artefact.schema, version) != (kind, schema, CONTRACT_VERSION):
        raise IncompatibleArtefactError(
            what,
            got=f"kind {artefact.kind}, schema {artefact.schema}, contract {version}",
            expected=f"kind {kind}, schema {schema}, contract {CONTRACT_VERSION}",
            remedy="make it again with this version",
        )
    for name in (n for n in files if only is None or n in only):
        file, expected = artefact.file(name), files[name]
        if file.stat().st_size != expected["bytes"] or sha256(file) != expected["sha256"]:
            got = f"`{name}` differs from its checksum"
            raise DamagedArtefactError(what, got=got, remedy=_AGAIN)
    return artefact
