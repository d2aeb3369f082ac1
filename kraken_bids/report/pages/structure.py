"""What a participant's page shows of the tractograms."""

from dataclasses import dataclass

from kraken_bids.report.pages.shared import Floats


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
