"""The heatmap of trust: drawn for any cohort, and the pages say what is unusual."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from kraken_bids.flavors import parse_flavor
from kraken_bids.report.page import draw_figures, render_page
from kraken_bids.report.sections.consistency import (
    MAX_ROWS,
    MISFIT,
    ConsistencyRow,
    _choose_subjects,
    _colour,
    draw_consistency,
)
from kraken_bids.report.theme import read_png_size
from kraken_bids.scores.quality_control import Conclusion, CrossModalScore, Entry, InputQuality

NOTE = "does not fit <b>sub-02's</b> other files: rank 9 of 12; it fits sub-05's best"


def make_rows(n: int) -> tuple[ConsistencyRow, ...]:
    """Two flavors each; the second person's SC is to be checked."""
    rows = []
    for k in range(n):
        label, odd = f"sub-{k + 1:02d}", k == 1
        rows += [
            ConsistencyRow(
                label,
                parse_flavor("FCcorr_fs86_hpf"),
                Entry(
                    Conclusion("ok"),
                    InputQuality(
                        outside_share=0.2,
                        outside_ratio=1.8,
                        latent_fit=9.0,
                        latent_rank=1,
                        latent_rank_n=n,
                    ),
                    CrossModalScore(0.8, group_mean_r=0.2),
                ),
            ),
            ConsistencyRow(
                label,
                parse_flavor("SCifod2act_fs86_volnorm"),
                Entry(
                    Conclusion("check" if odd else "ok", NOTE if odd else None),
                    InputQuality(
                        latent_fit=-8.0 if odd else 5.0,
                        latent_rank=9 if odd else 1,
                        latent_rank_n=n,
                    ),
                    CrossModalScore(),
                ),
                href=f"{label}.html",
            ),
        ]
    return tuple(rows)


@pytest.mark.parametrize("n", [1, 12, MAX_ROWS + 1])
def test_any_number_of_people_is_drawn(n: int) -> None:
    """Rows of people, or of those to check where there are too many."""
    width, height = read_png_size(draw_consistency(make_rows(n)))

    assert width > 300
    assert height > 150
    assert len(_choose_subjects(make_rows(n))) == (1 if n > MAX_ROWS else n)


def test_colours_follow_the_odds() -> None:
    """White at even odds, grey where unknown, more orange the worse."""
    colours = _colour(np.array([[0.0, np.nan, -3.0, -30.0, 30.0]]))[0]

    np.testing.assert_allclose(colours[0], 1)
    np.testing.assert_allclose(colours[1], 0.93)
    distances = [np.abs(colour - to_rgb(MISFIT)).sum() for colour in colours[[0, 2, 3]]]
    assert distances == sorted(distances, reverse=True)
    assert colours[4][0] < colours[4][2]


def test_the_group_page_names_the_files_to_check(group_page, show) -> None:
    """The note stands in the page, escaped, with a link to the person's page."""
    page = show(group_page, trust=make_rows(12))
    figures = draw_figures(page)

    html = render_page(page, figures)

    assert "trust" in figures
    assert "1 file of 24 should be checked" in html
    assert "does not fit &lt;b&gt;sub-02&#39;s&lt;/b&gt; other files" in html
    assert 'href="sub-02.html"' in html
    assert "Not computed: it needs a model." in render_page(group_page, {})


def test_a_participants_page_has_a_row_per_input(participant_page, show) -> None:
    """Rank, share and correlations; what is not known is a dash."""
    html = render_page(show(participant_page, trust=make_rows(12)[2:4]), {})

    assert "9 of 12" in html
    assert "1.8 ×" in html
    assert html.count('class="bad">check') == 1
    assert 'id="trust"' not in render_page(participant_page, {})
