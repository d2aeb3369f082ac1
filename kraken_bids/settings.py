"""What a run was asked to do: frozen dataclasses, one per stage, checked when they are made."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from kraken_bids.analysis_settings import AnalysisSettings
from kraken_bids.exceptions import SettingsError
from kraken_bids.flavors import Flavor, list_flavors, parse_flavor, suggest
from kraken_bids.parcellations import list_parcellations
from kraken_bids.part_settings import PartSettings
from kraken_bids.run_settings import RunSettings
from kraken_bids.setting_checks import (
    check_adaptation_options,
    check_choice,
    check_range,
    check_ranges,
)
from kraken_bids.worth_settings import WorthSettings

Denoise = Literal[
    "auto", "fmriclean", "acompcor", "24p", "36p", "none",
    "simple", "scrubbing", "compcor", "ica_aroma",
]  # fmt: skip
DENOISE: tuple[Denoise, ...] = get_args(Denoise)
EDGES = ("meanlength", "invlength")
"""Matrices beside counts: mean length of an edge's streamlines, sum of their inverse lengths."""
SC_UNITS = ("krakencoder", "mrtrix")
ADAPTATION_MODES = ("none", "meanshift", "meanfit", "meanfit+meanshift", "meanfitshift")
OUTPUT_FORMATS = ("tsv", "h5")
DEFAULT_ATLASES = ("fs86", "shen268", "coco439")
DEFAULT_SOURCES = ("fusion", "fusionSC", "fusionFC")
MAX_IMPUTED_SHARE = 0.05
OPTION_NAMES = {
    "participants": "participant_label",
    "sessions": "session_id",
    "tasks": "task_id",
    "atlas_images": "atlas",
    "parcellation_images": "parcellation",
    "units": "sc_units",
    "scalars": "scalar",
}
"""Options that are not named as their settings."""


@dataclass(frozen=True)
class DataSettings:
    """Which data a run reads and where it writes."""

    bids_dir: Path
    """Raw dataset with ``derivatives/``, or a derivatives dataset; never written to."""
    output_dir: Path
    """The BIDS derivatives dataset that the run writes."""
    derivatives: Mapping[str, Path] = field(default_factory=dict)
    """Further derivative datasets by name."""
    participants: tuple[str, ...] = ()
    """Labels without ``sub-``; empty: all."""
    sessions: tuple[str, ...] = ()
    """Labels without ``ses-``; empty: all."""
    tasks: tuple[str, ...] = ()
    """Labels without ``task-``; empty: all."""
    bids_filter_file: Path | None = None
    """JSON of entity filters per kind of input (``bold``, ``tractogram``)."""
    bids_database_dir: Path | None = None
    """Existing pybids database of the derivatives, which lists their files."""
    exclude_runs: tuple[str, ...] = ()
    """Runs that are left out, by the entities of their names, or files that list such names."""
    atlases: tuple[str, ...] = DEFAULT_ATLASES
    """Parcellations to measure; custom atlases are measured even if not among them."""
    atlas_images: Mapping[str, str] = field(default_factory=dict)
    """Image per parcellation: a path that may hold ``{subject}`` and ``{session}``; of a custom
    atlas also ``IMAGE,NAMES.tsv``, or ``NAMES.tsv`` where its region series are there."""
    flavors: tuple[Flavor, ...] = ()
    """Flavors to measure; empty: every one that the inputs allow."""
    lesion_mask: str | None = None
    """Path of the lesion mask, with ``{subject}`` and ``{session}``, if not found by name."""
    transforms_dir: Path | None = None
    """Folder of transforms between templates, beside TemplateFlow's cache."""
    allow_template_mismatch: bool = False
    """Lay labels of one template over data in another as they are, where no transform is found."""

    @property
    def is_part(self) -> bool:
        """Whether a run is on some of the participants or sessions only."""
        return bool(self.participants or self.sessions)

    def __post_init__(self) -> None:
        """Check the names of atlases and that input and output are two folders."""
        known = (*list_parcellations(), *self.atlas_images)
        unknown = [name for name in self.atlases if name not in known]
        if unknown:
            raise SettingsError(
                f"--atlases: expected names among {', '.join(known)}; found {', '.join(unknown)}. "
                "An atlas of your own needs its label image: --atlas NAME=DSEG."
                f"{suggest(unknown[0], known)}"
            )
        self._check_flavors()
        _check_custom_atlases(self.atlas_images)
        if self.bids_dir.resolve() == self.output_dir.resolve():
            raise SettingsError(
                f"BIDS_DIR and OUTPUT_DIR are the same folder ({self.output_dir}); inputs are "
                "never written to. Give another OUTPUT_DIR, for example "
                "BIDS_DIR/derivatives/kraken_bids."
            )

    def _check_flavors(self) -> None:
        known = [flavor.name for flavor in list_flavors(self.measured_atlases)]
        unknown = [flavor.name for flavor in self.flavors if flavor.name not in known]
        if unknown:
            raise SettingsError(
                "--flavors: expected flavors that can be measured in the atlases asked for "
                f"({', '.join(self.measured_atlases)}: --atlases, --atlas); "
                f"found {', '.join(unknown)}.{suggest(unknown[0], known)}"
            )

    @property
    def custom_atlases(self) -> tuple[str, ...]:
        """Atlases that no table of the package describes: measured, and unknown to models."""
        return tuple(name for name in self.atlas_images if name not in list_parcellations())

    @property
    def measured_atlases(self) -> tuple[str, ...]:
        """Everything that is measured: ``atlases``, and custom ones."""
        return tuple(dict.fromkeys((*self.atlases, *self.custom_atlases)))

    @property
    def feeds_model(self) -> bool:
        """Whether anything is measured that a model may know, rather than custom atlases only."""
        wanted = {flavor.parcellation for flavor in self.flavors} or set(self.atlases)
        return any(name in list_parcellations() for name in wanted & set(self.atlases))


