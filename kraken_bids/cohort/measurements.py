"""What sidecars say of measured connectomes: records to write, and what is read back."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.sidecar_records import REGIONS
from kraken_bids.cohort.sidecars import is_whole
from kraken_bids.io.facts import Facts, read_facts, to_key
from kraken_bids.io.records import OPTIONAL, column, from_sidecar, keys_of

SETTINGS = {
    to_key(name): option
    for name, option in {
        "preprocessing": "the pipeline that the BOLD comes from",
        "denoising": "--denoise",
        "high_pass": "--high-pass",
        "fd_threshold": "--fd-threshold",
        "coverage_min": "--min-coverage",
        "lambda_": "--pcorr-lambda, or --refit-pcorr at the group level",
        "units": "--sc-units",
        "search_radius": "--search-radius",
        "software_version": "the version of kraken_bids",
    }.items()
}
"""Fields of a sidecar that one setting decides for everyone, and that setting."""


@dataclass(frozen=True)
class RunRecord:
    """What became of one BOLD run."""

    file: str
    repetition_time: float
    """s."""
    volumes_total: int
    volumes_dropped: int
    volumes_outliers: int
    volumes_used: int
    minutes_total: float
    minutes_used: float
    mean_fd: float
    """mm."""
    mean_dvars: float
    dvars_source: str
    confounds: tuple[str, ...]


@dataclass(frozen=True)
class CleaningRecord:
    """How the runs of a connectome were cleaned."""

    preprocessing: str
    """Pipeline that the BOLD series come from."""
    denoising: str
    cleaned_by: str | None = field(metadata=OPTIONAL)
    """Software that cleaned the BOLD before; None where it was cleaned here alone."""
    high_pass: float
    """Hz."""
    high_pass_method: str
    global_signal_regression: bool
    outlier_rule: str
    fd_threshold: float | None
    """mm."""
    derivatives: str
    tissue_regressors: tuple[str, ...]
    concatenation: str
    notes: tuple[str, ...]
    repetition_time: float | None = field(metadata=OPTIONAL)
    """s; None where runs differ, of which only each run's own is true."""
    runs: tuple[RunRecord, ...]
    effective_duration: float
    """Seconds that count."""
    minutes_minimum: float
    mean_fd: float
    """mm."""
    mean_dvars: float
    coverage_min: float


@dataclass(frozen=True)
class FunctionalRecord:
    """How far the data of a functional connectome go."""

    frames: int
    lambda_: float | None = field(metadata=OPTIONAL)
    lambda_source: str | None = field(metadata=OPTIONAL)
    regions_measured: int
    correlation_noise: float
    median_tsnr: float | None
    warnings: tuple[str, ...]
    lesion_volume: float | None = field(default=None, metadata=OPTIONAL)
    """mm³."""
    lesioned_regions: Mapping[str, float] | None = field(default=None, metadata=OPTIONAL)
    """Share of each region inside the lesion, where there is any."""


@dataclass(frozen=True)
class StructuralRecord:
    """How a structural connectome was counted."""

    tractography_algorithm: str
    space: str
    search_radius: float
    """mm."""
    units: str
    units_description: str
    sift2: bool
    sift2_mu: float | None
    sift2_weights: str | None
    streamlines: Mapping[str, object]
    """Where the ends lie."""
    voxel_volume: float
    """mm³."""
    region_voxels: tuple[int, ...]


RUN = keys_of(RunRecord)
CLEANING = keys_of(CleaningRecord)
FUNCTIONAL = keys_of(FunctionalRecord)
STRUCTURAL = keys_of(StructuralRecord)
LENGTHS = "LengthHistogram"
"""Key in the sidecar of a structural connectome: how long the streamlines are."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured connectome, as its sidecar says; None where that is not known.

    Small, so that those of a whole cohort stay in memory and each sidecar is read once.
    """

    run_digest: str = column(default="")
    is_whole: bool = True
    """Whether the file is there, with the size that it was written with as far as is known."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Value of each of :data:`SETTINGS` that it names, as JSON."""
    warnings: tuple[str, ...] = ()
    effective_duration: float | None = column()
    """Seconds of BOLD that count."""
    minutes_minimum: float | None = column()
    """Minutes that were asked for."""
    mean_fd: float | None = column()
    """mm."""
    mean_dvars: float | None = column()
    n_left_out: int | None = None
    """Volumes left out of all runs together."""
    frames: int | None = column()
    correlation_noise: float | None = column()
    median_tsnr: float | None = column()
    n_missing_regions: int = 0
    n_streamlines: int | None = None
    n_both: int | None = None
    n_self: int | None = None
    density: float | None = None
    mean_length: float | None = None
    """mm."""


def read_measurement(connectome: Path) -> Measurement:
    """Read the sidecar of a measured connectome; a damaged one is passed over with a warning."""
    sidecar = read_facts(sidecar_path(connectome))
    tracks = sidecar.part(STRUCTURAL.streamlines)
    return from_sidecar(
        Measurement,
        sidecar,
        is_whole=is_whole(connectome, sidecar.plain),
        settings={
            name: sys.intern(json.dumps(sidecar.plain[name]))
            for name in SETTINGS
            if name in sidecar
        },
        warnings=tuple(map(sys.intern, sidecar.texts(FUNCTIONAL.warnings))),
        n_left_out=_count_left_out(sidecar.parts(CLEANING.runs)),
        n_missing_regions=len(sidecar.texts(REGIONS.missing_regions)),
        n_streamlines=tracks.count("n_streamlines"),
        n_both=tracks.count("n_both"),
        n_self=tracks.count("n_self"),
        density=tracks.number("density"),
        mean_length=sidecar.part(LENGTHS).number("Mean"),
    )


def _count_left_out(runs: Sequence[Facts]) -> int | None:
    """Volumes left out of all runs together; None where that is not known."""
    counts = [(run.count(RUN.volumes_total), run.count(RUN.volumes_used)) for run in runs]
    known = [all_ - kept for all_, kept in counts if all_ is not None and kept is not None]
    return sum(known) if known and len(known) == len(counts) else None
