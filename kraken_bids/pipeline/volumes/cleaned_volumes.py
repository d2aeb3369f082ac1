"""Whole volumes of a BOLD run, smoothed and cleaned, read back a few at a time.

Filters need the whole series of a voxel, networks whole volumes: between the two lies a file of
one row per volume, beside the results, which is gone when it is closed.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold_series import Bold, open_bold
from kraken_bids.bids.volume_runs import ASKED, SPACE
from kraken_bids.connectome.resample import resample_image, resample_labels
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.files import make_folder
from kraken_bids.io.images import read_labels
from kraken_bids.models.volumes.architecture import VolumeCleaning
from kraken_bids.pipeline.volumes.row_file import RowFile
from kraken_bids.pipeline.volumes.voxel_cleaning import (
    Prepare,
    VoxelCleaning,
    clean_as_released,
)

AFFINE = np.array(
    [[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]], dtype=np.float64
)
"""Of the template's grid at 2 mm, 91 x 109 x 91 voxels: RAS mm of a voxel."""
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))
VALUES_AT_ONCE = 1 << 21
"""Voxels times volumes that are cleaned at once: 16 MB, whatever the length of the run."""


class CleanedVolumes:
    """The volumes of one run on the template's grid.

    Parameters
    ----------
    rows : RowFile
        Standardised voxels of the mask [n_volumes, n_voxels].
    mask : bool array of shape (x, y, z)
    repetition_time : float
        Seconds.
    notes : tuple of str
        What was done that users would want to know.
    how : VoxelCleaning
        Volumes that do not count, outliers of motion or signal, are 0.
    """

    def __init__(
        self,
        rows: RowFile,
        mask: NDArray[np.bool_],
        repetition_time: float,
        notes: tuple[str, ...],
        *,
        how: VoxelCleaning,
    ) -> None:
        self.rows, self.mask = rows, mask
        self.repetition_time, self.notes = repetition_time, notes
        self.kept, self.regressors = how.kept, tuple(how.regressors)

    def __len__(self) -> int:
        return self.rows.shape[0]

    def read(self, first: int, n_volumes: int) -> NDArray[np.float32]:
        """Volumes [n_volumes, x, y, z] from one on; 0 outside the mask."""
        rows = self.rows.read_rows(first, n_volumes)
        volumes = np.zeros((len(rows), *self.mask.shape), np.float32)
        volumes[:, self.mask] = rows
        return volumes


@contextmanager
def open_cleaned_volumes(  # noqa: PLR0913 - one run is that many things
    bold: Path,
    mask: Path,
    *,
    space: str,
    cleaning: VolumeCleaning,
    folder: Path,
    shape: tuple[int, int, int] = (91, 109, 91),
    prepare: Prepare | None = None,
) -> Iterator[CleanedVolumes]:
    """Clean the volumes of a run into a file that lasts as long as the block.

    Parameters
    ----------
    bold, mask : Path
        Preprocessed series and its brain mask, in MNI152NLin6Asym on any grid.
    space : str
        Template of the series, as its name says.
    folder : Path
        Where the file of rows lies: 4 bytes for each voxel of the mask and volume.
    shape : tuple of int
        Voxels of the grid that the network takes.
    prepare : callable, optional
        Chooses the confounds of the run, where the cleaning regresses any.

    Raises
    ------
    InputError
        If the series is in another space, or a file cannot be read.
    ConnectomeError
        If a volume is constant, or the run too short for the filter.
    """
    check_space(space, bold)
    series = open_bold(bold, tr=None)
    inside = _read_mask(mask, shape, series)
    make_folder(folder)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        size = series.shape[3], int(inside.sum())
        try:
            rows = RowFile(file, *size)
        except OSError as error:
            raise InputError(
                f"expected room for {4e-9 * size[0] * size[1]:.1f} GB in {folder}, for the "
                f"volumes of {bold}; found: {error}. Make room, or take another folder."
            ) from error
        means, notes = _gather_volumes(series, inside, rows, cleaning)
        if prepare is None:
            how = clean_as_released(cleaning, len(means), series.tr)
        else:
            how = prepare(means, series.tr)
            notes += _note_left_out(series, how)
        _clean_voxels(rows, series, how)
        yield CleanedVolumes(rows, inside, series.tr, tuple(notes), how=how)


def check_space(space: str, bold: Path) -> None:
    """Raise InputError unless a series is in the template that networks of volumes know."""
    if space != SPACE:
        raise InputError(
            f"expected BOLD in {SPACE} to decode whole volumes; found {space or 'no space'} in "
            f"the name of {bold}. {ASKED}"
        )


