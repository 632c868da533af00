"""Promotion and roll-back: how a registered version comes to serve, and how the last one returns.

A crash is harmless wherever it falls: the bundle is copied and renamed, the ledger's entry synced,
``CURRENT`` swapped, and last the aliases follow; ``promote`` again completes what is left.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from features.artefact import current_id, point_to
from features.errors import ArtefactError, EbbflowError, NotPublishedError, PromotionRefusedError
from features.home import Home, ModelName
from features.snapshot import open_current_snapshot
from serving.models.bundle import open_model
from training import ledger
from training.gates import Gate, Limits, examine, integrity
from training.tracking import Tracking, Version

Seen = Callable[[tuple[Gate, ...]], None]
"""Told what was measured, also where it leads to a refusal."""


@dataclass(frozen=True)
class Change:
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
        entry = ledger.Entry(
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
        ledger.append(self.home.ledger, entry)
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
) -> Change:
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
        return Change(model, False, serving, serving, version.number, ())
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
    return Change(model, True, serving, version.bundle_id, version.number, gates)


def rollback(
    home: Home,
    *,
    tracking: Tracking,
    model: ModelName,
    now: datetime,
    who: str,
    reason: str,
    seen: Seen | None = None,
) -> Change:
    """Make the bundle serve again that served before the one that serves now.

    It needs the home folder alone: where the registry cannot be reached, the alias is left and
    the answer says so.

    Raises:
        NotPublishedError: Nothing serves, or nothing served before.
        PromotionRefusedError: The earlier bundle is damaged or cannot answer.
    """
    root = home.bundles(model)
    serving = current_id(root)
    entries = ledger.read(home.ledger)
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
    return Change(model, True, serving, target, number, gates, warning)


def _before(entries: Sequence[ledger.Entry], model: ModelName, serving: str | None) -> str:
    """Return the bundle that served before the one that serves."""
    if serving is None:
        raise NotPublishedError(
            f"no {model} bundle serves", remedy=f"run `python -m training promote {model}`"
        )
    target = ledger.previous(entries, model=model, serving=serving)
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