def split_atlas(word: str) -> tuple[str, Path | None]:
    """Image and table of names of ``IMAGE``, ``IMAGE,NAMES.tsv`` or ``NAMES.tsv`` (no image)."""
    image, _, table = word.rpartition(",")
    return (image, Path(table)) if table.endswith(".tsv") else (word, None)


@dataclass(frozen=True)
class FunctionalSettings:
    """How BOLD becomes functional connectomes."""

    denoise: Denoise = "auto"
    """Cleaning strategy; ``auto``: fmriclean, and none of BOLD that is cleaned already; the last
    four are nilearn's, with its choice of confounds and volumes."""
    high_pass: float | None = None
    """Low cut of the band that is kept, in Hz; 0 keeps everything; None: 0.01, and 0 of BOLD that
    is cleaned already."""
    drop_volumes: int | None = None
    """Volumes dropped at the start of each run; None: fMRIPrep's non-steady-state volumes."""
    fd_threshold: float | None = None
    """mm above which a volume is left out; None: no such rule, for ``scrubbing`` nilearn's 0.5."""
    min_minutes: float = 5.0
    """Minutes of kept data below which a warning is given."""
    min_coverage: float = 0.5
    """Share of a region's voxels that must hold signal; below it the region is NaN."""
    pcorr_lambda: Mapping[str, float] = field(default_factory=dict)
    """Ridge of the partial correlation per parcellation, over the built-in table."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_choice("--denoise", self.denoise, DENOISE)
        check_ranges(self, high_pass=(0, 1, "Hz"), min_coverage=(0, 1, "share of voxels"))
        check_ranges(self, min_minutes=(0, 1e4, "minutes"), fd_threshold=(0, 100, "mm"))
        check_ranges(self, drop_volumes=(0, 1e5, "volumes"))
        for name, value in self.pcorr_lambda.items():
            check_range(f"--pcorr-lambda {name}=", value, (0, 1e3, "ridge"))


@dataclass(frozen=True)
class StructuralSettings:
    """How tractograms become structural connectomes."""

    tractogram: str | None = None
    """Path of the tractogram, with ``{subject}`` and ``{session}``, if not found by name."""
    tractogram_weights: str | None = None
    """Path of its SIFT2 weights, likewise."""
    parcellation_images: Mapping[str, str] = field(default_factory=dict)
    """Label image in tractogram space per parcellation, likewise."""
    search_radius: float = 4.0
    """Distance in mm within which an end is given to the nearest region."""
    units: Literal["krakencoder", "mrtrix"] = "krakencoder"
    """Units of counts and volumes."""
    edges: tuple[str, ...] = ()
    """Further matrices of the same read, which the model does not take."""
    scalars: Mapping[str, str] = field(default_factory=dict)
    """Image in tractogram space per scalar, likewise; its mean along streamlines makes edges."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_choice("--sc-units", self.units, SC_UNITS)
        for edge in self.edges:
            check_choice("--edges", edge, EDGES)
        check_ranges(self, search_radius=(0, 100, "mm"))


