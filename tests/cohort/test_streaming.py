"""kraken-tools predict in blocks: the same numbers, flat, and nothing left by a run that ends."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.cohort import decoding, projections
from kraken_bids.cohort.edge_mean import EdgeMean
from kraken_bids.cohort.from_files import open_connectomes, read_connectomes
from kraken_bids.cohort.prediction_archives import collect_arrays, write_predictions
from kraken_bids.cohort.read_ahead import read_ahead, write_behind
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.file_predictions import encode_files
from kraken_bids.pipeline.predict.prediction_options import PredictionOptions

Edges = dict[Flavor, NDArray[np.float64]]
OPTIONS = PredictionOptions(adaptation_mode="meanfit+meanshift", sources=("fusion", "each"))


@pytest.fixture
def inputs(tmp_path: Path, cohort_edges: Edges) -> Path:
    """Connectomes of all flavors, one subject without one of them."""
    arrays = {f.name: rows.astype(np.float32) for f, rows in cohort_edges.items()}
    next(iter(arrays.values()))[4] = np.nan
    np.savez(tmp_path / "in.npz", subjects=np.array([f"s{k}" for k in range(12)]), **arrays)
    return tmp_path / "in.npz"


def read_file(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {key: file[key] for key in file.files}
    with h5py.File(path) as file:
        found = {f"{s}->{t}": file[s][t][()] for s in file if s != "subjects" for t in file[s]}
        return {**found, "subjects": file["subjects"].asstr()[()]}


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("block", [1, 3, 7, 64])
def test_no_bit_depends_on_the_blocks(
    inputs: Path,
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    suffix: str,
) -> None:
    """Files written in blocks of any size hold what one block gives, adaptation included."""
    expected = collect_arrays(encode_files([str(inputs)], model, OPTIONS))
    monkeypatch.setattr(projections, "BLOCK", block)
    monkeypatch.setattr(decoding, "BLOCK", block)

    write_predictions(encode_files([str(inputs)], model, OPTIONS), tmp_path / f"o{suffix}")

    found = read_file(tmp_path / f"o{suffix}")
    assert set(found) == set(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["npz", "npy", "h5", "squares", "columns"])
def test_rows_on_disk_are_the_rows_in_memory(tmp_path: Path, kind: str, packed: bool) -> None:
    """Any run of rows, also backwards, of every layout, equals numpy's slice of the whole."""
    rng = np.random.default_rng(0)
    edges = rng.random((9, 3655)).astype(np.float64 if packed else np.float32)
    name, path = "FCcorr_fs86_hpf", tmp_path / f"x.{kind if kind in {'npy', 'h5'} else 'npz'}"
    if kind == "npy":
        np.save(path, edges)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset(name, data=edges, compression="gzip" if packed else None)
    else:
        stored = np.asfortranarray(edges) if kind == "columns" else edges
        if kind == "squares":
            stored = np.zeros((9, 86, 86), edges.dtype)
            stored[:, *np.triu_indices(86, 1)] = edges
            stored += stored.swapaxes(1, 2)
        (np.savez_compressed if packed else np.savez)(path, **{name: stored})

    (rows,) = open_connectomes([f"{name}={path}"]).rows.values()

    for start, stop in ((0, 9), (2, 5), (7, 9), (0, 1), (8, 9)):
        np.testing.assert_array_equal(rows.read(start, stop), edges[start:stop])


