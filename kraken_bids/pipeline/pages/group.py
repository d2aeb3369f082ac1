"""What the group's report shows, gathered from the files in OUTPUT_DIR."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.pipeline.pages.arrays import read_means
from kraken_bids.pipeline.pages.cohort_notices import MAX_NAMES, list_cohort_warnings
from kraken_bids.pipeline.pages.colours import choose_colouring
from kraken_bids.pipeline.pages.gathered import Gathered
from kraken_bids.pipeline.pages.links import name_pages
from kraken_bids.pipeline.pages.motion import list_motion_effects
from kraken_bids.pipeline.pages.participant import REFERENCES
from kraken_bids.pipeline.pages.people import list_errors, read_outliers, read_people_table
from kraken_bids.pipeline.pages.tables import WHOSE, label_rows, read_group_table
from kraken_bids.pipeline.pages.trust import count_verdicts
from kraken_bids.pipeline.pages.written import display_order, parse_known, stack_latents
from kraken_bids.report.pages import (
    AdaptationFit,
    FileLink,
    GroupPage,
    Identifiability,
    Latents,
    MetricRow,
    Notice,
    OutlierRow,
    PersonRow,
    SourceGroup,
)
from kraken_bids.scores.quality_control import METRIC_WORDS

SOURCE_GROUPS: dict[str, SourceGroup] = {"fusion": "both", "fusionFC": "FC", "fusionSC": "SC"}
GROUP_FILES = {
    "adaptation.json": "adaptation of every flavor, to read",
    "adaptation.h5": "the adaptation itself, for --adaptation",
    "latents.tsv": "latent vectors of everyone",
    "participants.tsv": "one verdict per participant",
    "predictions.tsv": "one verdict per prediction",
    "metrics.tsv": "metrics of every source and target",
    "qc.tsv": "quality of every measured connectome",
    "qcfc.tsv": "dependence of functional connectomes on head motion",
    "pcorr.tsv": "search for the ridge of the partial correlations; pcorr.json has the choice",
    "outliers.tsv": "distance of everyone's latents from the cohort's",
    "mean_connectomes.h5": "mean measured connectomes",
}


def build_group_page(
    output_dir: Path,
    members: Sequence[Member],
    gathered: Gathered,
    *,
    people: Sequence[PersonRow],
    dataset: str,
    bids_dir: Path | None = None,
) -> GroupPage:
    """Gather the page of the cohort, a dataset by name, from what the group level has written.

    Parameters
    ----------
    output_dir : Path
    members : sequence of Member
        Those with connectomes.
    gathered : Gathered
        What their files say.
    people : sequence of PersonRow
        They, and whoever failed altogether.
    dataset : str
    bids_dir : Path, optional
        Where ``participants.tsv`` may lie too.
    """
    metrics = _read_metrics(output_dir)
    identifiability = _tabulate(metrics)
    latents = _list_latents(output_dir, members)
    folders = [folder for folder in (bids_dir, output_dir) if folder is not None]
    outliers = read_outliers(output_dir)
    said = list_cohort_warnings(gathered.of_group, gathered.warnings, len(members))
    columns, facts, absent = read_people_table(folders, people)
    if latents is not None:
        colouring = choose_colouring(latents.labels, columns, facts)
        latents = replace(latents, colouring=colouring)
    return GroupPage(
        n_participants=len({row.participant.partition("_")[0] for row in people}),
        n_sessions=len(people),
        version=__version__,
        created=date.today().isoformat(),
        notices=(
            *(Notice("warning", text) for text in said),
            *_list_notices(gathered, identifiability),
            *(Notice("info", text) for text in _say_absent(absent)),
        ),
        model=gathered.model,
        identifiability=identifiability,
        latents=latents,
        outliers=_list_outliers(output_dir, members),
        trust=gathered.trust,
        adaptation=_list_adaptation(output_dir),
        quality=gathered.quality,
        metrics=_list_metrics(metrics),
        files=tuple(
            FileLink(f"group/{name}", words)
            for name, words in GROUP_FILES.items()
            if group_path(output_dir, name).exists()
        ),
        references=REFERENCES,
        dataset=dataset,
        motion=list_motion_effects(output_dir),
        n_with_motion=gathered.n_with_motion,
        people=tuple(replace(row, facts=facts[row.participant]) for row in people),
        columns=columns,
        errors=list_errors(output_dir, members),
        verdicts=count_verdicts(output_dir),
        n_judged_outliers=len(set(label_rows(outliers))) if outliers else 0,
    )


def _read_metrics(output_dir: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Metrics by source and target."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    names = ("source", "target", "metric")
    columns = read_group_table(output_dir, "metrics.tsv", numbers=("value",), texts=names)
    rows = zip(*(columns[key] for key in (*names, "value")), strict=True) if columns else ()
    for source, target, metric, value in rows:
        found.setdefault((str(source), str(target)), {})[str(metric)] = float(value)
    known = {flavor.name for flavor in parse_known({name for pair in found for name in pair})}
    return {
        (source, target): values
        for (source, target), values in found.items()
        if {source, target} <= known | set(SOURCE_GROUPS) and set(METRIC_WORDS) <= set(values)
    }


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
        n_fewest=int(min(values["n"] for values in metrics.values())),
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
            n=int(values["n"]),
        )
        for (source, target), values in metrics.items()
        if source in SOURCE_GROUPS
    )


def _list_notices(
    gathered: Gathered, identifiability: Identifiability | None
) -> tuple[Notice, ...]:
    if gathered.model is None:
        return (Notice("info", "There are no predictions: no model was asked."),)
    notices = []
    if identifiability is None:
        notices.append(
            Notice("info", "Fewer than three participants have both a measured and a predicted "
                   "connectome of one flavor: there is nobody to be told apart from.")
        )  # fmt: skip
    notices += [Notice("warning", text) for text in gathered.adaptation_notices]
    return tuple(notices)


def _say_absent(absent: Sequence[str]) -> list[str]:
    """Say of whom the table of participants knows and OUTPUT_DIR does not."""
    if not absent:
        return []
    more = f" and {len(absent) - MAX_NAMES} more" if len(absent) > MAX_NAMES else ""
    return [
        f"Of {len(absent)} participant(s) of participants.tsv there is nothing here, neither "
        f"results nor an error: {', '.join(absent[:MAX_NAMES])}{more}."
    ]


def _list_latents(output_dir: Path, members: Sequence[Member]) -> Latents | None:
    columns = read_group_table(
        output_dir, "latents.tsv", numbers=("z000",), texts=(*WHOSE, "source")
    )
    if not columns:
        return None
    values = stack_latents(columns)
    labels = label_rows(columns)
    outliers = {row.participant for row in _list_outliers(output_dir, members)}
    places = {label: row for row, label in enumerate(dict.fromkeys(labels))}

    def rows_of(source: str) -> NDArray[np.float64]:
        table = np.full((len(places), values.shape[1]), np.nan)
        for k in np.flatnonzero(columns["source"] == source):
            table[places[labels[k]]] = values[k]
        return table

    return Latents(
        labels=tuple(places),
        fusion=rows_of("fusion"),
        outliers=np.array([label in outliers for label in places]),
        fc=rows_of("fusionFC") if "fusionFC" in columns["source"] else None,
        sc=rows_of("fusionSC") if "fusionSC" in columns["source"] else None,
    )


def _list_outliers(output_dir: Path, members: Sequence[Member]) -> tuple[OutlierRow, ...]:
    columns = read_outliers(output_dir)
    if not columns:
        return ()
    labels, pages = label_rows(columns), name_pages(members)
    return tuple(
        OutlierRow(
            participant=labels[k],
            distance=float(columns["distance"][k]),
            z=float(columns["z"][k]),
            reason=f"latent of {columns['source'][k]} far from the cohort's median",
            href=pages.get(labels[k], ""),
        )
        for k in np.flatnonzero(columns["outlier"] == 1)
    )


def _list_adaptation(output_dir: Path) -> tuple[AdaptationFit, ...]:
    path = group_path(output_dir, "adaptation.json")
    known = read_facts(path).part("Flavors").by_name() if path.exists() else {}
    means = read_means(output_dir) if known else {}
    fits = []
    for flavor in sorted(parse_known(known), key=display_order):
        fit = known.get(flavor.name, Facts())
        new_mean, training_mean = means.get(flavor.name, (None, None))
        fits.append(
            AdaptationFit(
                flavor=flavor.name,
                mode=fit.text("Mode"),
                b0=fit.number("b0"),
                b1=fit.number("b1"),
                r2=fit.number("R2"),
                n_subjects=fit.count("NumberOfSubjects"),
                new_mean=new_mean,
                training_mean=training_mean,
            )
        )
    return tuple(fits)
