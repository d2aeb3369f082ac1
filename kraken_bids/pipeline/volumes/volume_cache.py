"""Labelled volumes of many runs, kept on disk in half precision while a decoder is trained."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold_series import open_bold
from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.repetition_time import read_bold_metadata
from kraken_bids.cohort.volume_times import VolumeTimes, read_volume_times
from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import Facts
from kraken_bids.io.files import atomic_path, make_folder
from kraken_bids.io.named_arrays import read_arrays
from kraken_bids.models.volumes.architecture import VolumeCleaning
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.volumes.cleaned_volumes import (
    CleanedVolumes,
    check_space,
    open_cleaned_volumes,
)
from kraken_bids.pipeline.volumes.voxel_cleaning import Preparations, Prepare

logger = logging.getLogger(__name__)

HALF = np.dtype("<f2")


@dataclass(frozen=True)
class VolumeRun:
    """One run of whole volumes."""

    path: Path
    """Preprocessed BOLD in MNI152NLin6Asym."""
    mask: Path
    subject: str
    n_volumes: int
    repetition_time: float
    """Seconds."""
    times: VolumeTimes = field(default_factory=VolumeTimes)
    """When its volumes were acquired."""

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.path.name.partition(".")[0]


def list_runs(paths: Sequence[Path]) -> list[VolumeRun]:
    """Describe runs by their headers and names; the mask of each lies beside it.

    Raises
    ------
    InputError
        If a name has no subject or another space, or is another run's too, a mask is missing, or a
        series cannot be read.
    """
    twice = [name for name, n in Counter(path.name for path in paths).items() if n > 1]
    if twice:
        raise InputError(
            f"expected every run once, each of a name of its own; found {twice[0]} twice. Give "
            "one of them."
        )
    found = []
    for path in paths:
        entities = parse_name(path)
        if not entities.get("sub"):
            raise InputError(
                f"expected the subject in the name of {path} (sub-LABEL_…), since people are kept "
                "apart; found none. Name it as fMRIPrep does."
            )
        check_space(full_space(entities), path)
        mask = path.with_name(path.name.replace("desc-preproc_bold", "desc-brain_mask"))
        if mask == path or not mask.is_file():
            raise InputError(
                f"expected the brain mask of {path} beside it (desc-brain_mask); found none. Copy "
                "it from fMRIPrep's folder."
            )
        series = open_bold(path, tr=None)
        facts = Facts(read_bold_metadata(path)[0])
        times = read_volume_times(facts, series.shape[3], series.tr)
        found.append(VolumeRun(path, mask, entities["sub"], series.shape[3], series.tr, times))
    return found


class VolumeCache:
    """Labelled volumes of runs.

    Parameters
    ----------
    runs : sequence of VolumeRun
    chosen : sequence of int array
        Numbers of the volumes of each run that have a label, ascending.
    folder : Path
        Gets a file of 2 bytes for each voxel of the mask and labelled volume of each run, and its
        mask; files that are there already are taken as they are.
    grid : tuple of int
        Voxels of the network along x, y and z.
    preparations : mapping of Path to callable
        Choose the confounds of each run, where the cleaning regresses any.

    Raises
    ------
    InputError, ConnectomeError
        If a run cannot be read or cleaned, or the disk is full.
    """

    def __init__(
        self,
        runs: Sequence[VolumeRun],
        chosen: Sequence[NDArray[np.intp]],
        *,
        cleaning: VolumeCleaning,
        folder: Path,
        grid: tuple[int, int, int],
        preparations: Preparations = MappingProxyType({}),
    ) -> None:
        self.runs, self.grid = runs, grid
        self.places: list[tuple[int, int]] = []
        """Run and row of each labelled volume that counts."""
        self.kept: list[int] = []
        """Numbers of these volumes among all that were chosen."""
        make_folder(folder)
        progress = Progress("cleaned runs", len(runs))
        self._rows, self._masks = [], []
        first = 0
        for k, (run, volumes) in enumerate(zip(runs, chosen, strict=True)):
            prepare = preparations.get(run.path)
            rows, mask, kept = _open_run(
                run, volumes, cleaning, folder=folder, grid=grid, prepare=prepare
            )
            self._rows.append(rows)
            self._masks.append(mask)
            self.places += [(k, row) for row in np.flatnonzero(kept).tolist()]
            self.kept += (first + np.flatnonzero(kept)).tolist()
            first += len(kept)
            progress.advance()
        n_bytes = sum(rows.nbytes for rows in self._rows)
        logger.info("%d labelled volumes: %.2f GB in %s", len(self.places), n_bytes / 1e9, folder)

    def __len__(self) -> int:
        return len(self.places)

    def read(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """Volumes [n, x, y, z]; 0 outside the mask of their run."""
        volumes = np.zeros((len(numbers), *self.grid), np.float32)
        for volume, number in zip(volumes, numbers, strict=True):
            run, row = self.places[number]
            volume[self._masks[run]] = self._rows[run][row]
        return volumes

    def find_mask(self, number: int) -> NDArray[np.bool_]:
        """Mask [x, y, z] of the run that a volume is of."""
        return self._masks[self.places[number][0]]

    def find_brain(self) -> NDArray[np.bool_]:
        """Voxels [x, y, z] of the mask of any run."""
        found: NDArray[np.bool_] = np.any(self._masks, axis=0)
        return found

    def average(self, parcels: NDArray[np.integer]) -> NDArray[np.float64]:
        """Mean of every volume in each parcel [n_volumes, n_parcels]; 0 where a mask has none.

        Parameters
        ----------
        parcels : int array of shape (x, y, z)
            Number of the parcel of each voxel; 0 for none.
        """
        n_parcels = int(parcels.max(initial=0))
        means = []
        for rows, mask in zip(self._rows, self._masks, strict=True):
            own = parcels[mask]
            counts = np.maximum(np.bincount(own, minlength=n_parcels + 1), 1)
            means += [
                (np.bincount(own, row.astype(np.float64), n_parcels + 1) / counts)[1:]
                for row in rows
            ]
        return np.array(means).reshape(-1, n_parcels)[self.kept]


def cut_cubes(grid: tuple[int, int, int], *, edge: int = 6) -> NDArray[np.intp]:
    """Cut a grid into numbered cubes, from 1 on: parcels for lack of an atlas, of 12 mm."""
    x, y, z = (np.arange(n) // edge for n in grid)
    numbers = (x[:, None, None] * (y[-1] + 1) + y[:, None]) * (z[-1] + 1) + z
    return np.asarray(numbers + 1, np.intp)


def _open_run(
    run: VolumeRun,
    volumes: NDArray[np.intp],
    cleaning: VolumeCleaning,
    *,
    folder: Path,
    grid: tuple[int, int, int],
    prepare: Prepare | None,
) -> tuple[NDArray[np.float16], NDArray[np.bool_], NDArray[np.bool_]]:
    rows_path, mask_path = folder / f"{run.name}.f2", folder / f"{run.name}_mask.npz"
    if not mask_path.is_file():
        opened = open_cleaned_volumes(
            run.path,
            run.mask,
            space=full_space(parse_name(run.path)),
            cleaning=cleaning,
            folder=folder,
            shape=grid,
            prepare=prepare,
        )
        with opened as cleaned:
            _write_run(cleaned, volumes, rows_path=rows_path, mask_path=mask_path)
    arrays = read_arrays(mask_path)
    mask, kept = arrays["mask"].astype(bool), arrays["kept"].astype(bool)
    shape = len(volumes), int(mask.sum())
    if mask.shape != grid or rows_path.stat().st_size != HALF.itemsize * shape[0] * shape[1]:
        raise InputError(
            f"expected {shape[0]} volumes of {shape[1]} voxels in {rows_path}; found another "
            "size. It is of other settings, or was cut: remove the folder."
        )
    return np.memmap(rows_path, HALF, "r", shape=shape), mask, kept


def _write_run(
    cleaned: CleanedVolumes, volumes: NDArray[np.intp], *, rows_path: Path, mask_path: Path
) -> None:
    """Write the labelled volumes of a run; the mask last."""
    for note in cleaned.notes:
        logger.warning("%s", note)
    with atomic_path(rows_path) as temporary, temporary.open("wb") as file:
        for k in volumes.tolist():
            file.write(cleaned.rows.read_rows(k, 1).astype(HALF).tobytes())
    with atomic_path(mask_path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, mask=cleaned.mask, kept=cleaned.kept[volumes])
