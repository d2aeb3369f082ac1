"""What the provenance of a model says of its training: the keys, each once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kraken_bids.io.records import keys_of


@dataclass(frozen=True)
class EvaluationRecord:
    """How well the paths of one direction tell subjects apart, in one space, by one metric."""

    split: str
    direction: str
    space: str
    metric: str
    value: float | None
    """Mean over paths; None where there is none, as for the next two."""
    group_mean: float | None
    """That of the group mean."""
    shuffled: float | None
    """That of shuffled predictions."""
    subjects: int


@dataclass(frozen=True)
class TrainingRecord:
    """How a model came about; a way of training fills in what it has."""

    method: str
    training: Mapping[str, object]
    """Settings of the network."""
    number_of_subjects: int
    subjects: Sequence[str]
    """Those trained on."""
    split_sizes: Mapping[str, int]
    subjects_by_flavor: Mapping[str, int]
    epoch: int
    """Epochs behind the weights."""
    epochs_run: int
    best_validation_epoch: int | None
    skipped_steps: int
    training_seconds: float
    evaluation: Sequence[EvaluationRecord]
    paths: Sequence[Mapping[str, object]]
    """Of closed-form regressions, what each path was fitted with."""
    regions: Mapping[str, Sequence[str]]
    """Names of the regions of atlases that the package does not know."""
    held_out: Sequence[Mapping[str, object]]
    """How well the latents of subjects held out are met, by new flavor."""
    target_latents: str
    """Where the latents come from that a new flavor was fitted to."""
    base_training: Mapping[str, object]
    """How the model was trained that this one was made from."""


TRAINING = keys_of(TrainingRecord)
EVALUATION = keys_of(EvaluationRecord)
