"""What the two HTML pages show, as plain values: the contract between the pipeline and the report.

Nothing here touches a file or draws. A value that is not known is ``None`` (or NaN) and is shown
as a dash; an empty tuple leaves its section out or says why it is empty. Texts are plain: the page
escapes them.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]
Level = Literal["warning", "info"]
Group = Literal["FC", "SC"]
SourceGroup = Literal["FC", "SC", "both"]


# ---------------------------------------------------------------- both pages


@dataclass(frozen=True)
class Notice:
    """One sentence of the banner: what is wrong, and what to do."""

    level: Level
    text: str


@dataclass(frozen=True)
class FileLink:
    """One file that was written."""

    href: str
    """Address relative to the HTML file: ``sub-01/func/…``."""
    description: str = ""


@dataclass(frozen=True)
class Reference:
    """One work to cite."""

    text: str
    url: str = ""
    """``https://doi.org/…``; a link to click, nothing is fetched when the page opens."""


@dataclass(frozen=True)
class ModelInfo:
    """The model that made the predictions."""

    name: str
    sha256: str
    n_flavors: int
    n_latent: int
    note: str = ""
    """For example ``demonstration model, trained on synthetic data``."""


@dataclass(frozen=True)
class AdaptationFit:
    """How one input flavor was moved into the range of the training data."""

    flavor: str
    mode: str
    """``none``, ``meanshift``, ``meanfit`` or ``meanfit+meanshift``."""
    b0: float | None
    b1: float | None
    r2: float | None
    n_subjects: int | None
    new_mean: Floats | None = None
    """Mean edges of the cohort [n_edges]; only the group page draws them."""
    training_mean: Floats | None = None
    """Mean edges of the training data [n_edges]."""


# ---------------------------------------------------------------- one participant


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
class EndShares:
    """Share of streamlines with both, one or no end in a region of a parcellation (0 to 1)."""

    parcellation: str
    both: float
    one: float
    none: float
    within: float | None = None
    """Share of those with both ends in regions that stay within one region."""
    density: float | None = None
    """Share of the pairs of regions that at least one streamline connects."""


@dataclass(frozen=True)
class Network:
    """One measured structural connectome, to be drawn as a circle."""

    flavor: str
    region_names: tuple[str, ...]
    region_groups: tuple[str, ...]
    hemispheres: tuple[str, ...]
    square: Floats
    """[n_regions, n_regions], NaN rows where a region was not measured."""


@dataclass(frozen=True)
class TractogramRow:
    """One tractogram."""

    algorithm: str
    file: str
    n_streamlines: int
    weights: str
    """File of the SIFT2 weights, or empty."""
    ends: tuple[EndShares, ...]
    length_counts: tuple[int, ...] = ()
    """Streamlines per bin of length from 0 mm on; empty where lengths were not measured."""
    length_bin_mm: float = 5.0
    n_longer: int = 0
    """Streamlines beyond the last bin."""
    mean_length: float | None = None
    """mm."""
    network: Network | None = None
    """A connectome of this tractogram, drawn as a circle; None leaves it out."""


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


@dataclass(frozen=True)
class Prediction:
    """One predicted connectome of the panel's flavor."""

    source: str
    """``fusion``, ``fusionSC``, ``fusionFC`` or a flavor."""
    square: Floats
    """[n_regions, n_regions]."""
    correlation: float | None = None
    """Pearson correlation with the measured edges."""
    correlation_resid: float | None = None
    """The same after the mean of the cohort (or of the training data) is subtracted from both."""


@dataclass(frozen=True)
class FlavorPanel:
    """One flavor: measured and predicted side by side."""

    name: str
    group: Group
    description: str
    region_groups: tuple[str, ...]
    """Lobe, network or structure of each region [n_regions]."""
    hemispheres: tuple[str, ...]
    """``L``, ``R`` or ``M`` of each region [n_regions]."""
    measured: Floats | None
    """[n_regions, n_regions], NaN rows where a region was not measured; None where nothing was."""
    predictions: tuple[Prediction, ...]
    """In the order shown; two or three read best: cross-modal first, then fusion."""
    n_imputed: int = 0
    """Regions whose edges were replaced by the training mean."""
    used_as_input: bool = True
    mean_edge: float | None = None
    """Mean of the measured off-diagonal."""
    note: str = ""
    measured_title: str = "Measured"
    """Say ``Measured, adapted`` where the adapted matrix is passed: predictions are in the range
    of the training data, so a cohort in other units is only comparable after adaptation."""

    @property
    def parcellation(self) -> str:
        """The middle part of the flavor id."""
        parts = self.name.split("_")
        return parts[1] if len(parts) == 3 else ""


