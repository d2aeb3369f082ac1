"""What to predict from connectome files, and how."""

from dataclasses import dataclass
from pathlib import Path

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.adaptation import DEFAULT_MODE
from kraken_bids.setting_checks import check_adaptation_options

AUTO = "auto"


@dataclass(frozen=True)
class PredictionOptions:
    """What to predict from connectome files, and how."""

    adaptation_mode: str = AUTO
    """A mode, or ``auto``: the published one where there are at least 10 subjects, else none."""
    adaptation: Path | None = None
    """A saved adaptation, in place of fitting one."""
    adaptation_sources: tuple[str, ...] = ()
    """Connectome files of the cohort whose mean is fitted; the inputs themselves by default."""
    save_adaptation: Path | None = None
    """Where to keep the fitted adaptation."""
    adaptation_by: str = ""
    """Column of the table of participants that names sites, each adapted by itself."""
    adaptation_covariates: tuple[str, ...] = ()
    """Columns of it whose effects are kept."""
    adaptation_subjects: tuple[str, ...] = ()
    """Whom sites are fitted on: labels, or one condition on the table; empty: everyone."""
    adaptation_mean: tuple[str, ...] = ()
    """Mean connectomes ``FLAVOR=FILE`` to adapt to, in place of a cohort's."""
    participants: Path | None = None
    """Table of participants; None: ``participants.tsv`` in a folder of inputs."""
    inputs: tuple[str, ...] = ()
    """What is predicted from, where a table may lie."""
    fusions: tuple[str, ...] = ()
    """Further fusions, ``NAME=SELECTOR``; each becomes a source."""
    exclude_self: bool = False
    """Add sources ``NAME.noself``: fusions without the flavor to predict."""
    exclude_atlas: bool = False
    """Add sources ``NAME.noatlas``: fusions without the parcellation to predict."""
    renormalize_fusion: bool = False
    """Scale fused latents to unit length."""
    sources: tuple[str, ...] = ()
    """Sources; ``fusion fusionSC fusionFC`` by default, of which the inputs may lack some."""
    targets: tuple[str, ...] = ()
    """Flavors to predict, or patterns of them; all of the model by default."""

    @property
    def fitted_mode(self) -> str:
        """Mode of an adaptation that is fitted."""
        return DEFAULT_MODE if self.adaptation_mode == AUTO else self.adaptation_mode

    @property
    def variants(self) -> tuple[str, ...]:
        """Variants of fusions that are asked for."""
        asked = {"noself": self.exclude_self, "noatlas": self.exclude_atlas}
        return tuple(name for name, is_asked in asked.items() if is_asked)

    def check_decoding(self) -> None:
        """Check that nothing is asked for that latents as inputs are past.

        Raises
        ------
        SettingsError
            If there is an adaptation, a fusion or a variant of one.
        """
        is_adapted = (
            self.adaptation
            or self.adaptation_sources
            or self.save_adaptation
            or self.adaptation_by
            or self.adaptation_mean
        )
        if is_adapted or self.adaptation_mode not in {AUTO, "none"}:
            raise SettingsError(
                "expected no adaptation with --input encoded=FILE, since latents are past it; "
                "found one. Leave the options --adaptation… out, or give connectomes."
            )
        if self.fusions or self.variants or self.renormalize_fusion:
            raise SettingsError(
                "expected no fusion with --input encoded=FILE, which is decoded as it is; found "
                "--fusion, --exclude-… or --renormalize-fusion. Leave them out, or give "
                "connectomes."
            )

    def __post_init__(self) -> None:
        """Check that the adaptation is asked for in one way only."""
        if self.adaptation and (self.adaptation_sources or self.adaptation_mode not in {AUTO}):
            raise SettingsError(
                "expected either --adaptation FILE, which has its mode and cohort, or "
                "--adaptation-mode and --adaptation-source to fit one; found both. Leave one "
                "out."
            )
        if self.adaptation and self.save_adaptation:
            raise SettingsError(
                "expected either --adaptation FILE, which is saved already, or --save-adaptation "
                "FILE for one that is fitted; found both. Leave one out."
            )
        check_adaptation_options(
            self.adaptation_by,
            self.adaptation_covariates,
            self.adaptation_mean,
            mode=self.adaptation_mode,
            given=str(self.adaptation or AUTO),
        )
        if self.adaptation_mean and (self.adaptation_sources or self.save_adaptation):
            raise SettingsError(
                "--adaptation-mean: expected no other cohort and nothing to save beside it, since "
                "it is all that is known of the site; found --adaptation-source or "
                "--save-adaptation. Leave one of them out."
            )
        if self.adaptation_subjects and not (self.adaptation_by or self.adaptation):
            raise SettingsError(
                "--adaptation-subjects: expected --adaptation-by COLUMN beside it; found none. "
                "Without sites, give those who are fitted on with --adaptation-source."
            )
