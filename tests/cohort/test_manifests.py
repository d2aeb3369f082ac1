"""Hashes of the files of OUTPUT_DIR."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from kraken_bids.cohort.manifests import (
    GROUP,
    Finding,
    compare_files,
    find_vanished,
    list_pages,
    list_recorded,
    manifest_path,
    read_manifest,
    write_manifest,
)
from kraken_bids.exceptions import InputError


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Write files of two participants and of the group."""
    for name in (
        "sub-01/func/sub-01_a.tsv", "sub-01/sub-01_b.json", "sub-01/figures/c.png",
        "sub-01.html", "sub-01_ses-1.html", "sub-011/x.tsv", "group/qc.tsv", "group.html",
        "README.md", "group/.cache.json", "sub-01/.d.1-abcdef01.tmp.tsv", "logs/a.log",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_every_file_is_recorded_once(outputs: Path) -> None:
    """Those of a participant with pages, those of the group with the root; no caches, no logs."""
    names = {}
    for subject in ("01", "011", GROUP):
        write_manifest(outputs, subject)
        names[subject] = [*read_manifest(manifest_path(outputs, subject))]
    assert names["01"] == [
        "sub-01.html", "sub-01/figures/c.png", "sub-01/func/sub-01_a.tsv",
        "sub-01/sub-01_b.json", "sub-01_ses-1.html",
    ]  # fmt: skip
    assert names["011"] == ["sub-011/x.tsv"]
    assert names[GROUP] == ["README.md", "group.html", "group/qc.tsv"]


def test_hashes_are_those_of_the_files(outputs: Path) -> None:
    """As hashlib computes them of the bytes."""
    write_manifest(outputs, "01")
    for name, own in read_manifest(manifest_path(outputs, "01")).items():
        content = (outputs / name).read_bytes()
        assert (own.sha256, own.size) == (sha256(content).hexdigest(), len(content))


def test_what_was_done_to_files_is_named(outputs: Path) -> None:
    """Changed, also where size and time are as before; missing; extra."""
    write_manifest(outputs, "01")
    assert compare_files(outputs, "01") == []
    changed = outputs / "sub-01" / "func" / "sub-01_a.tsv"
    before = changed.stat()
    changed.write_text(changed.read_text().replace("func", "FUNC"))
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    (outputs / "sub-01.html").unlink()
    (outputs / "sub-01" / "new.tsv").write_text("x")
    assert compare_files(outputs, "01") == [
        Finding("sub-01.html", "missing"),
        Finding("sub-01/func/sub-01_a.tsv", "changed"),
        Finding("sub-01/new.tsv", "extra"),
    ]


def test_a_participant_without_a_manifest_is_said(outputs: Path) -> None:
    """Each of the files, and that nothing was recorded."""
    write_manifest(outputs, "01")
    assert compare_files(outputs, "011") == [Finding("sub-011/x.tsv", "not recorded")]
    assert list_recorded(outputs) == [GROUP, "01", "011"]


def test_files_that_are_as_they_were_are_not_read_again(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By size and time; the one that was written since is."""
    write_manifest(outputs, "01")
    read: list[Path] = []
    whole = sha256(b"").hexdigest()
    monkeypatch.setattr(
        "kraken_bids.io.digests.compute_sha256", lambda path: read.append(path) or whole
    )
    write_manifest(outputs, "01")
    assert read == []
    (outputs / "sub-01.html").write_text("longer than it was")
    write_manifest(outputs, "01")
    assert read == [outputs / "sub-01.html"]


def test_what_was_changed_before_a_run_is_told(outputs: Path) -> None:
    """What the run itself has written is not."""
    write_manifest(outputs, "01")
    page = outputs / "sub-01.html"
    page.write_text("by hand")
    begun = page.stat().st_mtime_ns + 1
    own = outputs / "sub-01" / "sub-01_b.json"
    own.write_text("by the run")
    os.utime(own, ns=(begun + 5, begun + 5))
    assert write_manifest(outputs, "01", begun) == [Finding("sub-01.html", "changed")]


@pytest.mark.parametrize(
    ("subject", "name"), [("01", "sub-01/sub-01_b.json"), (GROUP, "README.md")]
)
def test_what_had_vanished_before_a_run_stays_missing_until_it_is_made_again(
    outputs: Path, subject: str, name: str
) -> None:
    """Also where a link to nowhere has its name; what the run itself removes is forgotten."""
    write_manifest(outputs, subject)
    assert find_vanished(outputs, subject) == set()
    path = outputs / name
    content = path.read_bytes()
    path.unlink()
    removed = outputs / ("sub-01.html" if subject else "group.html")
    gone = find_vanished(outputs, subject)
    assert gone == {name}
    removed.unlink()
    for _ in range(2):
        assert write_manifest(outputs, subject, vanished=gone) == [Finding(name, "missing")]
        assert compare_files(outputs, subject) == [Finding(name, "missing")]
    path.symlink_to("nowhere")
    assert find_vanished(outputs, subject) == {name}
    path.unlink()
    path.write_bytes(content)
    assert write_manifest(outputs, subject, vanished=gone) == []
    assert compare_files(outputs, subject) == []


def test_a_damaged_manifest_misses_nothing(outputs: Path) -> None:
    """It is made anew; so is one that is not there."""
    assert find_vanished(outputs, "01") == set()
    manifest_path(outputs, "01").parent.mkdir(exist_ok=True)
    manifest_path(outputs, "01").write_bytes(b"\x00\xff")
    assert find_vanished(outputs, "01") == set()


def test_a_damaged_manifest_is_refused(outputs: Path) -> None:
    """By name."""
    path = manifest_path(outputs, "01")
    path.write_text("path\tsize\nx\ty\n")
    with pytest.raises(InputError, match=r"sub-01_files\.tsv"):
        compare_files(outputs, "01")


def test_a_damaged_manifest_is_made_anew(outputs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the next run, which says so."""
    manifest_path(outputs, "01").write_bytes(b"\x00\xff")
    write_manifest(outputs, "01")
    assert compare_files(outputs, "01") == []
    assert "is damaged and made anew" in caplog.text


def test_a_link_whose_file_is_not_there_is_a_missing_file(outputs: Path) -> None:
    """As git-annex leaves them; pipes and links to folders are no files."""
    write_manifest(outputs, "01")
    os.mkfifo(outputs / "sub-01" / "pipe")
    (outputs / "sub-01" / "folder").symlink_to(outputs / "group")
    (outputs / "sub-01_ses-2.html").symlink_to("nowhere")
    path = outputs / "sub-01" / "sub-01_b.json"
    path.unlink()
    path.symlink_to("nowhere")

    assert compare_files(outputs, "01") == [Finding("sub-01/sub-01_b.json", "missing")]
    assert write_manifest(outputs, "01") == []
    assert compare_files(outputs, "01") == []


@pytest.mark.parametrize("subject", ["01", GROUP])
def test_a_link_to_itself_is_no_file(outputs: Path, subject: str) -> None:
    """Everything else is compared and recorded."""
    write_manifest(outputs, subject)
    names = ["sub-01/func/sub-01_a.tsv", "sub-01.html"] if subject else ["README.md"]
    for name in names:
        (outputs / name).unlink()
        (outputs / name).symlink_to(outputs / name)

    assert compare_files(outputs, subject) == sorted(Finding(name, "missing") for name in names)
    assert write_manifest(outputs, subject) == []
    assert compare_files(outputs, subject) == []


def test_pages_of_everyone_take_one_look_at_the_folder(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else forty thousand participants would each list eighty thousand names."""
    pages = list_pages(outputs)
    assert pages == {"01": ["sub-01.html", "sub-01_ses-1.html"]}
    looked: list[str] = []
    scandir = os.scandir

    def look(path: str) -> "os._ScandirIterator[str]":
        looked.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", look)
    for subject in ("01", "011"):
        write_manifest(outputs, subject, pages=pages.get(subject, []))

    assert "sub-01_ses-1.html" in read_manifest(manifest_path(outputs, "01"))
    assert f"{outputs}/sub-01" in looked
    assert str(outputs) not in looked
