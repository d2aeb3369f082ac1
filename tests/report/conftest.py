"""Pages of an invented participant and cohort: every section filled, hostile texts in them."""

from dataclasses import replace

import numpy as np
import pytest

from kraken_bids.flavors import describe_flavor, list_flavors
from kraken_bids.parcellations import load_parcellation
from kraken_bids.report.pages import (
    AdaptationFit,
    Coverage,
    EndShares,
    ErrorRow,
    FileLink,
    FlavorPanel,
    GroupPage,
    Identifiability,
    LatentRow,
    Latents,
    MetricRow,
    ModelInfo,
    Motion,
    Network,
    Notice,
    OutlierRow,
    ParticipantPage,
    PersonRow,
    Prediction,
    PredictionVerdicts,
    QualityRow,
    Reference,
    RunRow,
    TractogramRow,
)

FLAVORS = list_flavors(["fs86"], processings=["hpf", "hpfgsr", "volnorm"])
HOSTILE = "<script>alert('x')</script> & \"quoted\" {{ 7 * 7 }}"
MODEL = ModelInfo("demo_model", "ab" * 32, 5, 16, "synthetic")
REFERENCES = (
    Reference("Jamison et al. 2025", "https://doi.org/10.1038/s41592-025-02706-2"),
    Reference("not a link", "javascript:alert(1)"),
)


def make_square(group: str, seed: int) -> np.ndarray:
    """Symmetric matrix of 86 regions: correlations, or heavy-tailed counts with zeros."""
    rng = np.random.default_rng(seed)
    if group == "FC":
        return np.corrcoef(rng.normal(size=(86, 120)) + rng.normal(size=120) * 0.5)
    counts = rng.poisson(rng.lognormal(-1, 2, (86, 86))).astype(float)
    counts = np.triu(counts, 1)
    return counts + counts.T


def make_panel(flavor, seed: int = 0) -> FlavorPanel:
    """Panel of one flavor with two regions missing and two predictions."""
    parcellation = load_parcellation("fs86")
    measured = make_square(flavor.group, seed)
    measured[[3, 50]] = np.nan
    measured[:, [3, 50]] = np.nan
    crossed = "fusionSC" if flavor.group == "FC" else "fusionFC"
    return FlavorPanel(
        name=flavor.name,
        group=flavor.group,
        description=describe_flavor(flavor),
        region_groups=parcellation.groups,
        hemispheres=parcellation.hemispheres,
        measured=measured,
        predictions=(
            Prediction(crossed, make_square(flavor.group, seed + 1), 0.7, 0.2),
            Prediction("fusion", make_square(flavor.group, seed + 2), 0.8, None),
        ),
        n_imputed=2,
        mean_edge=0.1,
    )


@pytest.fixture(scope="session")
def participant_page() -> ParticipantPage:
    """Everything found, with warnings."""
    rng = np.random.default_rng(1)
    displacement = rng.gamma(2, 0.06, 200)
    displacement[[0, 50]] = np.nan, 3.0
    coverage = np.clip(rng.beta(30, 1, 86), 0, 1)
    coverage[[3, 50]] = 0.1, 0.0
    names = load_parcellation("fs86").region_names
    return ParticipantPage(
        subject="01",
        session="1",
        version="0.1.0",
        created="21 November 2026",
        notices=(Notice("info", "for information"), Notice("warning", HOSTILE)),
        runs=(
            RunRow(
                "rest", "01", "T1w", "bids:fmriprep:sub-01/func/a b.nii.gz", 5, 4.5, 1.5, 0.12, 20
            ),
            RunRow("", "", "MNI152NLin6Asym", HOSTILE, 5, 4.5, 1.5, None, 0),
        ),
        tractograms=(
            TractogramRow(
                "iFOD2",
                "x.tck",
                500_000,
                "w.csv",
                (EndShares("fs86", 0.8, 0.15, 0.05, 0.2, 0.6),),
                length_counts=(10, 500, 200, 9),
                n_longer=3,
                mean_length=9.5,
                network=Network(
                    HOSTILE,
                    names,
                    load_parcellation("fs86").groups,
                    load_parcellation("fs86").hemispheres,
                    make_square("SC", 4),
                ),
            ),
        ),
        motion=(Motion("task-rest_run-01", displacement, displacement < 0.5, 1.5, 0.5),),
        coverage=(Coverage("T1w", "fs86", coverage, names, 0.5),),
        flavors=tuple(make_panel(flavor, seed) for seed, flavor in enumerate(FLAVORS)),
        adaptation=tuple(
            AdaptationFit(flavor.name, "meanfit+meanshift", 0.9, 1e-5, 0.93, 12)
            for flavor in FLAVORS
        ),
        model=MODEL,
        latents=(LatentRow("fusion", 5, 0.8),),
        files=(FileLink("sub-01/func/a file#1.tsv", HOSTILE), FileLink("javascript:alert(1)")),
        references=REFERENCES,
        methods=("Region means …",),
        group_href="group.html",
        dataset=HOSTILE,
    )


