"""Why a prediction is what it is: derivatives by every edge of its inputs, and knock-outs."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.projections import Cohort, fill_missing, project_cohort
from kraken_bids.cohort.subject_names import list_few, match_labels
from kraken_bids.connectome.edge_groups import EdgeGroups, group_edges
from kraken_bids.exceptions import CheckpointError, ConnectomeError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.records import column
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.fusion import Selector, parse_selector
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.sensitivity import Score, ScorePath, Sensitivity
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.check.cohort_doubts import refuse_or_warn
from kraken_bids.pipeline.explained_scores import ScoreOptions, find_regions, make_score
from kraken_bids.pipeline.file_predictions import keep_known, open_adaptation, project_source
from kraken_bids.pipeline.predict.adaptation_of_files import choose_for_files
from kraken_bids.pipeline.predict.prediction_options import AUTO, PredictionOptions

logger = logging.getLogger(__name__)

EVERY_INPUT = "all"
MEAN = "training mean"

Mask = Mapping[Flavor, NDArray[np.bool_]]


@dataclass(frozen=True)
class ExplanationOptions:
    """What is explained, and where."""

    score: ScoreOptions
    source: str = "fusion"
    """As of predictions: ``fusion``, ``fusionSC``, ``fusionFC`` or a flavor."""
    subject: str = ""
    """Whose prediction; may be left out where there is one, or nobody."""
    atlases: Mapping[str, Path] = field(default_factory=dict)
    """Tables of regions by atlas, for names and networks of one's own."""
    prediction: PredictionOptions = field(default_factory=PredictionOptions)
    """How inputs are adapted and fused."""


@dataclass(frozen=True)
class KnockOut:
    """What becomes of a score when edges of the inputs are set to the training mean."""

    input: str = column("Input whose edges are set; all: of every input at once")
    level: str = column("Which edges: brain, network, region (all edges of it), or block")
    name: str = column("Network or region; of a block, the first network")
    partner: str | None = column("Of a block, the second network: the edges between the two")
    n_edges: int = column("Edges that are set")
    change: float = column("Score with these edges at the training mean, less the score as it is")


@dataclass(frozen=True)
class Explanation:
    """Everything that is known of why a score is what it is."""

    model: Model
    score: Score
    words: str
    """What the score is."""
    source: str
    subject: str
    """Label, or :data:`MEAN`."""
    adaptation: Adaptation | None
    sensitivity: Sensitivity
    knock_outs: tuple[KnockOut, ...]
    """None at the training mean, where they would change nothing."""
    regions: Mapping[str, Parcellation]
    """By atlas of the inputs."""
    warnings: tuple[str, ...] = ()


def explain_files(
    inputs: Sequence[str],
    model: str,
    options: ExplanationOptions,
    *,
    transforms: Sequence[Path] = (),
) -> Explanation:
    """Explain one number of a prediction, for one subject or at the training mean.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them; none: the training
        mean of every flavor of the model.
    model : str
        As :func:`kraken_bids.models.krakencoder.load.load_model` takes it, with ``transforms``.

    Raises
    ------
    KrakenBidsError
        As the stages do: files, flavors, numbers, model; or if the model has no derivative there.
    """
    loaded = load_model(model, transforms=transforms, device="cpu")
    loaded.keep_few_maps()
    score, words = make_score(loaded, options.score, options.atlases)
    cohort = keep_known(open_connectomes(inputs), loaded, given=inputs) if inputs else None
    flavors = tuple(cohort.rows if cohort else loaded.flavors)
    selector = parse_selector(options.source, flavors)
    regions = find_regions(loaded, [f.parcellation for f in selector.flavors], options.atlases)
    subject = MEAN
    warnings: tuple[str, ...] = ()
    if cohort:
        cohort = Cohort(cohort.subjects, {f: cohort.rows[f] for f in selector.flavors})
        row, subject = _choose_row(cohort, options.subject)
        edges, adaptation, warnings = _read_subject(loaded, cohort, row, options.prediction)
    else:
        adaptation = _read_adaptation(loaded, options, selector.flavors)
        edges = _list_means(loaded, selector.flavors, adaptation)
    own = _choose_inputs(edges, selector, subject)
    scaled = options.prediction.renormalize_fusion and selector.is_fusion
    path = ScorePath(loaded, score, own, adaptation, renormalize=scaled)
    return Explanation(
        loaded, score, words, selector.name, subject, adaptation,
        sensitivity=path.explain(),
        knock_outs=tuple(_knock_out(path, regions)) if cohort else (),
        regions=regions,
        warnings=warnings,
    )  # fmt: skip


def _choose_inputs(
    edges: Mapping[Flavor, NDArray[np.floating]], selector: Selector, subject: str
) -> dict[Flavor, NDArray[np.floating]]:
    """Choose the inputs of a source that a subject has."""
    own = {flavor: edges[flavor] for flavor in selector.flavors if flavor in edges}
    if not own:
        raise ConnectomeError(
            f"expected {subject} to have an input of {selector.name} "
            f"({list_few([f.name for f in selector.flavors])}); found none that can be used."
        )
    return own


