"""What the group's report says of every session, whose files are read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.warned import read_group_warnings
from kraken_bids.pipeline.pages.cohort_notices import sort_warning
from kraken_bids.pipeline.pages.links import name_pages
from kraken_bids.pipeline.pages.notices import list_warnings
from kraken_bids.pipeline.pages.participant import describe_model
from kraken_bids.pipeline.pages.quality import read_quality, summarise_quality
from kraken_bids.pipeline.pages.trust import list_trust_rows
from kraken_bids.pipeline.pages.written import Written
from kraken_bids.report.pages import ModelInfo, QualityRow, TrustRow


@dataclass(frozen=True)
class Gathered:
    """Rows of all sessions, and what they have in common."""

    trust: tuple[TrustRow, ...]
    quality: tuple[QualityRow, ...]
    of_group: tuple[str, ...]
    """What is wrong with the cohort as a whole."""
    warnings: tuple[dict[str, str], ...]
    """Warnings by kind: of each, the sessions and what is said of them."""
    adaptation_notices: tuple[str, ...]
    model: ModelInfo | None
    """None before there are predictions."""
    n_with_motion: int
    """Sessions whose head motion is known."""


def gather_sessions(output_dir: Path, members: Sequence[Member]) -> Gathered:
    """Read what every session's predictions say, one session after the other."""
    of_group = tuple(read_group_warnings(output_dir))
    tables, pages = read_quality(output_dir), name_pages(members)
    trust: list[TrustRow] = []
    quality: list[QualityRow] = []
    kinds: dict[str, dict[str, str]] = {}
    notices: dict[str, None] = {}
    model, n_with_motion = None, 0
    for member in members:
        written = Written(output_dir, member)
        trust += list_trust_rows(written, href=pages[member.label])
        if member.label in tables:
            rows = tables.pop(member.label)
            quality.append(summarise_quality(written, rows, href=pages[member.label]))
        for text in list_warnings(written):
            if text not in of_group:
                kinds.setdefault(sort_warning(text), {})[member.label] = text
        notices[written.predicted.text("AdaptationNotice")] = None
        model = model or describe_model(written)
        n_with_motion += any(own.mean_fd is not None for own in member.measurements.values())
    said = tuple(text for text in notices if text)
    return Gathered(
        tuple(trust), tuple(quality), of_group, tuple(kinds.values()), said, model, n_with_motion
    )
