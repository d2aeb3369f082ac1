"""Published transform files ``kraken_ioxfm_*`` (``.npy``, ``.npz``, ``.h5``) as reductions."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, FlavorError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.foreign_hdf5 import EVERYTHING, list_hdf5
from kraken_bids.io.foreign_kinds import Kind
from kraken_bids.io.pickles import read_object_array
from kraken_bids.models.krakencoder.reduction import COMPONENTS, Reduction

TRANSFORM_SUFFIXES = (".npy", ".npz", ".h5")
KINDS = {"lognorm": "lognorm+rownorm"}
"""Spellings of transform types inside files that differ from the documented ones."""
TRANSFORMS = Kind(
    "Krakencoder transforms (HDF5)",
    "It is another kind of file, or incomplete: download or copy it again.",
    CheckpointError,
)
NOT_STATISTICS = ("input_dimension", "output_dimension", "reduce_dimension")


def read_transforms(path: Path, wanted: Iterable[Flavor] | None = None) -> dict[Flavor, Reduction]:
    """Read the transforms of a published file, by flavor.

    Parameters
    ----------
    path : Path
        ``.npy`` or ``.npz`` (a pickled dictionary, read safely) or ``.h5``.
    wanted : iterable of Flavor, optional
        Only these (all).

    Raises
    ------
    CheckpointError
        If it is missing, broken, unsafe or of another kind.
    """
    if not path.is_file():
        raise CheckpointError(
            f"expected a transforms file kraken_ioxfm_*; found no {path}. Check the path."
        )
    content = _read_h5(path) if path.suffix == ".h5" else read_object_array(path)
    if not isinstance(content, Mapping) or not all(
        isinstance(v, Mapping) for v in content.values()
    ):
        raise CheckpointError(
            f"expected transforms by flavor (kraken_ioxfm_*) in {path}; found "
            f"{type(content).__name__}. Give the files that were published with the model."
        )
    keep = None if wanted is None else set(wanted)
    reductions = {}
    for name, parameters in content.items():
        flavor = _parse_name(name, path)
        if keep is None or flavor in keep:
            reductions[flavor] = _to_reduction(str(name), parameters, path)
    return reductions


def name_transforms(checkpoint: Path) -> Path:
    """Path of the transforms that belong to one checkpoint alone, by its name.

    Source: ``run_model.py --inputxform auto`` of the reference release: ``_chkpt_`` becomes
    ``_ioxfm_`` and the number of epochs is dropped.
    """
    stem = re.sub(r"_(epoch|ep)[0-9]+$", "", checkpoint.stem)
    own = stem.replace("_chkpt_", "_ioxfm_") if "_chkpt_" in stem else f"kraken_ioxfm_{stem}"
    return checkpoint.with_name(f"{own}.npy")


def find_transforms(checkpoint: Path, info: str) -> tuple[Path, ...]:
    """Find transform files beside the checkpoint.

    The one that has its name comes first, then those named after its transform.
    """
    beside = sorted(
        p for p in checkpoint.parent.glob("kraken_ioxfm_*") if p.suffix in TRANSFORM_SUFFIXES
    )
    own = name_transforms(checkpoint).stem
    return tuple(sorted(beside, key=lambda path: (path.stem != own, f"_{info}_" not in path.name)))


def read_reductions(
    paths: Iterable[Path], sizes: Mapping[Flavor, int], *, is_guess: bool
) -> tuple[dict[Flavor, Reduction], tuple[Path, ...]]:
    """Read transforms, and say from which files any were taken.

    Those of files that were only found nearby must fit the network.
    """
    reductions: dict[Flavor, Reduction] = {}
    used: list[Path] = []
    for path in paths:
        missing = [flavor for flavor in sizes if flavor not in reductions]
        if not missing:
            break
        found = read_transforms(path, missing)
        taken = {
            flavor: reduction
            for flavor, reduction in found.items()
            if not is_guess or reduction.n_components == sizes[flavor]
        }
        reductions |= taken
        used += [path] if taken else []
    return reductions, tuple(used)


def _parse_name(name: object, path: Path) -> Flavor:
    try:
        return parse_flavor(str(name))
    except FlavorError as error:
        raise CheckpointError(
            f"expected transforms by flavor (kraken_ioxfm_*) in {path}; {error}"
        ) from error


def _to_reduction(name: str, parameters: Mapping[str, Any], path: Path) -> Reduction:
    arrays = {}
    try:
        kind = str(np.asarray(parameters.get("type", "")).reshape(-1)[0])
        for key, value in parameters.items():
            array = np.asarray("" if value is None else value)
            if array.dtype.kind in "fiu" and key not in NOT_STATISTICS:
                shaped = array if key in COMPONENTS.values() else array.reshape(-1)
                arrays[key] = np.ascontiguousarray(shaped, np.float32)
        n_edges = _count_edges(name, parameters.get("input_dimension"), arrays)
        return Reduction(KINDS.get(kind, kind), arrays, n_edges)
    except (CheckpointError, FlavorError, ValueError, TypeError, IndexError) as error:
        raise CheckpointError(f"{path}, {name}: {error}") from error


def _count_edges(name: str, stated: Any, arrays: Mapping[str, NDArray[np.float32]]) -> int:
    """Edges as stated, else as the longest statistic, else as the parcellation has."""
    if stated is not None:
        return int(np.asarray(stated).reshape(-1)[0])
    longest = max((array.shape[-1] for array in arrays.values()), default=1)
    n_regions = 0 if longest > 1 else parse_flavor(name).n_regions
    return longest if longest > 1 else n_regions * (n_regions - 1) // 2


def _read_h5(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, stored in list_hdf5(TRANSFORMS, path, up_to=EVERYTHING).items():
        *folders, last = name.split("/")
        group = content
        for folder in folders:
            group = group[folder]
        if stored.shape is not None:
            group[last] = stored.value
        else:
            (group.setdefault(last, {}) if last else group).update(stored.attributes)
    nested = content.get("transform_params")
    return nested if isinstance(nested, dict) else content