def test_files_of_one_subject_each_are_read_one_by_one(
    output_dir: Path, cohort_edges: Edges, tmp_path: Path
) -> None:
    """A folder of tables and the same as a zip: rows in the order of subjects."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for table in output_dir.rglob("*relmat.dense.tsv"):
            archive.write(table, table.name)
    for source in (output_dir, tmp_path / "all.zip"):
        cohort = open_connectomes([source])
        for flavor, rows in cohort.rows.items():
            np.testing.assert_allclose(rows.read(3, 8), cohort_edges[flavor][3:8], atol=1e-5)


def test_a_subject_missing_in_one_file_is_nan_in_its_rows(
    tmp_path: Path, cohort_edges: Edges
) -> None:
    """Subjects of two files are joined by name, whatever their order."""
    one, two = list(cohort_edges)[:2]
    np.savez(tmp_path / "a.npz", data=cohort_edges[one][:4], subjects=["a", "b", "c", "d"])
    np.savez(tmp_path / "b.npz", data=cohort_edges[two][:3], subjects=["d", "b", "e"])
    inputs = [f"{one}={tmp_path / 'a.npz'}", f"{two}={tmp_path / 'b.npz'}"]

    cohort = open_connectomes(inputs)

    assert cohort.subjects == ("a", "b", "c", "d", "e")
    found = cohort.rows[two].read(0, 5)
    np.testing.assert_array_equal(found[[3, 1, 4]], cohort_edges[two][:3])
    assert np.isnan(found[[0, 2]]).all()
    assert np.isnan(cohort.rows[one].read(4, 5)).all()
    assert read_connectomes(inputs).edges[one].shape == (5, cohort_edges[one].shape[1])


def test_an_error_on_the_way_leaves_no_file(
    inputs: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether computing or writing fails, the error comes out and the old file stays."""
    predictions = encode_files([str(inputs)], model, OPTIONS)
    for suffix in (".npz", ".h5"):
        path = tmp_path / f"out{suffix}"
        path.write_bytes(b"old")
        with monkeypatch.context() as patch:
            patch.setattr(type(model), "decode", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                write_predictions(predictions, path)
        assert path.read_bytes() == b"old"
        assert not list(tmp_path.glob(".out*"))


def test_a_file_cut_after_it_was_opened_is_an_input_error(inputs: Path, tmp_path: Path) -> None:
    """The message names the file; so does one for numbers that are found bad late."""
    array = np.random.default_rng(0).random((5, 3655))
    path = tmp_path / "x.npy"
    np.save(path, array)
    (rows,) = open_connectomes([f"FCcorr_fs86_hpf={path}"]).rows.values()
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(InputError, match=r"x\.npy"):
        rows.read(3, 5)
    array[4, 7] = np.nan
    np.save(path, array)
    with pytest.raises(ConnectomeError, match="connectome 5 of 5"):
        rows.read(3, 5)


def test_published_and_own_format_give_the_same_bits(
    model: Model, model_folder: Path, inputs: Path
) -> None:
    """With the folder's maps, without them, and folded from the published files."""
    from kraken_bids.models.krakencoder.published_writer import write_upstream

    checkpoint, transforms = write_upstream(model, inputs.parent / "kraken_chkpt_x.pt")
    expected = collect_arrays(encode_files([str(inputs)], model, OPTIONS))
    assert model.maps
    for other in (load_model(checkpoint, transforms=[transforms], device="cpu"), _strip(model)):
        assert not other.maps
        found = collect_arrays(encode_files([str(inputs)], other, OPTIONS))
        for key, array in expected.items():
            np.testing.assert_array_equal(found[key], array, err_msg=key)


def _strip(model: Model) -> Model:
    from dataclasses import replace

    return replace(model, maps={})


def test_a_mean_is_added_row_by_row() -> None:
    """Its bits depend on the order of the subjects alone; missing edges count for nobody."""
    rows = np.random.default_rng(1).random((7, 5)) * 10.0 ** np.arange(-8, 6, 2)[:, None]
    rows[2, 1] = np.nan
    mean = EdgeMean(5)
    for row in rows:
        mean.add(row)
    total = np.zeros(5)
    for row in rows:
        total = total + np.nan_to_num(row)
    np.testing.assert_array_equal(mean.result(None), total / [7, 6, 7, 7, 7])


def test_reading_ahead_and_writing_behind_keep_order_and_errors() -> None:
    """All items once, in order; what the other thread raises comes out here."""
    written: list[int] = []
    write_behind(read_ahead(iter(range(50))), written.append)
    assert written == list(range(50))

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        list(read_ahead(broken()))
    with pytest.raises(ZeroDivisionError):
        write_behind(range(9), lambda item: item // 0)


def test_tables_of_an_unknown_atlas_stay_on_disk(tmp_path: Path) -> None:
    """Each is looked at for its size, and read again when it is asked for."""
    for number in range(3):
        path = tmp_path / f"sub-0{number}_atlas-mine_meas-FCcorrHPF_relmat.dense.tsv"
        write_relmat(path, np.full((4, 4), 0.1 + number / 10))
    cohort = open_connectomes([str(tmp_path)])
    (rows,) = cohort.rows.values()
    write_relmat(path, np.full((4, 4), 0.7))

    np.testing.assert_allclose(rows.read(0, 3)[:, 0], [0.1, 0.2, 0.7], rtol=1e-6)
