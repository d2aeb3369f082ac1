"""How well trials are decoded, beside a linear model, the network from scratch, and controls."""

from collections.abc import Sequence
from dataclasses import dataclass

from kraken_bids.models.decoding_records import (
    ALL_FOLDS,
    ALL_REPEATS,
    CHANCE,
    LINEAR,
    METHODS,
    PRETRAINED,
    SCRATCH,
    SHUFFLED,
    DecodingScore,
    ShuffledControl,
)
from kraken_bids.report import theme
from kraken_bids.report.section import Section
from kraken_bids.report.words import count_noun, format_share
from kraken_bids.report.written_series import WrittenSeries

NAMES = {
    PRETRAINED: "pretrained network",
    SCRATCH: "network from scratch",
    LINEAR: "linear baseline",
    SHUFFLED: "shuffled labels",
    CHANCE: "chance",
}
OF_VOLUMES = {
    LINEAR: "logistic regression on the means of regions in each volume",
    CHANCE: "the most frequent label, for every volume",
}
LEFT, ROW, WIDTH = 160.0, 34.0, 610.0


@dataclass(frozen=True)
class DecodingTable:
    """Scores of what was held out, over all repeats."""

    scores: dict[str, DecodingScore]
    """By method, in the order of :data:`NAMES`."""
    shuffles: Sequence[ShuffledControl] = ()
    """All repeats together, each repeat, and each shuffle by itself."""
    example: str = "trial"
    """What is decoded."""

    @property
    def methods(self) -> dict[str, str]:
        """What each method is."""
        return METHODS | (OF_VOLUMES if self.example == "volume" else {})

    @property
    def own(self) -> DecodingScore:
        """Score of the network that the folder is of."""
        return self.scores.get(PRETRAINED) or self.scores[SCRATCH]

    @property
    def verdicts(self) -> Sequence[str]:
        """Who wins, sentence by sentence; what intervals do not tell apart is said to be so."""
        own = self.own
        sentences = [
            f"The {NAMES[own.method]} decodes {say_score(own)} of test {self.example}s right, "
            "labels weighted equally."
        ]
        others = [one for name, one in self.scores.items() if name not in {own.method, CHANCE}]
        for other in others:
            low, high = _compare(own, other)
            said = "It cannot be told apart from"
            if low > 0 or high < 0:
                said = "It is better than" if low > 0 else "It is worse than"
            gain = f"; difference {_say(*gains)}" if (gains := _pair(own, other)) else ""
            sentences.append(f"{said} {_name(other.method)}: {say_score(other)}{gain}.")
        shuffled, chance = self.scores.get(SHUFFLED), self.scores.get(CHANCE)
        if shuffled and chance:
            sentences.append(_judge_control(own, shuffled, chance.balanced_accuracy, self.example))
        return sentences

    @property
    def guesses(self) -> str:
        """How many shuffles are at chance, as the binomial distribution has it."""
        single = [one for one in self.shuffles if one.split != ALL_FOLDS]
        if not single:
            return ""
        by_people, by_trials = (
            sum(getattr(one, name) for one in single)
            for name in ("is_chance_by_people", "is_chance_by_trials")
        )
        n = len(single)
        said = [
            f"The accuracy of {by_people} of {count_noun(n, 'network')} trained on shuffled "
            "labels is within the 95 % binomial interval of chance if every subject held out is "
            f"one guess, and that of {by_trials} if every {self.example} is one. The second "
            f"interval is too narrow: {self.example}s of one subject are no independent "
            "observations."
        ]
        said += [
            "All together, they are right in "
            f"{_say(one.accuracy, one.people_low, one.people_high)} of the {self.example}s (in "
            "brackets the interval of chance, one guess for each of "
            f"{count_noun(one.n_people, 'subject')})."
            for one in self.shuffles
            if one.repeat == ALL_REPEATS
        ]
        return " ".join(said)


def _pair(own: DecodingScore, other: DecodingScore) -> tuple[float, float, float] | None:
    """Gain over the linear method on the same trials, and its interval, where they are known."""
    gain = own.over_linear, own.over_linear_low, own.over_linear_high
    known = tuple(one for one in gain if one is not None)
    return known if other.method == LINEAR and len(known) == 3 else None


def _compare(own: DecodingScore, other: DecodingScore) -> tuple[float, float]:
    """Bound the gain over another method, paired where it is known, else by both intervals."""
    if gain := _pair(own, other):
        return gain[1:]
    return own.balanced_low - other.balanced_high, own.balanced_high - other.balanced_low


def _judge_control(
    own: DecodingScore, shuffled: DecodingScore, chance: float, example: str
) -> str:
    if not shuffled.balanced_low <= chance <= shuffled.balanced_high:
        return (
            "With shuffled labels it is NOT at chance: something other than the labels tells "
            f"{example}s apart. Do not trust these scores."
        )
    if shuffled.balanced_low <= own.balanced_accuracy <= shuffled.balanced_high:
        return (
            "The accuracy lies within the interval of shuffled labels, as chance does: there is "
            "nothing to decode, or there are too few shuffles (one in each fold and repeat)."
        )
    return "With shuffled labels it is at chance, as it has to be."


def _name(method: str) -> str:
    return f"the {NAMES[method]}" if method != SHUFFLED else "a network trained on shuffled labels"


def say_score(score: DecodingScore) -> str:
    """Say a balanced accuracy and its interval."""
    return _say(score.balanced_accuracy, score.balanced_low, score.balanced_high)


def _say(value: float, low: float, high: float) -> str:
    return f"{format_share(value)} [{format_share(low)}, {format_share(high)}]"


def gather(written: WrittenSeries) -> DecodingTable | None:
    """Read the scores of what was held out, over all repeats, and how far shuffles are off."""
    rows = written.read_records(DecodingScore, "scores.tsv")
    found = {row.method: row for row in rows if row.repeat == ALL_REPEATS}
    scores = {name: found[name] for name in NAMES if name in found}
    shuffles = written.read_records(ShuffledControl, "shuffles.tsv")
    is_known = bool({PRETRAINED, SCRATCH} & set(scores))
    return DecodingTable(scores, shuffles, written.example) if is_known else None


def draw(table: DecodingTable) -> dict[str, bytes]:
    """Draw balanced accuracy and its interval, method by method."""
    shown = [score for name, score in table.scores.items() if name != CHANCE]
    figure = theme.new_figure(LEFT + WIDTH + 30, ROW * len(shown) + 62)
    axes = theme.add_box(figure, LEFT, 10, WIDTH, ROW * len(shown))
    theme.style_axes(axes, x_label=f"balanced accuracy in test {table.example}s", grid="x")
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
    words={"NAMES": NAMES},
)
