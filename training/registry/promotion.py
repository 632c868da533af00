"""Promotion and roll-back, and the ledger: who changed what serves, when, why, on what evidence.

One JSON line an entry, synced *before* the change is made. An entry counts as carried out when the
next one, or what serves now, agrees.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from features.artefact import current_id, point_to
from features.errors import (
    ArtefactError,
    DamagedArtefactError,
    EbbflowError,
    NotPublishedError,
    PromotionRefusedError,
)
from features.home import Home, ModelName
from features.snapshot import open_current_snapshot
from serving.published.parts import open_model
from training.registry.gates import Gate, Limits, examine, integrity
from training.registry.tracking import Tracking, Version

Seen = Callable[[tuple[Gate, ...]], None]
"""Told what was measured, also where it leads to a refusal."""


@dataclass(frozen=True)
class PromotionResult:
    """What a promotion or roll-back did.

    Attributes:
        changed: Whether another bundle serves now than before.
        version: Its registered version, None where the registry does not know it.
        warning: What could not be completed, empty where all was.
    """

    model: ModelName
    changed: bool
    from_bundle: str | None
    to_bundle: str
    version: int | None
    gates: tuple[Gate, ...]
    warning: str = ""


@dataclass(frozen=True)
class _Request:
    """Who asks for another bundle to serve, when and why; and what served until then."""

    home: Home
    action: Literal["promote", "rollback"]
    model: ModelName
    now: datetime
    who: str
    reason: str
    serving: str | None

    def carry_out(self, bundle: str, *, version: int | None, gates: tuple[Gate, ...]) -> None:
        """Write the ledger's entry, then let the bundle serve."""
        entry = Entry(
            at=self.now,
            who=self.who,
            action=self.action,
            model=self.model,
            from_bundle=self.serving,
            to_bundle=bundle,
            version=version,
            reason=self.reason,
            gates=tuple(asdict(gate) for gate in gates),
        )
        append(self.home.ledger, entry)
        point_to(self.home.bundles(self.model), bundle)


def promote(
    home: Home,
    *,
    tracking: Tracking,
    model: ModelName,
    now: datetime,
    who: str,
    number: int | None = None,
    force_reason: str | None = None,
    limits: Limits | None = None,
    seen: Seen | None = None,
) -> PromotionResult:
    """Examine a registered version and make it the one that serves.

    ``number`` is by default the challenger's; ``seen`` is told the gates once they are measured.
    ``changed`` of what is returned is False where that bundle serves already.

    Raises:
        NotPublishedError: There is no challenger, or no snapshot to examine it on.
        UnknownNameError: There is no such version.
        PromotionRefusedError: A gate failed; what serves stays.
        DamagedArtefactError: The recorded archive is missing or damaged.
    """
    version = _wanted(tracking, model, number)
    root = home.bundles(model)
    serving = current_id(root)
    if serving == version.bundle_id:
        _set_aliases(tracking, version)
        return PromotionResult(model, False, serving, serving, version.number, ())
    snapshot = open_current_snapshot(home.snapshots)
    with tempfile.TemporaryDirectory() as folder:
        bundle = tracking.fetch(version, into=Path(folder))
        gates = examine(
            model,
            challenger=bundle,
            champion=None if serving is None else root / serving,
            snapshot=snapshot,
            limits=limits or Limits(),
        )
        if seen is not None:
            seen(gates)
        _refuse_failed(version, gates, force_reason)
        _install(bundle, root=root, model=model)
    reason = force_reason or "all gates passed"
    request = _Request(home, "promote", model, now, who, reason, serving)
    request.carry_out(version.bundle_id, version=version.number, gates=gates)
    _set_aliases(tracking, version)
    return PromotionResult(model, True, serving, version.bundle_id, version.number, gates)


def rollback(
    home: Home,
    *,
    tracking: Tracking,
    model: ModelName,
    now: datetime,
    who: str,
    reason: str,
    seen: Seen | None = None,
) -> PromotionResult:
    """Make the bundle serve again that served before the one that serves now.

    It needs the home folder alone: where the registry cannot be reached, the alias is left and
    the answer says so.

    Raises:
        NotPublishedError: Nothing serves, or nothing served before.
        PromotionRefusedError: The earlier bundle is damaged or cannot answer.
    """
    root = home.bundles(model)
    serving = current_id(root)
    entries = read(home.ledger)
    target = _before(entries, model, serving)
    published = current_id(home.snapshots) is not None
    snapshot = open_current_snapshot(home.snapshots) if published else None
    _, gates = integrity(model, root / target, snapshot=snapshot)
    if seen is not None:
        seen(gates)
    if failed := [gate for gate in gates if not gate.passed]:
        raise PromotionRefusedError(
            f"roll-back of {model} to bundle `{target}`",
            got=_words(failed),
            remedy="promote another version by its number; what serves now goes on serving",
        )
    number = next((e.version for e in reversed(entries) if e.to_bundle == target), None)
    request = _Request(home, "rollback", model, now, who, reason, serving)
    request.carry_out(target, version=number, gates=gates)
    warning = _follow(tracking, model, bundle=target)
    return PromotionResult(model, True, serving, target, number, gates, warning)


