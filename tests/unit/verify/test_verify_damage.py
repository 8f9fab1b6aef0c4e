"""An export that is as its manifest says has no finding; whatever is damaged, lost, added or changed has one."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.errors import OutputError
from exporter.verify import verify
from tests.conftest import Exporting, environment
from tests.unit.verify.conftest import LISTS, Copy

Copied = Callable[..., Copy]

# Nothing in the files bears these out: they tell how the run went, and where its input is.
UNSEEN = {
    "requests",
    "retries",
    "refusals",
    "requests_per_s",
    "seconds",
    "series",
    "outages",
    "paused_s",
    "run_id",
    "slow_downs",
    "rate_min",
}
UNSEEN |= {"exporter", "inputs", "started_at", "finished_at", "absent_attributes", "settings"}
UNSEEN_OF_SHARDS = {"ends", "seen", "ids_hash"}

in_place = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_an_untouched_export_has_no_finding(copied: Copied, duplicates: str) -> None:
    """Rejects of every kind, blanks, repeats, bad values and all types: nothing is found, and all of it was read."""
    copy = copied(duplicates)
    manifest, report = copy.manifest, copy.found()
    assert report.ok
    assert report.findings == []
    assert (report.files, report.rows, report.rejects) == (9, manifest["rows"], manifest["rejects"])
    assert report.bytes == sum(path.stat().st_size for path in copy.files())
    assert len(manifest["rejects_by_reason"]) >= 3
    assert manifest["bad_values"]


@pytest.mark.parametrize("flags", [{"attributes": "vip,nobody,city", "types": "vip=bool"}, {"shard_rows": 1}, {}])
def test_other_exports_have_no_finding_either(exporting: Exporting, flags: dict[str, Any]) -> None:
    """Chosen columns, shards of one row, everything text."""
    assert verify(exporting.run(["user_00001", "user_00002", " user_00001", "user_00001"], **flags).out).findings == []


def test_an_export_of_nothing_has_no_finding(exporting: Exporting) -> None:
    """An input without rows has one shard without rows."""
    assert verify(exporting.run([], allow_empty=True).out).findings == []


@given(st.integers(0, 8), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
@in_place
def test_a_bit_flipped_anywhere_is_found(copy: Copy, file: int, place: float, bit: int) -> None:
    """In any file, at any byte."""
    path = copy.files()[file]
    good = path.read_bytes()
    bad = bytearray(good)
    bad[int(place * len(bad))] ^= 1 << bit
    path.write_bytes(bad)
    texts = copy.texts()
    path.write_bytes(good)
    assert texts[0].startswith(f"{path.relative_to(copy.out)} has changed: its sha256 is ")


@given(st.integers(0, 8), st.floats(0, 1, exclude_max=True))
@example(0, 0.0)
@in_place
def test_a_file_cut_anywhere_is_found(copy: Copy, file: int, share: float) -> None:
    """Also one of which nothing is left."""
    path = copy.files()[file]
    good = path.read_bytes()
    path.write_bytes(good[: int(share * len(good))])
    texts = copy.texts()
    path.write_bytes(good)
    assert texts[0] == f"{path.relative_to(copy.out)} has {int(share * len(good)):,} bytes, not {len(good):,}."


def test_a_longer_file_is_found(copy: Copy) -> None:
    """One byte more at the end."""
    for path in copy.files():
        good = path.read_bytes()
        path.write_bytes(good + b"\0")
        assert len(copy.texts()) == 1
        path.write_bytes(good)


def test_each_missing_file_is_found(copy: Copy) -> None:
    """And nothing else is said of it than that."""
    for path in copy.files():
        kept = path.rename(copy.out / "kept")
        assert copy.texts() == [f"{path.relative_to(copy.out)} is missing."]
        kept.rename(path)


@pytest.mark.parametrize("folder", LISTS)
def test_a_missing_folder_is_found(copy: Copy, folder: str) -> None:
    """By each of its files."""
    shutil.rmtree(copy.out / folder)
    assert copy.texts() == [f"{folder}/part-00000{number}.parquet is missing." for number in range(3)]


@pytest.mark.parametrize("folder", LISTS)
@pytest.mark.parametrize("name", ["part-000003.parquet", ".part-000000.parquet.tmp", "notes.txt", "a\nb", "\udcff"])
def test_whatever_else_stands_in_a_folder_is_found(copy: Copy, folder: str, name: str) -> None:
    """Another part, a hidden file, a folder: readers of the folder would take it."""
    (copy.out / folder / name).write_bytes((copy.out / folder / "part-000000.parquet").read_bytes())
    assert copy.texts() == [f"{f'{folder}/{name}'!r} is not in the manifest."]
    (copy.out / folder / name).unlink()
    (copy.out / folder / name).mkdir()
    assert copy.texts() == [f"{f'{folder}/{name}'!r} is not in the manifest."]


def test_swapped_files_are_found(copy: Copy) -> None:
    """Any two of them, also where each is whole by itself."""
    paths = copy.files()
    for one, other in ((a, b) for a in paths for b in paths if a < b):
        before = one.read_bytes(), other.read_bytes()
        one.write_bytes(before[1])
        other.write_bytes(before[0])
        assert len(copy.texts()) == 2
        one.write_bytes(before[0])
        other.write_bytes(before[1])


def test_a_link_is_no_file(copy: Copy) -> None:
    """A link to the very same bytes, a link instead of a folder, a folder or a pipe instead of a file."""
    path = copy.files()[0]
    kept = path.rename(copy.out / "kept")
    path.symlink_to(kept)
    assert copy.texts() == ["data/part-000000.parquet is no regular file."]
    path.unlink()
    path.mkdir()
    assert copy.texts() == ["data/part-000000.parquet is no regular file."]
    path.rmdir()
    kept.rename(path)
    (copy.out / "data").rename(copy.out / "else")
    (copy.out / "data").symlink_to("else")
    assert copy.texts() == ["data is no folder."]


# The manifest


def is_unseen(path: tuple[Any, ...]) -> bool:
    return path[0] in UNSEEN or (path[0] == "shards" and not UNSEEN_OF_SHARDS.isdisjoint(path[2:3]))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Give all values of a JSON value that hold no others, each with the keys that lead to it."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
@pytest.mark.parametrize("step", [1, -1])
def test_every_number_changed_by_one_is_found(copied: Copied, duplicates: str, step: int) -> None:
    """Each number in the manifest that the files can bear out, one at a time."""
    copy = copied(duplicates)
    manifest = copy.manifest
    numbers = [(path, value) for path, value in leaves(manifest) if type(value) is int and not is_unseen(path)]
    assert len(numbers) >= 60
    for path, value in numbers:
        changed = copy.manifest if path == numbers[0][0] else orjson.loads(orjson.dumps(manifest))
        put(changed, path, value + step)
        copy.tell(changed)
        assert copy.found().found, path


junk = st.sampled_from([None, True, -1, 0, 1.5, 2**70, "", "x", "../../etc/passwd", [], {}, [1], {"a": 1}, "\ud7ff"])


@given(st.data(), junk)
@in_place
def test_a_manifest_with_any_other_value_is_found(copy: Copy, data: st.DataObject, new: Any) -> None:
    """Whatever stands in the place of one value: a finding, or something that was not verified; never a traceback."""
    manifest = copy.manifest
    path, old = data.draw(st.sampled_from([leaf for leaf in leaves(manifest) if not is_unseen(leaf[0])]))
    cut = path[: data.draw(st.integers(1, len(path)))]
    changed = orjson.loads(orjson.dumps(manifest))
    put(changed, cut, new)
    copy.tell(changed)
    report = copy.found()
    copy.tell(manifest)
    assert report.found or (cut == path and new == old)


@pytest.mark.parametrize("key", sorted({"format", "input", "rows", "rejects", "schema", "shards", "reject_files"}))
def test_a_missing_key_is_found(copy: Copy, key: str) -> None:
    """By its name."""
    copy.change(lambda manifest: manifest.pop(key))
    assert copy.texts() == [f"manifest.json: {key} is missing."]


def test_unknown_keys_are_fine(copy: Copy) -> None:
    """A later version may say more."""
    copy.change(lambda manifest: manifest.update(later=[1]))
    copy.change(lambda manifest: manifest["shards"][0].update(later={}))
    assert copy.texts() == []


NUMBERS = ("rows", "rejects", "duplicates", "blank")


@pytest.mark.parametrize(("more", "less"), list(itertools.permutations(NUMBERS, 2)))
def test_numbers_that_make_up_for_each_other_are_found(copy: Copy, more: str, less: str) -> None:
    """The sum of the run is right, and two of its parts are not those of the shards."""
    before = copy.manifest
    copy.change(lambda manifest: manifest.update({more: manifest[more] + 1, less: manifest[less] - 1}))
    assert sorted(copy.texts()) == sorted(
        f"manifest.json: {name} is {before[name] + step}, and it should be {before[name]}."
        for name, step in ((more, 1), (less, -1))
    )


def test_an_input_longer_than_its_shards_is_found(copy: Copy) -> None:
    """Rows at the end that are in no shard."""
    copy.change(lambda manifest: manifest.update(input=101))
    assert "manifest.json: input is 101, and the last shard ends at row 100." in copy.texts()


@pytest.mark.parametrize("key", LISTS.values())
def test_a_list_of_files_that_is_too_short_or_too_long_is_found(copy: Copy, key: str) -> None:
    """Each shard has one file in each folder."""
    last = copy.manifest[key][-1]
    copy.change(lambda manifest: manifest[key].pop())
    assert any(" files, and there are " in text for text in copy.texts())
    copy.change(lambda manifest: manifest[key].extend([last, last]))
    assert any(" files, and there are " in text for text in copy.texts())


@pytest.mark.parametrize("name", ["data/part-000009.parquet", "../else.parquet"])
def test_a_file_of_another_name_is_found(copy: Copy, name: str) -> None:
    """Also where the manifest names it so: in its folder, or outside of the export."""
    (copy.out / "data/part-000000.parquet").rename(copy.out / name)
    copy.change(lambda manifest: manifest["shards"][0].update(file=name))
    assert copy.texts() == [f"manifest.json: shards[0].file is {name!r}, not data/part-000000.parquet."]


def test_no_shards_at_all_are_found(copy: Copy) -> None:
    """An export of nothing still has one, so that there is a file to read."""
    copy.change(lambda manifest: manifest.update({key: [] for key in LISTS.values()}))
    assert copy.texts() == ["manifest.json: shards is empty, and even an input without rows has one."]


@pytest.mark.parametrize("change", [{"name": "city", "attribute": "city"}, {"name": "account_id"}])
def test_a_column_named_twice_is_found(copy: Copy, change: dict[str, str]) -> None:
    """No reader could tell the two apart."""
    copy.change(lambda manifest: manifest["schema"][1].update(change))
    assert copy.texts()[0] == "manifest.json: schema does not begin with account_id as text, or names a column twice."


def test_shards_that_do_not_follow_each_other_are_found(copy: Copy) -> None:
    """A gap before one shard and an overlap after it, where each adds up and so does the whole."""
    copy.change(lambda manifest: manifest["shards"][1].update(first_row=42, last_row=81))
    assert copy.texts() == [
        "manifest.json: shards[1].first_row is 42, not 41.",
        "manifest.json: shards[2].first_row is 81, not 82.",
    ]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"5", b"\xff", b"[" * 5000, b'{"settings":' * 900 + b"1" + b"}" * 900]
)
def test_what_is_no_manifest_is_found(copy: Copy, text: bytes) -> None:
    """Any bytes."""
    (copy.out / "manifest.json").write_bytes(text)
    assert copy.texts()[0].startswith("manifest.json")


def test_a_deep_value_is_found(copy: Copy) -> None:
    """Deeper than any program would want to follow."""
    deep: Any = 1
    for _ in range(240):
        deep = [deep]
    for place in (
        ("fingerprint_of", "settings", "x"),
        ("rows",),
        ("schema", 1, "attribute"),
        ("settings", "duplicates"),
    ):
        manifest = copy.manifest
        put(manifest, place, deep)
        copy.tell(manifest)
        assert copy.found().found
        put(manifest, place, 1)
        copy.tell(manifest)


def test_a_missing_manifest_is_found(copy: Copy) -> None:
    """`_SUCCESS` says that there is an export."""
    (copy.out / "manifest.json").unlink()
    assert copy.texts() == ["manifest.json is missing."]


def test_a_manifest_that_is_no_file_is_found(copy: Copy) -> None:
    """A link to it, a folder, and one that is larger than any."""
    path = copy.out / "manifest.json"
    path.rename(copy.out / "else")
    path.symlink_to("else")
    assert copy.texts() == ["manifest.json cannot be read: it is no regular file."]
    path.unlink()
    path.mkdir()
    assert copy.texts() == ["manifest.json cannot be read: it is no regular file."]
    path.rmdir()
    path.touch()
    os.truncate(path, 1 << 40)
    assert copy.texts() == ["manifest.json cannot be read: 1,099,511,627,776 bytes are more than any manifest has."]


def test_settings_are_those_of_the_fingerprint(copy: Copy) -> None:
    """Or duplicates could be called kept, and nobody would look for them."""
    copy.change(lambda manifest: manifest["settings"].update(duplicates="keep"))
    assert copy.texts()[0] == "manifest.json: settings.duplicates is not the one of fingerprint_of."


REPLACED = """
import os, sys
from pathlib import Path
from exporter.verify import verify
out = Path(sys.argv[1])
def replace(event, args):
    if event == "open" and str(args[0]).endswith("data/part-000001.parquet"):
        os.utime(out / sys.argv[2], (1, 1))
