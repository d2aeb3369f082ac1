"""Matrices with and without a header read alike, under the names of their regions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kraken_bids
from kraken_bids.bids.output_dataset import README
from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.tables import read_header, read_relmat
from kraken_bids.io.writing import write_relmat

NAME = "sub-01_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
FC = parse_flavor("FCcorr_fs86_hpf")
REGIONS = kraken_bids.region_names(FC)


@pytest.fixture
def square() -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(86, 86)).round(3)
    x = np.triu(x, 1) + np.triu(x, 1).T
    x[4], x[:, 4] = np.nan, np.nan
    return x


@pytest.mark.parametrize("header", [(), REGIONS])
def test_a_matrix_bears_the_names_of_its_regions(
    tmp_path: Path, square: np.ndarray, header: tuple[str, ...]
) -> None:
    """By read_matrix, and by every reader of this package, whether it has a header or not."""
    write_relmat(tmp_path / NAME, square, header=header)

    frame = kraken_bids.read_matrix(tmp_path / NAME)

    pd.testing.assert_frame_equal(frame, pd.DataFrame(square, index=REGIONS, columns=REGIONS))
    np.testing.assert_array_equal(read_relmat(tmp_path / NAME), square)
    np.testing.assert_array_equal(
        read_connectomes(tmp_path).edges[FC][0], square[np.triu_indices(86, 1)]
    )
    assert read_header(tmp_path / NAME) == header


def test_pandas_reads_each_as_the_readme_says(tmp_path: Path, square: np.ndarray) -> None:
    """Without header only with ``header=None``: else a region is lost; with one as it is."""
    write_relmat(tmp_path / NAME, square)
    assert 'pandas.read_csv(path, sep="\\t", header=None)' in README
    assert pd.read_csv(tmp_path / NAME, sep="\t").shape == (85, 86)
    plain = pd.read_csv(tmp_path / NAME, sep="\t", header=None)
    np.testing.assert_array_equal(plain.to_numpy(), square)

    write_relmat(tmp_path / NAME, square, header=REGIONS)
    named = pd.read_csv(tmp_path / NAME, sep="\t")
    assert tuple(named.columns) == REGIONS
    np.testing.assert_array_equal(named.to_numpy(), square)


def test_what_pandas_wrote_is_read(tmp_path: Path, square: np.ndarray) -> None:
    """With names of columns and rows."""
    frame = pd.DataFrame(square, index=REGIONS, columns=REGIONS)
    frame.to_csv(tmp_path / NAME, sep="\t", na_rep="n/a")

    pd.testing.assert_frame_equal(kraken_bids.read_matrix(tmp_path / NAME), frame)
    np.testing.assert_array_equal(read_relmat(tmp_path / NAME), square)


def test_names_come_from_what_is_there(tmp_path: Path, square: np.ndarray) -> None:
    """A flavor's file, a custom atlas with its table, and one of which nothing is known."""
    write_relmat(tmp_path / "FCcorr_fs86_hpf.tsv", square)
    (tmp_path / "atlas-mine_dseg.tsv").write_text("index\tname\n1\tone\n2\ttwo\n3\tthree\n")
    own = tmp_path / "sub-01" / "func" / "sub-01_atlas-mine_meas-FCcorrHPF_relmat.dense.tsv"
    write_relmat(own, square[:3, :3])
    write_relmat(tmp_path / "x.tsv", square[:3, :3])

    assert tuple(kraken_bids.read_matrix(tmp_path / "FCcorr_fs86_hpf.tsv").columns) == REGIONS
    assert list(kraken_bids.read_matrix(own).index) == ["one", "two", "three"]
    assert list(kraken_bids.read_matrix(str(tmp_path / "x.tsv")).index) == ["1", "2", "3"]
    (tmp_path / "atlas-mine_dseg.tsv").write_text("index\tname\n1\t01\n2\t7\n3\t3\n")
    assert list(kraken_bids.read_matrix(own).index) == ["01", "7", "3"]


@pytest.mark.parametrize("text", ["1\t2\n", "a\tb\n1\t2\n", "", "x\n"])
def test_what_is_no_square_matrix_is_refused(tmp_path: Path, text: str) -> None:
    """Edges, a table with fewer rows, an empty file, words; and a path to nothing."""
    (tmp_path / "broken.tsv").write_text(text)

    with pytest.raises(InputError, match=r"broken\.tsv"):
        kraken_bids.read_matrix(tmp_path / "broken.tsv")
    with pytest.raises(InputError, match=r"absent\.tsv"):
        kraken_bids.read_matrix(tmp_path / "absent.tsv")