@dataclass(frozen=True)
class PredictionSettings:
    """Which model runs, with which adaptation, and what it predicts."""

    model: str = "pretrained"
    """A model folder, a published ``.pt`` file, ``pretrained`` or a published flavor."""
    transforms: tuple[Path, ...] = ()
    """Transform files of a published ``.pt``."""
    adaptation: str = "auto"
    """``auto``, ``none`` or a file saved by a group run."""
    adaptation_mode: str = "meanfit+meanshift"
    """How an adaptation is fitted."""
    adaptation_subjects: tuple[str, ...] = ()
    """Labels, or one ``participants.tsv`` query such as ``group==control``; empty: everyone."""
    adaptation_min_subjects: int = 10
    """Fewest subjects from which ``auto`` fits an adaptation, or takes a saved one."""
    adaptation_by: str = ""
    """Column of ``participants.tsv`` that names sites, each adapted by itself; empty: none."""
    adaptation_covariates: tuple[str, ...] = ()
    """Columns of it whose effects are kept: a site's mean is of subjects who are alike in them."""
    adaptation_mean: tuple[str, ...] = ()
    """Mean connectomes of this site, ``FLAVOR=FILE``, to adapt to in place of a cohort's."""
    sources: tuple[str, ...] = DEFAULT_SOURCES
    """Fusions and flavors to predict from."""
    targets: tuple[Flavor, ...] = ()
    """Flavors to predict; empty: every one of the model."""
    output_format: Literal["tsv", "h5"] = "tsv"
    """One TSV per predicted matrix, or one HDF5 file per subject."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""

    def __post_init__(self) -> None:
        """Check the choices and that every source is a fusion or a flavor."""
        check_choice("--adaptation-mode", self.adaptation_mode, ADAPTATION_MODES)
        check_choice("--output-format", self.output_format, OUTPUT_FORMATS)
        check_ranges(self, adaptation_min_subjects=(1, 1e9, "subjects"))
        check_adaptation_options(
            self.adaptation_by,
            self.adaptation_covariates,
            self.adaptation_mean,
            mode=self.adaptation_mode,
            given=self.adaptation,
        )
        for source in self.sources:
            if source not in (*DEFAULT_SOURCES, "each"):
                parse_flavor(source)


@dataclass(frozen=True)
class Settings:
    """Everything that one run of ``kraken-bids`` was asked to do."""

    data: DataSettings
    functional: FunctionalSettings = field(default_factory=FunctionalSettings)
    structural: StructuralSettings = field(default_factory=StructuralSettings)
    prediction: PredictionSettings = field(default_factory=PredictionSettings)
    run: RunSettings = field(default_factory=RunSettings)
    worth: WorthSettings = field(default_factory=WorthSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    parts: PartSettings = field(default_factory=PartSettings)


def to_plain(settings: object) -> dict[str, object]:
    """Turn settings into plain dicts, lists, strings and numbers, for files and digests."""
    return {key: _plain(value) for key, value in asdict(settings).items()}  # type: ignore[call-overload]


def _check_custom_atlases(images: Mapping[str, str]) -> None:
    for name, word in images.items():
        if not re.fullmatch("[A-Za-z0-9]+", name):
            raise SettingsError(
                f"--atlas {name}={word}: expected a name of letters and digits, since it becomes "
                f"the BIDS entity atlas-<name>; found {name!r}."
            )
        if name in list_parcellations() and split_atlas(word)[1] is not None:
            raise SettingsError(
                f"--atlas {name}={word}: expected an image alone; found a table of names. The "
                f"regions of {name} are those of the model; a custom atlas needs another name."
            )


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        if set(value) == {"measure", "parcellation", "processing"}:
            return Flavor(**value).name
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
