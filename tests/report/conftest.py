"""Pages of an invented participant and cohort: every section filled, hostile texts in them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from kraken_bids.flavors import describe_flavor, list_flavors
from kraken_bids.parcellations import load_parcellation
from kraken_bids.report.boilerplate.text import Boilerplate
from kraken_bids.report.circle import Circle
from kraken_bids.report.contents import OF_GROUP, OF_SUBJECT
from kraken_bids.report.panels import FlavorPanel, PredictedMatrix
from kraken_bids.report.section import FileLink, Notice, Page, Tile
from kraken_bids.report.sections.about_person import Strip, SubjectWorth, WorthPanel
from kraken_bids.report.sections.coverage import Coverage
from kraken_bids.report.sections.error_list import ErrorRow
from kraken_bids.report.sections.glance import list_predictions
from kraken_bids.report.sections.identifiability import Identifiability
from kraken_bids.report.sections.input_runs import RunRow
from kraken_bids.report.sections.latent_map import Latents
from kraken_bids.report.sections.model_facts import LatentRow, ModelInfo
from kraken_bids.report.sections.motion import Motion
from kraken_bids.report.sections.session_quality import QualityRow
from kraken_bids.report.sections.site_adaptation import AdaptationFit
from kraken_bids.report.sections.structure import EndShares, TractogramRow
from kraken_bids.report.sections.structure_function import Discordance
from kraken_bids.report.sections.subject_table import colour_cells
from kraken_bids.report.sections.verdict_shares import VerdictShares
from kraken_bids.report.subjects import SubjectRow
from kraken_bids.report.worth_words import Claim
from kraken_bids.scores.deviations import Finding
from kraken_bids.scores.quality_control import METRIC_WORDS, Metric

FLAVORS = list_flavors(["fs86"], processings=["hpf", "hpfgsr", "volnorm"])
HOSTILE = "<script>alert('x')</script> & \"quoted\" {{ 7 * 7 }}"
MODEL = ModelInfo("demo_model", "ab" * 32, 5, 16)
REFERENCES = (
    ("Jamison et al. 2025", "https://doi.org/10.1038/s41592-025-02706-2"),
    ("not a link", "javascript:alert(1)"),
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
            PredictedMatrix(crossed, make_square(flavor.group, seed + 1), 0.7, 0.2),
            PredictedMatrix("fusion", make_square(flavor.group, seed + 2), 0.8, None),
        ),
        n_imputed=2,
        mean_edge=0.1,
    )


@pytest.fixture(scope="session")
def show() -> Callable[..., Page]:
    """Show a page with other data in some of its sections; None leaves one out."""

    def show(page: Page, **sections: object) -> Page:
        data = {**page.data, **sections}
        return replace(page, data={name: own for name, own in data.items() if own is not None})

    return show


@pytest.fixture(scope="session")
def participant_page() -> Page:
    """Everything found, with warnings."""
    rng = np.random.default_rng(1)
    displacement = rng.gamma(2, 0.06, 200)
    displacement[[0, 50]] = np.nan, 3.0
    coverage = np.clip(rng.beta(30, 1, 86), 0, 1)
    coverage[[3, 50]] = 0.1, 0.0
    names = load_parcellation("fs86").region_names
    panels = tuple(make_panel(flavor, seed) for seed, flavor in enumerate(FLAVORS))
    tractograms = (
        TractogramRow(
            "iFOD2",
            "x.tck",
            500_000,
            "w.csv",
            (EndShares("fs86", 0.8, 0.15, 0.05, 0.2, 0.6),),
            length_counts=(10, 500, 200, 9),
            n_longer=3,
            mean_length=9.5,
            network=Circle(
                HOSTILE,
                names,
                load_parcellation("fs86").groups,
                load_parcellation("fs86").hemispheres,
                make_square("SC", 4),
            ),
        ),
    )
    fits = tuple(
        AdaptationFit(flavor.name, "meanfit+meanshift", 0.9, 1e-5, 0.93, 12) for flavor in FLAVORS
    )
    data = {
        "inputs": {
            "runs": (
                RunRow(
                    "rest",
                    "01",
                    "T1w",
                    "bids:fmriprep:sub-01/func/a b.nii.gz",
                    5,
                    4.5,
                    1.5,
                    0.12,
                    20,
                ),
                RunRow("", "", "MNI152NLin6Asym", HOSTILE, 5, 4.5, 1.5, None, 0),
            ),
            "tractograms": tractograms,
        },
        "structure": tractograms,
        "motion": (Motion("task-rest_run-01", displacement, displacement < 0.5, 1.5, 0.5),),
        "coverage": (Coverage("T1w", "fs86", coverage, names, 0.5),),
        "worth": SubjectWorth(
            (
                WorthPanel(
                    FLAVORS[0],
                    "fusionSC",
                    Claim("about this person", HOSTILE),
                    (Strip("gain over the mean", HOSTILE, 0.4, (0.3, 0.5), (0.1, 0.9), 0.2),),
                ),
            )
        ),
        "glance": list_predictions(panels),
        "discordance": Discordance(
            [Finding(FLAVORS[0].name, "fusionSC", "shift", "region", HOSTILE, 1, 0, 5, 0, 0, 95)],
            [FLAVORS[0].name],
            95,
            27,
            ("age", HOSTILE),
        ),
        "connectomes": {"fs86": panels},
        "adaptation": {"fits": fits, "otherwise": "", "by": "site Leipzig"},
        "model": {"model": MODEL, "latents": (LatentRow("fusion", 5, 0.8),)},
        "methods": Boilerplate(
            (("Functional connectomes", f"Means {HOSTILE} [@shen2013parcellation]."),)
        ),
        "files": (FileLink("sub-01/func/a file#1.tsv", HOSTILE), FileLink("javascript:alert(1)")),
        "citation": REFERENCES,
    }
    return Page(
        OF_SUBJECT,
        data,
        title="sub-01 / ses-1",
        kicker="report",
        heading="sub-01 / ses-1",
        under=(HOSTILE, "Predicted with demo_model"),
        tiles=(Tile("good", "verdict", HOSTILE, "good"),),
        notices=(Notice("info", "for information"), Notice("warning", HOSTILE)),
        group_href="group.html",
    )


@pytest.fixture(scope="session")
def bare_page(participant_page) -> Page:
    """Nothing found but one predicted flavor; no model, no adaptation."""
    panel = replace(
        participant_page.data["connectomes"]["fs86"][-1], measured=None, mean_edge=None,
        n_imputed=0, predictions=(PredictedMatrix("fusionFC", make_square("SC", 9)),),
    )  # fmt: skip
    data = {
        "inputs": {"runs": (), "tractograms": ()},
        "glance": list_predictions([panel]),
        "connectomes": {"fs86": (panel,)},
        "adaptation": {"fits": (), "otherwise": "nothing was adapted", "by": ""},
        "model": {"model": None, "latents": ()},
        "files": (),
    }
    return replace(participant_page, data=data, under=(), tiles=(), notices=(), group_href="")


@pytest.fixture(scope="session")
def group_page() -> Page:
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
    rows = (
        SubjectRow("sub-99", "failed", (HOSTILE,)),
        *(
            SubjectRow(label, "good", (), f"{label}.html", {"age": str(20 + k), HOSTILE: "a"})
            for k, label in enumerate(labels)
        ),
    )
    columns = {
        name: colour_cells([row.facts.get(name, "") for row in rows]) for name in ("age", HOSTILE)
    }
    scores = {
        name: Metric("fusionSC", names[0], name, value, p=0.02, low=0.1, high=0.4, n=12)
        for name, value in [*dict.fromkeys(METRIC_WORDS, 0.3).items(), ("n", 12.0)]
    }
    outlier = {"distance": 0.6, "z": 4.2, "source": HOSTILE, "href": "sub-01.html"}
    data = {
        "participants": {"rows": rows, "columns": columns},
        "errors": (ErrorRow("sub-99", "inputs", HOSTILE),),
        "identifiability": {
            "scores": Identifiability(sources, source_groups, names, groups, rank, first, n),
            "worth": [HOSTILE],
        },
        "latents": {"latents": Latents(labels, latents, np.arange(n) < 2, latents, sc)},
        "outliers": {"rows": [{"label": "sub-01", **outlier}], "n_judged": n},
        "worth": {
            "rows": (),
            "refused": [HOSTILE],
            "reason": HOSTILE,
            "others": (),
        },
        "discordance": {
            "rows": [],
            "refused": [HOSTILE],
            "n_refused": 2,
            "people": [],
        },
        "predictions": (VerdictShares(names[0], "FC", {"fusion": (n - 2, 1, 1)}),),
        "trust": (),
        "adaptation": {
            "fits": tuple(
                AdaptationFit(f.name, "meanfit+meanshift", 0.9, 0.01, 0.9, n, x, 0.9 * x + 0.01)
                for f, x in means.items()
            ),
            "otherwise": "",
            "by": f"each {HOSTILE} by itself",
        },
        "quality": {
            "rows": tuple(
                QualityRow(label, 5, 5, 9.5, 0.1, 0.4, 2, 0.8, (HOSTILE,), f"{label}.html")
                for label in labels
            ),
            "has_bold": True,
            "has_tracts": True,
        },
        "motion": {"effects": (), "n_with_motion": 0},
        "metrics": [("fusionSC", names[0], scores)],
        "model": {"model": MODEL, "latents": ()},
        "files": (FileLink("group/metrics.tsv", "metrics"),),
        "citation": REFERENCES,
    }
    return Page(
        OF_GROUP,
        data,
        title="Group",
        kicker="report",
        heading=HOSTILE,
        under=("12 participants",),
        tiles=(Tile("12", "participants"),),
        notices=(Notice("warning", HOSTILE),),
    )
