"""A new flavor onto the latent space of a model: connectomes and latents in, a model out."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.output_checks import check_no_input
from kraken_bids.cohort.projections import Cohort, project_cohort
from kraken_bids.cohort.subject_names import subject_of
from kraken_bids.exceptions import CheckpointError, ConnectomeError, FlavorError, SettingsError
from kraken_bids.io.files import make_folder
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.fusion import fuse
from kraken_bids.models.krakencoder.latent_space import (
    LATENT_SPACE,
    check_one_space,
    find_space,
)
from kraken_bids.models.krakencoder.losses import weigh_losses
from kraken_bids.models.krakencoder.merge import merge_models
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.published_writer import name_reductions
from kraken_bids.models.krakencoder.recipe import SHAPE, TrainingData, TrainingSettings
from kraken_bids.models.krakencoder.reduction import parse_transform
from kraken_bids.models.krakencoder.training import Trainer
from kraken_bids.models.splits import Split, split_subjects
from kraken_bids.models.training_record import TRAINING
from kraken_bids.pipeline.check.cohort_doubts import refuse_or_warn
from kraken_bids.pipeline.file_predictions import project_source
from kraken_bids.pipeline.model_files import check_model_output, read_with_hashes
from kraken_bids.pipeline.model_training import find_families, read_atlas_tables
from kraken_bids.pipeline.predict.adaptation_of_files import choose_for_files
from kraken_bids.pipeline.predict.prediction_options import PredictionOptions
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.train.held_out_latents import judge_latents
from kraken_bids.pipeline.train.latent_matches import LatentMatch
from kraken_bids.pipeline.train.reduced_cohort import ReducedCohort, reduce_cohort
from kraken_bids.pipeline.train.target_latents import (
    Latents,
    match_latents,
    read_target_latents,
)

logger = logging.getLogger(__name__)

N_EPOCHS = 500
"""As published."""


@dataclass(frozen=True)
class AdditionOptions:
    """How a flavor is added."""

    settings: TrainingSettings = field(default_factory=lambda: TrainingSettings(n_epochs=N_EPOCHS))
    """Recipe; what shapes the network is the model's. An empty transform is the model's."""
    latents: Path | None = None
    """File of the subjects' latents; computed from their other flavors without."""
    latents_source: str = ""
    """Which of the latents in the file."""
    is_fixed: bool = False
    """Step encoders towards the latents and decoders from them, each by itself."""
    adaptation_mode: str = "auto"
    """How other flavors are adapted, from which latents are computed."""
    validation_share: float = 0.1
    """Share of the subjects who do not train, and whose latents are compared."""
    families: str | None = None
    """Table of families, or a column of the participants' table."""
    participants: Path | None = None
    """Table of participants."""
    atlases: Mapping[str, Path] = field(default_factory=dict)
    """Tables of regions of atlases that the package does not know."""
    transforms: tuple[Path, ...] = ()
    """Transforms of a published ``.pt``."""
    merges: bool = False
    """Write the model together with the new flavors."""

    def __post_init__(self) -> None:
        """Check the share."""
        if not 0 <= self.validation_share < 1:
            raise SettingsError(
                f"expected --validation-share from 0 up to 1; found {self.validation_share:g}."
            )


