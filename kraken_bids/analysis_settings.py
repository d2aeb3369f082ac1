"""Which analyses a run carries out, and how the communities among them are searched for."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.exceptions import SettingsError
from kraken_bids.setting_checks import check_choice, check_range

DECODE_VOLUMES = "decode-volumes"
ANALYSES = ("connectomes", "communities", DECODE_VOLUMES)
DEEPLIGHT = "deeplight"
"""Cleaning of volumes as the release does: no confounds, a Butterworth filter."""
CLEANINGS = (
    DEEPLIGHT,
    *("fmriclean", "acompcor", "24p", "36p", "none", "simple", "scrubbing", "compcor"),
)
"""How whole volumes may be cleaned: as the release does, or by a strategy of ``--denoise``; that
of ICA-AROMA needs another series."""


@dataclass(frozen=True)
class AnalysisSettings:
    """What a run is asked for besides connectomes."""

    analysis: tuple[str, ...] = ("connectomes",)
    """``connectomes``: predictions, scores, quality; ``communities``: dynamic communities of the
    cleaned region series; both at the group level. ``decode-volumes``: states of the whole volumes
    of every run, at the participant level."""
    n_communities: str = "auto"
    """Most communities, or ``auto``: number and resolution at which halves of the scans agree."""
    gamma: float = 1.0
    """Resolution of modularity, where the number of communities is given."""
    n_nulls: int = 19
    """Surrogates that the presence of communities is compared with, of each kind and scan."""
    decoder: Path | None = None
    """Decoder of volumes: a model folder, or weights of the release."""
    relevance: bool = False
    """Write which voxels spoke for each decoded state."""
    cleaning: str | None = None
    """How volumes are cleaned; None: as those that the decoder was trained on."""

    def __post_init__(self) -> None:
        """Check the choices."""
        for name in self.analysis:
            check_choice("--analysis", name, ANALYSES)
        if self.cleaning is not None:
            check_choice("--cleaning", self.cleaning, CLEANINGS)
        if DECODE_VOLUMES in self.analysis and self.decoder is None:
            raise SettingsError(
                "--analysis decode-volumes: expected --decoder PATH, a folder that kraken-tools "
                "train-volumes wrote or weights of the published decoder; found none."
            )
        if self.n_communities != "auto":
            if not self.n_communities.isdecimal():
                raise SettingsError(
                    f"--n-communities: expected a number or auto; found {self.n_communities!r}."
                )
            check_range("--n-communities", int(self.n_communities), (2, 1000, "communities"))
        check_range("--gamma", self.gamma, (0, 100, "resolution"))
        check_range("--n-nulls", self.n_nulls, (0, 1000, "surrogates"))


def measures_connectomes(analyses: Collection[str]) -> bool:
    """Whether the participant level measures connectomes: always, but beside decoding alone."""
    return "connectomes" in analyses or DECODE_VOLUMES not in analyses
