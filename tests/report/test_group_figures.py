from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from kraken_bids.report import theme
from kraken_bids.report.colouring import Colouring
from kraken_bids.report.page import draw_figures
from kraken_bids.report.sections.identifiability import draw_identifiability
from kraken_bids.report.sections.latent_map import (
    UNKNOWN,
    Latents,
    compute_agreement,
    compute_components,
    draw_latents,
)
from kraken_bids.report.sections.site_adaptation import AdaptationFit, draw_adaptation
from kraken_bids.report.theme import read_png_size


def test_components_are_those_of_principal_component_analysis():
    """Scores and shares of variance equal scikit-learn's up to sign."""
    decomposition = pytest.importorskip("sklearn.decomposition")
    latents = np.random.default_rng(0).normal(size=(20, 6))
    points, share = compute_components(latents)
    oracle = decomposition.PCA(2).fit(latents)
    np.testing.assert_allclose(np.abs(points), np.abs(oracle.transform(latents)), atol=1e-9)
    np.testing.assert_allclose(share, oracle.explained_variance_ratio_)


def test_agreement_leaves_out_who_lacks_a_modality():
    """Similarities are cosines between SC (rows) and FC (columns) of those with both."""
    rng = np.random.default_rng(0)
    fc, sc = rng.normal(size=(2, 5, 4))
    fc[1] = np.nan
    similarity, both = compute_agreement(fc, sc)
    np.testing.assert_array_equal(both, [0, 2, 3, 4])
    expected = sc[0] @ fc[3] / np.linalg.norm(sc[0]) / np.linalg.norm(fc[3])
    assert similarity[0, 2] == pytest.approx(expected)


def test_every_figure_of_a_group_is_drawn(group_page):
    """Names are fixed, every figure is a PNG, and drawing twice gives the same bytes."""
    figures = draw_figures(group_page)
    assert set(figures) == {
        "identifiability_rank", "identifiability_top1", "latents", "agreement", "adaptation",
    }  # fmt: skip
    assert all(read_png_size(png) > (0, 0) for png in figures.values())
    assert figures == draw_figures(group_page)


def test_every_figure_of_a_participant_is_drawn(participant_page):
    """One per tractogram and run, one of coverage, one per flavor; names can be file names."""
    figures = draw_figures(participant_page)
    flavors = {panel.name for panel in participant_page.data["connectomes"]["fs86"]}
    assert set(figures) == {
        "structure_iFOD2",
        "motion_task-rest_run-01",
        "coverage",
        *flavors,
    }
    assert all(read_png_size(png) > (0, 0) for png in figures.values())


def test_a_group_without_predictions_has_no_figures(group_page, show):
    """What was not computed is left out without an error."""
    page = show(
        group_page, identifiability={"scores": None}, latents={"latents": None}, adaptation=None
    )
    assert draw_figures(page) == {}


def test_one_participant_or_one_modality_is_enough_to_draw(group_page, show):
    """Two people without variance, all at one place, or without SC do not break the figures."""
    same = np.ones((2, 4))
    nobody = np.zeros(2, dtype=bool)
    for latents in (
        Latents(
            (
                "a",
                "b$",
            ),
            same,
            nobody,
        ),
        Latents(("a", "b"), same, nobody, same, same),
    ):
        assert "latents" in draw_figures(show(group_page, latents={"latents": latents}))
    alone = Latents(("a",), same[:1], nobody[:1])
    assert "latents" not in draw_figures(show(group_page, latents={"latents": alone}))


def test_large_cohorts_name_only_outliers(group_page, show):
    """Two hundred participants are drawn, labels or not."""
    rng = np.random.default_rng(0)
    latents = Latents(tuple(map(str, range(200))), rng.normal(size=(200, 8)), np.arange(200) == 3)
    assert "latents" in draw_figures(show(group_page, latents={"latents": latents}))


