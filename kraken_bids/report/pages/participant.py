"""The page of one participant."""

from dataclasses import dataclass

from kraken_bids.report.pages.people import PersonRow
from kraken_bids.report.pages.quality import Coverage, Motion, RunRow
from kraken_bids.report.pages.registration import Registration
from kraken_bids.report.pages.shared import (
    AdaptationFit,
    FileLink,
    Floats,
    Group,
    ModelInfo,
    Notice,
    Reference,
)
from kraken_bids.report.pages.structure import TractogramRow
from kraken_bids.report.pages.trust import TrustRow


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
    verdict: str = ""
    """``about this person``, ``no better than the group mean`` or ``not judged``; may be empty."""
    reason: str = ""
    """What the verdict rests on."""


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
    trust: tuple[TrustRow, ...] = ()
    """Every input of the model."""
    dataset: str = ""
    """Name of the dataset."""
    registration: tuple[Registration, ...] = ()
    """Where labels and streamlines lie."""
    person: PersonRow | None = None
    """The verdict on this participant; None before the group level has run."""
    neighbours: tuple[FileLink | None, FileLink | None] = (None, None)
    """Pages of the participants before and after this one."""
    n_connectomes: int | None = None
    """Connectomes measured in all, those included that the model does not know."""

    @property
    def title(self) -> str:
        """``sub-01 / ses-1``."""
        return f"sub-{self.subject}" + (f" / ses-{self.session}" if self.session else "")
