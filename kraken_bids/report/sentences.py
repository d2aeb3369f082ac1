"""Plain words for what the pages show."""

from collections.abc import Sequence

import numpy as np

from kraken_bids.report.pages import FlavorPanel, Identifiability, MotionEffect

MAX_MOVED_EDGES = 0.01
"""Share of edges that follow motion (false discovery rate 0.05) above which it is said."""
FEW_SESSIONS = 50
"""Below this many sessions it is said how weak an effect stays hidden."""
MAX_FALL = -0.2
"""Spearman correlation of QC-FC with distance below which it is said."""

SOURCE_WORDS = {
    "fusion": "Predicted from FC and SC together",
    "fusionSC": "Predicted from structure (SC)",
    "fusionFC": "Predicted from function (FC)",
}
ADAPTATION_WORDS = {
    "none": "The connectomes entered the model as they were measured. Scanner and processing "
    "differences from the training data are still in them, so predictions may be biased.",
    "meanshift": "From each connectome the mean of this cohort was subtracted and the mean of the "
    "training data was added, edge by edge.",
    "meanfit": "Each connectome was scaled by b0 and shifted by b1, the straight line that best "
    "carries the mean of this cohort onto the mean of the training data.",
    "meanfit+meanshift": "Each connectome's deviation from the mean of this cohort was scaled by "
    "b0 and added to the mean of the training data. b0 is the slope of the straight line that "
    "best carries one mean onto the other.",
}
R2_WORDS = (
    "R² says how much of the training mean the line explains: near 1 the two data sets differ "
    "only in scale and offset; well below 0.5 they differ in kind, and the inputs deserve a "
    "second look."
)


def explain_source(source: str) -> str:
    """Say what a prediction was made from."""
    return SOURCE_WORDS.get(source, f"Predicted from {source}")


def explain_cells(panel: FlavorPanel) -> str:
    """Say what the colours of a flavor's matrices mean."""
    if panel.group == "SC":
        volumes = ", relative to the volume of the regions" if "volnorm" in panel.name else ""
        return (
            f"Darker: more streamlines between two regions{volumes}; almost white: none. Each "
            "named value is ten times the one below it."
        )
    words = (
        "Red: the signals of two regions rise and fall together; blue: one rises as the other "
        "falls{}."
    )
    is_partial = "pcorr" in panel.name.lower()
    return words.format(
        ", once what they share with all other regions is taken out" if is_partial else ""
    )


def explain_circle(flavor: str) -> str:
    """Say what the lines of the circle of connections mean."""
    unit = "streamlines over region volume" if "volnorm" in flavor else "streamlines"
    return f"Width of a line: {unit}, relative to the strongest connection."


def explain_adaptation(mode: str) -> str:
    """Say what an adaptation mode does to a connectome, and how to read R²."""
    words = ADAPTATION_WORDS.get("meanfit+meanshift" if mode == "meanfitshift" else mode, "")
    return words if mode == "none" or not words else f"{words} {R2_WORDS}"


def summarize_identifiability(identifiability: Identifiability) -> str:
    """Headline of the group page: how well the other modality finds the right person.

    The numbers are means over the targets, never the best one.
    """
    parts = [
        _summarize_direction(identifiability, "SC", "FC"),
        _summarize_direction(identifiability, "FC", "SC"),
    ]
    found = " ".join(part for part in parts if part)
    return found or (
        "No prediction across modalities could be scored: that needs people with both FC and SC."
    )


def summarize_motion_effects(effects: Sequence[MotionEffect]) -> str:
    """Headline on QC-FC: whether connectomes follow head motion, and how to read it."""
    strong = [effect for effect in effects if effect.share_fdr05 > MAX_MOVED_EDGES]
    distant = [e for e in effects if e.distance_rho is not None and e.distance_rho < MAX_FALL]
    median = float(np.median([effect.median_abs_r for effect in effects]))
    chance = float(np.median([effect.chance_abs_r for effect in effects]))
    facts = f"The median edge correlates with head motion at {median:.2f}; chance is {chance:.2f}."
    if not strong and not distant:
        return f"{facts} No flavor follows motion more than chance explains.{_say_power(effects)}"
    names = ", ".join(dict.fromkeys(effect.flavor for effect in (*strong, *distant)))
    return (
        f"{facts} Motion is left in {names}: take mean displacement as a covariate, or scrub with "
        "--fd-threshold."
    )


