"""What all predictions of a run share."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kraken_bids.cohort.sources import Source, _expand
from kraken_bids.cohort.warned import Warned
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.settings import Settings


@dataclass(frozen=True)
class PredictionPlan:
    """What all predictions of a run share."""

    model: Model
    adaptation: Adaptation | None
    sources: tuple[Source, ...]
    settings: Settings
    notice: str = ""
    """What readers must know about the adaptation, in plain words."""
    warned: Warned = field(default_factory=Warned)
    """What else they must know."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of each session's predictions by its label, as they are written; '' where that
    failed."""
    fingerprints: dict[Path, bytes] = field(default_factory=dict)
    """Of the sidecars that need not be written, by their file."""

    @property
    def targets(self) -> tuple[Flavor, ...]:
        """Flavors to predict."""
        return self.settings.prediction.targets or self.model.flavors

    @cached_property
    def adapted(self) -> list[tuple[object, ...]]:
        """What tells one adaptation from another, for digests."""
        fits = {} if self.adaptation is None else self.adaptation.flavors
        return [
            (flavor.name, fit.mode, fit.b0, fit.b1, fit.n_subjects, float(fit.mean_new.sum()))
            for flavor, fit in sorted(fits.items())
        ]

    @property
    def written_sources(self) -> tuple[Source, ...]:
        """Sources whose predicted connectomes are written, of those whose latents are."""
        wanted = _expand(self.settings.prediction.sources, self.model.flavors)
        return tuple(source for source in self.sources if source.name in wanted)
