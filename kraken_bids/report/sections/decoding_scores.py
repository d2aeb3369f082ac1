"""How well trials are decoded, beside a linear model, the network from scratch, and controls."""

from collections.abc import Sequence
from dataclasses import dataclass

from kraken_bids.models.decoding_records import (
    ALL_REPEATS,
    CHANCE,
    LINEAR,
    METHODS,
    PRETRAINED,
    SCRATCH,
    SHUFFLED,
    DecodingScore,
)
from kraken_bids.report import theme
from kraken_bids.report.section import Section
from kraken_bids.report.words import format_share
from kraken_bids.report.written_series import WrittenSeries

NAMES = {
    PRETRAINED: "pretrained network",
    SCRATCH: "network from scratch",
    LINEAR: "linear baseline",
    SHUFFLED: "shuffled labels",
    CHANCE: "chance",
}
LEFT, ROW, WIDTH = 160.0, 34.0, 610.0


@dataclass(frozen=True)
class DecodingTable:
    """Scores of the test trials, over all repeats."""

    scores: dict[str, DecodingScore]
    """By method, in the order of :data:`NAMES`."""

    @property
    def own(self) -> DecodingScore:
        """Score of the network that the folder is of."""
        return self.scores.get(PRETRAINED) or self.scores[SCRATCH]

    @property
    def verdicts(self) -> Sequence[str]:
        """Who wins, sentence by sentence; what intervals do not tell apart is said to be so."""
        own = self.own
        sentences = [
            f"The {NAMES[own.method]} decodes {say_score(own)} of test trials right, labels "
            "weighted equally."
        ]
        for name, other in self.scores.items():
            if name in {own.method, CHANCE}:
                continue
            if own.balanced_low > other.balanced_high:
                said = "It is better than"
            elif own.balanced_high < other.balanced_low:
                said = "It is worse than"
            else:
                said = "It cannot be told apart from"
            sentences.append(f"{said} {_name(name)}: {say_score(other)}.")
        shuffled, chance = self.scores.get(SHUFFLED), self.scores.get(CHANCE)
        if shuffled and chance:
            is_near = shuffled.balanced_low <= chance.balanced_accuracy <= shuffled.balanced_high
            sentences.append(
                "With shuffled labels it is at chance, as it has to be."
                if is_near
                else "With shuffled labels it is NOT at chance: something other than the labels "
                "tells trials apart. Do not trust these scores."
            )
        return sentences


def _name(method: str) -> str:
    return f"the {NAMES[method]}" if method != SHUFFLED else "a network trained on shuffled labels"


def say_score(score: DecodingScore) -> str:
    """Say a balanced accuracy and its interval."""
    low, high = (format_share(one) for one in (score.balanced_low, score.balanced_high))
    return f"{format_share(score.balanced_accuracy)} [{low}, {high}]"


def gather(written: WrittenSeries) -> DecodingTable | None:
    """Read the scores of test trials over all repeats."""
    rows = written.read_records(DecodingScore, "scores.tsv")
    found = {row.method: row for row in rows if row.repeat == ALL_REPEATS}
    scores = {name: found[name] for name in NAMES if name in found}
    return DecodingTable(scores) if {PRETRAINED, SCRATCH} & set(scores) else None


def draw(table: DecodingTable) -> dict[str, bytes]:
    """Draw balanced accuracy and its interval, method by method."""
    shown = [score for name, score in table.scores.items() if name != CHANCE]
    figure = theme.new_figure(LEFT + WIDTH + 30, ROW * len(shown) + 62)
    axes = theme.add_box(figure, LEFT, 10, WIDTH, ROW * len(shown))
    theme.style_axes(axes, x_label="balanced accuracy in test trials", grid="x")
    chance = table.scores.get(CHANCE)
    if chance:
        axes.axvline(chance.balanced_accuracy, color=theme.MUTED, linewidth=1, linestyle="--")
        style = {"ha": "left", "color": theme.MUTED, "fontsize": theme.SMALL}
        theme.add_text(axes, chance.balanced_accuracy + 0.006, -0.5, "chance", **style)
    for place, score in enumerate(shown):
        colour = theme.WARM if score is table.own else theme.ACCENT
        axes.plot(
            [score.balanced_low, score.balanced_high], [place] * 2, color=colour, linewidth=2.4
        )
        axes.plot([score.balanced_accuracy], [place], "D", color=colour, markersize=6)
    axes.set_yticks(range(len(shown)), [NAMES[score.method] for score in shown])
    axes.tick_params(axis="y", labelsize=theme.NORMAL, labelcolor=theme.TEXT)
    axes.set(xlim=(0, 1.01), ylim=(len(shown) - 0.45, -0.65))
    axes.xaxis.set_major_formatter(theme.ticker.PercentFormatter(1, decimals=0))
    return {"scores": theme.draw_png(figure)}


SECTION = Section(
    "scores",
    "Scores",
    "decoding_scores.html",
    gather,
    heading="Are states decoded better than by simpler means?",
    draw=draw,
    figures=("scores",),
    words={"NAMES": NAMES, "METHODS": METHODS},
)
