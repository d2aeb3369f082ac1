"""Fine-tuning: a model and connectome files of a small cohort in, a model at home in it out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.output_checks import check_no_input
from kraken_bids.cohort.projections import Cohort, project_cohort
from kraken_bids.cohort.sidecar_records import VERSION
from kraken_bids.cohort.subject_names import subject_of
from kraken_bids.cohort.training_subjects import add_tuned, find_trained
from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.models.devices import resolve_device, single_thread
from kraken_bids.models.krakencoder.adaptation import (
    DEFAULT_MODE,
    Adaptation,
    fit_adaptation,
    parse_mode,
)
from kraken_bids.models.krakencoder.changes import change_network, move_reduction
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.finetuning import LATENT_MAP, NONE, RUNGS, Tuner
from kraken_bids.models.krakencoder.ladder import N_FOLDS, Ladder, climb_ladder
from kraken_bids.models.krakencoder.latent_space import (
    LATENT_SPACE,
    OWN,
    check_one_space,
    find_space,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.krakencoder.scores_model import make_scores_model
from kraken_bids.models.training_record import TRAINING
from kraken_bids.pipeline.check.cohort_doubts import refuse_or_warn
from kraken_bids.pipeline.file_predictions import keep_known
from kraken_bids.pipeline.model_files import check_model_output, read_with_hashes
from kraken_bids.pipeline.model_training import find_families
from kraken_bids.pipeline.train.ladder_report import describe_choice, write_ladder
from kraken_bids.pipeline.training_description import TOLD

logger = logging.getLogger(__name__)

MIN_PEOPLE = 20
"""Of fewer, folds of four would judge what is fitted on sixteen."""
MIN_OF_FLAVOR = 10
"""Subjects with a flavor from which its mean is taken, as kraken-tools predict does."""

HANDED_DOWN = {TRAINING.number_of_subjects, TRAINING.regions}
"""What is known of the base model's training and holds of the one made from it."""

Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class FinetuneOptions:
    """How a model is fine-tuned."""

    adaptation_mode: str = DEFAULT_MODE
    """``meanfit+meanshift`` or ``meanshift``: what the mean shift of every rung is."""
    families: str | None = None
    """Table of families, or a column of the participants' table."""
    participants: Path | None = None
    """Table of participants."""
    transforms: tuple[Path, ...] = ()
    """Transforms of a published ``.pt``."""
    seed: int = 0
    """Of folds and intervals."""
    device: str = "auto"
    """Where connectomes are projected."""

    def __post_init__(self) -> None:
        """Check the mode and the seed."""
        if self.seed < 0:
            raise SettingsError(f"--seed: expected a number from 0 on; found {self.seed}.")
        if "meanshift" not in parse_mode(self.adaptation_mode):
            raise SettingsError(
                "--adaptation-mode: expected meanfit+meanshift or meanshift, which fine-tuning "
                f"begins with; found {self.adaptation_mode}."
            )


def finetune_files(
    inputs: Sequence[str], model: str, output: Path, options: FinetuneOptions
) -> tuple[Model, Ladder]:
    """Fine-tune a model on connectome files and write it as a folder.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them.
    model : str
        As :func:`kraken_bids.models.krakencoder.load.load_model` takes it.
    output : Path
        Gets the model, ``finetune.tsv``, ``finetune.json`` and ``finetune.png``.

    Returns
    -------
    model : Model
        Its transforms are at home in the cohort: forward takes the cohort's connectomes as if
        they were adapted, predictions are in the cohort's units.
    ladder : Ladder

    Raises
    ------
    ConnectomeError
        If there are fewer than 20 subjects.
    CheckpointError
        If the model translates latents between groups, or its transforms keep no mean.
    KrakenBidsError
        As the stages do: options, files, flavors, numbers, a full disk.
    """
    if output.suffix == ".pt":
        raise SettingsError(f"expected --output DIR; found {output}.")
    check_model_output(output, [model])
    check_no_input([("--output", output)], [*inputs, options.families, options.participants])
    device = resolve_device(options.device)
    base = read_with_hashes(model, options.transforms)
    check_one_space(base, "Fine-tune")
    cohort = keep_known(open_connectomes(inputs), base, given=inputs)
    _check_subjects(cohort.subjects)
    n_trained = _warn_of_known(base, cohort.subjects)
    families = find_families(cohort.subjects, inputs, options.families, options.participants)
    adaptation, raw, adapted = _take_scores(
        replace(base, device=device), cohort, options.adaptation_mode
    )
    tuner = Tuner(base.network, raw, adapted)
    _check_judged(tuner, cohort.subjects)
    with single_thread():  # which gives the same bytes on any number of cores
        ladder = climb_ladder(tuner, families=families, seed=options.seed)
    tuned = _make_model(base, ladder, adaptation, output.resolve().name)
    tuned = replace(tuned, provenance=add_tuned(tuned.provenance, cohort.subjects))
    write_model(tuned, output)
    facts = {**_list_facts(base, ladder, adaptation, options), "NamedInTraining": n_trained}
    write_ladder(ladder, output, facts)
    return tuned, ladder


def _check_subjects(subjects: Sequence[str]) -> None:
    n_people = len(set(map(subject_of, subjects)))
    if n_people < MIN_PEOPLE:
        raise ConnectomeError(
            f"expected at least {MIN_PEOPLE} people to fine-tune a model, of whom some are held "
            f"out to judge it; found {n_people}. Adapt to them instead: kraken-tools predict and "
            "kraken-bids do so by themselves."
        )


