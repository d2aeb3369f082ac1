"""Digests of files: read again where anything tells that a file is another."""

import hashlib
import os
from pathlib import Path

import pytest

from kraken_bids.io import digests
from kraken_bids.io.digests import compute_sha256, recall_sha256


def test_a_file_is_hashed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[bytes] = []

    def count(path: Path) -> str:
        hashed.append(path.read_bytes())
        return compute_sha256(path)

    monkeypatch.setattr(digests, "compute_sha256", count)
    path, other = tmp_path / "a.tsv", tmp_path / "b.tsv"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    for _ in range(2):
        assert recall_sha256(path) == hashlib.sha256(b"one").hexdigest()
    assert hashed == [b"one"]

    other.write_bytes(b"two")
    os.utime(other, ns=(1, 1))
    other.replace(path)  # of the same size and time
    assert recall_sha256(path) == hashlib.sha256(b"two").hexdigest()
    assert hashed == [b"one", b"two"]

    with pytest.raises(FileNotFoundError):
        recall_sha256(tmp_path / "none")
