"""A matrix of the wrong size is told what it may be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nilearn.connectome import sym_matrix_to_vec

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.shape_hints import DEFAULT, explain_shape
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import ConnectomeError, KrakenBidsError

FC = "FCcorr_fs86_hpf"
EDGES = np.random.default_rng(0).random((4, 3655))
SQUARE = edges_to_square(EDGES[0], diagonal=1.0)


@pytest.mark.parametrize(
    ("header", "index", "words"),
    [
        (True, False, "One row is too many.*header=False"),
        (False, True, "One column is too many.*index"),
    ],
)
def test_numbers_of_pandas_around_a_square_are_named(
    tmp_path: Path, header: bool, index: bool, words: str
) -> None:
    """As to_csv writes them for a table without names."""
    path = tmp_path / "x.csv"
    pd.DataFrame(SQUARE).to_csv(path, header=header, index=index)
    with pytest.raises(ConnectomeError, match=words):
        read_connectomes(f"{FC}={path}")


def test_a_square_whose_first_row_pandas_took_for_a_header_is_named(tmp_path: Path) -> None:
    """85 rows of 86; with an index, of 87."""
    frame = pd.read_csv(write(tmp_path / "a.csv", SQUARE))
    for index, words in ((False, "header=None"), (True, "header=None.*index=False")):
        frame.to_csv(tmp_path / "b.csv", header=False, index=index)
        with pytest.raises(ConnectomeError, match=f"One row is lacking.*{words}"):
            read_connectomes(f"{FC}={tmp_path / 'b.csv'}")


@pytest.mark.parametrize("start", [0, 1])
def test_numbers_of_columns_are_nobody(tmp_path: Path, start: int) -> None:
    """A row 0, 1, 2 … above the edges of people has the right size, and would be the first."""
    frame = pd.DataFrame(EDGES, columns=range(start, start + 3655))
    frame.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(ConnectomeError, match=f"numbers {start} to {start + 3654}, which count"):
        read_connectomes(f"{FC}={tmp_path / 'x.csv'}")
    np.save(tmp_path / "x.npy", np.vstack([np.arange(start, start + 3655), EDGES]))
    with pytest.raises(ConnectomeError, match=r"connectome 1 of 5.*which count"):
        read_connectomes(f"{FC}={tmp_path / 'x.npy'}")


def test_an_index_beside_edges_is_named(tmp_path: Path) -> None:
    """3656 columns."""
    pd.DataFrame(EDGES).to_csv(tmp_path / "x.csv", header=False)
    with pytest.raises(ConnectomeError, match="One column is too many"):
        read_connectomes(f"{FC}={tmp_path / 'x.csv'}")


def test_a_header_and_an_index_are_refused(tmp_path: Path) -> None:
    """With an empty cell in the corner, or a number there."""
    pd.DataFrame(SQUARE).to_csv(tmp_path / "x.csv")
    with pytest.raises(KrakenBidsError):
        read_connectomes(f"{FC}={tmp_path / 'x.csv'}")
    np.save(tmp_path / "x.npy", np.pad(SQUARE, ((1, 0), (1, 0))))
    with pytest.raises(ConnectomeError, match="a header and an index"):
        read_connectomes(f"{FC}={tmp_path / 'x.npy'}")


def test_edges_with_the_diagonal_are_named(tmp_path: Path) -> None:
    """As nilearn lists them by default: 3741 for 86 regions."""
    np.save(tmp_path / "x.npy", sym_matrix_to_vec(np.stack([SQUARE, SQUARE])))
    with pytest.raises(ConnectomeError, match="sym_matrix_to_vec lists them"):
        read_connectomes(f"{FC}={tmp_path / 'x.npy'}")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((12, 84, 84), "84 regions are what MRtrix's labelconvert makes"),
        ((84, 84), "84 regions are what MRtrix's labelconvert makes"),
        ((12, 3486), "84 regions are what MRtrix's labelconvert makes"),
        ((68, 68), "cortex alone"),
        ((12, 7396), "flattened square"),
    ],
)
def test_other_tables_and_layouts_are_named(shape: tuple[int, ...], words: str) -> None:
    """By the number of regions, of edges, or of cells."""
    assert words in explain_shape(shape, "fs86")


def test_of_other_sizes_nothing_is_said() -> None:
    """Nor of parcellations without a table, nor of 84 regions elsewhere."""
    assert explain_shape((12, 100, 100), "fs86") == DEFAULT
    assert explain_shape((84, 84), "shen268") == DEFAULT
    assert explain_shape((84, 84), "mine") == DEFAULT
    assert explain_shape((), "fs86") == DEFAULT


def write(path: Path, square: np.ndarray) -> Path:
    np.savetxt(path, square, delimiter=",")
    return path


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2"])
@pytest.mark.parametrize("first", [0, 1])
def test_counts_in_few_bits_are_edges(tmp_path: Path, kind: str, first: int) -> None:
    """Of which there are more than such a number can count."""
    edges = np.zeros((2, 3655), kind)
    edges[:, 0], edges[:, 1:] = first, np.arange(3654) % 7
    np.save(tmp_path / "x.npy", edges)
    found = read_connectomes(f"{FC}={tmp_path / 'x.npy'}")
    np.testing.assert_array_equal(next(iter(found.edges.values())), edges)
