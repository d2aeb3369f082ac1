"""Arrays of ends are read as tracks of two points."""

from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io import endpoints
from kraken_bids.io.endpoints import holds_ends_only
from kraken_bids.io.tractograms import open_tractogram, read_weights

ENDS = np.random.default_rng(1).uniform(-90, 90, (25, 2, 3))


def save(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8"])
@pytest.mark.parametrize("is_flat", [True, False])
def test_ends_come_in_their_order_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, *, is_flat: bool
) -> None:
    """Of any precision and byte order, [n, 2, 3] or [n, 6]."""
    monkeypatch.setattr(endpoints, "STREAMLINES_AT_ONCE", 10)
    stored = ENDS.astype(dtype)
    tracks = open_tractogram(
        save(tmp_path / "a.npy", stored.reshape(25, 6) if is_flat else stored)
    )
    assert (tracks.n_declared, dict(tracks.header)) == (25, {})
    blocks = list(tracks.ends())
    assert [len(block) for block in blocks] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate(blocks), stored.astype(np.float32))


def test_fortran_order_is_undone(tmp_path: Path) -> None:
    """Transposed arrays are stored as they lie."""
    path = save(tmp_path / "a.npy", np.asfortranarray(ENDS.reshape(25, 6)))
    (found,) = open_tractogram(path).ends()
    np.testing.assert_array_equal(found, ENDS.astype(np.float32))


def test_what_needs_whole_tracks_is_refused(tmp_path: Path) -> None:
    """Lengths of two points would be straight lines."""
    path = save(tmp_path / "a.npy", ENDS)
    assert holds_ends_only(path)
    assert not holds_ends_only(tmp_path / "a.tck")
    with pytest.raises(InputError, match="it holds their ends alone"):
        open_tractogram(path).blocks()


@pytest.mark.parametrize("shape", [(25,), (25, 3), (25, 3, 3), (25, 2, 2)])
def test_other_arrays_are_no_ends(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Weights, single points, tracks of three points."""
    with pytest.raises(InputError, match="expected ends of streamlines"):
        open_tractogram(save(tmp_path / "a.npy", np.zeros(shape)))


def test_damaged_files_and_pickles_are_refused(tmp_path: Path) -> None:
    """Cut, empty, of objects, an archive, missing."""
    whole = save(tmp_path / "a.npy", ENDS).read_bytes()
    long_header = b"\x93NUMPY\x02\x00" + (1 << 31).to_bytes(4, "little")
    for content in (whole[:700], whole[:20], b"", b"\x80\x04N.", long_header):
        (tmp_path / "b.npy").write_bytes(content)
        with pytest.raises(InputError, match="expected a whole numpy array"):
            open_tractogram(tmp_path / "b.npy")
    np.savez(tmp_path / "c.npz", a=ENDS)
    (tmp_path / "c.npz").rename(tmp_path / "c.npy")
    np.save(tmp_path / "d.npy", np.array([{}]), allow_pickle=True)
    for name in ("c.npy", "d.npy", "nothing.npy"):
        with pytest.raises(InputError, match="expected a whole numpy array"):
            open_tractogram(tmp_path / name)


@pytest.mark.parametrize("shape", [(25,), (25, 1)])
def test_weights_of_numpy_are_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """As MRtrix writes them with NPYFloatMaxSavePrecision 16."""
    stored = np.linspace(0, 2, 25).astype(np.float16)
    found = read_weights(save(tmp_path / "w.npy", stored.reshape(shape)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, stored.astype(np.float32))
    with pytest.raises(InputError, match="expected one weight per streamline"):
        read_weights(save(tmp_path / "w.npy", ENDS))
