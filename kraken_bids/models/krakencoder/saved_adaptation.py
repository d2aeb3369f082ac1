"""Adaptations on disk: all of it in HDF5, and beside it JSON that people read."""

import json
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.io.foreign import Kind
from kraken_bids.io.foreign_hdf5 import EVERYTHING, Stored, list_hdf5
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.models.krakencoder.adaptation import Adaptation, FlavorAdaptation, parse_mode

FORMAT = "kraken_bids adaptation"
ARRAYS_NAME = "adaptation.h5"
SUMMARY_NAME = "adaptation.json"
ADAPTATION = Kind(
    "a saved adaptation",
    "Give the adaptation.h5 of a group run, or fit one anew.",
    CheckpointError,
)


def write_adaptation(adaptation: Adaptation, path: Path | str) -> Path:
    """Write ``adaptation.json`` (to read) and ``adaptation.h5`` (all of it); returns the latter.

    Parameters
    ----------
    path : Path or str
        A folder, or a file whose name (``.h5`` or ``.json``) both files take.
    """
    arrays, summary = list_adaptation_files(path)
    with write_hdf5(arrays) as file:
        _write_arrays(adaptation, file)
    rows = {
        flavor.name: {
            "Mode": fit.mode,
            "b0": fit.b0,
            "b1": fit.b1,
            "R2": fit.r2,
            "NumberOfSubjects": fit.n_subjects,
        }
        for flavor, fit in sorted(adaptation.flavors.items())
    }
    text = json.dumps(
        {
            "Format": FORMAT,
            "Mode": adaptation.mode,
            "ModelSHA256": adaptation.model_sha256,
            "Arrays": arrays.name,
            "Flavors": rows,
        },
        indent=2,
    )
    with atomic_path(summary) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return arrays


def read_adaptation(path: Path | str) -> Adaptation:
    """Read a saved adaptation: its folder, its ``.json`` beside the ``.h5``, or the ``.h5``.

    Raises
    ------
    CheckpointError
        If there is none, or it is not one.
    """
    arrays, _ = list_adaptation_files(path)
    if not arrays.is_file():
        raise CheckpointError(
            "expected a saved adaptation (adaptation.h5, written by kraken-bids … group or "
            f"kraken-tools predict --save-adaptation); found no {arrays}. Check the path."
        )
    content = list_hdf5(ADAPTATION, arrays, up_to=EVERYTHING)
    try:
        about = content[""].attributes
        if about.get("format") != FORMAT:
            raise ADAPTATION.refuse(arrays, "an HDF5 file of another kind")
        names = [name for name in content if name.startswith("flavors/") and name.count("/") == 1]
        flavors = {
            parse_flavor(name.partition("/")[2]): _read_flavor(content, name) for name in names
        }
        return Adaptation(str(about["model_sha256"]), str(about["mode"]), flavors)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ADAPTATION.refuse(arrays, error) from error


def list_adaptation_files(path: Path | str) -> tuple[Path, Path]:
    """List the files of a saved adaptation: the arrays, and the summary that people read."""
    path = Path(path)
    if path.suffix in {".h5", ".json"}:
        return path.with_suffix(".h5"), path.with_suffix(".json")
    return path / ARRAYS_NAME, path / SUMMARY_NAME


def _write_arrays(adaptation: Adaptation, file: h5py.File) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["mode"] = adaptation.mode
    file.attrs["model_sha256"] = adaptation.model_sha256
    flavors = file.create_group("flavors")
    for flavor, fit in sorted(adaptation.flavors.items()):
        group = flavors.create_group(flavor.name)
        group["mean_new"] = fit.mean_new
        group["training_mean"] = fit.training_mean
        for name in ("mode", "b0", "b1", "r2", "n_subjects"):
            group.attrs[name] = getattr(fit, name)


def _read_flavor(content: Mapping[str, Stored], name: str) -> FlavorAdaptation:
    about = content[name].attributes
    fit = FlavorAdaptation(
        mode=parse_mode(str(about["mode"])),
        mean_new=np.asarray(content[f"{name}/mean_new"].value, np.float32),
        training_mean=np.asarray(content[f"{name}/training_mean"].value, np.float32),
        b0=float(about["b0"]),
        b1=float(about["b1"]),
        r2=float(about["r2"]),
        n_subjects=int(about["n_subjects"]),
    )
    means = np.stack([fit.mean_new, fit.training_mean])  # ValueError unless as long as each other
    if means.ndim != 2 or not np.isfinite(means).all() or not np.isfinite([fit.b0, fit.b1]).all():
        raise ValueError(f"means of {name} that are no finite edges, or a line that is not finite")
    return fit
