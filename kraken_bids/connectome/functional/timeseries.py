"""Region means of a BOLD run in one pass over its volumes, for every parcellation at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

MAX_TISSUE_VOXELS = 20_000
COMPONENT_TISSUES = ("WM", "CSF")
MAX_KEY = 2**62


@dataclass(frozen=True)
class RegionSeries:
    """What one pass over a BOLD run leaves; keys of the dicts are parcellations."""

    means: dict[str, NDArray[np.float64]]
    """[n_volumes, n_regions]: mean of each region, in file units; NaN where no voxel counts."""
    coverage: dict[str, NDArray[np.float64]]
    """[n_regions]: share of the region's voxels on this grid (of the whole region, where it is
    larger and that is known) that lie in the brain mask and vary."""
    n_voxels: dict[str, NDArray[np.int64]]
    """[n_regions]: voxels of the region on this grid."""
    global_mean: NDArray[np.float64]
    """[n_volumes]: mean of the brain mask (of all labelled voxels where there is no mask)."""
    grey_mean: NDArray[np.float64] | None
    """[n_volumes]: mean of the grey-matter mask."""
    tissue: dict[str, NDArray[np.float32]]
    """[n_volumes, n_voxels] per tissue (``WM``, ``CSF``): series of the eroded mask's voxels."""
    n_not_finite: int = 0
    """Values that were NaN or infinite and count as zero, over all voxels and volumes."""

    @property
    def n_volumes(self) -> int:
        """Number of volumes of the run."""
        return len(self.global_mean)


def compute_region_series(  # noqa: PLR0913 - one BOLD run is that many things
    volumes: Iterable[NDArray[np.number]],
    *,
    shape: Sequence[int],
    slope: float,
    inter: float,
    labels: Mapping[str, NDArray[np.integer]],
    brain_mask: NDArray[np.bool_] | None,
    tissue_masks: Mapping[str, NDArray[np.bool_]],
    n_regions: Mapping[str, int] | None = None,
) -> RegionSeries:
    """Region means, coverage and tissue series of a BOLD run, reading each volume once.

    Voxels that are zero at all times count in no mean. NaN and infinite values count as zero,
    which is what fMRIPrep writes outside the field of view. Sums are float64.

    Parameters
    ----------
    volumes : iterable of ndarray of shape (x*y*z,)
        In order, x fastest, in their stored type: value = stored * ``slope`` + ``inter``.
    shape : sequence of 3 int
    labels : mapping of str to ndarray of int, shape (x, y, z)
        Per parcellation: region number 1 … n_regions of each voxel, 0 outside.
    brain_mask : ndarray of bool, shape (x, y, z), or None
        None: every voxel.
    tissue_masks : mapping of str to ndarray of bool, shape (x, y, z)
        ``GM`` for the grey-matter mean; ``WM`` and ``CSF`` for components: eroded here by a
        3 x 3 x 3 box, every k-th voxel where more than 20 000 are left.
    n_regions : mapping of str to int, optional
        So that absent last regions get their NaN columns (the largest number in the image).

    Raises
    ------
    ConnectomeError
        If the grids differ, a volume has another size, or there are no volumes.

    Source
    ------
    fmriclean, ``fmri_save_parcellated_timeseries.py`` and ``fmri_save_confounds.py``.
    """
    grids = {**labels, **tissue_masks} | ({} if brain_mask is None else {"brain mask": brain_mask})
    _check_grids(grids, shape)
    sizes = {
        name: max(int(image.max()), 1, (n_regions or {}).get(name, 0))
        for name, image in labels.items()
    }
    layout = _plan(labels, sizes, brain_mask, tissue_masks)
    read = _read_volumes(volumes, layout, slope=slope, inter=inter)
    sums, varies, zero, tissue, n_not_finite = read
    counted = layout.sum_rows(~zero)
    totals = slope * sums + inter * layout.n_voxels
    with np.errstate(invalid="ignore", divide="ignore"):
        series = np.where(counted > 0, totals / counted, np.nan)
    return replace(_split(series, varies, layout, tissue), n_not_finite=n_not_finite)


