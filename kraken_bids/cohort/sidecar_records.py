"""What sidecars of OUTPUT_DIR have in common: who wrote a file, from what, by which model."""

from collections.abc import Mapping
from dataclasses import dataclass

from kraken_bids import __version__
from kraken_bids.io.records import column, keys_of, to_sidecar


@dataclass(frozen=True)
class FileRecord:
    """By what the file of a sidecar is known to be whole and up to date."""

    file_size: int | None = column()
    """Bytes."""
    run_digest: str | None = column()
    """Digest of the inputs and settings of the run that wrote it."""


@dataclass(frozen=True)
class SoftwareRecord:
    """Software that wrote a file."""

    software: str | None = column(default="kraken_bids")
    software_version: str = column(default=__version__)


@dataclass(frozen=True)
class OriginRecord:
    """What a connectome was measured or predicted from."""

    predicted: bool = column(default=True)
    calibrated: bool | None = column()
    source: str = column()
    source_flavors: tuple[str, ...] | None = column()
    """Input flavors that the session has."""
    sources: tuple[str, ...] | None = column()
    """``bids:`` URIs."""


@dataclass(frozen=True)
class ModelRecord:
    """Model that predicted, and how its inputs were adapted to it."""

    model: str = column()
    model_sha256: str = column(key="ModelSHA256")
    model_flavors: int | None = column()
    """How many it knows."""
    adaptation_mode: str | None = column()


@dataclass(frozen=True)
class RegionsRecord:
    """Regions of a measured connectome that lack data (NaN)."""

    missing_regions: tuple[str, ...] = column()
    imputed_regions: tuple[str, ...] = column()
    """Those that the model's input fills with the training mean."""
    usable_as_input: bool = column()


@dataclass(frozen=True)
class AdaptedRecord:
    """How the inputs of a prediction were adapted to the model."""

    adaptation_by: str | None = column()
    """Column of sites, where each is adapted by itself."""
    adaptation_site: str | None = column()
    adaptation_covariates: tuple[str, ...] | None = column()
    adaptation_notice: str | None = column()
    adaptation: Mapping[str, Mapping[str, object]] = column()
    """What :class:`FitRecord` has, of every input flavor."""


@dataclass(frozen=True)
class FitRecord:
    """How one flavor was adapted: the line that carries the cohort's mean onto the model's."""

    b0: float | None = column(key="b0")
    b1: float | None = column(key="b1")
    r2: float | None = column(key="R2")
    cohort_size: int | None = column()
    """Subjects whose mean it is; not known of an adaptation of an earlier version."""


@dataclass(frozen=True)
class JudgedRecord:
    """What judging adds to sidecars of latents and predictions, last and in this order."""

    trust_sessions: int = column()
    """Sessions that were judged together."""
    trust: Mapping[str, object] = column()
    verdicts: Mapping[str, object] = column()
    trust_level: str = column()
    trust_digest: str = column()
    trust_details: str = column()
    """``bids:`` URI of the sidecar that says more."""
    warnings: tuple[str, ...] = column()
    """What reports have to say at their top; measured connectomes have it too."""


FILE = keys_of(FileRecord)
ORIGIN = keys_of(OriginRecord)
MODEL = keys_of(ModelRecord)
ADAPTATION = keys_of(AdaptedRecord)
FIT = keys_of(FitRecord)
JUDGED = keys_of(JudgedRecord)
REGIONS = keys_of(RegionsRecord)
WRITER = keys_of(SoftwareRecord)
SOFTWARE = to_sidecar(SoftwareRecord())
"""Fields of a sidecar that name this software."""
VERSION = to_sidecar(SoftwareRecord(software=None))
"""Field of a folder's record, or of a file beside a sidecar, that names its version alone."""
GENERATED_BY = {"GeneratedBy": {"Name": "kraken_bids", "Version": __version__}}
"""The same of files of ``kraken-tools``, as BIDS has it of datasets."""
INPUT_SOURCES = "InputSources"
"""Key in the sidecar of latents: records of the prediction from each source."""
WARNINGS = JUDGED.warnings
VOLUMES_KEPT = "VolumesKept"
"""Key in the sidecar of region series: 1 for each volume that counts, 0 for the others."""
