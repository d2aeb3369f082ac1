from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kraken_bids.report.sections.connectome_panels import explain_cells
from kraken_bids.report.sections.identifiability import (
    Identifiability,
    compute_direction,
    explain_chance,
    summarize_identifiability,
)
from kraken_bids.report.sections.motion_effects import (
    smallest_certain,
    summarize_motion_effects,
)
from kraken_bids.report.sections.site_adaptation import explain_adaptation
from kraken_bids.report.sections.structure import explain_circle
from kraken_bids.report.words import explain_source, format_share
from kraken_bids.scores.metrics import chance_rank
from kraken_bids.scores.motion_dependence import QcFc


def test_chance_rank_is_what_guessing_gives():
    """The formula equals the mean of 1 - r/n over all ranks r."""
    for n in (1, 2, 12, 200):
        assert chance_rank(n) == pytest.approx(np.mean(1 - np.arange(n) / n))


def test_headline_is_the_mean_over_targets_not_the_best(group_page):
    """The number named is the mean of the fusionSC row over FC targets, with chance beside it."""
    identifiability = group_page.data["identifiability"]["scores"]
    columns = [i for i, group in enumerate(identifiability.target_groups) if group == "FC"]
    mean = identifiability.average_rank[1, columns].mean()
    assert compute_direction(identifiability, "SC", "FC")[0] == pytest.approx(mean)
    text = summarize_identifiability(identifiability)
    assert f"{mean:.2f}" in text
    assert "chance is 0.54" in text
    assert text.count("alone") == 2


def test_headline_without_a_crossing_says_what_is_needed(group_page):
    """With one modality there is no number to boast of."""
    part = replace(group_page.data["identifiability"]["scores"], sources=("fusion",))
    assert "both FC and SC" in summarize_identifiability(part)
    empty = replace(
        group_page.data["identifiability"]["scores"], average_rank=np.full((8, 5), np.nan)
    )
    assert "both FC and SC" in summarize_identifiability(empty)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.5, "50\u00a0%"), (1 / 12, "8.3\u00a0%"), (0.0, "0\u00a0%"), (np.nan, "–")],
)
def test_shares_are_written_without_false_precision(share, text):
    """Whole per cents, one digit below ten."""
    assert format_share(share) == text


def test_every_mode_and_source_has_words():
    """All four modes and the alias are explained; unknown sources are named as they are."""
    for mode in ("none", "meanshift", "meanfit", "meanfit+meanshift", "meanfitshift"):
        assert len(explain_adaptation(mode)) > 40
    assert explain_adaptation("none").count("R²") == 0
    assert "SC" in explain_source("fusionSC")
    assert explain_source("FCcorr_fs86_hpf").endswith("FCcorr_fs86_hpf")
    table = np.zeros((1, 1))
    score = Identifiability(("fusionSC",), ("SC",), ("x",), ("FC",), table, table, 12)
    assert "8.3\u00a0%" in explain_chance(score)
    assert "12 subjects were compared" in explain_chance(score)
    assert "11 to 12 subjects were compared" in explain_chance(replace(score, n_fewest=11))


def test_few_sessions_say_which_effects_stay_hidden():
    """The bound is the critical value of Pearson's r; with many sessions nothing is added."""
    effect = QcFc("FCcorr_fs86_hpf", 12, 12, 3, 0.2, 0.2, 0.05, 0.0, 0.0, np.zeros(3), np.zeros(3))
    assert "beyond ±0.57" in summarize_motion_effects([effect])
    assert "hidden" not in summarize_motion_effects([replace(effect, n_people=80)])
    for n in (10, 12, 30, 100):
        t = stats.t.ppf(0.975, n - 2)
        assert smallest_certain(n) == pytest.approx(t / np.sqrt(n - 2 + t**2), abs=0.02)


def test_cells_and_lines_say_their_unit(participant_page):
    """Colours of FC, partial correlation and SC, and the lines of a circle, are explained."""
    panels = {panel.name: panel for panel in participant_page.data["connectomes"]["fs86"]}
    words = {name: explain_cells(panel) for name, panel in panels.items()}
    assert all("Red:" in text for name, text in words.items() if name.startswith("FC"))
    assert all("taken out" in text for name, text in words.items() if "pcorr" in name)
    assert all("relative to the volume" in t for n, t in words.items() if n.endswith("volnorm"))
    assert "region volume" in explain_circle("SCifod2act_fs86_volnorm")
    assert "volume" not in explain_circle("SCifod2act_fs86_count")
