"""Pretraining: region series in, a network that fills in what is hidden of them out."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.output_checks import check_no_input
from kraken_bids.cohort.series_store import SeriesStore, gather_series
from kraken_bids.cohort.sidecar_records import VERSION
from kraken_bids.cohort.standardised_runs import ZSCORE
from kraken_bids.cohort.training_subjects import SUBJECTS
from kraken_bids.exceptions import SettingsError
from kraken_bids.io.files import atomic_path, remove_leftovers
from kraken_bids.io.records import write_records
from kraken_bids.io.writing import write_table
from kraken_bids.models.series.checkpoint import read_series_model, write_series_model
from kraken_bids.models.series.data_description import SeriesData
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import Objective
from kraken_bids.models.series.parity import trace_network
from kraken_bids.models.series.peers import PeerLoss
from kraken_bids.models.series.published_weights import read_published_network
from kraken_bids.models.series.training import make_network, pretrain_network
from kraken_bids.models.splits import PARTS, Split
from kraken_bids.models.step_training import find_device
from kraken_bids.models.training_record import TRAINING
from kraken_bids.pipeline.model_training import find_families
from kraken_bids.pipeline.resumable_folder import UNFINISHED, ResumableFolder
from kraken_bids.pipeline.series.held_out_sequences import (
    HeldOutSequences,
    list_runs,
    pick_overall,
)
from kraken_bids.pipeline.series.pretraining_options import PretrainingOptions
from kraken_bids.pipeline.series.pretraining_watch import PretrainingWatch
from kraken_bids.pipeline.train.subject_splits import choose_split
from kraken_bids.pipeline.training_states import read_state
from kraken_bids.report.series_page import draw_series_page


class PretrainingFolder(ResumableFolder):
    """Where a pretraining writes."""

    description = "A pretraining of kraken_bids on region series"

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(folder, settings)
        self._data: Mapping[str, Any] = {}

    def enter(self, store: SeriesStore, parts: Mapping[str, list[str]]) -> bool:
        """Note who is trained on what; says whether the training is complete already.

        Raises
        ------
        SettingsError
            If a training that is to be gone on with had other series, or another split.
        """
        self._data = {"Series": digest_series(store), **parts}
        if self.is_taken:
            self.compare(self.known.part("Data").plain, self._data, "data")
            if self.is_complete:
                self.clear()
                return True
        self.note(UNFINISHED, Data=self._data)
        return False

    def close(self, **facts: Any) -> None:
        """Say that the model is complete, and of what; remove the saved state."""
        super().close(**facts, Data=self._data)


def digest_series(store: SeriesStore) -> str:
    """SHA-256 of all runs: their names, times and values, one run in memory at a time."""
    digest = hashlib.sha256()
    for number, run in enumerate(store.runs):
        digest.update(f"{run.name} {run.n_volumes} {run.repetition_time} ".encode())
        digest.update(store.values(number).tobytes())
    return digest.hexdigest()


logger = logging.getLogger(__name__)

PARITY_NAME, PEERS_NAME = "parity.npz", "peers.tsv"


def pretrain_series(
    sources: Sequence[str | Path], output: Path, options: PretrainingOptions
) -> SeriesModel:
    """Pretrain a network on region series and write it as a folder; returns the model.

    Parameters
    ----------
    sources : sequence of str or Path
        As of :func:`~kraken_bids.cohort.series_store.gather_series`.
    output : Path
        Gets the model, ``history.tsv``, ``splits.tsv``, ``peers.tsv``, ``training.json`` and
        ``report.html``; until it is complete, what an interrupted training goes on from.

    Raises
    ------
    KrakenBidsError
        As the stages do: options, files, numbers, a full disk.
    """
    inputs = [*sources, options.weights, options.splits, options.participants]
    check_no_input([("--output", output)], inputs)
    find_device(options.recipe.steps.device)
    start, like = _read_weights(options)
    if start is not None:
        sizes = {name: getattr(start.architecture, name) for name in ("embedding", "n_layers")}
        options = replace(options, recipe=replace(options.recipe, **sizes))
    folder = PretrainingFolder(output, options.to_json())
    folder.check(resume=options.resume)
    store = gather_series(
        sources, output, shortest=options.recipe.shortest, like=like,
        learns_times=True, **options.reading,
    )  # fmt: skip
    people, split = _split_subjects(store, sources, options)
    parts = {part: [people[k] for k in getattr(split, part).tolist()] for part in PARTS}
    if folder.enter(store, parts):
        draw_series_page(output)
        logger.info("%s is complete: nothing but its page is drawn", output)
        return read_series_model(output)
    remove_leftovers(output)
    named = {name: part for part, names in parts.items() for name in names}
    write_table(
        output / "splits.tsv", {"participant_id": list(named), "split": list(named.values())}
    )
    network = start or make_network(options.recipe, store.data.n_regions)
    facts = _train(network, store, parts, options, output=output)
    model = _make_model(network, store, parts, options, facts=facts)
    write_series_model(model, output)
    folder.close(**facts)
    draw_series_page(output)
    return model


def _train(
    network: SeriesNetwork,
    store: SeriesStore,
    parts: Mapping[str, list[str]],
    options: PretrainingOptions,
    *,
    output: Path,
) -> dict[str, Any]:
    """Train a network in place, and write what it is worth beside its peers; gives facts."""
    recipe = options.recipe
    training, validation = (_find_runs(store, parts[name]) for name in ("train", "validation"))
    runs = list_runs(store, training)
    if options.parity:
        tokens = Objective(runs, recipe).draw(np.random.default_rng([recipe.steps.seed, 0]))
        with atomic_path(output / PARITY_NAME) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = {**trace_network(network, tokens)}
            np.savez(file, **arrays)
    held_out = None
    if validation.size:
        held_out = HeldOutSequences.draw(store, training, validation, recipe)
    watch = PretrainingWatch(output, recipe.steps.n_steps, options.interval, held_out)
    saved = read_state(output) if options.resume else None
    state = watch.resume(saved) if saved else None
    reached = pretrain_network(network, runs, recipe, state=state, watch=watch)
    losses = held_out.tabulate(network) if held_out is not None else []
    if held_out is not None:
        write_records(
            output / PEERS_NAME, [PeerLoss], [[one] for one in losses],
            description="Errors of the network and of simpler predictors, on the same values",
            facts={"RidgePenalty": held_out.peers.penalty},
        )  # fmt: skip
    for name, loss in pick_overall(losses).items():
        logger.info("held-out error: %.4f %s", loss, name)
    return {
        TRAINING.training_seconds: round(watch.seconds, 1),
        "Steps": reached.step,
        TRAINING.skipped_steps: reached.n_skipped,
        "HeldOutErrors": dict(pick_overall(losses)),
    }


def _make_model(
    network: SeriesNetwork,
    store: SeriesStore,
    parts: Mapping[str, list[str]],
    options: PretrainingOptions,
    *,
    facts: Mapping[str, Any],
) -> SeriesModel:
    seed = options.recipe.steps.seed
    splits = {name: tuple(own) for name, own in parts.items()}
    return SeriesModel(
        network.cpu(),
        replace(store.data, splits=splits, seed=seed),
        longest=options.recipe.longest,
        provenance={
            "Recipe": options.recipe.to_json(),
            SUBJECTS: parts["train"],
            "StartedFrom": options.weights.name if options.weights else None,
            **facts,
            **VERSION,
        },
    )


def _read_weights(options: PretrainingOptions) -> tuple[SeriesNetwork | None, SeriesData | None]:
    """Network to begin with, and what its series were, as far as they are known.

    Its dropout is that of the recipe.

    Raises
    ------
    SettingsError
        If it is of another framework.
    CheckpointError
        If it cannot be read.
    """
    if options.weights is None:
        return None, None
    if options.weights.is_dir():
        model = read_series_model(options.weights)
        network, like = model.network, model.data
    else:
        network = read_published_network(options.weights)
        like = SeriesData(n_regions=network.architecture.n_regions, normalization=ZSCORE)
    framework = network.architecture.framework
    if framework != options.recipe.framework or network.architecture.n_classes:
        raise SettingsError(
            f"--weights: expected a pretrained network of the framework "
            f"{options.recipe.framework}; found {options.weights}, {framework} with "
            f"{network.architecture.n_classes} classes. Give --framework {framework}, or other "
            "weights."
        )
    own = SeriesNetwork(replace(network.architecture, dropout=options.recipe.dropout))
    own.load_state_dict(network.state_dict())
    return own, like


def _split_subjects(
    store: SeriesStore, sources: Sequence[str | Path], options: PretrainingOptions
) -> tuple[list[str], Split]:
    """Subjects of a store, and who of them trains; one at least is held out, if there are two."""
    people = sorted({run.subject for run in store.runs})
    families = find_families(
        people, list(map(str, sources)), options.families, options.participants
    )
    shares, n = [options.validation_share], len(people)
    if shares[0] and len({*families}) > 1:
        shares += [k / n for k in range(1, n) if k / n > shares[0]]
    for share in shares:  # the first that a whole family fits into
        split = choose_split(
            people, file=options.splits, families=families, shares=(0.0, share),
            seed=options.recipe.steps.seed,
        )  # fmt: skip
        if split.validation.size or options.splits:
            break
    if not split.validation.size:
        logger.warning(
            "nobody is held out: nothing will say what the network is worth for people it has "
            "not seen. Give more subjects, --validation-share or --splits."
        )
    return people, split


def _find_runs(store: SeriesStore, people: Sequence[str]) -> NDArray[np.intp]:
    return np.flatnonzero(np.isin([run.subject for run in store.runs], people))
