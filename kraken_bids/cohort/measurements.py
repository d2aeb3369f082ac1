"""What the sidecars of measured connectomes say, of what people of a cohort are compared in."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.io.facts import Facts, read_facts

SETTINGS = {
    "Denoising": "--denoise",
    "HighPass": "--high-pass",
    "FDThreshold": "--fd-threshold",
    "CoverageMin": "--min-coverage",
    "Lambda": "--pcorr-lambda, or --refit-pcorr at the group level",
    "Units": "--sc-units",
    "SearchRadius": "--search-radius",
    "SoftwareVersion": "the version of kraken_bids",
}
"""Fields of a sidecar that one setting decides for everyone, and that setting."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured connectome, as its sidecar says; None where that is not known.

    Small, so that those of a whole cohort stay in memory and each sidecar is read once.
    """

    run_digest: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Value of each of :data:`SETTINGS` that it names, as JSON."""
    warnings: tuple[str, ...] = ()
    effective_duration: float | None = None
    """Seconds of BOLD that count."""
    minutes_minimum: float | None = None
    """Minutes that were asked for."""
    mean_fd: float | None = None
    """mm."""
    mean_dvars: float | None = None
    n_left_out: int | None = None
    """Volumes left out of all runs together."""
    frames: int | None = None
    correlation_noise: float | None = None
    median_tsnr: float | None = None
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
    tracks = sidecar.part("Streamlines")
    return Measurement(
        run_digest=sidecar.text("RunDigest"),
        settings={
            name: sys.intern(json.dumps(sidecar.plain[name]))
            for name in SETTINGS
            if name in sidecar
        },
        warnings=tuple(map(sys.intern, sidecar.texts("Warnings"))),
        effective_duration=sidecar.number("EffectiveDuration"),
        minutes_minimum=sidecar.number("MinutesMinimum"),
        mean_fd=sidecar.number("MeanFD"),
        mean_dvars=sidecar.number("MeanDVARS"),
        n_left_out=_count_left_out(sidecar.parts("Runs")),
        frames=sidecar.count("Frames"),
        correlation_noise=sidecar.number("CorrelationNoise"),
        median_tsnr=sidecar.number("MedianTSNR"),
        n_missing_regions=len(sidecar.texts("MissingRegions")),
        n_streamlines=tracks.count("n_streamlines"),
        n_both=tracks.count("n_both"),
        n_self=tracks.count("n_self"),
        density=tracks.number("density"),
        mean_length=sidecar.part("LengthHistogram").number("Mean"),
    )


def _count_left_out(runs: Sequence[Facts]) -> int | None:
    """Volumes left out of all runs together; None where that is not known."""
    counts = [(run.count("VolumesTotal"), run.count("VolumesUsed")) for run in runs]
    known = [total - used for total, used in counts if total is not None and used is not None]
    return sum(known) if known and len(known) == len(counts) else None