def add_flavor_files(
    inputs: Sequence[str], model: str, output: Path, options: AdditionOptions
) -> tuple[Model, tuple[LatentMatch, ...]]:
    """Train encoders and decoders of new flavors onto a model's latents, and write them.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them: the new flavors, and
        without a file of latents also some of the model's.
    model : str
        As :func:`kraken_bids.models.krakencoder.load.load_model` takes it.
    output : Path
        Folder of the new model.

    Returns
    -------
    model : Model
        Of the new flavors alone, or merged.
    matches : tuple of LatentMatch
        How well latents of subjects who did not train are met, by new flavor.

    Raises
    ------
    FlavorError
        If no flavor is new, or an atlas has other regions in the model.
    InputError
        If nobody has latents.
    ConnectomeError
        If subjects are too few.
    KrakenBidsError
        As the stages do: options, files, numbers, a full disk.
    """
    started = time.monotonic()
    if output.suffix == ".pt":
        raise SettingsError(
            f"expected --output DIR; found {output}. kraken-tools convert writes it."
        )
    check_model_output(output, [model])
    tables = [options.latents, options.families, options.participants, *options.atlases.values()]
    check_no_input([("--output", output)], [*inputs, *tables])
    base = read_with_hashes(model, options.transforms)
    cohort = open_connectomes(inputs)
    new = _find_new(cohort, base, options)
    regions = read_atlas_tables(options.atlases, new)
    targets = _take_latents(cohort, base, options)
    families = find_families(cohort.subjects, inputs, options.families, options.participants)
    settings = _settle(options.settings, base)
    split = _split(targets, families, options)
    make_folder(output)
    reduced = reduce_cohort(new, split, families, transform=settings.transform, folder=output)
    added, matches = _train(base, reduced, targets, replace(options, settings=settings))
    facts = {
        TRAINING.regions: regions,
        TRAINING.training_seconds: round(time.monotonic() - started, 1),
    }
    added = replace(added, name=output.resolve().name, provenance={**added.provenance, **facts})
    if options.merges:
        added = merge_models([base, added], output.resolve().name)
    write_model(added, output)
    return added, matches


def _find_new(cohort: Cohort, base: Model, options: AdditionOptions) -> Cohort:
    """Connectomes of flavors that the model lacks."""
    check_one_space(base, "Add to")
    known = sorted(flavor.name for flavor in set(cohort.rows) & set(base.flavors))
    new = {flavor: rows for flavor, rows in cohort.rows.items() if flavor not in base.flavors}
    if not new:
        raise FlavorError(
            f"expected a flavor that {base.name} lacks; found {', '.join(known)}, which it has. "
            "Give connectomes of another flavor, or name yours otherwise."
        )
    if known and options.latents:
        raise SettingsError(
            f"expected either --latents, or --input of the model's own flavors to compute latents "
            f"from; found --latents {options.latents} and {', '.join(known)}. Leave one out."
        )
    if not known and not options.latents:
        raise SettingsError(
            "expected --latents FILE, or --input of the same people's connectomes of flavors that "
            f"{base.name} has ({', '.join(f.name for f in base.flavors[:4])} …), to compute their "
            f"latents; found only {', '.join(f.name for f in new)}."
        )
    sizes = {flavor.parcellation: base.n_edges(flavor) for flavor in base.flavors}
    for flavor, rows in new.items():
        n_edges, wanted = getattr(rows, "n_edges", None), sizes.get(flavor.parcellation)
        if wanted is not None and n_edges not in {None, wanted}:
            raise FlavorError(
                f"{flavor}: expected matrices of the {flavor.parcellation} of {base.name}, "
                f"{wanted} edges; found {n_edges}. If it is another atlas, name it otherwise."
            )
    return Cohort(cohort.subjects, new)


def _take_latents(cohort: Cohort, base: Model, options: AdditionOptions) -> Latents:
    """Latents of everybody ``[n_subjects, n_latent]``, from the file or from other flavors."""
    if options.latents:
        labels, rows = read_target_latents(options.latents, base, options.latents_source)
        return match_latents(cohort.subjects, labels, rows, where=f"--latents {options.latents}")
    known = {flavor: rows for flavor, rows in cohort.rows.items() if flavor in base.flavors}
    base.keep_few_maps()
    projected = project_cohort(base, Cohort(cohort.subjects, known))
    refuse_or_warn(projected.checks, cohort.subjects, base, "--input")
    adaptation = choose_for_files(
        PredictionOptions(adaptation_mode=options.adaptation_mode),
        base,
        projected,
        given=None,
        project=partial(project_source, base),
    )
    return fuse(encode_cohort(base, projected, adaptation))