def test_identifiability_without_both_modalities_is_drawn(group_page):
    """A cohort with one source and one target has no cross-modal block and still its heatmap."""
    whole = group_page.data["identifiability"]["scores"]
    part = replace(
        whole, sources=whole.sources[:1], source_groups=("both",), targets=whole.targets[:1],
        target_groups=("FC",), average_rank=np.array([[np.nan]]), top1_accuracy=np.array([[0.0]]),
        n_participants=1,
    )  # fmt: skip
    assert read_png_size(draw_identifiability(part, metric="average_rank")) > (0, 0)
    assert read_png_size(draw_identifiability(part, metric="top1_accuracy")) > (0, 0)


@pytest.mark.parametrize("flavor", ["FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"])
def test_adaptation_of_constant_or_missing_means_is_drawn(flavor):
    """Means without variance, with zeros or NaN, and fits without numbers are no error."""
    values = np.array([0.0, np.nan, 0.5, 0.5])
    rising = np.array([0.0, np.nan, 0.5, 2.0])
    fits = [
        AdaptationFit(flavor, "meanfit", 1.0, -1.0, None, 3, values, values),
        AdaptationFit(flavor, "meanshift", None, None, 0.5, 3, rising, rising),
        AdaptationFit(flavor, "meanfit", -1.0, 0.0, 0.5, 3, rising, rising[::-1].copy()),
        AdaptationFit(flavor, "none", None, None, None, None),
    ]
    assert read_png_size(draw_adaptation(fits)) > (0, 0)


def read_colours(png: bytes) -> set[tuple[int, int, int]]:
    """Colours of which a picture has a hundred pixels and more."""
    pixels = (imread(BytesIO(png), format="png")[..., :3] * 255).round().astype(int)
    found, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(map(int, one)) for one in found[counts >= 100]}


def to_bytes(colour: str) -> tuple[int, int, int]:
    """Numbers of a colour that is opaque."""
    red, green, blue = (round(255 * part) for part in to_rgb(colour))
    return red, green, blue


def is_among(colour: tuple[int, int, int], found: set[tuple[int, int, int]]) -> bool:
    """Whether a colour is there, as nearly as a palette of 256 keeps it."""
    return bool((np.abs(np.array(list(found)) - colour).max(axis=1) <= 3).any())


def make_latents(colouring: Colouring | None) -> Latents:
    """Latents of 60 people, nobody named, all marked so that their colours are opaque."""
    rng = np.random.default_rng(0)
    return Latents(
        tuple(map(str, range(60))), rng.normal(size=(60, 4)), np.arange(60) < 59,
        colouring=colouring,
    )  # fmt: skip


def test_people_have_the_colours_of_their_categories():
    """One for each, as in the legend, another where it is not known; any name can be shown."""
    values = tuple(("$a_1$", "a very long name of a group", "")[k % 3] for k in range(60))
    first, second, third = map(to_bytes, theme.CATEGORY_COLOURS[:3])
    found = read_colours(draw_latents(make_latents(Colouring("g$roup", values))))
    for colour in (first, second, to_bytes(UNKNOWN)):
        assert is_among(colour, found)
    assert not is_among(third, found)
    plain = read_colours(draw_latents(make_latents(None)))
    assert is_among(to_bytes(theme.ACCENT), plain)
    assert not is_among(to_bytes(theme.ACCENT), found)


def test_people_have_the_colours_of_their_numbers():
    """Lowest and highest have the ends of the scale; who has none is grey."""
    values = ("20", *["80"] * 58, "")
    scale = theme.number_colours()
    found = read_colours(draw_latents(make_latents(Colouring("age", values, is_numeric=True))))
    assert is_among(to_bytes(scale(1.0)), found)
    assert is_among(to_bytes(scale(0)), found)
    assert Colouring("site", ("10", "9", "")).categories == ["9", "10"]
    assert Colouring("site", ("b", "9", "a")).categories == ["9", "a", "b"]
