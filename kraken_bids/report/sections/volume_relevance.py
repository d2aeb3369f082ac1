"""Which voxels a decoder of volumes rests on in subjects held out, and what its maps are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.models.decoding_records import (
    BY_CHANCE,
    BY_RELEVANCE,
    MAPS,
    DeletedShare,
    WeightsCheck,
)
from kraken_bids.report import theme
from kraken_bids.report.section import Section
from kraken_bids.report.sections.decoded_volumes import MUCH_LOST, StateMap, read_maps
from kraken_bids.report.sections.decoding_relevance import judge_checks
from kraken_bids.report.training_curves import Curve, CurvePanel, draw_curves
from kraken_bids.report.voxel_maps import PERCENTILE, draw_voxel_map
from kraken_bids.report.words import format_fixed, format_share
from kraken_bids.report.written_series import WrittenSeries

ORDERS = {
    BY_RELEVANCE: ("most relevant first", theme.ACCENT, "-"),
    BY_CHANCE: ("drawn by chance", theme.MUTED, "--"),
}
FIGURE, DELETION = "maps", "maps_deletion"


@dataclass(frozen=True)
class VolumeRelevance:
    """Mean maps of states, and the checks of them."""

    maps: Sequence[StateMap]
    n_states: int
    """That have a map among the files."""
    facts: Facts
    """Sidecar of a map: what they have in common."""
    checks: Sequence[WeightsCheck]
    curves: Mapping[str, Sequence[DeletedShare]]
    """By the order in which voxels are set to 0."""

    @property
    def arrived(self) -> float | None:
        """Share of the logits that has arrived at the voxels; None where not known."""
        return self.facts.number("ArrivedShare")

    @property
    def is_much_lost(self) -> bool:
        """Whether the maps say little about the logits."""
        return self.arrived is not None and abs(1 - self.arrived) >= MUCH_LOST

    @property
    def verdict(self) -> str:
        """Whether relevance depends on what was learned, in one sentence."""
        return judge_checks(self.checks)

    @property
    def deletion(self) -> str:
        """Whether what is relevant matters, in one sentence; '' where not known."""
        own, chance = (list(self.curves.get(order, ())) for order in ORDERS)
        if not own or len(own) != len(chance):
            return ""
        lead = (
            f"With {format_share(own[-1].share)} of the voxels set to 0, the most relevant ones "
            f"first, the probability of a volume's own state falls from "
            f"{format_fixed(own[0].probability, 2)} to {format_fixed(own[-1].probability, 2)}; "
            f"with as many drawn by chance to {format_fixed(chance[-1].probability, 2)}"
        )
        sums = [sum(one.probability for one in curve) for curve in (own, chance)]
        if sums[0] < sums[1]:
            return f"{lead}: decisions rest on the voxels that the maps show."
        return f"{lead}: no sooner. The maps do not show what decisions rest on."


def gather(written: WrittenSeries) -> VolumeRelevance | None:
    """Read the maps of ``relevance/``, and the tables of both checks."""
    paths = sorted((written.output_dir / MAPS).glob("*_relevance.nii.gz"))
    if not paths:
        return None
    points = written.read_records(DeletedShare, "deletion.tsv")
    return VolumeRelevance(
        read_maps(paths, FIGURE),
        len(paths),
        read_facts(sidecar_path(paths[0])),
        written.read_records(WeightsCheck, "relevance_check.tsv"),
        {order: [one for one in points if one.order == order] for order in ORDERS},
    )


def draw(found: VolumeRelevance) -> dict[str, bytes]:
    """Draw the map of each state, and how fast its probability falls as voxels are deleted."""
    pictures = {one.figure: draw_voxel_map(one.voxels) for one in found.maps}
    curves = [
        Curve(
            name,
            colour,
            [100 * one.share for one in found.curves[order]],
            [one.probability for one in found.curves[order]],
            style,
        )
        for order, (name, colour, style) in ORDERS.items()
        if found.curves[order]
    ]
    if curves:
        panel = CurvePanel("Probability of the volume's own state", "", curves)
        pictures[DELETION] = draw_curves([panel], x_label="% of the voxels set to 0")
    return pictures


SECTION = Section(
    "maps",
    "Relevance",
    "volume_relevance.html",
    gather,
    heading="Which voxels it rests on",
    draw=draw,
    figures=("maps_",),
    words={"PERCENTILE": PERCENTILE, "DELETION": DELETION},
)
