"""Methods that trials are decoded with, each fitted on some subjects and tried on others."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.series_store import SeriesStore
from kraken_bids.models.decoding_records import (
    CHANCE,
    LINEAR,
    SCRATCH,
    SHUFFLED,
)
from kraken_bids.models.linear_decoder import mean_patterns
from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.classification import (
    Watch,
    make_classifier,
    train_classifier,
)
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.sequences import LabelledSeries
from kraken_bids.models.step_training import StepSettings
from kraken_bids.pipeline.decoding.baselines import decode_by_chance, decode_patterns, list_methods
from kraken_bids.pipeline.decoding.held_out_trials import Decoded, Indices, LabelledTrials
from kraken_bids.pipeline.decoding.trial_folds import HeldOut


@dataclass(frozen=True)
class TrialSet(LabelledTrials):
    """Trials, and the store that holds their series."""

    store: SeriesStore

    def take(self, rows: Indices) -> LabelledSeries:
        """Take some trials with their volumes."""
        chosen = [self.trials[row] for row in rows.tolist()]
        return LabelledSeries(
            [self.store.values(one.run)[one.volumes] for one in chosen],
            [self.store.runs[one.run].repetition_time for one in chosen],
            self.labels[rows],
        )

    def average(self, rows: Indices) -> NDArray[np.float64]:
        """Mean over the volumes of each trial that count ``[n_trials, n_regions]``."""
        chosen = [self.trials[row] for row in rows.tolist()]
        return mean_patterns(
            [
                self.store.values(one.run)[one.volumes][self.store.kept(one.run)[one.volumes]]
                for one in chosen
            ]
        )


@dataclass(frozen=True)
class Design:
    """What networks of a decoding have in common."""

    architecture: SeriesArchitecture
    """With its classes."""
    pretrained: SeriesNetwork | None
    steps: StepSettings
    batch_size: int
    longest: int
    """Volumes that a network is shown at once."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods, the one that the decoding is about first."""
        return list_methods(is_pretrained=self.pretrained is not None)


@dataclass(frozen=True)
class DecodedByNetwork(Decoded):
    """What a network took held-out trials for."""

    network: SeriesNetwork = field(kw_only=True)


def decode_held_out(method: str, trials: TrialSet, design: Design, part: HeldOut) -> Decoded:
    """Fit a method on the training trials of a fold, and decode those held out."""
    seed = part.seed(design.steps.seed)
    if method == CHANCE:
        return decode_by_chance(trials, part)
    if method == LINEAR:
        return decode_patterns(trials, part, trials.average, seed=seed)
    training, shown = trials.take(part.train), trials.take(part.test)
    if method == SHUFFLED:
        shuffled = trials.shuffle(part.train, np.random.default_rng([seed, 2]))
        training = replace(training, labels=shuffled)
    network = fit_network(training, design, seed=seed, is_pretrained=method != SCRATCH)
    model = SeriesModel(network, trials.store.data, longest=design.longest)
    found = model.probabilities(shown.values, shown.repetition_times)
    predicted = found.argmax(axis=1).astype(np.intp)
    probabilities = found.max(axis=1).astype(np.float64)
    return DecodedByNetwork(predicted, probabilities, network=network)


def fit_network(
    trials: LabelledSeries,
    design: Design,
    *,
    seed: int,
    is_pretrained: bool,
    watch: Watch | None = None,
) -> SeriesNetwork:
    """Train a network on trials.

    Parameters
    ----------
    seed : int
        Of weights that are new, batches and dropout.
    is_pretrained : bool
        Whether it begins with the weights of the design's pretrained network, if that has one.
    """
    network = make_classifier(
        design.architecture, seed=seed, pretrained=design.pretrained if is_pretrained else None
    )
    train_classifier(
        network, trials, replace(design.steps, seed=seed),
        batch_size=design.batch_size, longest=design.longest, watch=watch,
    )  # fmt: skip
    return network
