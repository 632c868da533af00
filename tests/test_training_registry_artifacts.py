from __future__ import annotations

import io
import os
import random
import tarfile
from pathlib import Path

import pytest

from features.errors import DamagedArtefactError
from training.registry.artifacts import pack, unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle-1"
    (folder / "nested").mkdir(parents=True)
    (folder / "b.bin").write_bytes(bytes(range(256)) * 100)
    (folder / "nested" / "ä.json").write_text("{}", encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_what_is_packed_is_unpacked(folder: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    unpacked = unpack(pack(folder, into=tmp_path), into=into)
    assert unpacked.name == folder.name
    assert contents(unpacked) == contents(folder)


def test_the_same_content_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    before = pack(folder, into=tmp_path).read_bytes()
    for file in folder.rglob("*"):
        os.utime(file, (1, 1))
        file.chmod(0o700)
    assert pack(folder, into=tmp_path).read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_an_archive_cut_short_is_refused(folder: Path, tmp_path: Path, share: float) -> None:
    (folder / "noise").write_bytes(random.Random(1).randbytes(20_000))
    archive = pack(folder, into=tmp_path)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(DamagedArtefactError, match="cannot be unpacked"):
        unpack(archive, into=into)


def test_a_flipped_byte_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = pack(folder, into=tmp_path)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(DamagedArtefactError):
        unpack(archive, into=into)


def evil(archive: Path, *, name: str, link: str | None = None) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        if link is not None:
            member.type, member.linkname = tarfile.SYMTYPE, link
            tar.addfile(member)
        else:
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("../evil", None),
        ("bundle/../../evil", None),
        ("bundle/link", "/etc/passwd"),
        ("bundle/link", "../../evil"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(
    tmp_path: Path, name: str, link: str | None
) -> None:
    archive, into = tmp_path / "evil.tar.gz", tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    evil(archive, name=name, link=link)
    with pytest.raises(DamagedArtefactError, match="cannot be unpacked"):
        unpack(archive, into=into)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "deep" / "evil").exists()


def test_an_archive_of_anything_but_one_folder_is_refused(tmp_path: Path) -> None:
    archive, into = tmp_path / "loose.tar.gz", tmp_path / "into"
    into.mkdir()
    evil(archive, name="loose-file")
    with pytest.raises(DamagedArtefactError, match="one folder"):
        unpack(archive, into=into)