def _warn_of_known(base: Model, subjects: Sequence[str]) -> int | None:
    """Warn of subjects whose names are among those that the model was trained on; counts them.

    None where the model does not say who they were.
    """
    known = find_trained(base.provenance, subjects)
    if known:
        logger.warning(
            "%d of %d people are named as training subjects of %s are (%s). If they are the same "
            "people, the model knows them already: what it gains here says nothing of others, so "
            "leave them out",
            len(known), len(set(map(subject_of, subjects))), base.name, ", ".join(known[:3]),
        )  # fmt: skip
    return None if known is None else len(known)


def _check_judged(tuner: Tuner, subjects: Sequence[str]) -> None:
    """Refuse a cohort few of whom have what the choice is made by."""
    present = {name: np.isfinite(rows).all(axis=1) for name, rows in tuner.raw.items()}
    able = np.any([present[source] & present[target] for source, target in tuner.judged], axis=0)
    people = {subject_of(subjects[row]) for row in np.flatnonzero(able).tolist()}
    if len(people) < MIN_PEOPLE:
        groups = "structure and function" if tuner.is_crossed else "the same flavors"
        raise ConnectomeError(
            f"expected at least {MIN_PEOPLE} people with both {groups}, by whom fine-tuning is "
            f"judged; found {len(people)}. Give connectomes of the same people, or those of one "
            "modality alone."
        )


def _take_scores(model: Model, cohort: Cohort, mode: str) -> tuple[Adaptation, Scores, Scores]:
    """Adaptation to the cohort, and everybody's scores without and with it."""
    scores_model = make_scores_model(model)
    scores_model.keep_few_maps()
    projected = project_cohort(scores_model, cohort)
    refuse_or_warn(projected.checks, cohort.subjects, model, "--input")
    counts = {flavor: one.mean.n_subjects for flavor, one in projected.found.items()}
    few = [flavor for flavor, n in counts.items() if n < MIN_OF_FLAVOR]
    for flavor in few:
        logger.warning(
            "%s: %d people have it, %d are needed for its mean: it stays as it is in the model",
            flavor, counts[flavor], MIN_OF_FLAVOR,
        )  # fmt: skip
    projected = projected.leave_out(few)
    if not projected.found:
        raise ConnectomeError(
            f"expected a flavor that {MIN_OF_FLAVOR} people have; found none. Give more people."
        )
    adaptation = fit_adaptation(
        projected.take_means(model),
        model.training_means(),
        mode,
        model_sha256=model.sha256,
        judges=False,
    )
    _move_reductions(model, adaptation)  # what cannot be moved is said before the long work
    raw, adapted = (
        {
            flavor.name: rows[:, : model.reductions[flavor].n_components].astype(np.float64)
            for flavor, rows in encode_cohort(scores_model, projected, fit).items()
        }
        for fit in (None, adaptation)
    )
    return adaptation, raw, adapted


def _move_reductions(model: Model, adaptation: Adaptation) -> dict[Flavor, Reduction]:
    moved = dict(model.reductions)
    for flavor, fit in adaptation.flavors.items():
        if not fit.b0 > 0:
            raise ConnectomeError(
                f"{flavor}: expected a mean connectome that resembles the training mean; found "
                f"one that falls where that rises (slope {fit.b0:.3g}). Check the connectomes, "
                "or leave the flavor out."
            )
        moved[flavor] = move_reduction(model.reductions[flavor], fit)
    return moved


def _make_model(base: Model, ladder: Ladder, adaptation: Adaptation, name: str) -> Model:
    is_same = ladder.chosen == NONE
    changes = ladder.changes[ladder.chosen]
    space = find_space(base)
    return Model(
        name=name,
        sha256="",
        flavors=base.flavors,
        latent_size=base.latent_size,
        network=base.network if is_same else change_network(base.network, changes),
        reductions=base.reductions if is_same else _move_reductions(base, adaptation),
        provenance={
            **_hand_down(base.provenance),
            "BaseModel": base.name,
            "BaseSHA256": base.sha256,
            "FineTuning": describe_choice(ladder),
            "FineTunedOn": f"{len(ladder.families)} rows: "
            + ", ".join(flavor.name for flavor in adaptation.flavors),
            LATENT_SPACE: space if changes.turn is None else OWN,
        },
        device=base.device,
    )


def _hand_down(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance of the base model, its training and figures set apart: they are no other's."""
    its_own = {
        key: value
        for key, value in provenance.items()
        if key in TOLD - HANDED_DOWN - {TRAINING.base_training}
    }
    rest = {key: value for key, value in provenance.items() if key not in its_own}
    return {**rest, **({TRAINING.base_training: its_own} if its_own else {})}


def _list_facts(
    base: Model, ladder: Ladder, adaptation: Adaptation, options: FinetuneOptions
) -> Mapping[str, Any]:
    return {
        "Summary": describe_choice(ladder),
        "BaseModel": {"Name": base.name, "SHA256": base.sha256},
        "Folds": N_FOLDS,
        "Seed": options.seed,
        "Families": len(set(ladder.families.tolist())),
        "Rows": len(ladder.families),
        "JudgedFamilies": len(set(ladder.families[ladder.find_judged()].tolist())),
        "JudgedRows": len(ladder.find_judged()),
        "LatentsTurned": RUNGS.index(ladder.chosen) >= RUNGS.index(LATENT_MAP)
        and ladder.changes[ladder.chosen].turn is not None,
        "Adaptation": {
            "Mode": adaptation.mode,
            "Flavors": {
                flavor.name: {"b0": fit.b0, "R2": fit.r2, "NumberOfSubjects": fit.n_subjects}
                for flavor, fit in adaptation.flavors.items()
            },
        },
        **VERSION,
    }
