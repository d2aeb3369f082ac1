"""Files of OUTPUT_DIR that are damaged: mended, passed over, or one participant fails alone."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.io.tables import read_columns, read_relmat

KEPT = ("RunDigest", "FileSize")
"""What makes a sidecar seem up to date."""
NEW = (".lock", ".log", ".toml")
"""Files that every run writes."""
FEW = ("--adaptation-min-subjects", "2")


def halve(content: bytes) -> bytes | None:
    return content[: len(content) // 2]


def fill_with_noise(content: bytes) -> bytes | None:
    return bytes(range(256)) * 4 + content[:10]


def list_nothing(_content: bytes) -> bytes | None:
    return b"[]"


def remove(_content: bytes) -> bytes | None:
    return None


def change_types(content: bytes) -> bytes | None:
    """Values of other types behind the same keys; tables of words, arrays of nothing."""
    try:
        return json.dumps(_change(json.loads(content))).encode()
    except ValueError:
        first, *rows = content.split(b"\n")
        return b"\n".join([first, *(b"\t".join(b"x" for _ in row.split(b"\t")) for row in rows)])


def _change(value: object) -> object:
    if isinstance(value, dict):
        return {key: one if key in KEPT else _change(one) for key, one in value.items()}
    if isinstance(value, list):
        return ["run-1", None, {}]
    return 7 if isinstance(value, str) else "12 s"


DAMAGES = (halve, fill_with_noise, list_nothing, change_types, remove)


@pytest.fixture
def damaged(app: Any, finished: Path) -> Callable[..., None]:
    """Copy the finished run and damage all files of it that somebody's pattern matches."""

    def damage(how: Callable[[bytes], bytes | None], *patterns: str) -> None:
        shutil.copytree(finished, app.out, copy_function=os.link)
        paths = [path for one in patterns for path in app.out.glob(one) if path.is_file()]
        assert paths
        for path in paths:
            content = how(path.read_bytes())
            path.unlink()
            if content is not None:
                path.write_bytes(content)

    return damage


def read_all(folder: Path) -> dict[str, bytes]:
    """Content of every file that stays the same over runs, by its place."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in NEW)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def is_of_others(name: str) -> bool:
    return name.startswith(("sub-02", "sub-03"))


def check_others(app: Any, outcome: Any) -> None:
    """Assert that the run ended well or named sub-01, and that the others have everything."""
    assert outcome.says(), outcome.output
    assert "unexpected" not in outcome.output, outcome.output
    failed = set(app.failures())
    assert failed <= {"sub-01"}
    assert outcome.exit_code == len(failed), outcome.output
    assert app.is_finished("02")
    assert app.is_finished("03")


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_files_of_a_participant_are_mended(
    app: Any, finished: Path, damaged: Callable[..., None], how: Callable[[bytes], bytes | None]
) -> None:
    """By the participant level; the others' files stay as they are, byte for byte."""
    before = read_all(finished)
    damaged(how, "sub-01/**/*", "sub-01.html", "logs/sub-01_inputs.json")
    outcome = app.participant(*FEW)
    check_others(app, outcome)
    after = read_all(app.out)
    assert {k: v for k, v in after.items() if is_of_others(k)} == {
        k: v for k, v in before.items() if is_of_others(k)
    }
    assert app.is_finished("01")
    for name in (n for n in before if n.startswith("sub-01") and n.endswith("_relmat.dense.tsv")):
        if how is not change_types or "desc-" in name:
            check_close(app.out / name, finished / name)
    if how is not change_types:  # which leaves what vouches for a file
        assert set(after) == set(before)


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_files_of_a_participant_stop_no_group(
    app: Any, damaged: Callable[..., None], how: Callable[[bytes], bytes | None]
) -> None:
    """Whatever lies in the participant's folder, the group level goes on with the others."""
    damaged(how, "sub-01/**/*", "sub-01.html", "logs/sub-01_inputs.json")
    check_others(app, app.group())
    assert (app.out / "group.html").is_file()


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("level", ["participant", "group"])
def test_damaged_files_of_everyone_stop_nobody(
    app: Any, damaged: Callable[..., None], how: Callable[[bytes], bytes | None], level: str
) -> None:
    """What describes the dataset, what failed, the group's files: mended or passed over."""
    damaged(how, "group/**/*", "*.tsv", "*.json", ".bidsignore", "group.html", "logs/*.tsv")
    outcome = app.participant(*FEW) if level == "participant" else app.group()
    check_others(app, outcome)
    assert app.failures() == {}
    assert app.is_finished("01")
    content = json.loads((app.out / "dataset_description.json").read_text())
    assert content["GeneratedBy"][0]["Name"] == "kraken_bids"


