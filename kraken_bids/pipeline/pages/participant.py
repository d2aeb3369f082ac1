"""What a participant's report shows, gathered from the files in OUTPUT_DIR."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from kraken_bids import __version__
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import group_report_path
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.io.facts import Facts
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.pages.bold import list_coverage, list_motion, list_runs
from kraken_bids.pipeline.pages.links import Neighbours
from kraken_bids.pipeline.pages.notices import list_notices
from kraken_bids.pipeline.pages.registration import list_registration
from kraken_bids.pipeline.pages.trust import list_trust_rows
from kraken_bids.pipeline.pages.verdicts import read_person
from kraken_bids.pipeline.pages.written import Written, build_panels, stack_latents
from kraken_bids.report.pages import (
    AdaptationFit,
    EndShares,
    FileLink,
    FlavorPanel,
    LatentRow,
    ModelInfo,
    Network,
    ParticipantPage,
    Reference,
    TractogramRow,
)

REFERENCES = (
    Reference(
        "Jamison KW, Gu Z, Wang Q, Tozlu C, Sabuncu MR, Kuceyeski A. Krakencoder: a unified brain "
        "connectome translation and fusion tool. Nature Methods (2025).",
        "https://doi.org/10.1038/s41592-025-02706-2",
    ),
)
ALGORITHMS = {"ifod2": "iFOD2", "sdstream": "SD_STREAM"}
FILE_WORDS = {
    "relmat": "connectome",
    "timeseries": "region means before cleaning",
    "hpf_timeseries": "region means after cleaning",
    "quality_timeseries": "motion and signal of every volume",
    "dseg": "regions on the grid of the BOLD series",
    "coverage": "coverage of each region",
    "latents": "latent vectors",
    "relmats": "predicted connectomes",
}


def build_participant_page(
    output_dir: Path,
    member: Member,
    *,
    dataset: str = "",
    neighbours: Neighbours = (None, None),
) -> ParticipantPage:
    """Gather the page of one session, of a dataset by name, from what has been written for it."""
    written = Written(output_dir, member)
    group_report = group_report_path(output_dir)
    panels, motion, coverage = build_panels(written), list_motion(written), list_coverage(written)
    return ParticipantPage(
        subject=member.subject,
        session=member.session,
        version=__version__,
        created=date.today().isoformat(),
        notices=list_notices(written, panels, motion=motion, coverage=coverage),
        runs=list_runs(written),
        tractograms=_list_tractograms(written, panels),
        motion=motion,
        coverage=coverage,
        flavors=panels,
        adaptation=tuple(
            AdaptationFit(
                flavor,
                mode,
                fit.number("b0"),
                fit.number("b1"),
                fit.number("R2"),
                fit.count("CohortSize"),
            )
            for flavor, (mode, fit) in sorted(_list_fits(written).items())
        ),
        model=describe_model(written),
        latents=_list_latents(written),
        files=_list_files(written),
        references=REFERENCES,
        methods=_describe_methods(written),
        group_href=group_report.name if group_report.exists() else "",
        trust=list_trust_rows(written),
        dataset=dataset,
        registration=list_registration(written),
        person=read_person(output_dir, member.label),
        neighbours=neighbours,
        n_connectomes=len(written.measured),
    )


def describe_model(written: Written) -> ModelInfo | None:
    """Describe the model that made a session's predictions; None before there are any."""
    if not written.sources:
        return None
    first = next(iter(written.sources.values()))
    n_latent = sum(name.startswith("z") for name in written.latent_columns)
    n_flavors = first.count("ModelFlavors") or 0
    return ModelInfo(first.text("Model"), first.text("ModelSHA256"), n_flavors, n_latent)


def _list_fits(written: Written) -> dict[str, tuple[str, Facts]]:
    """Mode and numbers of every input flavor that was adapted."""
    return {
        flavor: (facts.text("AdaptationMode"), fit)
        for facts in written.sources.values()
        for flavor, fit in facts.part("Adaptation").by_name().items()
    }


def _list_tractograms(
    written: Written, panels: Sequence[FlavorPanel]
) -> tuple[TractogramRow, ...]:
    found: dict[str, dict[str, Facts]] = {}
    for flavor, sidecar in sorted(written.measured.items()):
        is_known = sidecar.text("TractographyAlgorithm") in ALGORITHMS
        if is_known and sidecar.part("Streamlines").count("n_streamlines"):
            found.setdefault(_first_source(sidecar), {})[flavor.parcellation] = sidecar
    squares = {panel.name: panel for panel in panels if panel.measured is not None}
    return tuple(
        _describe_tractogram(uri, sidecars, _pick_network(written, uri, squares))
        for uri, sidecars in found.items()
    )


