"""What the group's report shows, gathered from the files in OUTPUT_DIR."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import group_path, report_path
from kraken_bids.bids.read import read_columns, read_json
from kraken_bids.flavors import parse_flavor
from kraken_bids.pipeline.cohort import Member
from kraken_bids.pipeline.pages.motion import count_with_motion, list_motion_effects
from kraken_bids.pipeline.pages.participant import REFERENCES, describe_model
from kraken_bids.pipeline.pages.trust import list_cohort_trust
from kraken_bids.pipeline.pages.written import Written, display_order
from kraken_bids.report.pages import (
    AdaptationFit,
    FileLink,
    GroupPage,
    Identifiability,
    Latents,
    MetricRow,
    ModelInfo,
    Notice,
    OutlierRow,
    QualityRow,
    SourceGroup,
)

Columns = dict[str, NDArray[Any]]

SOURCE_GROUPS: dict[str, SourceGroup] = {"fusion": "both", "fusionFC": "FC", "fusionSC": "SC"}
GROUP_FILES = {
    "adaptation.json": "adaptation of every flavor, to read",
    "adaptation.h5": "the adaptation itself, for --adaptation",
    "latents.tsv": "latent vectors of everyone",
    "metrics.tsv": "metrics of every source and target",
    "qc.tsv": "quality of every measured connectome",
    "qcfc.tsv": "dependence of functional connectomes on head motion",
    "pcorr.tsv": "search for the ridge of the partial correlations; pcorr.json has the choice",
    "outliers.tsv": "distance of everyone's latents from the cohort's",
    "mean_connectomes.h5": "mean measured connectomes",
}
LOW_BOTH_ENDS = 0.3
HIGH_FD = 0.5


def build_group_page(output_dir: Path, members: Sequence[Member], *, dataset: str) -> GroupPage:
    """Gather the page of the cohort, a dataset by name, from what the group level has written."""
    metrics = _read_metrics(output_dir)
    identifiability = _tabulate(metrics)
    latents = _list_latents(output_dir)
    model = next(filter(None, (describe_model(Written(output_dir, m)) for m in members)), None)
    return GroupPage(
        n_participants=len({member.subject for member in members}),
        n_sessions=len(members),
        version=__version__,
        created=date.today().isoformat(),
        notices=_list_notices(members, identifiability, model),
        model=model,
        identifiability=identifiability,
        latents=latents,
        outliers=_list_outliers(output_dir),
        trust=list_cohort_trust(output_dir, members),
        adaptation=_list_adaptation(output_dir),
        quality=_list_quality(output_dir, members),
        metrics=_list_metrics(metrics),
        files=tuple(
            FileLink(f"group/{name}", words)
            for name, words in GROUP_FILES.items()
            if group_path(output_dir, name).exists()
        ),
        references=REFERENCES,
        dataset=dataset,
        motion=list_motion_effects(output_dir),
        n_with_motion=count_with_motion(members),
    )


def _read(output_dir: Path, name: str) -> Columns:
    path = group_path(output_dir, name)
    return read_columns(path) if path.exists() else {}


def _read_metrics(output_dir: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Metrics by source and target."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for source, target, metric, value in zip(
        *_read(output_dir, "metrics.tsv").values(), strict=True
    ):
        found.setdefault((str(source), str(target)), {})[str(metric)] = float(value)
    return found


def _tabulate(metrics: dict[tuple[str, str], dict[str, float]]) -> Identifiability | None:
    if not metrics:
        return None
    targets = sorted({target for _, target in metrics}, key=_order)
    fusions = [name for name in SOURCE_GROUPS if any(source == name for source, _ in metrics)]
    singles = {source for source, _ in metrics} - set(SOURCE_GROUPS)
    sources = [*fusions, *sorted(singles, key=_order)]

    def table(metric: str) -> NDArray[np.float64]:
        empty = {metric: np.nan}
        rows = [[metrics.get((s, t), empty)[metric] for t in targets] for s in sources]
        return np.array(rows)

    return Identifiability(
        sources=tuple(sources),
        source_groups=tuple(SOURCE_GROUPS.get(s) or parse_flavor(s).group for s in sources),
        targets=tuple(targets),
        target_groups=tuple(parse_flavor(t).group for t in targets),
        average_rank=table("avgrank"),
        top1_accuracy=table("top1acc"),
        n_participants=int(max(values["n"] for values in metrics.values())),
    )


def _order(name: str) -> tuple[str, int, str]:
    return display_order(parse_flavor(name))


def _list_metrics(metrics: dict[tuple[str, str], dict[str, float]]) -> tuple[MetricRow, ...]:
    return tuple(
        MetricRow(
            source=source,
            target=target,
            average_rank=values["avgrank"],
            top1_accuracy=values["top1acc"],
            average_correlation=values["avgcorr"],
            average_correlation_resid=values["avgcorr_resid"],
            explained_variance=values["explainedvar"],
        )
        for (source, target), values in metrics.items()
        if source in SOURCE_GROUPS
    )


def _list_notices(
    members: Sequence[Member], identifiability: Identifiability | None, model: ModelInfo | None
) -> tuple[Notice, ...]:
    if model is None:
        return (Notice("info", "There are no predictions: no model was asked."),)
    notices = []
    if identifiability is None:
        notices.append(
            Notice("info", "Fewer than three participants have both a measured and a predicted "
                   "connectome of one flavor: there is nobody to be told apart from.")
        )  # fmt: skip
    if len(members) < 10:
        notices.append(
            Notice("warning", f"The adaptation rests on {len(members)} sessions only; with fewer "
                   "than 10 the cohort's mean is noisy, and so are the predictions.")
        )  # fmt: skip
    return tuple(notices)


def _list_latents(output_dir: Path) -> Latents | None:
    columns = _read(output_dir, "latents.tsv")
    if not columns:
        return None
    values = np.stack([v for key, v in columns.items() if key.startswith("z")], axis=1)
    labels = _label_rows(columns)
    outliers = {row.participant for row in _list_outliers(output_dir)}
    people = list(dict.fromkeys(labels))

    def rows_of(source: str) -> NDArray[np.float64]:
        table = np.full((len(people), values.shape[1]), np.nan)
        for k in np.flatnonzero(columns["source"] == source):
            table[people.index(labels[k])] = values[k]
        return table

    return Latents(
        labels=tuple(people),
        fusion=rows_of("fusion"),
        outliers=np.array([label in outliers for label in people]),
        fc=rows_of("fusionFC") if "fusionFC" in columns["source"] else None,
        sc=rows_of("fusionSC") if "fusionSC" in columns["source"] else None,
    )


def _label_rows(columns: Columns) -> list[str]:
    return [
        str(participant) + ("" if _is_absent(session) else f"_{session}")
        for participant, session in zip(
            columns["participant_id"], columns["session_id"], strict=True
        )
    ]


def _is_absent(value: object) -> bool:
    return str(value) in {"n/a", "nan"}


def _list_outliers(output_dir: Path) -> tuple[OutlierRow, ...]:
    columns = _read(output_dir, "outliers.tsv")
    if not columns:
        return ()
    labels = _label_rows(columns)
    return tuple(
        OutlierRow(
            participant=labels[k],
            distance=float(columns["distance"][k]),
            z=float(columns["z"][k]),
            reason=f"latent of {columns['source'][k]} far from the cohort's median",
            href=f"{columns['participant_id'][k]}.html",
        )
        for k in np.flatnonzero(columns["outlier"] == 1)
    )


def _list_adaptation(output_dir: Path) -> tuple[AdaptationFit, ...]:
    path = group_path(output_dir, "adaptation.json")
    means = group_path(output_dir, "mean_connectomes.h5")
    if not (path.exists() and means.exists()):
        return ()
    fits = []
    with h5py.File(means) as file:
        for name, fit in read_json(path)["Flavors"].items():
            group = file.get(name, {})
            fits.append(
                AdaptationFit(
                    flavor=name,
                    mode=fit["Mode"],
                    b0=fit["b0"],
                    b1=fit["b1"],
                    r2=fit["R2"],
                    n_subjects=fit["NumberOfSubjects"],
                    new_mean=np.asarray(group["measured"]) if "measured" in group else None,
                    training_mean=np.asarray(group["training"]) if "training" in group else None,
                )
            )
    return tuple(sorted(fits, key=lambda fit: _order(fit.flavor)))


def _list_quality(output_dir: Path, members: Sequence[Member]) -> tuple[QualityRow, ...]:
    columns = _read(output_dir, "qc.tsv")
    if not columns:
        return ()
    labels = np.array(_label_rows(columns))
    rows = []
    for member in members:
        own = labels == member.label
        if own.any():
            table = {key: values[own] for key, values in columns.items()}
            rows.append(_summarise(member, table, output_dir))
    return tuple(rows)


def _summarise(member: Member, rows: Columns, output_dir: Path) -> QualityRow:
    fd, minutes = _worst(rows["mean_fd"], np.max), _worst(rows["minutes"], np.min)
    ends = _worst(rows["both_ends"], np.min)
    unused = [str(name) for name in rows["flavor"][rows["used_as_input"] == 0]]
    model_flavors = {flavor.name for flavor in Written(output_dir, member).list_targets()}
    flags = [f"{name} not used" for name in unused if name in model_flavors]
    if fd is not None and fd > HIGH_FD:
        flags.append(f"mean FD {fd:.2f} mm")
    if ends is not None and ends < LOW_BOTH_ENDS:
        flags.append(f"only {ends:.0%} of streamlines end in regions")
    return QualityRow(
        participant=member.label,
        n_measured=len(rows["flavor"]),
        n_inputs=int(rows["used_as_input"].sum()),
        minutes_kept=minutes,
        mean_fd=fd,
        mean_dvars=_worst(rows["mean_dvars"], np.max) if "mean_dvars" in rows else None,
        median_tsnr=_worst(rows["median_tsnr"], np.min) if "median_tsnr" in rows else None,
        lowest_coverage=_lowest_coverage(Written(output_dir, member)),
        n_imputed=int(rows["n_missing_regions"].max()),
        both_ends=ends,
        flags=tuple(flags),
        href=report_path(output_dir, member.subject).name,
    )


def _worst(values: NDArray[Any], pick: Any) -> float | None:
    numbers = np.asarray(values, float)
    numbers = numbers[np.isfinite(numbers)]
    return float(pick(numbers)) if numbers.size else None


def _lowest_coverage(written: Written) -> float | None:
    shares = [
        float(np.min(read_columns(path)["coverage"]))
        for path in written.folder.glob("func/*_coverage.tsv")
    ]
    return min(shares) if shares else None