def test_a_connectome_of_another_size_than_was_written_fails_at_the_group(
    app: Any, finished: Path
) -> None:
    """It can be read, and says another number than was measured; the participant level mends."""
    shutil.copytree(finished, app.out, copy_function=os.link)
    path = next(app.out.glob("sub-01/dwi/*_atlas-fs86_meas-SCifod2actVN_relmat.dense.tsv"))
    content = path.read_bytes()
    path.unlink()
    rows = [line.split(b"\t") for line in content.splitlines()]
    rows[0][1] = rows[1][0] = rows[0][1] + b"7"
    path.write_bytes(b"".join(b"\t".join(row) + b"\n" for row in rows))

    outcome = app.group()

    assert outcome.exit_code == 1
    assert path.name in app.failures()["sub-01"]
    table = read_columns(app.out / "group" / "qc.tsv")
    judged = set(zip(table["participant_id"], table["flavor"], strict=True))
    assert ("sub-01", "SCsdstream_fs86_volnorm") in judged
    assert ("sub-01", "SCifod2act_fs86_volnorm") not in judged
    assert app.participant(*FEW).exit_code == 0
    assert path.read_bytes() == content


@pytest.mark.parametrize("how", [change_types, halve])
def test_force_makes_everything_anew(
    app: Any, finished: Path, damaged: Callable[..., None], how: Callable[[bytes], bytes | None]
) -> None:
    """Whatever was damaged: the same files, the same numbers, nothing failed."""
    damaged(how, "sub-01/**/*", "group/**/*", "*.tsv", "*.json", "*.html", "logs/*s.json")
    assert app.participant("--force", *FEW).exit_code == 0
    assert app.group("--force").exit_code == 0
    names = set(read_all(finished))
    assert set(read_all(app.out)) == names - ({"group/pcorr.json"} if how is halve else set())
    for name in (name for name in names if name.endswith("_relmat.dense.tsv")):
        check_close(app.out / name, finished / name)
    assert app.check_whole_files() == []


def check_close(one: Path, two: Path) -> None:
    """Assert equal matrices; float32 sums depend a little on how many people are in a run."""
    a, b = read_relmat(one), read_relmat(two)
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.nanmax(np.abs(b)))


@pytest.mark.parametrize("place", ["dwi", "figures", "sub-01_desc-kraken_latents.json"])
def test_a_place_that_cannot_be_written_fails_its_participant(
    app: Any, finished: Path, place: str
) -> None:
    """Something else has the name of a folder, or a folder with content that of a file."""
    shutil.copytree(finished, app.out, copy_function=os.link)
    path = app.out / "sub-01" / place
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("no folder")
    else:
        path.unlink()
        path.mkdir()
        (path / "mine.txt").write_text("somebody's")
    force = ("--force", "--participant-label", "01", "02", *FEW)
    for words in (FEW, None, force):
        outcome = app.group() if words is None else app.participant(*words)
        if words is None and place == "figures":
            # the group level writes none of these pictures: what is said of them stays
            assert outcome.exit_code == 0
        else:
            check_others(app, outcome)
        assert set(app.failures()) == {"sub-01"}


def test_an_empty_folder_in_place_of_a_file_is_replaced(app: Any, finished: Path) -> None:
    """Such as a container makes where a file to be mounted is missing."""
    shutil.copytree(finished, app.out, copy_function=os.link)
    names = ("logs/failures.tsv", "group/qc.tsv", "group.html")
    paths = [app.out / name for name in names]
    picture = next((app.out / "sub-01" / "figures").glob("*registration*.png"))
    for path in (*paths, picture):
        path.unlink()
        path.mkdir()
    assert app.group().exit_code == 0
    assert all(path.is_file() for path in paths)
    assert picture.is_dir()  # the participant level draws it, with --force
    assert app.participant("--force", *FEW).exit_code == 0
    assert picture.is_file()


OF_EVERYONE = (
    ".bidsignore",
    "README.md",
    "atlas-fs86_dseg.tsv",
    "group/metrics.tsv",
    "group.html",
)


@pytest.mark.parametrize("level", ["participant", "group"])
def test_a_folder_in_place_of_a_file_of_everyone_ends_the_run_after_its_work(
    app: Any, finished: Path, level: str
) -> None:
    """It holds somebody's files and stays; everything else is done, and the exit code tells."""
    shutil.copytree(finished, app.out, copy_function=os.link)
    places = [app.out / name for name in (*OF_EVERYONE, "logs/CITATION.bib")]
    for path in places:
        path.unlink()
        path.mkdir()
        (path / "mine.txt").write_text("somebody's")
    names = [name for name in read_all(finished) if name.startswith(("sub-01", "group/q"))]
    lost = [name for name in names if name.endswith(("kraken_relmat.dense.tsv", ".html"))]
    for name in lost:
        (app.out / name).unlink()

    outcome = app.participant(*FEW) if level == "participant" else app.group()

    assert outcome.exit_code == 3
    assert outcome.says(".bidsignore"), outcome.output
    assert set(names) <= set(read_all(app.out))
    assert app.failures() == {}
    assert all((path / "mine.txt").is_file() for path in places)
