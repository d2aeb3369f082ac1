"""Whether a pretrained network beats its closed-form peers, on the very same hidden volumes."""

from collections.abc import Sequence
from dataclasses import dataclass

from kraken_bids.models.series.peers import (
    ALL_SUBJECTS,
    LAST,
    MEAN,
    NETWORK,
    PREDICTORS,
    RIDGE,
    PeerLoss,
)
from kraken_bids.report import theme
from kraken_bids.report.section import Section
from kraken_bids.report.words import count_noun, format_fixed, format_share
from kraken_bids.report.written_series import WrittenSeries

FRAMEWORK_WORDS = {
    "csm": "Causal sequence modelling: the next volume from those before it",
    "bert": "Masked volumes: hidden volumes from those before and after",
    "netbert": "Masked regions: hidden regions from the other ones",
    "autoencoder": "Autoencoder: a sequence through one vector and back",
}
NAMES = {
    NETWORK: "network",
    RIDGE: "ridge regression",
    LAST: "last volume",
    MEAN: "mean of training",
}
SPLITS = ("test", "validation")
"""The first that was judged is shown."""
PART_WORDS = {
    "test": "who had no part in training",
    "validation": "on whom training was watched and the penalty chosen",
}
HARDLY = 0.005
"""Share of the loss below which two are called equal."""
LEFT, ROW, WIDTH = 150.0, 34.0, 620.0


@dataclass(frozen=True)
class PeerTable:
    """Losses of one part of the runs."""

    split: str
    losses: dict[str, float]
    """By predictor, over all subjects; the least first."""
    by_subject: dict[str, dict[str, float]]
    """By predictor and subject."""
    n_values: int

    @property
    def subjects(self) -> Sequence[str]:
        """Those judged."""
        return list(self.by_subject[NETWORK])

    @property
    def verdict(self) -> str:
        """Who wins, and by how much, in one sentence."""
        best = min((name for name in self.losses if name != NETWORK), key=self.losses.__getitem__)
        own, other = self.losses[NETWORK], self.losses[best]
        gain = (other - own) / (other or 1)
        n_better = sum(
            loss < self.by_subject[best][subject]
            for subject, loss in self.by_subject[NETWORK].items()
        )
        numbers = f"mean absolute error {format_fixed(own, 3)} against {format_fixed(other, 3)}"
        where = f"lower in {n_better} of {count_noun(len(self.subjects), 'subject')}"
        share = f" by {format_share(abs(gain))}" if other else ""
        if abs(gain) < HARDLY:
            said = f"The network and the best of its peers, {NAMES[best]}, are equal"
        elif gain > 0:
            said = f"The network beats the best of its peers, {NAMES[best]},{share}"
        else:
            said = f"The network loses to {NAMES[best]}{share}"
        return f"{said} ({numbers}; {where})."


def gather(written: WrittenSeries) -> PeerTable | None:
    """Read the losses of test subjects, else those of validation subjects."""
    rows = written.read_records(PeerLoss, "peers.tsv")
    for split in SPLITS:
        own = [row for row in rows if row.split == split and row.predictor in PREDICTORS]
        whole = {row.predictor: row for row in own if row.subject == ALL_SUBJECTS}
        if NETWORK in whole and len(whole) > 1:
            return PeerTable(
                split,
                {name: whole[name].loss for name in sorted(whole, key=lambda k: whole[k].loss)},
                {
                    name: {
                        row.subject: row.loss
                        for row in own
                        if row.predictor == name and row.subject != ALL_SUBJECTS
                    }
                    for name in whole
                },
                whole[NETWORK].n_values,
            )
    return None


def draw(table: PeerTable) -> dict[str, bytes]:
    """Draw the loss of each predictor, of all subjects and of each."""
    figure = theme.new_figure(WIDTH + LEFT + 30, ROW * len(table.losses) + 62)
    axes = theme.add_box(figure, LEFT, 10, WIDTH, ROW * len(table.losses))
    theme.style_axes(axes, x_label="mean absolute error over hidden entries", grid="x")
    for place, (name, loss) in enumerate(table.losses.items()):
        colour = theme.WARM if name == NETWORK else theme.ACCENT
        each = list(table.by_subject[name].values())
        axes.scatter(each, [place] * len(each), s=16, color=colour, alpha=0.35, linewidths=0)
        axes.plot([loss], [place], "D", color=colour, markersize=6)
        theme.add_text(axes, loss, place - 0.26, format_fixed(loss, 3), ha="center", fontsize=7)
    names = [NAMES[name] for name in table.losses]
    axes.set_yticks(range(len(names)), names, fontsize=theme.NORMAL, color=theme.TEXT)
    axes.set_ylim(len(names) - 0.45, -0.65)
    return {"peers": theme.draw_png(figure)}


SECTION = Section(
    "peers",
    "Beside its peers",
    "series_peers.html",
    gather,
    heading="Does the network know more than closed-form peers?",
    draw=draw,
    figures=("peers",),
    words={"NAMES": NAMES, "PREDICTORS": PREDICTORS, "PART_WORDS": PART_WORDS},
)
