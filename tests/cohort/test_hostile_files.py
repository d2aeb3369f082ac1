"""Connectome files that mean harm: no code runs, no memory out of proportion, nothing unpacked."""

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse
from numpy.lib import format as npy
from scipy.io import savemat

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.stored_predictions import read_predictions
from kraken_bids.exceptions import CheckpointError, InputError, KrakenBidsError
from kraken_bids.io.named_arrays import read_arrays
from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation

MEMORY = 60_000_000
FC = "FCcorr_fs86_hpf"


@contextmanager
def refused(match: str, error: type[KrakenBidsError] = InputError) -> Iterator[None]:
    """Expect one of our errors, and little memory taken."""
    tracemalloc.start()
    try:
        with pytest.raises(error, match=match):
            yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY


class Malicious:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, marker: Path) -> None:
        self.command = f"touch {marker}"

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".mat", ".tsv", ".zip"])
def test_pickles_in_connectome_files_are_not_run(tmp_path: Path, suffix: str) -> None:
    """An object array, or a bare pickle under any of the names, is refused and nothing happens."""
    marker, path = tmp_path / "executed", tmp_path / f"x{suffix}"
    array = np.array([Malicious(marker)], dtype=object)
    if suffix == ".npy":
        np.save(path, array, allow_pickle=True)
    elif suffix == ".npz":
        np.savez(path, data=array, allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Malicious(marker)))

    with refused(rf"x\{suffix}"):
        read_connectomes([path if suffix == ".zip" else f"{FC}={path}"])

    assert not marker.exists()


def write_npy(shape: tuple[int, ...], *, by_column: bool = False) -> bytes:
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": by_column, "shape": shape}
    npy.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(64)


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6), (2**32, 2**32), (-1, 3), (9, -9)])
@pytest.mark.parametrize("by_column", [True, False])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_absurd_shapes_of_numpy_files_are_refused(
    tmp_path: Path, shape: tuple[int, ...], by_column: bool, suffix: str
) -> None:
    """Terabytes, products that overflow to nothing, negative lengths."""
    path = tmp_path / f"x{suffix}"
    data = write_npy(shape, by_column=by_column)
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.npy", data)
    else:
        path.write_bytes(data)

    with refused("declared shape"):
        read_arrays(path)


@pytest.mark.parametrize("suffix", [".npz", ".zip"])
def test_members_larger_than_their_zip_are_refused(tmp_path: Path, suffix: str) -> None:
    """A stored member that says it takes 2 GB of the archive: zipfile would make room for them."""
    path = tmp_path / f"x{suffix}"
    name = "sub-01_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv" if suffix == ".zip" else "x.npy"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(name, b"1\t2\n")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 20, 2**31 - 1)
    path.write_bytes(content)

    with refused("larger than it"):
        read_connectomes(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_headers_of_numpy_files_without_end_are_refused(tmp_path: Path, suffix: str) -> None:
    """Version 2 counts the bytes of its header with four: numpy would make room for them all."""
    path = tmp_path / f"x{suffix}"
    data = npy.magic(2, 0) + struct.pack("<I", 2**32 - 1) + b"{'descr': '<f8'".ljust(500)
    path.write_bytes(data)
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.npy", data)

    with refused("a header of 4,294,967,295 bytes"):
        read_arrays(path)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_letters_that_are_none_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Names of people with numbers beyond those of letters, which Python cannot show."""
    path = tmp_path / "x.npz"
    names = np.array(["a", "b"]).reshape(shape)
    names.view(np.uint32)[:] = 0x110000
    np.savez(path, **{FC: np.zeros((2, 3655)), "subjects": names})

    with refused("no letters"):
        read_connectomes(path)


def test_names_in_another_encoding_are_refused(tmp_path: Path) -> None:
    """Bytes of Latin-1 are no UTF-8, and nothing is guessed."""
    path = tmp_path / "x.npz"
    names = np.array(["Jörg".encode("latin-1"), b"Anna"])
    np.savez(path, **{FC: np.zeros((2, 3655)), "subjects": names})

    with refused("UTF-8 in subjects"):
        read_connectomes(path)


@pytest.mark.parametrize("suffix", [".npz", ".zip"])
def test_zip_bombs_are_refused_before_they_unpack(tmp_path: Path, suffix: str) -> None:
    """A hundred kilobytes that unpack to a thousand times as much."""
    path = tmp_path / f"x{suffix}"
    name = "data.npy" if suffix == ".npz" else "sub-1_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w") as stream,
    ):
        for _ in range(80):
            stream.write(bytes(1 << 20))

    with refused("an archive that declares"):
        read_connectomes([path])


@pytest.mark.parametrize("name", ["../../sub-1", "/tmp/sub-1", "..\\sub-1", "C:\\sub-1"])
def test_zips_with_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    """Tables are read from the archive, and one with such names is not trusted."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(f"{name}_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv", "0\t1\n1\t0\n")

    with refused("leads out of it"):
        read_connectomes([tmp_path / "x.zip"])

    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("name", ["", "."])
def test_zips_with_nameless_members_are_refused(tmp_path: Path, name: str) -> None:
    """It is said what is wrong with them."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "0\t1\n1\t0\n")

    with refused("a member without a name"):
        read_connectomes([tmp_path / "x.zip"])


@pytest.mark.parametrize(
    "name", ["x.npz", "x.zip", "d/sub-1_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"]
)
def test_pipes_are_no_files(tmp_path: Path, name: str) -> None:
    """Nobody writes into them: reading would wait for ever."""
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / name)

    with refused("expected connectomes"):
        read_connectomes([(tmp_path / name).parent if "/" in name else tmp_path / name])


def write_absurd(file: h5py.File) -> None:
    file.create_dataset("data", (10**6, 10**6), "f4", chunks=(64, 64))


def write_long(file: h5py.File) -> None:
    file.create_dataset("data", (10**12,), "f4", chunks=(64,))


def write_external(file: h5py.File) -> None:
    file.create_dataset("data", (4, 3655), "u1", external="/etc/passwd")


def write_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4, 3655), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "data", (4, 3655))
    file.create_virtual_dataset("data", layout)


@pytest.mark.parametrize("write", [write_absurd, write_long, write_external, write_virtual])
def test_hdf5_files_are_read_with_care(tmp_path: Path, write: Callable[[h5py.File], None]) -> None:
    """Terabytes declared and values in other files are refused, as inputs and as adaptations."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write(file)

    with refused("a dataset /data"):
        read_arrays(tmp_path / "x.h5")

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update({"format": "kraken_bids adaptation", "mode": "none", "model_sha256": ""})
        group = file.create_group(f"flavors/{FC}")
        write(group)
        group.move("data", "mean_new")
    with refused("a dataset", CheckpointError):
        read_adaptation(tmp_path / "a.h5")


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<2I", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, shape: tuple[int, ...], *parts: bytes) -> bytes:
    flags = element(6, struct.pack("<2I", kind, 0))
    dimensions = element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + dimensions + element(1, b"data") + b"".join(parts))