def _before(entries: Sequence[Entry], model: ModelName, serving: str | None) -> str:
    """Return the bundle that served before the one that serves."""
    if serving is None:
        raise NotPublishedError(
            f"no {model} bundle serves", remedy=f"run `python -m training promote {model}`"
        )
    target = previous(entries, model=model, serving=serving)
    if target is None:
        raise NotPublishedError(
            f"roll-back of {model}",
            got=f"no bundle before `{serving}` in the ledger",
            remedy="promote a version by its number: `python -m training models` lists them",
        )
    return target


def _wanted(tracking: Tracking, model: ModelName, number: int | None) -> Version:
    if number is not None:
        return tracking.version(model, number=number)
    challenger = tracking.aliased(model, alias="challenger")
    if challenger is None:
        raise NotPublishedError(
            f"no challenger of {model} is registered in {tracking.root}",
            remedy=f"run `python -m training fit {model}`, or name a version with --version",
        )
    return challenger


def _refuse_failed(version: Version, gates: tuple[Gate, ...], force_reason: str | None) -> None:
    failed = [gate for gate in gates if not gate.passed]
    firm = [gate for gate in failed if not gate.forcible]
    if not failed or (force_reason and not firm):
        return
    raise PromotionRefusedError(
        f"promotion of {version.model} version {version.number}",
        got=_words(firm or failed),
        remedy="fit again; this gate cannot be forced"
        if firm
        else "fit again, or state why it should serve all the same with --force-reason",
    )


def _words(failed: list[Gate]) -> str:
    return "; ".join(f"{gate.name}: {gate.detail}" for gate in failed)


def _install(bundle: Path, *, root: Path, model: ModelName) -> None:
    """Copy a bundle into the published root, where nobody reads it before ``CURRENT`` names it."""
    target = root / bundle.name
    if target.exists():
        try:
            open_model(model, target)
        except ArtefactError:
            os.replace(target, root / f".damaged-{bundle.name}-{uuid.uuid4().hex[:8]}")
        else:
            return
    root.mkdir(parents=True, exist_ok=True)
    hidden = root / f".writing-{bundle.name}-{uuid.uuid4().hex[:8]}"
    try:
        shutil.copytree(bundle, hidden)
        os.replace(hidden, target)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def _set_aliases(tracking: Tracking, version: Version) -> None:
    tracking.set_alias(version.model, alias="champion", number=version.number)
    challenger = tracking.aliased(version.model, alias="challenger")
    if challenger is not None and challenger.number == version.number:
        tracking.drop_alias(version.model, alias="challenger")


def _follow(tracking: Tracking, model: ModelName, *, bundle: str) -> str:
    """Point the champion alias at a bundle's version, or return why that was not possible."""
    try:
        versions = [v for v in tracking.versions(model) if v.bundle_id == bundle]
    except EbbflowError as error:
        return f"the alias `champion` could not be moved: {error}"
    if not versions:
        return f"the alias `champion` was not moved: {tracking.root} has no version of `{bundle}`"
    tracking.set_alias(model, alias="champion", number=versions[0].number)
    return ""


@dataclass(frozen=True)
class Entry:
    """One promotion or roll-back.

    Attributes:
        from_bundle: Id of the bundle that served before, None where none did.
        to_bundle: Id of the bundle that serves from then on.
        version: Its registered version, None where the registry does not know it.
        reason: Why; for a forced promotion the reason that was given.
        gates: What was measured, as ``training.registry.gates.Gate`` turned into JSON.
    """

    at: datetime
    who: str
    action: Literal["promote", "rollback"]
    model: ModelName
    from_bundle: str | None
    to_bundle: str
    version: int | None
    reason: str
    gates: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)


def append(path: Path, entry: Entry) -> None:
    """Append one entry and return once it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**asdict(entry), "at": entry.at.isoformat()}
    line = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
    with path.open("ab+") as file:
        if file.tell() and path.read_bytes()[-1:] != b"\n":
            line = "\n" + line  # a crash cut the last entry short: it must not swallow this one
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> tuple[Entry, ...]:
    """Return all entries, oldest first; none where nothing was ever promoted.

    A line that a crash cut short is left out: its change was never made.

    Raises:
        DamagedArtefactError: A whole line is not an entry.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except ValueError:
            continue
        try:
            document["at"] = datetime.fromisoformat(document["at"])
            document["gates"] = tuple(document["gates"])
            entries.append(Entry(**document))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedArtefactError(
                f"ledger `{path.name}` line {number}",
                got=f"no entry ({error})",
                remedy="restore the file from a backup, or remove that line",
            ) from error
    return tuple(entries)


def previous(entries: Sequence[Entry], *, model: ModelName, serving: str) -> str | None:
    """Return the bundle that a roll-back of one model leads to, None where there is none.

    A promotion goes one step forward, a roll-back one step back: rolling back twice goes two
    steps back. Entries that were not carried out do not count.
    """
    mine = [entry for entry in entries if entry.model == model]
    served_after = [*(entry.from_bundle for entry in mine), serving][1:]
    path: list[str] = []
    for entry, after in zip(mine, served_after, strict=True):
        if entry.to_bundle != after:
            continue
        if entry.action == "rollback" and entry.to_bundle in path:
            while path[-1] != entry.to_bundle:
                path.pop()
        elif path[-1:] != [entry.to_bundle]:
            path.append(entry.to_bundle)
    while path and path[-1] == serving:
        path.pop()
    return path[-1] if path else None