def _say_power(effects: Sequence[MotionEffect]) -> str:
    """Say which correlations so few sessions could not tell from chance; '' for many."""
    n_sessions = max(effect.n_sessions for effect in effects)
    if n_sessions >= FEW_SESSIONS:
        return ""
    limit = smallest_certain(n_sessions)
    return (
        f" With {n_sessions} sessions a single edge is told from chance only beyond ±{limit:.2f}: "
        "weaker effects of motion would stay hidden."
    )


def smallest_certain(n_sessions: int) -> float:
    """Pearson's r that two unrelated values exceed in 5 % of cases, from so many sessions.

    Source
    ------
    Fisher 1915: atanh(r) is about normal with variance 1 / (n - 3); within 0.02 from n = 10 on.
    """
    return float(np.tanh(1.96 / np.sqrt(max(n_sessions - 3, 1))))


def chance_rank(n_participants: int) -> float:
    """Average rank that guessing reaches among so many people.

    With the 0-based rank r the metric is the mean of 1 - r/n, whose expectation under guessing is
    (n + 1) / 2n: 0.5 in a large cohort, 0.54 among 12.
    """
    n_participants = max(n_participants, 1)
    return (n_participants + 1) / (2 * n_participants)


def explain_chance(identifiability: Identifiability) -> str:
    """Say what guessing would give, and among how many."""
    n_most, n_fewest = identifiability.n_participants, identifiability.n_fewest
    among = str(n_most)
    if n_fewest is not None and n_fewest < n_most:
        among = f"{n_fewest} to {n_most}"
    few = (
        " How many depends on the flavor: whoever lacks it, or regions of it, is not compared."
        if among != str(n_most)
        else ""
    )
    return (
        f"Guessing among {n_most} people gives an average rank of "
        f"{chance_rank(n_most):.2f} and the right person first in "
        f"{format_share(1 / max(n_most, 1))} of cases. {among} people were compared.{few} Who "
        "comes first gets harder with every person more: compare that number only between cohorts "
        "of one size."
    )


def format_share(share: float) -> str:
    """Write a share from 0 to 1 as per cent, without false precision and not to be broken."""
    if not np.isfinite(share):
        return "–"
    percent = 100 * share
    has_digit = 0 < percent < 10 and round(percent, 1) != round(percent)
    return f"{percent:.{int(has_digit)}f}\u00a0%"


def compute_direction(
    identifiability: Identifiability, source: str, target: str
) -> tuple[float, float] | None:
    """Average rank and top-1 accuracy from all of one modality to the other.

    Both are means over the targets of that modality, never the best one; None where nothing was
    scored.
    """
    name = f"fusion{source}"
    columns = [i for i, group in enumerate(identifiability.target_groups) if group == target]
    if name not in identifiability.sources or not columns:
        return None
    row = identifiability.sources.index(name)
    rank = np.asarray(identifiability.average_rank, dtype=float)[row, columns]
    first = np.asarray(identifiability.top1_accuracy, dtype=float)[row, columns]
    if not np.isfinite(rank).any():
        return None
    return float(np.nanmean(rank)), float(np.nanmean(first))


def _summarize_direction(identifiability: Identifiability, source: str, target: str) -> str:
    scores = compute_direction(identifiability, source, target)
    if scores is None:
        return ""
    origin = {"SC": "structure", "FC": "function"}[source]
    aim = {"SC": "structural", "FC": "functional"}[target]
    n_participants = max(identifiability.n_participants, 1)
    return (
        f"From {origin} alone, the right person's {aim} connectome had an average rank of "
        f"{scores[0]:.2f} (1 is best, chance is {chance_rank(n_participants):.2f}) and came "
        f"first in {format_share(scores[1])} of cases "
        f"(chance is {format_share(1 / n_participants)})."
    )
