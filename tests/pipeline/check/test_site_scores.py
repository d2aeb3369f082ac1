"""How well sites are told apart before and after adaptation, on planted sites and ages."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import group_path, relmat_path
from kraken_bids.cohort.from_dataset import list_members, read_cohort
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.site_scores import write_site_scores
from kraken_bids.pipeline.participant import plan_cohort
from kraken_bids.pipeline.predict.run_sites import read_scored_sites
from kraken_bids.report.page import build_group_page, draw_figures, render_page
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

N = 40
SITES = ["north"] * 20 + ["south"] * 20
Scores = dict[tuple[str, str, str, str, str], float]


@pytest.fixture(scope="module", autouse=True)
def few_permutations() -> Iterator[None]:
    """Permute less: what chance gives is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kraken_bids.scores.held_out_ridge.N_PERMUTATIONS", 50)
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Path:
    """Forty people; the sites differ in a shift and in age, and edges grow with age."""
    folder = tmp_path_factory.mktemp("sites")
    rng = np.random.default_rng(2)
    ages = np.concatenate([rng.normal(35, 6, 20), rng.normal(50, 6, 20)])
    lines = ["participant_id\tsite\tage"]
    lines += [f"sub-{k:02d}\t{SITES[k]}\t{ages[k]:.1f}" for k in range(N)]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    for flavor in model.flavors:
        # along what the model sees of connectomes: what it does not see changes no latent
        seen = model.reductions[flavor].to_affine().matrix
        mean = model.training_means()[flavor]
        shift, slope = (rng.standard_normal(len(seen)) @ seen for _ in range(2))
        for k in range(N):
            own = rng.standard_normal(len(seen)) @ seen
            moved = 8 * (k >= 20) * shift + 0.15 * (ages[k] - 40) * slope
            square = edges_to_square(mean + own + moved, diagonal=flavor.diagonal)
            write_relmat(relmat_path(folder, {"sub": f"{k:02d}"}, flavor, source=None), square)
    return folder


def score(dataset: Path, model: Model, *covariates: str) -> Scores:
    """Write and read back the table of a group run."""
    prediction = PredictionSettings(
        adaptation_by="site", adaptation_covariates=covariates, adaptation_mode="meanshift"
    )
    settings = Settings(DataSettings(dataset / "bids", dataset), prediction=prediction)
    cohort = read_cohort(model, list_members(dataset), fit_on=lambda _member: True)
    plan, inputs = plan_cohort(settings, model, cohort, is_group=True)
    found = read_scored_sites(settings, plan.adaptation, inputs.cohort.subjects)
    write_site_scores(plan, inputs, *found)
    columns = read_columns(group_path(dataset, "sites.tsv"))
    names = ("source", "features", "adaptation", "target", "metric")
    keys = zip(*(map(str, columns[name]) for name in names), strict=True)
    return dict(zip(keys, map(float, columns["value"]), strict=True))


@pytest.fixture(scope="module")
def kept(dataset: Path, model: Model) -> Scores:
    """Score sites whose effects of age are kept."""
    return score(dataset, model, "age")


def test_planted_sites_are_told_before_and_not_after(kept: Scores, model: Model) -> None:
    """From connectomes of every flavor; age, which is kept, still says something of the site."""
    for flavor in model.flavors:
        key = flavor.name, "connectome"
        assert kept[*key, "none", "site", "balanced_accuracy"] > 0.95
        assert kept[*key, "by site", "site", "balanced_accuracy"] < 0.9


def test_without_covariates_nothing_is_left_of_sites(dataset: Path, model: Model) -> None:
    """Nor of what age adds between them."""
    taken = score(dataset, model)
    for flavor in model.flavors:
        key = flavor.name, "connectome", "by site"
        assert taken[*key, "site", "balanced_accuracy"] < 0.7
        assert taken[*key, "age", "slope_share"] < 0.6


def test_a_planted_effect_of_age_is_kept(kept: Scores, model: Model) -> None:
    """All of its slope, and what can be told of age."""
    for flavor in model.flavors:
        key = flavor.name, "connectome", "by site", "age"
        assert kept[*key, "slope_share"] == pytest.approx(1, abs=0.1)
        assert kept[*key, "correlation"] > 0.5


def test_fusions_have_their_rows(kept: Scores) -> None:
    """Latents of all three, before and after."""
    rows = {(source, state) for source, kind, state, *_ in kept if kind == "latent"}
    for name in ("fusion", "fusionSC", "fusionFC"):
        assert {(name, "none"), (name, "by site")} <= rows


@pytest.mark.usefixtures("kept")
def test_the_page_shows_them(dataset: Path) -> None:
    """A picture, a table, and how to read it."""
    members = list_members(dataset)
    page = build_group_page(WrittenGroup(dataset, members))
    text = render_page(page, draw_figures(page))
    assert "Sites, before and after adaptation" in text
    assert "Each site (site) was adapted by itself" in text
    assert "age: r, before" in text


def test_where_nothing_is_adapted_by_site_no_table_stays(dataset: Path, model: Model) -> None:
    """That of an earlier run goes."""
    score(dataset, model)
    settings = Settings(DataSettings(dataset / "bids", dataset))
    cohort = read_cohort(model, list_members(dataset), fit_on=lambda _member: True)
    plan, inputs = plan_cohort(settings, model, cohort, is_group=True)
    labels = inputs.cohort.subjects
    write_site_scores(plan, inputs, *read_scored_sites(settings, plan.adaptation, labels))
    assert not group_path(dataset, "sites.tsv").exists()
