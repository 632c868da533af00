import json
from datetime import UTC, datetime

import pytest

from features.artefact import (
    CURRENT,
    MANIFEST,
    current_id,
    list_ids,
    new_id,
    open_artefact,
    open_current,
    point_to,
    write_artefact,
)
from features.errors import (
    ArtefactError,
    DamagedArtefactError,
    IncompatibleArtefactError,
    NotPublishedError,
    UnknownNameError,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(root, *, id="one", kind="thing", schema=1, text="hello"):
    with write_artefact(
        root, kind=kind, schema=schema, created_at=NOW, lineage={"from": 3}, meta={"n": 1}, id=id
    ) as folder:
        (folder / "nested").mkdir()
        (folder / "nested" / "a.txt").write_text(text)
        (folder / "b.json").write_text("[1]")
    return root / id


def opened(path):
    return open_artefact(path, kind="thing", schema=1)


def test_what_was_written_is_read_back_with_its_facts(tmp_path):
    artefact = opened(write(tmp_path))
    assert (artefact.id, artefact.kind, artefact.schema) == ("one", "thing", 1)
    assert artefact.created_at == NOW
    assert artefact.lineage == {"from": 3}
    assert artefact.meta == {"n": 1}
    assert artefact.json("b.json") == [1]
    assert artefact.file("nested/a.txt").read_text() == "hello"


def test_nothing_is_visible_before_the_end_and_an_error_leaves_nothing(tmp_path):
    def fail():
        with write_artefact(
            tmp_path, kind="thing", schema=1, created_at=NOW, lineage={}, meta={}
        ) as folder:
            (folder / "a").write_text("x")
            assert list_ids(tmp_path) == []
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_meta_may_be_filled_until_the_end(tmp_path):
    meta = {}
    with write_artefact(
        tmp_path, kind="thing", schema=1, created_at=NOW, lineage={}, meta=meta, id="one"
    ):
        meta["late"] = True
    assert opened(tmp_path / "one").meta == {"late": True}


def test_a_changed_byte_is_found(tmp_path):
    path = write(tmp_path)
    (path / "nested" / "a.txt").write_text("hellO")
    with pytest.raises(DamagedArtefactError, match=r"nested/a\.txt"):
        opened(path)


def test_a_missing_file_is_found(tmp_path):
    path = write(tmp_path)
    (path / "b.json").unlink()
    with pytest.raises(DamagedArtefactError, match=r"no file `b\.json`"):
        opened(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": 3}'])
def test_an_unreadable_manifest_is_damage(tmp_path, text):
    path = write(tmp_path)
    (path / MANIFEST).write_text(text)
    with pytest.raises(DamagedArtefactError, match="unreadable manifest"):
        opened(path)


@pytest.mark.parametrize("change", [{"kind": "other"}, {"schema": 2}, {"contract_version": 0}])
def test_another_kind_schema_or_contract_is_refused(tmp_path, change):
    path = write(tmp_path)
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(IncompatibleArtefactError):
        opened(path)


def test_current_is_swapped_and_read(tmp_path):
    write(tmp_path, id="one")
    write(tmp_path, id="two")
    assert current_id(tmp_path) is None
    point_to(tmp_path, "one")
    point_to(tmp_path, "two")
    assert current_id(tmp_path) == "two"
    assert open_current(tmp_path, kind="thing", schema=1).id == "two"
    assert [path.name for path in list_ids(tmp_path)] == ["one", "two"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [CURRENT, "one", "two"]


def test_nothing_published_is_its_own_error(tmp_path):
    with pytest.raises(NotPublishedError):
        open_current(tmp_path / "none", kind="thing", schema=1)
    (tmp_path / CURRENT).write_text("\n")
    with pytest.raises(NotPublishedError):
        open_current(tmp_path, kind="thing", schema=1)


@pytest.mark.parametrize("content", [b"../other\n", b"two\nlines", b"\xff\xfe\0", None])
def test_a_pointer_that_names_no_folder_is_damage_and_says_what_to_do(tmp_path, content):
    write(tmp_path, id="one")
    if content is None:
        (tmp_path / CURRENT).mkdir()
    else:
        (tmp_path / CURRENT).write_bytes(content)
    with pytest.raises(DamagedArtefactError, match="Delete it, then publish or promote again"):
        current_id(tmp_path)
    with pytest.raises(DamagedArtefactError, match="CURRENT"):
        open_current(tmp_path, kind="thing", schema=1)


def test_a_folder_that_is_gone_is_named(tmp_path):
    write(tmp_path, id="one")
    (tmp_path / CURRENT).write_text("two\n")
    with pytest.raises(DamagedArtefactError, match=r"thing `two`: got no folder"):
        open_current(tmp_path, kind="thing", schema=1)


def test_pointing_at_nothing_suggests_near_names(tmp_path):
    write(tmp_path, id="one")
    with pytest.raises(UnknownNameError, match="one"):
        point_to(tmp_path, "onee")


@pytest.mark.parametrize("id", ["../evil", ".hidden", "a/b", "ä", "x" * 200])
def test_an_id_that_is_no_plain_name_is_refused(tmp_path, id):
    with pytest.raises(ArtefactError):
        write(tmp_path, id=id)
    assert not (tmp_path / id).exists()


def test_the_same_id_cannot_be_written_twice(tmp_path):
    write(tmp_path)
    with pytest.raises(ArtefactError, match="exists"):
        write(tmp_path, text="other")
    assert opened(tmp_path / "one").file("nested/a.txt").read_text() == "hello"
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def test_ids_sort_by_time_and_differ():
    later = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
    assert new_id(NOW) < new_id(later)
    assert new_id(NOW) != new_id(NOW)
