"""Tables of the group: quality, metrics, latents, outliers, verdicts on predictions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids.bids.folders import list_entries
from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.latent_tables import list_values
from kraken_bids.cohort.measurements import Measurement
from kraken_bids.cohort.members import Member, Whose, whose_row
from kraken_bids.cohort.part_pairs import PartPair, PartSummary, read_pairs, summarize_pairs
from kraken_bids.cohort.projections import Projected
from kraken_bids.cohort.sources import Source
from kraken_bids.flavors import Flavor
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.records import column, replace_records, write_records
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.cohort_scores import Scores
from kraken_bids.scores.calibrated_records import PairNames
from kraken_bids.scores.novelty import MAX_Z, measure_distances
from kraken_bids.scores.quality_control import (
    Conclusion,
    CrossModalScore,
    InputQuality,
    Metric,
    Verdict,
    Verdicts,
)

STAGE = "reliability"
"""Where connectomes of parts of the data cannot be read."""


@dataclass(frozen=True)
class MeasuredQuality:
    """Quality of one measured connectome."""

    flavor: str = column()
    used_as_input: int = column("1 where the model read it")
    n_missing_regions: int = column(
        "regions without data; the model's input holds the training mean there"
    )
    minutes: float | None = column("minutes of BOLD that count")
    mean_fd: float | None = column("mean framewise displacement, mm")
    mean_dvars: float | None = column(
        "mean standardised DVARS of the volumes that count; about 1 in a quiet scan"
    )
    n_left_out: int | None = column(
        "volumes of BOLD left out: first ones, motion, jumps of the signal"
    )
    frames: int | None = column("volumes of BOLD that count, all runs together")
    correlation_noise: float | None = column(
        "spread that chance alone gives a correlation with so many frames, if they were "
        "independent; the true spread is larger"
    )
    median_tsnr: float | None = column("median over regions of the temporal signal-to-noise ratio")
    n_streamlines: int | None = column("streamlines in the tractogram")
    both_ends: float | None = column("share of streamlines with both ends in regions")
    self_share: float | None = column(
        "share of the streamlines with both ends in regions that stay in one region"
    )
    density: float | None = column(
        "share of the pairs of regions that at least one streamline connects"
    )
    mean_length: float | None = column("mean length of all streamlines, mm")


@dataclass(frozen=True)
class Distance:
    """How far the fused latent of one session lies from the cohort's median latent."""

    member: Member
    source: str = column()
    distance: float = column()
    z: float = column(f"robust z-score; above {MAX_Z} is marked an outlier")
    outlier: int = column()


def write_quality(
    output_dir: Path,
    members: Sequence[Member],
    cohort: Projected,
    scores: Mapping[tuple[int, Flavor], CrossModalScore],
    *,
    inputs: Mapping[tuple[int, Flavor], InputQuality],
) -> None:
    """Write ``group/qc.tsv``: a row for each session and flavor."""
    rows = []
    for index, member in enumerate(members):
        for flavor in sorted(member.connectomes):
            projected = cohort.projections.get(flavor)
            is_input = projected is not None and bool(np.isfinite(projected[index]).all())
            own = member.measurements[flavor]
            known = inputs.get((index, flavor), InputQuality())
            rows.append((
                whose_row(member),
                _describe(flavor, own, is_input=is_input),
                scores.get((index, flavor), CrossModalScore()),
                known,
                known.conclusion,
            ))  # fmt: skip
    kinds = (Whose, MeasuredQuality, CrossModalScore, InputQuality, Conclusion)
    path = group_path(output_dir, "qc.tsv")
    write_records(path, kinds, rows, description="Quality of every measured connectome")


def write_metrics(output_dir: Path, scores: Scores) -> None:
    """Write ``group/metrics.tsv``: how well each source predicts each target."""
    write_records(
        group_path(output_dir, "metrics.tsv"),
        [Metric],
        [[one] for one in scores.metrics],
        description="How well predictions from each source match measured connectomes",
    )


def write_verdicts(output_dir: Path, members: Sequence[Member], verdicts: Verdicts) -> None:
    """Write ``group/predictions.tsv``: a row for each session, source and target."""
    replace_records(
        group_path(output_dir, "predictions.tsv"),
        (Whose, PairNames, Verdict),
        [
            (whose_row(members[index]), PairNames(source, target.name), verdict)
            for (index, source, target), verdict in verdicts.items()
        ],
        description="Whether each predicted connectome is about the subject named",
    )