def _first_source(sidecar: Facts) -> str:
    return next(iter(sidecar.texts("Sources")), "")


def _describe_tractogram(
    uri: str, sidecars: dict[str, Facts], network: Network | None
) -> TractogramRow:
    first = next(iter(sidecars.values()))
    lengths = first.part("LengthHistogram")
    ends = (_share_ends(name, s.part("Streamlines")) for name, s in sidecars.items())
    return TractogramRow(
        algorithm=ALGORITHMS[first.text("TractographyAlgorithm")],
        file=uri.rpartition("/")[2],
        n_streamlines=first.part("Streamlines").count("n_streamlines") or 0,
        weights=first.text("SIFT2Weights").rpartition("/")[2],
        ends=tuple(share for share in ends if share is not None),
        length_counts=tuple(map(int, lengths.numbers("Counts"))),
        length_bin_mm=lengths.number("BinWidth") or 5.0,
        n_longer=lengths.count("Longer") or 0,
        mean_length=lengths.number("Mean"),
        network=network,
    )


def _pick_network(written: Written, uri: str, panels: Mapping[str, FlavorPanel]) -> Network | None:
    """Pick the connectome of a tractogram that a circle shows best: few regions, volnorm."""
    order = (*list_parcellations(), *written.own_atlases)
    flavors = [
        flavor
        for flavor, sidecar in written.measured.items()
        if flavor.name in panels and _first_source(sidecar) == uri
    ]
    flavors.sort(key=lambda f: (order.index(f.parcellation), f.processing != "volnorm", f.name))
    if not flavors:
        return None
    panel, table = panels[flavors[0].name], written.read_regions(flavors[0].parcellation)
    square = panel.measured
    if square is None or not (np.nan_to_num(square) > 0).any():
        return None
    return Network(panel.name, table.region_names, table.groups, table.hemispheres, square)


def _share_ends(parcellation: str, counts: Facts) -> EndShares | None:
    """Share of streamlines by where they end; None where that was not counted."""
    n_all, n_both = counts.count("n_streamlines"), counts.count("n_both")
    n_one, n_none = counts.count("n_one"), counts.count("n_none")
    if not n_all or n_both is None or n_one is None or n_none is None:
        return None
    n_self = counts.count("n_self")
    within = n_self / n_both if n_self is not None and n_both else None
    shares = (n_both / n_all, n_one / n_all, n_none / n_all)
    return EndShares(parcellation, *shares, within, counts.number("density"))


def _list_latents(written: Written) -> tuple[LatentRow, ...]:
    columns = written.latent_columns
    if not columns:
        return ()
    norms = np.linalg.norm(stack_latents(columns), axis=1)
    return tuple(
        LatentRow(str(source), int(n), float(norm))
        for source, n, norm in zip(columns["source"], columns["n_inputs"], norms, strict=True)
        if np.isfinite(n)
    )


def _list_files(written: Written) -> tuple[FileLink, ...]:
    links = []
    for path in written.list_files("**/*"):
        if path.name.endswith((".tsv", ".h5", ".nii.gz")) and not path.name.startswith("."):
            entities = parse_name(path)
            suffix = entities.get("suffix", "")
            made = "predicted " if "kraken_relmat." in path.name else "measured "
            words = FILE_WORDS.get(f"{entities.get('desc')}_{suffix}") or FILE_WORDS.get(suffix)
            words = (made if suffix == "relmat" else "") + (words or suffix)
            links.append(FileLink(path.relative_to(written.output_dir).as_posix(), words))
    return tuple(links)


def _describe_methods(written: Written) -> tuple[str, ...]:
    paragraphs = []
    for sidecar in written.measured.values():
        denoising, high_pass = sidecar.text("Denoising"), sidecar.number("HighPass")
        if not denoising or high_pass is None:
            continue
        paragraphs.append(
            "Region means of the preprocessed BOLD series were cleaned in one regression "
            f"({denoising}) and high-pass filtered at {high_pass:g} Hz; "
            "runs were z-scored and concatenated. Functional connectomes are Pearson "
            "correlations, with and without global signal regression, and ridge partial "
            "correlations."
        )
        break
    for sidecar in written.measured.values():
        radius, units = sidecar.number("SearchRadius"), sidecar.text("UnitsDescription")
        if "Streamlines" in sidecar and radius is not None:
            paragraphs.append(
                f"Streamline ends were given to the nearest region within {radius:g} mm; {units}."
            )
            break
    return tuple(paragraphs)
