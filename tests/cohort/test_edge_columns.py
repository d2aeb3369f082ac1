"""Files in which people vary fastest are read edge by edge: the numbers and doubts of rows."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from kraken_bids.cohort.edge_columns import BLOCK, EdgeColumns, find_columns
from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.joined_rows import CohortRows
from kraken_bids.cohort.projections import Projected, project_cohort
from kraken_bids.cohort.row_axes import put_subjects_first
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io import hdf5_rows, matlab
from kraken_bids.io.named_arrays import open_arrays
from kraken_bids.models.krakencoder.edge_layers import CHUNK
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.scores.plausibility import InputCheck

Edges = dict[Flavor, NDArray[np.float64]]
KINDS = ("v5", "v5 packed", "v5 edges", "7.3", "7.3 chunked", "h5")


@pytest.fixture(autouse=True)
def _all_stay_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matlab, "LAZY_BYTES", 1)


def write(path: Path, kind: str, array: NDArray[np.floating], subjects: list[str]) -> Path:
    """Write ``[people, …]`` so that people vary fastest; squares but for edges."""
    path = path.with_suffix(".h5" if kind == "h5" else ".mat")
    if kind.startswith("v5"):
        content = {"data": array, "subjects": np.array(subjects, object)}
        savemat(path, content, do_compression=kind == "v5 packed")
        return path
    with h5py.File(path, "w") as file:
        chunks = (5, 40, 7) if kind == "7.3 chunked" else None
        data = file.create_dataset("data", data=array.T, chunks=chunks)
        if kind != "h5":
            data.attrs["MATLAB_class"] = np.bytes_("double")
    return path


def project(model: Model, path: Path, flavor: Flavor) -> Projected:
    return project_cohort(model, open_connectomes([f"{flavor}={path}"]))


def open_columns(path: Path) -> EdgeColumns | None:
    """Open squares of 120 regions."""
    return find_columns(put_subjects_first(open_arrays(path)["data"], 120, "x"), 120, 7140)


def judge(model: Model, check: InputCheck) -> list[tuple[str, tuple[int, ...]]]:
    doubts = check.list_doubts(model.training_means()) + check.list_duplicate_doubts()
    return [(doubt.claim, doubt.whom) for doubt in doubts]


def check_same(model: Model, found: Projected, expected: Projected) -> None:
    """Check everything that is kept of a cohort: projections to the bit."""
    for flavor, one in expected.found.items():
        other = found.found[flavor]
        np.testing.assert_array_equal(other.rows, one.rows)
        assert other.reread == one.reread
        assert other.mean.n_subjects == one.mean.n_subjects
        np.testing.assert_allclose(other.mean.result(None), one.mean.result(None), atol=1e-12)
        assert judge(model, other.check) == judge(model, one.check)
        np.testing.assert_allclose(other.check.mean, one.check.mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_by_edges_gives_what_rows_give(
    model: Model,
    cohort_edges: Edges,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kind: str,
    dtype: type[np.floating],
) -> None:
    """In one pass, no connectome is read by itself."""
    flavor, edges = next(iter(cohort_edges.items()))
    edges = edges.astype(dtype)
    subjects = [f"s{k}" for k in range(len(edges))]
    np.savez(tmp_path / "rows.npz", data=edges, subjects=subjects)
    expected = project(model, tmp_path / "rows.npz", flavor)
    array = edges if kind == "v5 edges" else edges_to_square(edges, diagonal=1.0)
    path = write(tmp_path / "columns", kind, array, subjects)
    monkeypatch.delattr(CohortRows, "read")

    found = project(model, path, flavor)

    check_same(model, found, expected)


def test_the_odd_are_read_by_themselves_and_the_rest_edge_by_edge(
    model: Model, cohort_edges: Edges, tmp_path: Path
) -> None:
    """Missing regions, one triangle, one value, a stranger, a copy: said of the same people."""
    flavor, edges = next(iter(cohort_edges.items()))
    squares = edges_to_square(edges, diagonal=0.0)
    squares[2, 7] = squares[2, :, 7] = np.nan
    squares[3] = np.triu(squares[3])
    squares[5] = 0.25
    order = np.random.default_rng(0).permutation(86)
    squares[6] = squares[6][np.ix_(order, order)]
    squares[9] = squares[8]
    squares[10] *= 1 + 1e-12 * np.triu(np.ones((86, 86)))  # rounding of a program
    np.savez(tmp_path / "rows.npz", data=squares)
    path = write(tmp_path / "columns", "v5", squares, [f"s{k}" for k in range(len(squares))])

    found, expected = (project(model, one, flavor) for one in (path, tmp_path / "rows.npz"))

    (check,) = found.checks.values()
    assert (check.mirrored, check.constant, check.unlike) == ([3], [5], [6])
    assert any(
        "one and the same" in claim for claim, whom in judge(model, check) if whom == (8, 9)
    )
    check_same(model, found, expected)


@pytest.mark.parametrize("packed", ["v5", "v5 packed"])
def test_matrices_that_are_not_symmetric_are_refused_by_name(
    model: Model, cohort_edges: Edges, tmp_path: Path, packed: str
) -> None:
    """One entry of one person, or a sign; and an infinite one."""
    flavor, edges = next(iter(cohort_edges.items()))
    for value, words in ((0.5, "1 of 3655 pairs"), (np.inf, "differ|infinite")):
        squares = edges_to_square(edges, diagonal=0.0)
        squares[4, 3, 9] += value
        path = write(tmp_path / "columns", packed, squares, [f"s{k}" for k in range(12)])
        with pytest.raises(ConnectomeError, match=rf"connectome 5 of 12.*({words})"):
            project(model, path, flavor)
    squares = edges_to_square(edges, diagonal=0.0)
    squares[4] = np.triu(squares[4]) - np.tril(squares[4])
    path = write(tmp_path / "columns", packed, squares, [f"s{k}" for k in range(12)])
    with pytest.raises(ConnectomeError, match="connectome 5 of 12: expected a symmetric"):
        project(model, path, flavor)


def test_people_of_two_files_in_any_order_take_their_rows(
    model: Model, cohort_edges: Edges, tmp_path: Path
) -> None:
    """One flavor in two files by edges, another one in the order of rows."""
    one, two = list(cohort_edges)[:2]
    names = [f"s{k}" for k in range(12)]
    np.savez(tmp_path / "two.npz", data=cohort_edges[two], subjects=names)
    np.savez(tmp_path / "one.npz", data=cohort_edges[one][:11], subjects=names[:11])
    parts = [
        write(tmp_path / name, "v5", cohort_edges[one][own], [names[k] for k in own])
        for name, own in (("b", [10, 4, 7, 5]), ("a", [0, 9, 2, 3, 1, 8, 6]))
    ]
    beside = f"{two}={tmp_path / 'two.npz'}"
    found, expected = (
        project_cohort(
            model, open_connectomes([beside, *(f"{one}={path}" for path in paths)]),
            fit_on=lambda row: row % 2 == 0,
        )
        for paths in (parts, [tmp_path / "one.npz"])
    )  # fmt: skip

    assert found.cohort.subjects == expected.cohort.subjects
    check_same(model, found, expected)


def test_numbers_of_columns_are_refused_as_somebodys_edges(
    model: Model, cohort_edges: Edges, tmp_path: Path
) -> None:
    """They lie in the first row, however the file lies."""
    flavor, edges = next(iter(cohort_edges.items()))
    edges = np.concatenate([np.arange(3655.0)[None], edges])
    path = write(tmp_path / "columns", "v5 edges", edges, [f"s{k}" for k in range(13)])
    with pytest.raises(ConnectomeError, match="count the columns"):
        project(model, path, flavor)


def test_a_file_cut_while_it_is_read_is_an_input_error(
    model: Model, cohort_edges: Edges, tmp_path: Path
) -> None:
    """The message names it."""
    flavor, edges = next(iter(cohort_edges.items()))
    for kind in ("v5", "v5 packed"):
        path = write(tmp_path / "x", kind, edges, [f"s{k}" for k in range(12)])
        cohort = open_connectomes([f"{flavor}={path}"])
        path.write_bytes(path.read_bytes()[:-9000])
        with pytest.raises(InputError, match=r"x\.mat"):
            project_cohort(model, cohort)


@pytest.mark.parametrize("kind", ["v5", "v5 packed", "7.3 chunked"])
def test_edges_come_in_blocks_as_they_are_multiplied(tmp_path: Path, kind: str) -> None:
    """In the order of edges, whatever pieces the file gives; more than one block."""
    assert BLOCK % CHUNK == 0
    rng = np.random.default_rng(0)
    edges = rng.normal(size=(7, 120 * 119 // 2))
    path = write(tmp_path / "x", kind, edges_to_square(edges, diagonal=0.0), list("abcdefg"))
    columns = open_columns(path)
    assert columns is not None
    aside: set[int] = set()

    blocks = list(columns.read(aside))

    assert [len(block) for block in blocks] == [BLOCK, 7140 - BLOCK]
    np.testing.assert_array_equal(np.concatenate(blocks), edges.T)
    assert not aside


def test_large_chunks_are_read_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one place on the first axis would bring all of the array into memory."""
    path = write(tmp_path / "x", "7.3 chunked", np.zeros((7, 120, 120)), list("abcdefg"))
    assert open_columns(path) is not None
    monkeypatch.setattr(hdf5_rows, "MAX_CELLS_BYTES", 5 * 120 * 7 * 8 - 1)
    assert open_columns(path) is None
