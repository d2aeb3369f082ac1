"""Samples of WebDataset tars: what is read of them, and what is refused."""

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.sample_tars import list_samples

VALUES = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)


def write_tar(path: Path, members: dict[str, object]) -> Path:
    """Write bytes as they are, and everything else as pickles."""
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else pickle.dumps(content)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_members_are_read_by_key_and_ending(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar",
        {
            "in/sub-01.bold.pyd": VALUES,
            "in/sub-02.bold.pyd": np.asfortranarray(VALUES[:8]),
            "in/sub-01.t_r.pyd": np.float32(0.72),
            "in/sub-01.task_name": b" motor\n",
            "README": b"no sample",
        },
    )
    first, second = list_samples(path)
    assert (first.key, second.key) == ("in/sub-01", "in/sub-02")
    np.testing.assert_array_equal(first.read_array("bold.pyd"), VALUES)
    np.testing.assert_array_equal(second.read_array("bold.pyd"), VALUES[:8])
    assert first.read_number("t_r.pyd") == 0.72
    assert first.read_text("task_name") == "motor"


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_names_code_is_refused_and_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "made by the pickle"
    path = write_tar(tmp_path / "a.tar", {"sub-01.bold.pyd": Hostile(victim)})
    (sample,) = list_samples(path)
    with pytest.raises(
        InputError, match=r"wants Python to load \w+\.mkdir.*nothing of it was run"
    ):
        sample.read_array("bold.pyd")
    assert not victim.exists()


@pytest.mark.parametrize("value", [None, "words", {"a": VALUES}, np.array(["a"]), [1.0, 2.0]])
def test_what_is_no_array_of_numbers_is_refused(tmp_path: Path, value: object) -> None:
    (sample,) = list_samples(write_tar(tmp_path / "a.tar", {"sub-01.bold.pyd": value}))
    with pytest.raises(InputError, match=r"expected an array of numbers in sub-01\.bold\.pyd"):
        sample.read_array("bold.pyd")


@pytest.mark.parametrize("value", [np.float32(np.nan), np.inf, True, "2"])
def test_what_is_no_number_is_refused(tmp_path: Path, value: object) -> None:
    (sample,) = list_samples(write_tar(tmp_path / "a.tar", {"sub-01.t_r.pyd": value}))
    with pytest.raises(InputError, match=r"expected a (finite )?number in sub-01\.t_r\.pyd"):
        sample.read_number("t_r.pyd")


def test_a_tar_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """Also between two members, where Python's reader takes the end of the file for the tar's."""
    path = write_tar(tmp_path / "a.tar", {f"sub-{k}.bold.pyd": VALUES for k in range(3)})
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        n_written = archive.getmembers()[-1].offset_data + 512
    assert len(list_samples(path)) == 3
    for n_bytes in range(0, n_written, 256):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(InputError, match="expected a WebDataset tar"):
            list_samples(path)


def test_a_damaged_header_is_no_end_of_the_tar(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {f"sub-{k}.bold.pyd": VALUES for k in range(3)})
    with tarfile.open(path) as archive:
        start = archive.getmembers()[1].offset
    content = bytearray(path.read_bytes())
    content[start + 150] ^= 1  # of the checksum
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged after its first members"):
        list_samples(path)


def test_links_and_members_that_come_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("sub-01.bold.pyd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InputError, match="no plain file"):
        list_samples(path)
    path = write_tar(tmp_path / "b.tar", {"sub-01.bold.pyd": VALUES})
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo("sub-01.BOLD.pyd"), io.BytesIO())
    with pytest.raises(InputError, match="twice"):
        list_samples(path)