def _read_mask(path: Path, shape: tuple[int, int, int], series: Bold) -> NDArray[np.bool_]:
    values, affine = read_labels(path)
    inside: NDArray[np.bool_] = (
        resample_labels(values, affine, target_shape=shape, target_affine=AFFINE) > 0
    )
    if not inside.any():
        raise InputError(
            f"expected a brain mask that covers voxels of {SPACE} at 2 mm; found none in {path}. "
            f"Is it the mask of {series.path}?"
        )
    return inside


def _is_on_grid(series: Bold, shape: tuple[int, ...]) -> bool:
    return series.shape[:3] == shape and np.allclose(series.affine, AFFINE, atol=1e-3)


def _note_left_out(series: Bold, how: VoxelCleaning) -> list[str]:
    n_left_out = int((~how.kept).sum())
    if not n_left_out:
        return []
    return [
        f"{series.path.name}: {n_left_out} of {len(how.kept)} volumes do not count: those before "
        "the steady state, and outliers of motion or signal."
    ]


def _gather_volumes(
    series: Bold, inside: NDArray[np.bool_], rows: RowFile, cleaning: VolumeCleaning
) -> tuple[NDArray[np.float64], list[str]]:
    """Write each volume's voxels of the mask into its row.

    Returns the mean of the mask in every volume, not smoothed, and what was done on the way.
    """
    notes, means = [], np.zeros(series.shape[3])
    is_on_grid = _is_on_grid(series, inside.shape)
    if not is_on_grid:
        zooms = np.linalg.norm(series.affine[:3, :3], axis=0)
        notes.append(
            f"{series.path.name}: resampled linearly from {'x'.join(map(str, series.shape[:3]))} "
            f"voxels of {zooms[0]:.3g} mm to those of 2 mm that the network takes."
        )
    n_broken = 0
    for k, stored in enumerate(series.volumes()):
        volume = stored.astype(np.float32).reshape(series.shape[:3], order="F")
        volume = volume * np.float32(series.slope) + np.float32(series.inter)
        broken = ~np.isfinite(volume)
        if broken.any():
            n_broken += int(broken.sum())
            volume[broken] = 0
        if not is_on_grid:
            volume = resample_image(
                volume, series.affine, target_shape=inside.shape, target_affine=AFFINE
            )
        means[k] = volume[inside].mean(dtype=np.float64)
        row = smooth(volume, cleaning.smoothing_fwhm)[inside]
        rows.write_row(k, row)
        if row.min() == row.max():
            raise ConnectomeError(
                f"expected volumes that vary over the brain; found volume {k + 1} of "
                f"{series.shape[3]} in {series.path} constant at {row[0]:g}. Check the run, "
                "and leave such volumes out before it is preprocessed."
            )
    if n_broken:
        notes.append(f"{series.path.name}: {n_broken} values that were no number were taken as 0.")
    return means, notes


def smooth(volume: NDArray[np.float32], fwhm: float) -> NDArray[np.float32]:
    """Smooth by a Gaussian, as nilearn's ``smooth_img``."""
    if not fwhm:
        return volume
    from scipy.ndimage import gaussian_filter

    size = np.linalg.norm(AFFINE[:3, :3], axis=0)
    smoothed: NDArray[np.float32] = gaussian_filter(volume, fwhm / (FWHM_PER_SIGMA * size))
    return smoothed


def _clean_voxels(rows: RowFile, series: Bold, how: VoxelCleaning) -> None:
    """Clean and standardise each voxel's series in place; volumes that do not count become 0.

    Standard deviations divide by n, as the release's do.
    """
    kept = how.kept[:, None]
    n_at_once = max(1, VALUES_AT_ONCE // rows.shape[0])
    for first in range(0, rows.shape[1], n_at_once):
        part = rows.read_columns(first, n_at_once).astype(np.float64)
        least = np.finfo(np.float32).eps * np.abs(part).max(axis=0, initial=0.0)
        try:
            part = how.clean(part)
        except ConnectomeError as error:
            raise type(error)(
                f"expected a run that can be cleaned in {series.path}; found {error}."
            ) from error
        spread = part.std(axis=0, where=kept)
        part = (part - part.mean(axis=0, where=kept)) / np.where(spread > least, spread, np.inf)
        rows.write_columns(first, np.where(kept, part, 0))
