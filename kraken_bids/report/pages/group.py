"""The page of the cohort."""

from dataclasses import dataclass

from kraken_bids.report.pages.people import ErrorRow, PersonRow, PredictionVerdicts
from kraken_bids.report.pages.shared import (
    AdaptationFit,
    Booleans,
    FileLink,
    Floats,
    Group,
    ModelInfo,
    Notice,
    Reference,
    SourceGroup,
)
from kraken_bids.report.pages.trust import TrustRow


@dataclass(frozen=True)
class SourceByTarget:
    """Rows and columns of a heatmap."""

    sources: tuple[str, ...]
    source_groups: tuple[SourceGroup, ...]
    targets: tuple[str, ...]
    target_groups: tuple[Group, ...]


@dataclass(frozen=True)
class Identifiability(SourceByTarget):
    """How well the right person's connectome is found among everyone's, by source and target."""

    average_rank: Floats
    """[n_sources, n_targets]; 1 perfect, (n + 1) / 2n chance."""
    top1_accuracy: Floats
    """[n_sources, n_targets]; 1 perfect, 1 / n_participants chance."""
    n_participants: int
    """Participants that were ranked against each other, for the target with most of them."""
    note: str = ""
    """For example who among them the model has seen in training."""
    n_fewest: int | None = None
    """The same for the target with fewest of them: whoever lacks regions is not ranked."""


@dataclass(frozen=True)
class Colouring:
    """A column of ``participants.tsv`` by which people are coloured."""

    column: str
    values: tuple[str, ...]
    """One per row of the latents; '' where it is not known."""
    is_numeric: bool = False

    @property
    def categories(self) -> list[str]:
        """Values that there are, codes by their number."""
        present = sorted(set(self.values) - {""})
        try:
            return sorted(present, key=float)
        except ValueError:
            return present


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
    colouring: Colouring | None = None


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
    """Flavors of the model that were measured; all flavors where no model is known."""
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
    mean_dvars: float | None = None
    """Standardised; about 1 in a quiet scan."""
    median_tsnr: float | None = None
    """Lowest of any parcellation."""


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
    n: int | None = None
    """People compared."""


@dataclass(frozen=True)
class MotionEffect:
    """How one functional flavor follows head motion over the sessions of the cohort (QC-FC)."""

    flavor: str
    n_sessions: int
    median_abs_r: float
    """Median over edges of abs(r), r: correlation of an edge with mean displacement."""
    chance_abs_r: float
    """The same where motion plays no part."""
    share_p05: float
    """Share of edges with p < 0.05, uncorrected."""
    share_fdr05: float
    """Share of edges with a false discovery rate below 0.05."""
    distance_rho: float | None
    """Spearman correlation of r with the length of the edge."""
    correlation: Floats
    """r of every edge [n_edges]; NaN where unknown."""
    distance: Floats
    """Length of every edge [n_edges], mm; NaN where unknown."""


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
    motion: tuple[MotionEffect, ...] = ()
    """Empty with fewer than 10 sessions of known motion."""
    n_with_motion: int = 0
    """Sessions of known head motion."""
    trust: tuple[TrustRow, ...] = ()
    """Every input of everyone."""
    people: tuple[PersonRow, ...] = ()
    """Everyone with results, and everyone who failed; worst first."""
    columns: tuple[str, ...] = ()
    """Columns of ``participants.tsv`` that are shown."""
    errors: tuple[ErrorRow, ...] = ()
    verdicts: tuple[PredictionVerdicts, ...] = ()
    n_judged_outliers: int = 0
    """Sessions whose latents were compared with the cohort's median."""

    def count_people(self, verdict: str) -> int:
        """Count the people with a verdict."""
        return sum(person.verdict == verdict for person in self.people)
