"""How far to trust each measured connectome as an input of the model."""

from dataclasses import dataclass

from kraken_bids.report.pages.shared import Group


@dataclass(frozen=True)
class TrustRow:
    """One measured connectome of one participant (and session)."""

    participant: str
    flavor: str
    group: Group
    verdict: str
    """``ok``, ``check``, or ``n/a`` where the cohort is too small to say."""
    note: str = ""
    """What is unusual, in plain words."""
    outside_share: float | None = None
    """Share of its variance that the model does not see, 0 to 1."""
    outside_ratio: float | None = None
    """That share over the share of the training data."""
    fit: float | None = None
    """Log odds that it belongs to the participant's other files."""
    rank: int | None = None
    """Of the own other files among everyone's; 1 is best."""
    n_ranked: int | None = None
    correlation: float | None = None
    """With the prediction from the other modality."""
    correlation_resid: float | None = None
    """The same without the mean."""
    href: str = ""
    """Address of the participant's page."""