def _settle(settings: TrainingSettings, base: Model) -> TrainingSettings:
    """Recipe with the transform, and the shape of the network, of the model.

    Where scores are compared by their squared error, latents and their targets are as well, with
    the same weight: correlations alone leave a latent's direction open. So does the reference
    release.
    """
    transform = settings.transform or name_reductions(base)
    try:
        parse_transform(transform)
    except CheckpointError as error:
        raise CheckpointError(f"{error} Say which by --transform.") from error
    arch, weights, loss = base.network.architecture, weigh_losses(settings.loss), settings.loss
    if weights.prediction.error and not weights.latent.error:
        loss += f"+encmse.w{weights.prediction.error:g}"
    return replace(
        settings,
        loss=loss,
        transform=transform,
        **{name: getattr(arch, name) for name in SHAPE},
    )


def _split(targets: Latents, families: Sequence[str], options: AdditionOptions) -> Split:
    """Split those who have latents into subjects to train on and subjects to judge."""
    rows = np.flatnonzero(np.isfinite(targets).all(axis=1))
    left_out = len(targets) - len(rows)
    if left_out:
        logger.warning("%d subjects of --input have no latents and are left out", left_out)
    found = split_subjects(
        len(rows),
        families=[families[row] for row in rows.tolist()],
        test_share=0.0,
        validation_share=options.validation_share,
        seed=options.settings.seed,
    )
    if len(found.train) < options.settings.batch_size:
        raise ConnectomeError(
            f"expected at least a batch of {options.settings.batch_size} people with latents to "
            f"train on; found {len(found.train)} (beside {len(found.validation)} held out). Give "
            f"--batch-size {max(2, len(found.train))} or more people."
        )
    return Split(rows[found.train], rows[found.validation], rows[found.test])


def _train(
    base: Model, cohort: ReducedCohort, targets: Latents, options: AdditionOptions
) -> tuple[Model, tuple[LatentMatch, ...]]:
    settings, train = options.settings, cohort.split.train
    architecture = replace(
        base.network.architecture,
        flavors=tuple(cohort.sizes),
        input_sizes=tuple(cohort.sizes.values()),
        dropout=settings.dropout,
        final_dropouts=(),
        groups=(),
    )
    data = TrainingData(cohort.take_scores(train), targets[train], options.is_fixed)
    trainer = Trainer(architecture, data, settings)
    progress = Progress("epochs trained:", settings.n_epochs)
    for _ in range(settings.n_epochs):
        trainer.run_epoch()
        progress.advance()
    held_out = cohort.split.validation
    people = [subject_of(cohort.subjects[row]) for row in held_out.tolist()]
    scores = cohort.take_scores(held_out)
    matches = judge_latents(trainer.weights, scores, targets[held_out], people)
    described = _describe(base, cohort, matches, options, n_skipped=trainer.count_skipped())
    model = Model(
        name="", sha256="", flavors=tuple(cohort.flavors), latent_size=base.latent_size,
        network=trainer.weights, reductions=cohort.reductions, provenance=described,
    )  # fmt: skip
    return model, matches


def _describe(
    base: Model,
    cohort: ReducedCohort,
    matches: Sequence[LatentMatch],
    options: AdditionOptions,
    *,
    n_skipped: int,
) -> dict[str, object]:
    """Describe how the new flavors were trained, for the provenance of the model."""
    trained_on = [cohort.subjects[row] for row in cohort.split.train.tolist()]
    return {
        TRAINING.method: "target encoding, fixed" if options.is_fixed else "target encoding",
        TRAINING.training: options.settings.to_json(),
        TRAINING.number_of_subjects: len(trained_on),
        TRAINING.subjects: trained_on,
        TRAINING.skipped_steps: n_skipped,
        TRAINING.target_latents: str(
            options.latents.name if options.latents else "of the other flavors"
        ),
        TRAINING.held_out: [match.to_json() for match in matches],
        "BaseModel": base.name,
        "BaseSHA256": base.sha256,
        LATENT_SPACE: find_space(base),
    }
