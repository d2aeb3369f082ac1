"""Methods that volumes are decoded with, each fitted on some subjects and tried on others."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.decoding_records import CHANCE, LINEAR, SCRATCH, SHUFFLED
from kraken_bids.models.step_training import StepSettings, find_device
from kraken_bids.models.volumes.architecture import VolumeArchitecture
from kraken_bids.models.volumes.decoding import decode_volumes
from kraken_bids.models.volumes.network import VolumeNetwork
from kraken_bids.models.volumes.training import make_decoder, train_decoder
from kraken_bids.pipeline.decoding.baselines import decode_by_chance, decode_patterns, list_methods
from kraken_bids.pipeline.decoding.decoding_folder import DecodingFolder
from kraken_bids.pipeline.decoding.held_out_trials import Decoded, Indices
from kraken_bids.pipeline.decoding.training_course import KeptSteps
from kraken_bids.pipeline.decoding.trial_folds import HeldOut
from kraken_bids.pipeline.volumes.held_out_relevance import explain_held_out
from kraken_bids.pipeline.volumes.labelled_volumes import CachedVolumes


@dataclass(frozen=True)
class VolumeDesign:
    """What networks of a training have in common."""

    architecture: VolumeArchitecture
    """With its states."""
    pretrained: VolumeNetwork | None
    steps: StepSettings
    batch_size: int
    n_threads: int = 1
    folder: DecodingFolder | None = None
    """Keeps the state of every training while it lasts; None: nothing is kept."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods, the one that the training is about first."""
        return list_methods(is_pretrained=self.pretrained is not None)


def decode_part(
    method: str, cached: CachedVolumes, design: VolumeDesign, part: HeldOut
) -> Decoded:
    """Fit a method on the training volumes of a fold, and decode those held out.

    The method in question is explained in the first repeat, and what is found kept.
    """
    seed = part.seed(design.steps.seed)
    if method == CHANCE:
        return decode_by_chance(cached.volumes, part)
    if method == LINEAR:
        return decode_patterns(cached.volumes, part, lambda rows: cached.patterns[rows], seed=seed)
    labels = cached.volumes.labels[part.train]
    if method == SHUFFLED:
        labels = cached.volumes.shuffle(part.train, np.random.default_rng([seed, 2]))
    own = replace(design, pretrained=None) if method == SCRATCH else design
    name = f"{method}_repeat-{part.repeat}_fold-{part.fold}"
    kept = KeptSteps(design.folder, name) if design.folder else None
    network = fit_decoder(cached, part.train, labels, own, seed=seed, kept=kept)
    found = _decode_rows(network, cached, part.test, design)
    extra: dict[str, NDArray[np.generic]] = {}
    if method == design.methods[0] and part.repeat == 1:
        explained = explain_held_out(
            network, cached, part.test, seed=seed, n_threads=design.n_threads
        )
        extra = explained.to_arrays()
    if kept:  # not before: decoding and explaining take their time too
        kept.forget()
    return Decoded(found.argmax(axis=1).astype(np.intp), found.max(axis=1), extra)


def _decode_rows(
    network: VolumeNetwork, cached: CachedVolumes, rows: Indices, design: VolumeDesign
) -> NDArray[np.float64]:
    """Probabilities of some volumes [n_volumes, n_states]."""
    numbers = rows.tolist()
    decoded = decode_volumes(
        network, lambda k: cached.cache.read([numbers[k]])[0], len(numbers),
        n_threads=design.n_threads, device=str(find_device(design.steps.device)),
    )  # fmt: skip
    return np.array(list(decoded))


def fit_decoder(
    cached: CachedVolumes,
    rows: Indices,
    labels: Indices,
    design: VolumeDesign,
    *,
    seed: int,
    kept: KeptSteps | None = None,
) -> VolumeNetwork:
    """Train a network on some volumes; an interrupted training goes on where it was kept.

    Parameters
    ----------
    rows, labels : int array of shape (n_volumes,)
        Their numbers, and those of their states.
    seed : int
        Of weights that are new, batches and dropout.
    kept : KeptSteps, optional
        Keeps the state of this training while it lasts.
    """
    network = make_decoder(design.architecture, seed=seed, pretrained=design.pretrained)
    train_decoder(
        network, lambda chosen: cached.cache.read(rows[chosen].tolist()), labels,
        replace(design.steps, seed=seed), batch_size=design.batch_size,
        state=kept.recall() if kept else None, watch=kept,
    )  # fmt: skip
    return network
