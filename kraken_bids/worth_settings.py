"""How it is judged what predictions are worth: calibration, intervals, discordance, imputation."""

from dataclasses import dataclass

from kraken_bids.exceptions import SettingsError
from kraken_bids.setting_checks import check_ranges

MIN_CALIBRATED = 20
"""Fewer subjects who have both a prediction and its measured connectome calibrate nothing."""


@dataclass(frozen=True)
class WorthSettings:
    """How predictions are calibrated and compared with what was measured."""

    calibrate: str = "auto"
    """``auto``: fitted by the group level, taken as saved by the participant level; ``none``; or a
    file saved by a group run."""
    interval_coverage: float = 0.9
    """Share of measured edges that prediction intervals promise to hold."""
    families: str = ""
    """Column of ``participants.tsv`` with families, held out together; empty: each on its own."""
    controls: tuple[str, ...] = ()
    """Labels, or one ``participants.tsv`` query, of those that discordance is compared with;
    empty: everyone else."""
    covariates: tuple[str, ...] = ()
    """Columns of ``participants.tsv``, or ``motion``, that discordance and imputation allow
    for."""
    impute: int = 0
    """Draws of every connectome that a session lacks; 0: none."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self, interval_coverage=(0.5, 0.99, "share of edges"))
        check_ranges(self, impute=(0, 1000, "draws"))
        if self.impute == 1:
            raise SettingsError(
                "--impute: expected 0 or at least 2 draws, since their spread is what they are "
                "for; found 1."
            )
