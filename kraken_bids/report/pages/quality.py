"""What a participant's page shows of the BOLD data: runs, motion, carpets, coverage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.report.pages.shared import Booleans, Floats


@dataclass(frozen=True)
class RunRow:
    """One BOLD run in one space."""

    task: str
    run: str
    space: str
    file: str
    minutes: float
    minutes_kept: float
    tr: float | None
    """Repetition time in seconds."""
    mean_fd: float | None
    """Mean framewise displacement in mm."""
    n_outliers: int | None
    """Volumes left out."""
    dvars: float | None = None
    """Mean standardised DVARS of the volumes that count; about 1 in a quiet scan."""


@dataclass(frozen=True)
class Carpet:
    """Region series of one run, one row per region."""

    parcellation: str
    before: Floats
    """[n_volumes, n_regions]: region means before cleaning; NaN columns where there is nothing."""
    after: Floats | None
    """[n_volumes, n_regions]: after cleaning; None where only the first was kept."""
    region_groups: tuple[str, ...]
    """Lobe, network or structure of each region [n_regions]."""
    hemispheres: tuple[str, ...]
    """``L``, ``R`` or ``M`` of each region [n_regions]."""


@dataclass(frozen=True)
class Motion:
    """One run, frame by frame: how the head moved, and what the signal did."""

    name: str
    """Entities that tell the run apart, also the figure's file name: ``task-rest_run-01``."""
    displacement: Floats
    """Framewise displacement [n_volumes] in mm; NaN where undefined."""
    kept: Booleans
    """Volumes that entered the connectomes [n_volumes]."""
    tr: float
    threshold: float | None = None
    """Displacement in mm above which volumes were left out, if one was set."""
    dvars: Floats | None = None
    """Standardised DVARS [n_volumes]; NaN where undefined."""
    global_signal: Floats | None = None
    """Mean of the brain [n_volumes], any unit."""
    carpet: Carpet | None = None


@dataclass(frozen=True)
class BrainPicture:
    """One slice through the regions, upright: left on the left, up or front at the top."""

    name: str
    """Where it lies: ``z = 30``."""
    labels: NDArray[np.int32]
    """[rows, columns]: number of the region, 1 … n; 0 outside."""
    row_mm: float
    column_mm: float


@dataclass(frozen=True)
class Coverage:
    """Share of each region's voxels that hold data (0 to 1), for one parcellation in one space."""

    space: str
    parcellation: str
    share: Floats
    """[n_regions]."""
    region_names: tuple[str, ...]
    threshold: float
    """Regions below it are not measured."""
    tsnr: Floats | None = None
    """Temporal signal-to-noise ratio of each region's mean [n_regions]; NaN where unknown."""
    slices: tuple[BrainPicture, ...] = ()
    """Where the regions lie; empty leaves the brain out."""

    @property
    def median_tsnr(self) -> float | None:
        """Median over the regions that hold data; None where unknown."""
        known = np.empty(0) if self.tsnr is None else self.tsnr[np.isfinite(self.tsnr)]
        return float(np.median(known)) if known.size else None
