"""Packs what is in force into a Bento: the source, the promoted bundles, the current sets.

The Bento is built from a staging folder that holds only what the ``CURRENT`` pointers name, so
that a home with many days of sets makes a small Bento.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import bentoml

from features.artefact import CURRENT, MANIFEST, current_id
from features.console import DEFAULT_HOME
from features.errors import ConfigError, DamagedArtefactError, NotPublishedError
from features.home import Home
from serving.published.parts import PARTS_TABLE

BENTOFILE = "bentofile.yaml"
SOURCES = ("features", "serving", BENTOFILE, "LICENSE")


@dataclass(frozen=True)
class Packed:
    """A Bento that was built.

    Attributes:
        tag: Its name and version in BentoML's store.
        contents: Ids of the published folders inside, by place under the home.
    """

    tag: str
    path: Path
    contents: dict[str, str]


def pack(home: Home, *, source: Path, version: str | None = None) -> Packed:
    """Build a Bento from what is in force.

    Args:
        source: Folder of the source: it holds ``serving/`` and ``bentofile.yaml``.

    Raises:
        NotPublishedError: Neither a forecast nor scores are published.
        DamagedArtefactError: A ``CURRENT`` names a folder that is not there.
        ConfigError: The source has no ``bentofile.yaml``.
    """
    if not (source / BENTOFILE).is_file():
        raise ConfigError(
            f"source `{source}`",
            got=f"no {BENTOFILE}",
            expected="a checkout of the source",
            remedy="run `python -m serving pack` in one",
        )
    with tempfile.TemporaryDirectory(prefix="ebbflow-pack-") as folder:
        stage = Path(folder)
        contents = stage_home(home, to=stage / DEFAULT_HOME)
        for name in SOURCES:
            _copy_source(source / name, stage / name)
        bento = bentoml.bentos.build_bentofile(
            str(stage / BENTOFILE), build_ctx=str(stage), version=version
        )
    return Packed(str(bento.tag), Path(bento.path), contents)


def stage_home(home: Home, *, to: Path) -> dict[str, str]:
    """Copy what the ``CURRENT`` pointers name into another home, as hard links where possible.

    Raises:
        NotPublishedError: Neither a forecast nor scores are published.
        DamagedArtefactError: A ``CURRENT`` names a folder that is not there.
    """
    contents: dict[str, str] = {}
    sets = [part for part in PARTS_TABLE if part.made_by]
    for part in [part for part in PARTS_TABLE if part.packed and part not in sets] + sets:
        root = part.root(home)
        id = current_id(root)
        if id is None:
            continue
        if not (root / id / MANIFEST).is_file():
            raise DamagedArtefactError(
                f"`{root.name}/{CURRENT}`", got=f"names `{id}`, which is not there"
            )
        place = root.relative_to(home.root)
        shutil.copytree(root / id, to / place / id, copy_function=_link)
        (to / place / CURRENT).write_text(f"{id}\n", encoding="utf-8")
        contents[place.as_posix()] = id
    if not any(part.root(home).relative_to(home.root).as_posix() in contents for part in sets):
        raise NotPublishedError(
            f"nothing is published in `{home.root}`",
            remedy="run " + " or ".join(f"`{command}`" for p in sets for command in p.commands),
        )
    return contents


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _copy_source(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.is_file():
        shutil.copy2(source, target)
