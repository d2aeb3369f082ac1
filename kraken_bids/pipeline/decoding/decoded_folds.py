"""Every fold decoded by every method."""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kraken_bids.pipeline.decoding.decoding_folder import DecodingFolder
from kraken_bids.pipeline.decoding.held_out_trials import Decoded
from kraken_bids.pipeline.decoding.trial_folds import HeldOut

logger = logging.getLogger(__name__)

Results = Mapping[str, Sequence[tuple[HeldOut, Decoded]]]
"""Of each method, what it took the trials of each fold for; the method in question first."""
PREDICTED, PROBABILITIES = "predicted", "probabilities"


def decode_folds(
    methods: Sequence[str],
    decode: Callable[[str, HeldOut], Decoded],
    parts: Sequence[HeldOut],
    folder: DecodingFolder,
    *,
    examples: str = "trials",
) -> Results:
    """Decode every fold by every method; what an interrupted decoding has found is recalled.

    Parameters
    ----------
    methods : sequence of str
        The method in question first.
    decode : callable
        Fits a method on the training trials of a fold, and decodes those held out.
    examples : str
        What is decoded, for the log.
    """
    results: dict[str, list[tuple[HeldOut, Decoded]]] = {name: [] for name in methods}
    for part in parts:
        logger.info(
            "repeat %d, fold %d: %d %s to learn from, %d held out",
            part.repeat, part.fold, len(part.train), examples, len(part.test),
        )  # fmt: skip
        for method in methods:
            name = f"{method}_repeat-{part.repeat}_fold-{part.fold}"
            arrays = folder.recall(name)
            if arrays is None:
                found = decode(method, part)
                arrays = {
                    PREDICTED: found.predicted, PROBABILITIES: found.probabilities, **found.extra
                }  # fmt: skip
                folder.keep(name, arrays)
            predicted = arrays.pop(PREDICTED).astype(np.intp)
            results[method].append((part, Decoded(predicted, arrays.pop(PROBABILITIES), arrays)))
    return results
