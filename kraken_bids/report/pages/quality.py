"""What a participant's page shows of the BOLD data: runs, motion, coverage."""

from dataclasses import dataclass

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
    tr: float
    """Repetition time in seconds."""
    mean_fd: float | None
    """Mean framewise displacement in mm."""
    n_outliers: int
    """Volumes left out."""


@dataclass(frozen=True)
class Motion:
    """Head motion of one run."""

    name: str
    """Entities that tell the run apart, also the figure's file name: ``task-rest_run-01``."""
    displacement: Floats
    """Framewise displacement [n_volumes] in mm; NaN where undefined."""
    kept: Booleans
    """Volumes that entered the connectomes [n_volumes]."""
    tr: float
    threshold: float | None = None
    """Displacement in mm above which volumes were left out, if one was set."""


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
