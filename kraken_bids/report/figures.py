"""All figures of a page, by name: PNG bytes for the page and for the ``figures`` folder."""

import numpy as np

from kraken_bids.report.group_figures import compute_agreement, draw_adaptation, draw_agreement
from kraken_bids.report.identifiability_figures import draw_identifiability
from kraken_bids.report.latent_figures import draw_latents
from kraken_bids.report.matrix_figures import draw_flavor
from kraken_bids.report.motion_figures import draw_motion
from kraken_bids.report.pages import Coverage, GroupPage, Latents, ParticipantPage
from kraken_bids.report.qcfc_figures import draw_motion_effects
from kraken_bids.report.quality_figures import draw_brain, draw_coverage
from kraken_bids.report.structural_figures import draw_structure
from kraken_bids.report.trust_figures import draw_trust

COVERAGE = "coverage"
AVERAGE_RANK = "identifiability_rank"
TOP1_ACCURACY = "identifiability_top1"
LATENTS = "latents"
AGREEMENT = "agreement"
ADAPTATION = "adaptation"
MOTION_EFFECTS = "qcfc"
TRUST = "trust"
OF_GROUP = (AVERAGE_RANK, TOP1_ACCURACY, LATENTS, AGREEMENT, ADAPTATION, MOTION_EFFECTS, TRUST)
OF_PARTICIPANT = ("motion_", COVERAGE, "structure_", "registration_", "FC", "SC")
"""How names of figures begin."""


def motion_name(run: str) -> str:
    """Name of the figure of one run over time."""
    return f"motion_{run}"


def brain_name(coverage: Coverage) -> str:
    """Name of the figure of a parcellation's coverage on the brain."""
    return f"coverage_{coverage.parcellation}_space-{coverage.space or 'unknown'}"


def structure_name(algorithm: str) -> str:
    """Name of the figure of one tractogram."""
    return f"structure_{algorithm}"


def participant_figures(page: ParticipantPage) -> dict[str, bytes]:
    """Draw every figure of a participant's page.

    Names: ``structure_<algorithm>``, ``motion_<run>``, ``coverage``,
    ``coverage_<parcellation>_space-<space>``, and the flavor's own for its matrices.
    """
    figures = {motion_name(motion.name): draw_motion(motion) for motion in page.motion}
    for row in page.tractograms:
        if row.network or row.length_counts:
            figures[structure_name(row.algorithm)] = draw_structure(row)
    if page.coverage:
        figures[COVERAGE] = draw_coverage(page.coverage)
    figures |= {brain_name(one): draw_brain(one) for one in page.coverage if one.slices}
    for panel in page.flavors:
        if panel.measured is not None or panel.predictions:
            figures[panel.name] = draw_flavor(panel)
    return figures


def group_figures(page: GroupPage) -> dict[str, bytes]:
    """Every figure of the group page for which there are data."""
    figures = {}
    if page.identifiability is not None:
        figures[AVERAGE_RANK] = draw_identifiability(page.identifiability, metric="average_rank")
        figures[TOP1_ACCURACY] = draw_identifiability(page.identifiability, metric="top1_accuracy")
    if page.latents is not None and len(page.latents.labels) > 1:
        figures[LATENTS] = draw_latents(page.latents)
        figures.update(_agreement_figure(page.latents))
    if any(fit.new_mean is not None and fit.training_mean is not None for fit in page.adaptation):
        figures[ADAPTATION] = draw_adaptation(page.adaptation)
    if any(row.fit is not None for row in page.trust):
        figures[TRUST] = draw_trust(page.trust)
    if page.motion:
        figures[MOTION_EFFECTS] = draw_motion_effects(page.motion)
    return figures


def _agreement_figure(latents: Latents) -> dict[str, bytes]:
    if latents.fc is None or latents.sc is None:
        return {}
    similarity, both = compute_agreement(
        np.asarray(latents.fc, float), np.asarray(latents.sc, float)
    )
    return {AGREEMENT: draw_agreement(similarity)} if len(both) > 1 else {}
