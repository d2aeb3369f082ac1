"""Probabilistic atlases, such as DiFuMo: an image of one map per region, on the grid of a run."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold_series import Bold, open_maps
from kraken_bids.bids.custom_atlases import find_names, read_region_table
from kraken_bids.bids.transforms import FLAG, find_label_space
from kraken_bids.connectome.functional.map_weights import GridMaps
from kraken_bids.connectome.resample import resample_image
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import Parcellation, make_parcellation, number_regions

logger = logging.getLogger(__name__)

EXTRACTION = (
    "Least squares of each volume on all maps at once, in the voxels of the mask, as nilearn's "
    "NiftiMapsMasker"
)
REGRIDDED = "maps brought onto the grid of the BOLD series, interpolated linearly"


def read_maps_parcellation(name: str, path: Path) -> Parcellation:
    """Regions of a probabilistic atlas: its maps, in their order.

    Their names are those of the table beside the image (same name, ``.tsv``, columns ``index``,
    from 1, and ``name``), else ``<name>_<number>``.

    Raises
    ------
    InputError
        If the image is missing or has no fourth axis, or the table is of other maps.
    """
    n_maps = open_maps(path).shape[3]
    table = find_names(path)
    if table is None:
        description = f"maps of {path.name}"
        return make_parcellation(name, number_regions(name, n_maps), description=description)
    found = read_region_table(name, table)
    if found.labels != tuple(range(1, n_maps + 1)):
        raise InputError(
            f"expected the column index of {table} to count the {n_maps} maps of {path} from 1; "
            f"found {len(found.labels)} rows, from {found.labels[0]} to {found.labels[-1]}. Give "
            "a row to each map, in their order."
        )
    return found


def check_maps_space(path: Path, space: str, *, allows_mismatch: bool) -> str:
    """Say what is doubtful about the space of maps; '' where there is nothing.

    Raises
    ------
    InputError
        If names say that they are in another space than the data.
    """
    own = find_label_space(path)
    if not own or not space or own == space:
        return ""
    if allows_mismatch:
        return f"its maps are laid over the data in {space} as they are ({FLAG})"
    raise InputError(
        f"{path}: expected maps in the space of the data, {space}; found {own}. Maps are brought "
        "onto another grid, but not from one space into another: take BOLD in "
        f"{own} (fMRIPrep: --output-spaces {own}), or carry the maps over first."
    )


def maps_on_grid(path: Path, bold: Bold, inside: NDArray[np.bool_]) -> GridMaps:
    """Lay maps on the grid of a BOLD series; one at a time is in memory whole.

    Parameters
    ----------
    path : Path
        4D image.
    inside : ndarray of bool, shape (x, y, z)
        Voxels that count.

    Raises
    ------
    InputError
        If the image is damaged, or no map lies inside.
    """
    from scipy.sparse import csc_array  # here: label images need none of it

    maps = open_maps(path)
    is_same = maps.shape[:3] == bold.shape[:3] and np.allclose(maps.affine, bold.affine, atol=1e-4)
    if not is_same:
        logger.info("%s: %s", path, REGRIDDED)
    flat = inside.ravel(order="F")
    places, values, totals = [], [], []
    share = abs(np.linalg.det(maps.affine[:3, :3]) / np.linalg.det(bold.affine[:3, :3]))
    for volume in maps.volumes():
        one = np.nan_to_num(
            (volume * maps.slope + maps.inter).astype(np.float32), posinf=0, neginf=0
        )
        totals.append(np.abs(one).sum(dtype=np.float64) * share)
        if not is_same:
            one = resample_image(
                one.reshape(maps.shape[:3], order="F"),
                maps.affine,
                target_shape=bold.shape[:3],
                target_affine=bold.affine,
            ).ravel(order="F")
        places.append(np.flatnonzero(flat & (one != 0)).astype(np.int32))
        values.append(one[places[-1]].astype(np.float64))
    voxels = np.unique(np.concatenate(places)).astype(np.intp)
    if not len(voxels):
        raise InputError(
            f"{path}: expected maps inside the mask and field of view of {bold.path}; found none "
            "there. Are they in the same space?"
        )
    starts = np.cumsum([0, *map(len, places)])
    rows = np.searchsorted(voxels, np.concatenate(places))
    shape = (len(voxels), len(places))
    return GridMaps(
        csc_array((np.concatenate(values), rows, starts), shape=shape), voxels, np.array(totals)
    )
