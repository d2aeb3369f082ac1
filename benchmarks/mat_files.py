"""Connectomes as MATLAB writes them, for ``bench_predict.py``, and who else reads them."""

import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import parse_flavor

KINDS = ("v5", "v5, compressed", "v7.3")
READ_BY_REFERENCE = KINDS[:2]
"""The reference release reads by scipy's ``loadmat``, which refuses version 7.3."""
CHUNKS = 19, 28
"""Of the two axes of regions; a chunk has everybody."""


def write_mats(folder: Path, inputs: Path, kind: str = KINDS[0]) -> list[str]:
    """Write everybody's connectomes [people, regions, regions], a file for each flavor."""
    words = []
    place = folder / f"{inputs.stem}_{kind.replace(', ', '_')}"
    place.mkdir(exist_ok=True)
    with np.load(inputs) as file:
        subjects = file["subjects"].astype(object)
        for name in (name for name in file.files if name != "subjects"):
            path = place / f"{name}.mat"
            words.append(f"{name}={path}")
            if path.exists():
                continue
            squares = edges_to_square(file[name], diagonal=parse_flavor(name).diagonal)
            if kind == "v7.3":
                write_mat73(path, squares)
            else:
                content = {"data": squares, "subjects": subjects}
                savemat(path, content, do_compression=kind != "v5")
    return words


def write_mat73(path: Path, squares: np.ndarray) -> None:
    """Write as MATLAB does with -v7.3: axes from last to first, compressed in chunks."""
    chunks = (*(min(n, squares.shape[1]) for n in CHUNKS), len(squares))
    with h5py.File(path, "w", userblock_size=512) as file:
        data = file.create_dataset("data", data=squares.T, chunks=chunks, compression=3)
        data.attrs["MATLAB_class"] = np.bytes_("single")


def reference_command(reference: Path, published: Sequence[Path], inputs: list[str]) -> list[str]:
    checkpoint, transforms = map(str, published)
    names = [word.partition("=")[0] for word in inputs]
    return [
        *(sys.executable, str(reference / "run_model.py")),
        *("--checkpoint", checkpoint, "--inputxform", transforms, "--inputdata", *inputs),
        *("--outputname", *names, "--adaptmode", "meanfit+meanshift"),
        *("--fusion", "--fusioninclude", "fusion=all", "fusionSC=SC", "fusionFC=FC"),
        *("--onlyfusioninputs", "--output", str(published[0].with_name("theirs_{input}.mat"))),
    ]