def _choose_row(cohort: Cohort, wanted: str) -> tuple[int, str]:
    """Row and label of the subject who is explained."""
    label = wanted.removeprefix("sub-")
    found = match_labels([label], cohort.subjects, say=logger.warning) if label else set()
    if not label and len(cohort.subjects) == 1:
        found = set(cohort.subjects)
    chosen = found & set(cohort.subjects)
    if not chosen:
        raise SettingsError(
            f"--subject: expected one of the {len(cohort.subjects)} subjects of --input "
            f"({list_few(cohort.subjects)}); found {label or 'none'}."
        )
    subject = chosen.pop()
    return cohort.subjects.index(subject), subject


def _read_subject(
    model: Model, cohort: Cohort, row: int, options: PredictionOptions
) -> tuple[dict[Flavor, NDArray[np.floating]], Adaptation | None, tuple[str, ...]]:
    """Edges of one subject as they were given, and what adapts them, as predictions do it."""
    given = open_adaptation(options, model, cohort.rows)
    projected = project_cohort(model, cohort)
    warnings = refuse_or_warn(projected.checks, cohort.subjects, model, "--input")
    adaptation = choose_for_files(
        options, model, projected, given=given, project=partial(project_source, model)
    )
    present = [f for f, rows in projected.projections.items() if np.isfinite(rows[row]).all()]
    edges = {flavor: cohort.rows[flavor].read(row, row + 1)[0] for flavor in present}
    return edges, adaptation, tuple(warnings)


def _read_adaptation(
    model: Model, options: ExplanationOptions, flavors: Sequence[Flavor]
) -> Adaptation | None:
    """Adaptation that was saved, or none: at the training mean there is nobody to fit one on."""
    prediction = options.prediction
    if options.subject or prediction.adaptation_mode not in {AUTO, "none"}:
        raise SettingsError(
            "expected --input with --subject or an --adaptation-mode; found none. Give the "
            "connectomes of the subject, or leave these options out."
        )
    given = open_adaptation(prediction, model, flavors)
    return given if isinstance(given, Adaptation) else None


def _list_means(
    model: Model, flavors: Sequence[Flavor], adaptation: Adaptation | None
) -> dict[Flavor, NDArray[np.floating]]:
    """Connectomes that become the training mean once they are adapted."""
    means = model.training_means()
    lacking = [flavor.name for flavor in flavors if flavor not in means]
    if lacking:
        raise CheckpointError(
            f"expected a model that keeps the training mean of its inputs; {model.name} keeps "
            f"none of {list_few(lacking)}. Give --input and --subject: a person's prediction can "
            "be explained all the same."
        )
    fits = adaptation.flavors if adaptation else {}
    return {
        flavor: fill_missing(
            np.full(model.n_edges(flavor), np.nan), means[flavor], fits.get(flavor)
        )
        for flavor in flavors
    }


def _knock_out(path: ScorePath, regions: Mapping[str, Parcellation]) -> Iterator[KnockOut]:
    """Knock out the brain, each network, each region and each pair of networks of the inputs."""
    if any(path.model.reductions[flavor].training_mean is None for flavor in path.inputs):
        logger.warning("the model keeps no training mean of every input: nothing is knocked out")
        return
    facts: list[tuple[str, str, str, str | None]] = []
    masks: list[Mask] = []
    together: dict[tuple[str, str, str | None], dict[Flavor, NDArray[np.bool_]]] = {}
    for flavor in path.inputs:
        for which, mask in _list_masks(regions[flavor.parcellation]):
            facts.append((flavor.name, *which))
            masks.append({flavor: mask})
            together.setdefault(which, {})[flavor] = mask
    if len(path.inputs) > 1:
        facts += [(EVERY_INPUT, *which) for which in together]
        masks += list(together.values())
    changes = path.knock_out(masks)
    for (name, level, group, partner), own, change in zip(facts, masks, changes, strict=True):
        n_edges = int(sum(chosen.sum() for chosen in own.values()))
        yield KnockOut(name, level, group, partner, n_edges, float(change))


def _list_masks(
    regions: Parcellation,
) -> Iterator[tuple[tuple[str, str, str | None], NDArray[np.bool_]]]:
    """Level, name and partner of every group of edges, and which edges it has."""
    groups: EdgeGroups = group_edges(regions)
    first, second = np.triu_indices(regions.n_regions, 1)
    whole = zip(groups.levels, groups.names, groups.members, strict=True)
    networks = []
    for level, name, members in whole:
        yield (level, name, None), members[first] | members[second]
        if level == "network":
            networks.append((name, members))
    for k, (name, a) in enumerate(networks):
        for partner, b in networks[k:]:
            mask = (a[first] & b[second]) | (b[first] & a[second])
            if mask.any():
                yield ("block", name, partner), mask