def find_outliers(members: Sequence[Member], sources: Sequence[Source]) -> list[Distance]:
    """Distance of every member's fused latents from the cohort's median, per fusion.

    Fewer than five members have no distances: a median of so few says little.
    """
    rows = []
    for source in sources:
        if source.name.startswith("fusion"):
            distances, scores = measure_distances(source.latents)
            for index in np.flatnonzero(np.isfinite(scores)).tolist():
                z = float(scores[index])
                distance = float(distances[index])
                rows.append(Distance(members[index], source.name, distance, z, int(z > MAX_Z)))
    return rows


def write_outliers(output_dir: Path, distances: Sequence[Distance]) -> None:
    """Write ``group/outliers.tsv``: every member's distance, the outliers marked."""
    write_records(
        group_path(output_dir, "outliers.tsv"),
        (Whose, Distance),
        [(whose_row(one.member), one) for one in distances],
        description="Distance of each fused latent from the cohort's median latent",
    )


def write_latents(output_dir: Path, members: Sequence[Member], sources: Sequence[Source]) -> None:
    """Write ``group/latents.tsv``: the latent of every session and source."""
    rows = [
        (whose_row(member), source, index)
        for index, member in enumerate(members)
        for source in sources
        if source.n_inputs[index]
    ]
    columns: dict[str, list[Any]] = {
        "participant_id": [whose.participant_id for whose, _, _ in rows],
        "session_id": [whose.session_id for whose, _, _ in rows],
        "source": [source.name for _, source, _ in rows],
        "n_inputs": [int(source.n_inputs[index]) for _, source, index in rows],
    }
    values = np.stack([source.latents[index] for _, source, index in rows])
    columns |= list_values(values)
    path = group_path(output_dir, "latents.tsv")
    write_table(path, columns)
    write_json(path.with_suffix(".json"), {
        "Description": "Latent vector of every participant, session and source",
        "source": {"Description": "fusion of several flavors, or one flavor"},
        "n_inputs": {"Description": "number of measured flavors that were averaged"},
    })  # fmt: skip


def write_means(output_dir: Path, model: Model, cohort: Projected) -> None:
    """Write the mean measured connectome of every flavor beside the model's training mean.

    A subject counts as one, sessions together. An edge that nobody has is NaN, whatever
    adaptations take in its place.
    """
    training = model.training_means()
    with write_hdf5(group_path(output_dir, "mean_connectomes.h5")) as file:
        for flavor, (mean, n_subjects) in cohort.take_means(model).items():
            group = file.create_group(flavor.name)
            measured = np.where(cohort.found[flavor].mean.is_known, mean, np.nan)
            group.create_dataset("measured", data=measured.astype(np.float32))
            if flavor in training:
                group.create_dataset("training", data=training[flavor])
            group.attrs["n_subjects"] = n_subjects


def _describe(flavor: Flavor, own: Measurement, *, is_input: bool) -> MeasuredQuality:
    seconds = own.effective_duration
    same = (one.name for one in fields(MeasuredQuality) if hasattr(own, one.name))
    return MeasuredQuality(
        flavor=flavor.name,
        used_as_input=int(is_input),
        minutes=None if seconds is None else round(seconds / 60, 3),
        both_ends=_share(own.n_both, own.n_streamlines),
        self_share=_share(own.n_self, own.n_both),
        **{name: getattr(own, name) for name in same},
    )


def _share(part: int | None, whole: int | None) -> float | None:
    """Share of streamlines; None where one of the two is not known, or there are none."""
    return part / whole if part is not None and whole else None


def write_reliability(
    output_dir: Path, members: Sequence[Member], failures: list[Failure]
) -> None:
    """Write the table, unless nobody has parts; a damaged table of one session fails alone."""
    summaries = summarize_pairs(_read_all(output_dir, members, failures))
    replace_records(
        group_path(output_dir, "reliability.tsv"),
        [PartSummary],
        [[one] for one in summaries],
        description="How alike connectomes of parts of the data are, over sessions",
    )


def _read_all(
    output_dir: Path, members: Sequence[Member], failures: list[Failure]
) -> Iterator[list[PartPair]]:
    for member in members:
        folder = output_dir.joinpath(*(f"{k}-{v}" for k, v in member.entities.items()))
        names = (entry.name for entry in list_entries(folder / "func"))
        if not any(name.endswith("_reliability.tsv") for name in names):
            continue
        with failing_alone(failures, subject=member.subject, session=member.session, stage=STAGE):
            yield read_pairs(folder, member.measured_digests)
