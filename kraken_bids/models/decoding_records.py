"""Rows of the tables that trainings and decodings write, and that their pages read back."""

from dataclasses import dataclass

from kraken_bids.io.records import column

PRETRAINED, SCRATCH, LINEAR, SHUFFLED, CHANCE = (
    "pretrained", "scratch", "linear", "shuffled", "chance"
)  # fmt: skip
METHODS = {
    PRETRAINED: "the pretrained network, fine-tuned",
    SCRATCH: "the same network from random weights",
    LINEAR: "logistic regression on each trial's mean volume",
    SHUFFLED: "the network, trained on labels that were dealt out anew",
    CHANCE: "the most frequent label, for every trial",
}
ALL_REPEATS = ALL_FOLDS = "all"
HEADS, EVERYTHING = "heads", "all"
"""Which weights are random: those behind the last layer, or all."""
BY_RELEVANCE, BY_CHANCE = "relevance", "chance"
"""Order in which voxels are set to 0."""
MAPS = "relevance"
"""Folder of the mean maps of states, inside that of a decoder of volumes."""
ROUNDING = 1e-6
"""Of numbers in tables."""


@dataclass(frozen=True)
class TrainingPoint:
    """One number of a training: a row of ``history.tsv``."""

    step: int = column("training steps done")
    split: str = column("runs or trials that it is of", levels={
        "train": "those that weights are fitted on",
        "validation": "those that the training is watched with",
    })  # fmt: skip
    metric: str = column("what is measured", levels={
        "loss": "mean loss: of the steps since the row before, or over all validation sequences",
        "error": "mean absolute error over what was hidden",
        "order": "share of pairs of which it was told right whether they follow each other",
        "accuracy": "share of trials decoded right",
        "learning_rate": "of the step",
    })  # fmt: skip
    value: float = column("its value")


@dataclass(frozen=True)
class DecodingScore:
    """How well one method decodes the trials of one part: a row of ``scores.tsv``."""

    method: str = column("what decodes", levels=METHODS)
    repeat: str = column(f"number of the split of subjects; {ALL_REPEATS}: the mean over them")
    split: str = column("part of the trials")
    accuracy: float = column("share of trials decoded right")
    accuracy_low: float = column(
        "lower end of its 95 % interval: people (families) drawn anew, each with all trials; of "
        "chance, of as many independent guesses; of shuffled, over shuffles (Student's t on "
        "log-odds)"
    )
    accuracy_high: float = column("upper end of its 95 % interval")
    balanced_accuracy: float = column("mean over classes of the share decoded right")
    balanced_low: float = column("lower end of its 95 % interval")
    balanced_high: float = column("upper end of its 95 % interval")
    n_trials: int = column("trials; of a decoder of volumes, volumes")
    n_subjects: int = column("subjects that they are of")
    over_linear: float | None = column(
        "balanced accuracy less that of the linear method on the same trials"
    )
    over_linear_low: float | None = column("lower end of the 95 % interval of the difference")
    over_linear_high: float | None = column("upper end of it")


@dataclass(frozen=True)
class ShuffledControl:
    """A network trained on shuffled labels, beside as many guesses: a row of ``shuffles.tsv``."""

    repeat: str = column(f"number of the split of subjects; {ALL_REPEATS}: the mean over them")
    split: str = column(
        f"part held out, which has a shuffle of its own; {ALL_FOLDS}: the shuffles of all parts"
    )
    accuracy: float = column("share of trials of which the true label was given")
    chance: float = column(
        "share that would be right if labels and what they were taken for had nothing to do with "
        "each other: the sum over labels of both shares"
    )
    n_people: int = column("people (families) held out")
    people_low: float = column(
        "lower end of the 95 % binomial interval of chance, one guess for each of them"
    )
    people_high: float = column("upper end of it")
    n_trials: int = column("trials")
    trials_low: float = column("lower end of the same, one guess for each trial")
    trials_high: float = column("upper end of it")

    @property
    def is_chance_by_people(self) -> bool:
        """Whether the accuracy is within the interval of as many guesses as people."""
        return self.people_low - ROUNDING <= self.accuracy <= self.people_high + ROUNDING

    @property
    def is_chance_by_trials(self) -> bool:
        """Whether the accuracy is within the interval of as many guesses as trials."""
        return self.trials_low - ROUNDING <= self.accuracy <= self.trials_high + ROUNDING


@dataclass(frozen=True)
class DecodedTrial:
    """What a method took a trial for, of a subject it did not learn from: ``predictions.tsv``."""

    method: str = column("what decodes", levels=METHODS)
    repeat: int = column("number of the split of subjects")
    fold: int = column("part of the split that was held out")
    participant_id: str = column()
    run: str = column("name of the run")
    first: int = column("first volume of the trial, from 0")
    n_volumes: int = column("volumes of the trial")
    onset: float = column("of the event, seconds from the first volume")
    label: str = column("label of the trial")
    predicted: str = column("label that the method gave")
    probability: float | None = column("that it gives its label; n/a of methods without any")


@dataclass(frozen=True)
class FoldMember:
    """In which part of a split a subject is held out: a row of ``splits.tsv`` of a decoding."""

    participant_id: str = column()
    family: str | None = column("people of one family (or site) are held out together")
    repeat: int = column("number of the split of subjects")
    fold: int = column("part of the split in which the person is held out")


@dataclass(frozen=True)
class ConfusionCount:
    """How often one label was taken for another one: a row of ``confusion.tsv``."""

    label: str = column("label of the trials")
    predicted: str = column("label that the network gave")
    n_trials: int = column("test trials (of a decoder of volumes, volumes), of all repeats")


@dataclass(frozen=True)
class RegionRelevance:
    """What a region adds to the score of a label, when: a row of ``relevance.tsv``."""

    label: str = column("label whose score is explained")
    region: str = column("region")
    volume: int = column("volume of the trial, from 0")
    relevance: float = column("mean over the label's test trials; they add up to the score")


@dataclass(frozen=True)
class DeletedShare:
    """What is left of a state's probability without some voxels: a row of ``deletion.tsv``."""

    order: str = column("which voxels are set to 0", levels={
        BY_RELEVANCE: "the most relevant of the volume first",
        BY_CHANCE: "as many, drawn by chance",
    })  # fmt: skip
    share: float = column("share of the voxels of the brain that are set to 0")
    probability: float = column("of the state that a volume was acquired in; mean over volumes")


@dataclass(frozen=True)
class WeightsCheck:
    """Whether relevance depends on what was learned: a row of ``relevance_check.tsv``."""

    randomised: str = column("weights replaced by random ones, from the last layer on")
    correlation: float = column(
        "rank correlation of relevance with and without them, mean over trials"
    )
