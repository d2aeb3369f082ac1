"""Small valid data that the readers' files are made of, and checks of what comes back."""

import gzip
import io
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

N_REGIONS = 6
N_EDGES = N_REGIONS * (N_REGIONS - 1) // 2
N_PEOPLE = 4
PEOPLE = ("sub-01", "sub-02", "sub-03", "sub-04")
FLAVORS = ("FCcorr_mini_hpf", "SCifod2act_mini_volnorm")
AFFINE = np.array([[2.0, 0, 0, -5], [0, 2, 0, -4], [0, 0, 2, -3], [0, 0, 0, 1]])


def rng() -> np.random.Generator:
    """Make the same numbers each time."""
    return np.random.default_rng(7)


@cache
def edges() -> NDArray[np.float64]:
    """[N_PEOPLE, N_EDGES] Edges, between 0 and 1."""
    return np.round(rng().random((N_PEOPLE, N_EDGES)), 3)


@cache
def squares() -> NDArray[np.float64]:
    """[N_PEOPLE, N_REGIONS, N_REGIONS] The same as symmetric matrices, 1 on the diagonal."""
    whole = np.zeros((N_PEOPLE, N_REGIONS, N_REGIONS))
    upper = np.triu_indices(N_REGIONS, 1)
    whole[:, upper[0], upper[1]] = edges()
    return whole + whole.swapaxes(1, 2) + np.eye(N_REGIONS)


@cache
def latents() -> NDArray[np.float32]:
    """[N_PEOPLE, 3] Vectors of length 1."""
    values = rng().standard_normal((N_PEOPLE, 3))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def format_rows(values: NDArray[Any], mark: str = "\t", *, header: Sequence[str] = ()) -> bytes:
    """Write the text of a matrix."""
    lines = [mark.join(header)] if header else []
    lines += [mark.join(f"{v:.6g}" for v in row) for row in np.atleast_2d(values)]
    return ("\n".join(lines) + "\n").encode()


def format_table(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Write the text of a table with a header."""
    rows = zip(*columns.values(), strict=True)
    lines = ["\t".join(columns), *("\t".join(str(v) for v in row) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def pack_npy(array: NDArray[Any], **options: Any) -> bytes:
    """Pack a ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def pack_npz(arrays: Mapping[str, Any], *, compressed: bool = False) -> bytes:
    """Pack a ``.npz`` file."""
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def pack_mat(content: Mapping[str, Any], **options: Any) -> bytes:
    """Pack a ``.mat`` file of version 4 or 5, as scipy writes it."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, dict(content), **options)
    return buffer.getvalue()


def pack_h5(datasets: Mapping[str, Any], *, attributes: Mapping[str, Any] | None = None,
            user_block: int = 0, **options: Any) -> bytes:  # fmt: skip
    """Pack an HDF5 file; attributes by ``PATH@NAME``."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=user_block, **options) as file:
        for name, value in datasets.items():
            is_text = isinstance(value, list) and isinstance(value[0], str)
            values = np.array(value, object) if is_text else np.asarray(value)
            kind = h5py.string_dtype() if is_text else values.dtype
            packing = {"compression": "gzip"} if values.ndim == 2 and name.endswith("z") else {}
            file.create_dataset(name, data=values, dtype=kind, **packing)
        for place, value in (attributes or {}).items():
            path, _, name = place.partition("@")
            file[path or "/"].attrs[name] = value
    return buffer.getvalue()


def pack_zip(members: Mapping[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Pack a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return buffer.getvalue()


def pack_gzip(content: bytes) -> bytes:
    """Pack a ``.gz`` file."""
    return gzip.compress(content, 1, mtime=0)
