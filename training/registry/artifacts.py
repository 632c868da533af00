"""What a fit hands to the registry, and a bundle as one file and back.

MLflow merges folders but replaces a file. The same folder always gives the same bytes.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from features.errors import DamagedArtefactError
from features.home import ModelName

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TrainingResult:
    """One fitted model, not yet recorded and not yet promoted.

    Attributes:
        bundle: Folder that ``features.artefact.write_artefact`` made; its name is the bundle's id.
        params: What the fit was asked for and what it chose, flat, for the tracking run.
        metrics: Figures measured out of sample, by flat name such as ``skill`` or ``auc``.
        lineage: Ids and versions of the data that it was made from, JSON-ready.
    """

    model: ModelName
    bundle: Path
    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


SUFFIX = ".tar.gz"


def pack(folder: Path, *, into: Path) -> Path:
    """Write a folder as ``<folder name>.tar.gz`` and return that file.

    Names, order, owners, times and permissions are fixed, so the bytes follow from the content.

    ``folder``: The folder; every regular file below it is packed under the folder's own name.
    """
    archive = into / f"{folder.name}{SUFFIX}"
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for file in files:
            entry = tarfile.TarInfo((folder.name / file.relative_to(folder)).as_posix())
            entry.size = file.stat().st_size
            entry.mode = 0o644
            with file.open("rb") as content:
                tar.addfile(entry, content)
    return archive


def unpack(archive: Path, *, into: Path) -> Path:
    """Unpack an archive that ``pack`` wrote and return the folder inside.

    Nothing can land outside ``into``: only regular files with plain relative names are taken.
    (Python's own ``data`` filter came with 3.11.4.)

    ``into``: An empty folder.

    Raises:
        DamagedArtefactError: It is no such archive, it is cut short, or it holds anything but
            one folder.
    """
    what = f"archive `{archive.name}`"
    try:
        with tarfile.open(archive, mode="r:gz") as tar:
            for entry in tar:
                _take(tar, entry, into=into)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DamagedArtefactError(
            what, got=f"an archive that cannot be unpacked ({error})", remedy="fit the model again"
        ) from error
    names = sorted(os.listdir(into))
    if len(names) != 1 or not (into / names[0]).is_dir():
        raise DamagedArtefactError(
            what,
            got=f"{len(names)} entries ({', '.join(names[:5])})",
            expected="one folder",
            remedy="fit the model again",
        )
    return into / names[0]


def _take(tar: tarfile.TarFile, entry: tarfile.TarInfo, *, into: Path) -> None:
    name = PurePosixPath(entry.name)
    content = tar.extractfile(entry) if entry.isreg() else None
    if content is None or name.is_absolute() or ".." in name.parts:
        raise tarfile.TarError(f"{entry.name!r} is no plain file inside")
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)