HUGE = (2**31 - 1, 1000)
NUMBERS = element(9, bytes(16))
MATRICES = {
    "numbers": matrix(6, HUGE, NUMBERS),
    "text": matrix(4, HUGE, element(16, b"")),
    "cells": matrix(1, HUGE),
    "structs": matrix(2, HUGE, element(5, struct.pack("<i", 32)), element(1, bytes(32))),
    "structs without fields": matrix(2, HUGE, element(5, struct.pack("<i", 32)), element(1, b"")),
    "numbers in a cell": matrix(1, (1, 1), matrix(6, HUGE, NUMBERS)),
    "cells in a cell": matrix(1, (1, 1), matrix(1, HUGE)),
    "negative": matrix(6, (-5, 4), NUMBERS),
}


@pytest.mark.parametrize("name", list(MATRICES))
@pytest.mark.parametrize("is_packed", [True, False])
def test_absurd_shapes_of_mat_files_are_refused(
    tmp_path: Path, name: str, is_packed: bool
) -> None:
    """Of numbers, text, cells and structs, and of those inside others."""
    data = MATRICES[name]
    if is_packed:
        packed = zlib.compress(data)
        data = struct.pack("<2I", 15, len(packed)) + packed
    (tmp_path / "x.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + data)

    with refused("found: .*(shape|memory)"):
        read_arrays(tmp_path / "x.mat")


def test_variables_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them is meant, nobody knows."""
    data = matrix(6, (1, 2), NUMBERS) + matrix(6, (2, 1), NUMBERS)
    (tmp_path / "x.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + data)

    with refused("Duplicate variable name"):
        read_arrays(tmp_path / "x.mat")


def test_a_variable_that_cannot_be_read_is_no_word(tmp_path: Path) -> None:
    """Where scipy gives the text of its error as the value of the variable."""
    cell = matrix(1, (1, 1), matrix(6, (2, 2), element(9, bytes(32))[:-16]))
    (tmp_path / "x.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + cell)

    with refused("x.mat"):
        read_arrays(tmp_path / "x.mat")


def test_what_is_no_array_is_an_empty_one(tmp_path: Path) -> None:
    """Large sparse matrices, which nobody has of connectomes; small ones are read."""
    sparse, large = (scipy.sparse.eye(n, format="csc") for n in (3, 10_000))
    savemat(tmp_path / "x.mat", {"small": sparse, "large": large})

    found = read_arrays(tmp_path / "x.mat")

    np.testing.assert_array_equal(found["small"], np.eye(3))
    assert found["large"].size == 0


def test_mat_bombs_are_refused(tmp_path: Path) -> None:
    """An array of zeros that unpacks to a thousand times its size."""
    savemat(tmp_path / "x.mat", {"data": np.zeros((10, 10**6))}, do_compression=True)

    with pytest.raises(InputError, match="a packed array that declares 80,"):
        read_arrays(tmp_path / "x.mat")


def test_sound_mat_files_of_every_kind_are_read(tmp_path: Path) -> None:
    """Numbers, text, cells, structs and empty ones, packed and not, pass the check."""
    cells = np.empty(2, dtype=object)
    cells[:] = [np.eye(3), np.zeros((0, 2))]
    content = {
        "numbers": np.arange(6.0).reshape(2, 3), "text": "hello", "cells": cells,
        "structs": {"a": {"b": np.arange(3)}, "c": "x"}, "flags": np.array([True]),
        "complex": np.array([1j]), "small": np.uint8(3), "empty": np.zeros((0, 0)),
    }  # fmt: skip
    for is_packed in (True, False):
        savemat(tmp_path / "x.mat", content, do_compression=is_packed)

        found = read_arrays(tmp_path / "x.mat")

        assert set(found) == set(content)
        np.testing.assert_array_equal(found["numbers"], content["numbers"])


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_never_end_in_another_error(tmp_path: Path, seed: int) -> None:
    """Random bytes changed in a file of each kind: connectomes, or one of our errors."""
    rng = np.random.default_rng(seed)
    suffix = (".npy", ".npz", ".mat", ".h5")[seed % 4]
    path, array = tmp_path / f"x{suffix}", rng.normal(size=(2, 3655))
    if suffix == ".npy":
        np.save(path, array)
    elif suffix == ".npz":
        (np.savez, np.savez_compressed)[seed // 4 % 2](path, data=array, subjects=["1", "2"])
    elif suffix == ".mat":
        savemat(path, {"data": array, "subjects": ["1", "2"]}, do_compression=seed // 4 % 2 == 0)
    else:
        with h5py.File(path, "w") as file:
            file["data"] = array
    data = bytearray(path.read_bytes())
    head = 400 if suffix in {".npy", ".npz", ".mat"} else 2000
    for place in rng.integers(0, head, size=2):
        data[place] = rng.integers(0, 256)
    path.write_bytes(data)

    try:
        read_connectomes([f"{FC}={path}"])
    except KrakenBidsError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_words_that_announce_too_many_bytes_are_refused(tmp_path: Path) -> None:
    """A pickled array of words whose length is beyond what Python can count."""
    header = {"descr": "|O", "fortran_order": False, "shape": (2,)}
    member = io.BytesIO()
    npy.write_array_header_1_0(member, header)
    words = pickle.BYTEARRAY8 + struct.pack("<Q", 2**64 - 1) + b"ab."
    member.write(b"\x80\x05" + pickle.FRAME + struct.pack("<Q", len(words)) + words)
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("subjects.npy", member.getvalue())

    with refused("expected arrays of numbers"):
        read_arrays(path)


def test_packed_elements_longer_than_their_file_take_no_memory(tmp_path: Path) -> None:
    """A packed cell array that says it takes 4 GB of the file, which ends long before."""
    path = tmp_path / "x.mat"
    savemat(path, {"cells": np.array(["a", "bc"], object)}, do_compression=True)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 132, 2**32 - 1)
    path.write_bytes(content)

    with refused("x.mat"):
        read_arrays(path)


def test_predictions_that_are_one_number_are_refused(tmp_path: Path) -> None:
    """Something else under the name of the published tools."""
    path = tmp_path / "x.mat"
    savemat(path, {"predicted_alltypes": 3.0, "subjects": ["a", "b"]})
    with refused("expected predictions SOURCE->FLAVOR"):
        read_predictions(path)


@pytest.mark.parametrize("changes", [{"mean_new": np.zeros(1)}, {"training_mean": [np.nan] * 3}])
def test_adaptations_of_other_edges_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A mean of one edge would be taken for that of all."""
    path = tmp_path / "adaptation.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "kraken_bids adaptation", "mode": "meanfit"})
        file.attrs["model_sha256"] = "0" * 64
        group = file.create_group(f"flavors/{FC}")
        for name in ("mean_new", "training_mean"):
            group[name] = np.asarray(changes.get(name, np.ones(3)), np.float32)
        group.attrs.update({"mode": "meanfit", "b0": 1.0, "b1": 0.0, "r2": 1.0, "n_subjects": 9})

    with refused("adaptation", CheckpointError):
        read_adaptation(path)