@pytest.fixture(scope="session")
def bare_page(participant_page) -> ParticipantPage:
    """Nothing found but one predicted flavor; no model, no adaptation."""
    panel = replace(
        participant_page.flavors[-1], measured=None, mean_edge=None, n_imputed=0,
        predictions=(Prediction("fusionFC", make_square("SC", 9)),),
    )  # fmt: skip
    return replace(
        participant_page, session=None, notices=(), runs=(), tractograms=(), motion=(),
        coverage=(), flavors=(panel,), adaptation=(), model=None, latents=(), files=(),
        references=(), methods=(), group_href="",
    )  # fmt: skip


@pytest.fixture(scope="session")
def group_page() -> GroupPage:
    """Twelve participants, one without SC, two outliers."""
    rng = np.random.default_rng(2)
    n = 12
    names = tuple(flavor.name for flavor in FLAVORS)
    groups = tuple(flavor.group for flavor in FLAVORS)
    sources, source_groups = (
        ("fusion", "fusionSC", "fusionFC", *names),
        ("both", "SC", "FC", *groups),
    )
    shape = (len(sources), len(names))
    rank, first = rng.uniform(0.5, 1, shape), rng.uniform(0, 1, shape)
    rank[4, 1] = first[4, 1] = np.nan
    latents = rng.normal(size=(n, 16))
    sc = latents + rng.normal(size=latents.shape) * 0.2
    sc[2] = np.nan
    labels = tuple(f"sub-{i + 1:02d}" for i in range(n))
    means = {flavor: np.abs(rng.normal(size=3655)) for flavor in FLAVORS}
    return GroupPage(
        n_participants=n,
        n_sessions=n,
        version="0.1.0",
        created="21 November 2026",
        notices=(Notice("warning", HOSTILE),),
        model=MODEL,
        identifiability=Identifiability(sources, source_groups, names, groups, rank, first, n),
        latents=Latents(labels, latents, np.arange(n) < 2, latents, sc),
        outliers=(OutlierRow("sub-01", 0.6, 4.2, HOSTILE, "sub-01.html"),),
        adaptation=tuple(
            AdaptationFit(f.name, "meanfit+meanshift", 0.9, 0.01, 0.9, n, x, 0.9 * x + 0.01)
            for f, x in means.items()
        ),
        quality=tuple(
            QualityRow(label, 5, 5, 9.5, 0.1, 0.4, 2, 0.8, (HOSTILE,), f"{label}.html")
            for label in labels
        ),
        metrics=(MetricRow("fusionSC", names[0], 0.8, 0.3, 0.7, 0.2),),
        files=(FileLink("group/metrics.tsv", "metrics"),),
        references=REFERENCES,
        dataset=HOSTILE,
        people=(
            PersonRow("sub-99", "failed", (HOSTILE,)),
            *(
                PersonRow(label, "good", (), f"{label}.html", {"age": str(20 + k), HOSTILE: "a"})
                for k, label in enumerate(labels)
            ),
        ),
        columns=("age", HOSTILE),
        errors=(ErrorRow("sub-99", "inputs", HOSTILE),),
        verdicts=(PredictionVerdicts(names[0], "FC", {"fusion": (n - 2, 1, 1)}),),
    )