@dataclass(frozen=True)
class _Layout:
    """Which voxels are gathered from each volume, and what they are summed into."""

    voxels: NDArray[np.intp]
    """Flat index of each gathered voxel, x fastest, cell by cell: those of a cell belong to the
    same rows."""
    n_volume_voxels: int
    starts: NDArray[np.intp]
    """First gathered voxel of each cell."""
    rows: tuple[tuple[NDArray[np.integer], int], ...]
    """Row of each cell, from 1 on (0: none), and number of rows; of each parcellation, of the
    brain, of grey matter. All their rows follow each other."""
    n_regions: dict[str, int]
    in_brain: NDArray[np.bool_]
    has_grey: bool
    tissue: dict[str, NDArray[np.intp]]
    """Flat index of the voxels of each eroded tissue mask."""

    def sum_rows(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Sum of the gathered voxels of each row, in float64."""
        # each voxel is added once, however many atlases it counts in; then its cell to each
        sums = np.add.reduceat(values, self.starts, dtype=np.float64)
        return np.concatenate(
            [np.bincount(row, weights=sums, minlength=n + 1)[1:] for row, n in self.rows]
        )

    @cached_property
    def n_voxels(self) -> NDArray[np.float64]:
        """Number of voxels of each row."""
        return self.sum_rows(np.ones(len(self.voxels)))


def _plan(
    labels: Mapping[str, NDArray[np.integer]],
    sizes: dict[str, int],
    brain_mask: NDArray[np.bool_] | None,
    tissue_masks: Mapping[str, NDArray[np.bool_]],
) -> _Layout:
    flat = {name: image.ravel(order="F") for name, image in labels.items()}
    labelled = np.logical_or.reduce([image > 0 for image in flat.values()])
    brain = labelled if brain_mask is None else brain_mask.ravel(order="F") > 0
    grey = tissue_masks["GM"].ravel(order="F") > 0 if "GM" in tissue_masks else None
    voxels = np.flatnonzero(labelled | brain | (False if grey is None else grey))
    groups = [(image[voxels], sizes[name]) for name, image in flat.items()]
    groups.append((brain[voxels].astype(np.int32), 1))
    if grey is not None:
        groups.append((grey[voxels].astype(np.int32), 1))
    order, starts = _sort_by_cell(groups)
    voxels = voxels[order]
    return _Layout(
        voxels=voxels,
        n_volume_voxels=labelled.size,
        starts=starts,
        rows=tuple((numbers[order[starts]], n_rows) for numbers, n_rows in groups),
        n_regions=sizes,
        in_brain=brain[voxels] if brain_mask is not None else np.ones(len(voxels), dtype=bool),
        has_grey=grey is not None,
        tissue={
            name: _tissue_voxels(tissue_masks[name])
            for name in COMPONENT_TISSUES
            if name in tissue_masks
        },
    )


def _sort_by_cell(
    groups: Sequence[tuple[NDArray[np.integer], int]],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order of the voxels by combination of numbers, and where each combination starts in it."""
    keys, n_keys = np.zeros(len(groups[0][0]), np.int64), 1
    for numbers, n_rows in groups:
        if n_keys * (n_rows + 1) > MAX_KEY:
            keys = np.unique(keys, return_inverse=True)[1]
            n_keys = len(keys)
        keys = keys * (n_rows + 1) + numbers
        n_keys *= n_rows + 1
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    return order, np.append(0, starts) if len(keys) else starts


def _tissue_voxels(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    from scipy.ndimage import binary_erosion  # here: not every run has tissue maps

    eroded = binary_erosion(mask, structure=np.ones((3, 3, 3), dtype=bool))
    voxels = np.flatnonzero(eroded.ravel(order="F"))
    return voxels[:: max(1, -(-len(voxels) // MAX_TISSUE_VOXELS))]


def _read_volumes(
    volumes: Iterable[NDArray[np.number]], layout: _Layout, *, slope: float, inter: float
) -> tuple[
    NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, NDArray[np.float32]], int
]:
    """Return sums [n_volumes, rows], voxels that vary, always zero, tissues, n not finite."""
    sums: list[NDArray[np.float64]] = []
    tissue: dict[str, list[NDArray[np.float32]]] = {name: [] for name in layout.tissue}
    bounds: tuple[NDArray[np.number], NDArray[np.number]] | None = None
    n_repaired = 0
    for volume in volumes:
        values, total, n_broken = _gather(volume, layout, zero=-inter / slope)
        n_repaired += n_broken
        bounds = _widen(bounds, values)
        sums.append(total)
        for name, voxels in layout.tissue.items():
            scaled = (volume[voxels] * slope + inter).astype(np.float32)
            tissue[name].append(np.nan_to_num(scaled, copy=False, posinf=0, neginf=0))
    if bounds is None:
        raise ConnectomeError("expected a BOLD series; found no volumes. Is the file truncated?")
    low, high = bounds
    varies = low != high
    zero = ~varies & (np.abs(low.astype(np.float64) * slope + inter) <= 1e-6 * abs(inter))
    stacked = {name: np.stack(rows) for name, rows in tissue.items()}
    return np.stack(sums), varies, zero, stacked, n_repaired


def _widen(
    bounds: tuple[NDArray[np.number], NDArray[np.number]] | None, values: NDArray[np.number]
) -> tuple[NDArray[np.number], NDArray[np.number]]:
    """Return smallest and largest value of each voxel so far; updated in place."""
    if bounds is None:
        return values.copy(), values
    low, high = bounds
    return np.minimum(low, values, out=low), np.maximum(high, values, out=high)


def _gather(
    volume: NDArray[np.number], layout: _Layout, *, zero: float
) -> tuple[NDArray[np.number], NDArray[np.float64], int]:
    """Return the gathered voxels, their sums per row and how many were not finite."""
    if volume.shape != (layout.n_volume_voxels,):
        raise ConnectomeError(
            f"expected flat volumes of {layout.n_volume_voxels} voxels; found one of shape "
            f"{volume.shape}."
        )
    values = volume.take(layout.voxels)
    total = layout.sum_rows(values)
    if np.isfinite(total).all():
        return values, total, 0
    broken = ~np.isfinite(values)
    values[broken] = zero  # only floats get here, so they can hold it
    return values, layout.sum_rows(values), int(broken.sum())


def _split(
    series: NDArray[np.float64],
    varies: NDArray[np.bool_],
    layout: _Layout,
    tissue: dict[str, NDArray[np.float32]],
) -> RegionSeries:
    n_voxels = layout.n_voxels
    n_covered = layout.sum_rows(varies & layout.in_brain)
    means, coverage, counts, first = {}, {}, {}, 0
    for name, n_regions in layout.n_regions.items():
        rows = slice(first, first + n_regions)
        means[name] = np.ascontiguousarray(series[:, rows])
        counts[name] = n_voxels[rows].astype(np.int64)
        coverage[name] = n_covered[rows] / np.maximum(n_voxels[rows], 1)
        first += n_regions
    return RegionSeries(
        means=means,
        coverage=coverage,
        n_voxels=counts,
        global_mean=series[:, first],
        grey_mean=series[:, first + 1] if layout.has_grey else None,
        tissue=tissue,
    )


def _check_grids(images: Mapping[str, NDArray[np.generic]], shape: Sequence[int]) -> None:
    for name, image in images.items():
        if image.shape != tuple(shape):
            raise ConnectomeError(
                f"{name}: expected an image on the BOLD grid {tuple(shape)}; found {image.shape}. "
                "Resample it to the BOLD grid first."
            )
