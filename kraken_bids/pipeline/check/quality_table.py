"""The quality table of the group: one row per participant, session and flavor."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.from_dataset import Cohort, Member
from kraken_bids.flavors import Flavor
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.pipeline.check.cohort_scores import CrossModalScore
from kraken_bids.pipeline.check.input_trust import FileTrust
from kraken_bids.pipeline.check.trust_files import TRUST_WORDS, list_trust

COLUMN_WORDS = {
    "used_as_input": "1 where the model read it",
    "n_missing_regions": "regions without data; the model's input holds the training mean there",
    "minutes": "minutes of BOLD that count",
    "mean_fd": "mean framewise displacement, mm",
    "mean_dvars": "mean standardised DVARS of the volumes that count; about 1 in a quiet scan",
    "n_left_out": "volumes of BOLD left out: first ones, motion, jumps of the signal",
    "frames": "volumes of BOLD that count, all runs together",
    "correlation_noise": "spread that chance alone gives a correlation with so many frames, if "
    "they were independent; the true spread is larger",
    "median_tsnr": "median over regions of the temporal signal-to-noise ratio",
    "n_streamlines": "streamlines in the tractogram",
    "both_ends": "share of streamlines with both ends in regions",
    "self_share": "share of the streamlines with both ends in regions that stay in one region",
    "density": "share of the pairs of regions that at least one streamline connects",
    "mean_length": "mean length of all streamlines, mm",
    "cross_modal_r": "correlation with the prediction from the other modality",
    "cross_modal_r_resid": "the same, less the cohort's mean and the training mean",
    "cross_modal_rank": "rank of the own prediction among everyone's; 1 is best",
    "cross_modal_n": "people compared",
}


def write_quality(
    output_dir: Path,
    members: Sequence[Member],
    cohort: Cohort,
    scores: Mapping[tuple[int, Flavor], CrossModalScore],
    *,
    trust: Mapping[tuple[int, Flavor], FileTrust],
) -> None:
    """Write ``group/qc.tsv``."""
    rows = [
        _describe(index, member, flavor, cohort, scores.get((index, flavor)))
        | list_trust(trust.get((index, flavor)))
        for index, member in enumerate(members)
        for flavor in sorted(member.connectomes)
    ]
    path = group_path(output_dir, "qc.tsv")
    write_table(path, {key: [row[key] for row in rows] for key in rows[0]})
    words = {key: {"Description": text} for key, text in (COLUMN_WORDS | TRUST_WORDS).items()}
    write_json(path.with_suffix(".json"), {
        "Description": "Quality of every measured connectome", **words,
    })  # fmt: skip


def _describe(  # noqa: PLR0917 - one row joins what every stage knows
    index: int,
    member: Member,
    flavor: Flavor,
    cohort: Cohort,
    score: CrossModalScore | None,
) -> dict[str, object]:
    own = member.measurements[flavor]
    rows = cohort.projections.get(flavor)
    seconds = own.effective_duration
    return {
        "participant_id": f"sub-{member.subject}",
        "session_id": f"ses-{member.session}" if member.session else "n/a",
        "flavor": flavor.name,
        "used_as_input": int(rows is not None and bool(np.isfinite(rows[index]).all())),
        "n_missing_regions": own.n_missing_regions,
        "minutes": None if seconds is None else round(seconds / 60, 3),
        "mean_fd": own.mean_fd,
        "mean_dvars": own.mean_dvars,
        "n_left_out": own.n_left_out,
        "frames": own.frames,
        "correlation_noise": own.correlation_noise,
        "median_tsnr": own.median_tsnr,
        "n_streamlines": own.n_streamlines,
        "both_ends": _share(own.n_both, own.n_streamlines),
        "self_share": _share(own.n_self, own.n_both),
        "density": own.density,
        "mean_length": own.mean_length,
        "cross_modal_r": score and score.correlation,
        "cross_modal_r_resid": score and score.correlation_resid,
        "cross_modal_rank": score and score.rank,
        "cross_modal_n": score and score.n,
    }


def _share(part: int | None, whole: int | None) -> float | None:
    """Share of streamlines; None where one of the two is not known, or there are none."""
    return part / whole if part is not None and whole else None
