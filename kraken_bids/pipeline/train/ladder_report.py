"""What a fine-tuning found: a table, a summary, a picture, and lines for people."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kraken_bids.flavors import parse_flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.krakencoder.finetuning import MEAN_SHIFT, NONE, RUNGS, UNCHANGED
from kraken_bids.models.krakencoder.ladder import Estimate, Ladder
from kraken_bids.report.ladder_figure import Bar, draw_ladder

SCORE = (
    "Cosine of observed and predicted deviations from the mean of the people fitted on, in "
    "transform space; in people held out"
)
Paths = tuple[tuple[str, str], ...]


def write_ladder(ladder: Ladder, folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``finetune.tsv``, ``finetune.json`` and ``finetune.png``.

    Parameters
    ----------
    facts : mapping of str to plain value
        What else ``finetune.json`` says.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    rows = [
        {"rung": rung, "strength": ladder.strengths[rung] or "n/a", "paths": name}
        | _measure(ladder, rung, paths)
        for rung in RUNGS
        for name, paths in {
            "judged": ladder.judged,
            **list_directions(ladder),
            **{f"{source}->{target}": ((source, target),) for source, target in ladder.paths},
        }.items()
    ]
    write_table(folder / "finetune.tsv", {key: [row[key] for row in rows] for key in rows[0]})
    write_json(folder / "finetune.json", {
        "Description": "A fine-tuning of kraken_bids",
        "Score": SCORE,
        "JudgedBy": [f"{source}->{target}" for source, target in ladder.judged],
        "Chosen": ladder.chosen,
        "Rungs": [
            {key: value for key, value in row.items() if key != "paths"}
            for row in rows
            if row["paths"] == "judged"
        ],
        **facts,
    })  # fmt: skip
    with atomic_path(folder / "finetune.png") as temporary:
        temporary.write_bytes(_draw(ladder))


def describe_ladder(ladder: Ladder) -> Iterator[str]:
    """Yield lines that say what was tried, what is taken, and where it did not help."""
    judged = ladder.find_judged()
    n, n_families = len(judged), len(set(ladder.families[judged].tolist()))
    yield f"{n} people of {n_families} families; {SCORE[0].lower()}{SCORE[1:]}:"
    for rung in RUNGS:
        own = ladder.estimate(rung)
        over = f", {_say(ladder.estimate(rung, over=MEAN_SHIFT))}" if rung != MEAN_SHIFT else ""
        strength = f" ({ladder.strengths[rung]})" if ladder.strengths[rung] else ""
        yield f"  {rung}{strength}: {own.value:.3f}{over}"
    yield describe_choice(ladder)
    if ladder.chosen in RUNGS[2:]:
        for name, paths in list_directions(ladder).items():
            gain = ladder.estimate(ladder.chosen, over=MEAN_SHIFT, paths=paths)
            if not gain.low > 0:
                yield f"  it did not help {name}: {_say(gain)}"


def describe_choice(ladder: Ladder) -> str:
    """Say in one sentence which rung is taken, and what it gains over plain adaptation."""
    taken = ladder.chosen
    if taken in RUNGS[2:]:
        gain = ladder.estimate(taken, over=MEAN_SHIFT)
        return f"Taken: {taken} ({ladder.strengths[taken]}), {_say(gain)}."
    best = max(RUNGS[2:], key=lambda rung: ladder.estimate(rung).value)
    gain = ladder.estimate(best, over=MEAN_SHIFT)
    tried = "nothing could be fitted that changes a prediction"
    if any(ladder.strengths[rung] != UNCHANGED for rung in RUNGS[2:]):
        tried = f"the best of the rest, {best}: {_say(gain)}"
    if taken == NONE:
        own = ladder.estimate(NONE, over=MEAN_SHIFT)
        return f"Taken: the model as it is, {_say(own)}. Nothing fitted helped: {tried}."
    return f"Taken: mean shift alone. Nothing fitted on these people helped: {tried}."


def list_directions(ladder: Ladder) -> dict[str, Paths]:
    """Paths between different flavors by what they lead from and to, and those to themselves."""
    found: dict[str, list[tuple[str, str]]] = {}
    for source, target in ladder.paths:
        name = f"{parse_flavor(source).group} to {parse_flavor(target).group}"
        found.setdefault("a flavor to itself" if source == target else name, []).append(
            (source, target)
        )
    return {name: tuple(paths) for name, paths in sorted(found.items())}


def _measure(ladder: Ladder, rung: str, paths: Paths) -> dict[str, Any]:
    own = ladder.estimate(rung, paths=paths)
    gain = ladder.estimate(rung, over=MEAN_SHIFT, paths=paths)
    return {
        "score": own.value,
        "score_low": own.low,
        "score_high": own.high,
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "n_subjects": own.n_subjects,
    }


def _say(gain: Estimate) -> str:
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] over plain adaptation"


def _draw(ladder: Ladder) -> bytes:
    fitted = [rung for rung in RUNGS[2:] if ladder.strengths[rung] != UNCHANGED] or [RUNGS[-1]]
    best = max(fitted, key=lambda rung: ladder.estimate(rung).value)
    taken = ladder.chosen if ladder.chosen in RUNGS[2:] else best
    rungs = [(rung, ladder.estimate(rung), rung == ladder.chosen) for rung in RUNGS]
    gains = [
        (name, ladder.estimate(taken, over=MEAN_SHIFT, paths=paths), False)
        for name, paths in list_directions(ladder).items()
    ]
    bars = [
        [Bar(name, one.value, one.low, one.high, is_taken) for name, one, is_taken in several]
        for several in (rungs, gains)
    ]
    says = taken if taken == ladder.chosen else f"{taken} (not taken)"
    note = f"{ladder.estimate(MEAN_SHIFT).n_subjects} people, 95 % intervals"
    return draw_ladder(bars[0], bars[1], taken=says, note=note)