sys.addaudithook(replace)
verify(out)
"""


@pytest.mark.parametrize("name", ["manifest.json", "_SUCCESS"])
def test_an_export_that_is_replaced_meanwhile_gives_no_verdict(copy: Copy, name: str) -> None:
    """Another run with --overwrite may publish while the files are read: neither right nor wrong can be said then."""
    (copy.out / "data/part-000000.parquet").unlink()
    ran = subprocess.run(
        [sys.executable, "-c", REPLACED, str(copy.out), name],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr.splitlines()[-1] == (
        f"exporter.errors.OutputError: {copy.out} was replaced while it was read. Verify it again."
    )


@pytest.mark.parametrize("other", ["link", "folder"])
def test_what_is_called_success_and_is_no_file_is_refused(copy: Copy, other: str) -> None:
    """No run of ours writes a link or a folder there."""
    path = copy.out / "_SUCCESS"
    path.unlink()
    path.symlink_to("manifest.json") if other == "link" else path.mkdir()
    with pytest.raises(OutputError, match="_SUCCESS is no regular file"):
        verify(copy.out)


def test_without_success_there_is_nothing_to_verify(copy: Copy, tmp_path: Path) -> None:
    """A sentence with the way on, for an unfinished run, a folder that is not there, and a file."""
    (copy.out / "_SUCCESS").unlink()
    for out in (copy.out, tmp_path / "nowhere", copy.out / "manifest.json"):
        with pytest.raises(OutputError, match=r"holds no complete export: .*`exporter status .*` tells"):
            verify(out)


def test_a_run_beside_it_is_told_and_no_finding(copy: Copy) -> None:
    """The export stays what it is while the next one is made."""
    assert not copy.found().unfinished
    (copy.out / ".run").mkdir()
    assert copy.found().unfinished
    assert copy.found().ok


def test_findings_are_counted_all_and_kept_a_hundred(copy: Copy) -> None:
    """However much is wrong, the report stays small."""
    for number in range(250):
        (copy.out / "data" / f"{number:03d}").touch()
    report = copy.found()
    assert report.found == 250
    assert len(report.findings) == 100
