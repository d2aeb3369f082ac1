"""Results never land on what they are made from, nor on each other."""

import os
from pathlib import Path

import pytest

from kraken_bids.cohort.output_checks import check_atlas_names, check_no_input
from kraken_bids.exceptions import SettingsError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Write a file that is read."""
    path = tmp_path / "read.npz"
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize("spelled", ["{}", "FCcorr_fs86_hpf={}"])
def test_a_file_that_is_read_is_not_written(table: Path, spelled: str) -> None:
    """However the option spells it."""
    with pytest.raises(SettingsError, match=r"--output elsewhere .*read\.npz"):
        check_no_input([("--output", table)], [spelled.format(table)])


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_nor_under_another_name(table: Path, link: object) -> None:
    """Symbolic and hard links are the same file."""
    other = table.with_name("other.npz")
    assert callable(link)
    link(table, other)
    with pytest.raises(SettingsError, match="overwritten"):
        check_no_input([("--output", other)], [table])


def test_tables_are_not_written_into_a_folder_they_are_read_from(tmp_path: Path) -> None:
    """Only tables there are in danger."""
    inner = tmp_path / "sub-01"
    inner.mkdir()
    check_no_input([("--output", tmp_path)], [inner])
    (inner / "sub-01_latents.tsv").touch()
    with pytest.raises(SettingsError, match="elsewhere"):
        check_no_input([("--output", tmp_path)], [inner])


def test_two_results_are_two_files(tmp_path: Path) -> None:
    """What was not given, or is missing, is passed over."""
    one, same = tmp_path / "a.tsv", tmp_path / "." / "a.tsv"
    check_no_input([("--output", one), ("--figure", None)], [None, "pretrained", "a=b"])
    with pytest.raises(SettingsError, match="different files for --output and --figure"):
        check_no_input([("--output", one), ("--figure", same)], [])


def test_an_adaptation_needs_two_files(tmp_path: Path) -> None:
    """A pipe takes one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SettingsError, match="since it is two files"):
        check_no_input([("--save-adaptation", pipe)], [])
    check_no_input([("--output", pipe)], [])


@pytest.mark.parametrize("name", ["fs86", "my_atlas-2+x.1", "7T"])
def test_names_of_atlases_that_files_can_bear(name: str) -> None:
    """Each passes, and one that does not fails all."""
    check_atlas_names([name])
    with pytest.raises(SettingsError, match=r"found '\.\./x'"):
        check_atlas_names([name, "../x"])


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "-x", "a b", "a\n"])
def test_names_of_atlases_that_files_cannot_bear(name: str) -> None:
    """Paths, options and hidden files."""
    with pytest.raises(SettingsError, match="--labels"):
        check_atlas_names([name])