@dataclass(frozen=True)
class LatentRow:
    """One latent vector of the participant."""

    source: str
    n_inputs: int
    norm: float
    """Its length: 1 for one flavor; for a fusion the lower, the more its inputs disagree."""


@dataclass(frozen=True)
class ParticipantPage:
    """Everything that the page of one participant (and session) shows."""

    subject: str
    session: str | None
    version: str
    created: str
    notices: tuple[Notice, ...]
    runs: tuple[RunRow, ...]
    tractograms: tuple[TractogramRow, ...]
    motion: tuple[Motion, ...]
    coverage: tuple[Coverage, ...]
    flavors: tuple[FlavorPanel, ...]
    adaptation: tuple[AdaptationFit, ...]
    model: ModelInfo | None
    latents: tuple[LatentRow, ...]
    files: tuple[FileLink, ...]
    references: tuple[Reference, ...]
    methods: tuple[str, ...] = ()
    """Paragraphs on how the connectomes were computed, in words that can go into a paper."""
    group_href: str = ""
    """Address of the group page relative to this one, if there is one."""

    @property
    def title(self) -> str:
        """``sub-01 / ses-1``."""
        return f"sub-{self.subject}" + (f" / ses-{self.session}" if self.session else "")


# ---------------------------------------------------------------- the group


@dataclass(frozen=True)
class Identifiability:
    """How well the right person's connectome is found among everyone's, by source and target."""

    sources: tuple[str, ...]
    source_groups: tuple[SourceGroup, ...]
    targets: tuple[str, ...]
    target_groups: tuple[Group, ...]
    average_rank: Floats
    """[n_sources, n_targets]; 1 perfect, (n + 1) / 2n chance."""
    top1_accuracy: Floats
    """[n_sources, n_targets]; 1 perfect, 1 / n_participants chance."""
    n_participants: int
    """Participants that were ranked against each other."""
    note: str = ""
    """For example who among them the model has seen in training."""


@dataclass(frozen=True)
class Latents:
    """Latent vectors of the cohort, one row per participant and session."""

    labels: tuple[str, ...]
    fusion: Floats
    """[n, n_latent]."""
    outliers: Booleans
    """[n]."""
    fc: Floats | None = None
    """fusionFC latents [n, n_latent]; NaN rows where there is no FC."""
    sc: Floats | None = None
    """fusionSC latents [n, n_latent]; NaN rows where there is no SC."""


@dataclass(frozen=True)
class OutlierRow:
    """One participant far from the others."""

    participant: str
    distance: float
    z: float
    reason: str
    href: str = ""


@dataclass(frozen=True)
class QualityRow:
    """Quality of one participant (and session), summarised over flavors."""

    participant: str
    n_measured: int
    """Flavors measured."""
    n_inputs: int
    """Flavors that entered the fusion."""
    minutes_kept: float | None = None
    mean_fd: float | None = None
    lowest_coverage: float | None = None
    """Lowest coverage of any region, 0 to 1."""
    n_imputed: int | None = None
    """Most regions imputed in any flavor."""
    both_ends: float | None = None
    """Lowest share of streamlines with both ends in regions, 0 to 1."""
    flags: tuple[str, ...] = ()
    """What to look at, in plain words."""
    href: str = ""


@dataclass(frozen=True)
class MetricRow:
    """Metrics of one source and target."""

    source: str
    target: str
    average_rank: float
    top1_accuracy: float
    average_correlation: float
    average_correlation_resid: float
    explained_variance: float | None = None


@dataclass(frozen=True)
class GroupPage:
    """Everything that the page of the cohort shows."""

    n_participants: int
    n_sessions: int
    version: str
    created: str
    notices: tuple[Notice, ...]
    model: ModelInfo | None
    identifiability: Identifiability | None
    latents: Latents | None
    outliers: tuple[OutlierRow, ...]
    adaptation: tuple[AdaptationFit, ...]
    quality: tuple[QualityRow, ...]
    metrics: tuple[MetricRow, ...]
    files: tuple[FileLink, ...]
    references: tuple[Reference, ...]
    dataset: str = ""
    """Name of the dataset."""
    methods: tuple[str, ...] = ()
