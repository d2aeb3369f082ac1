"""Intermediates of causal sequence modelling, padded and named as the release has them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.models.series.attention import Layout
from kraken_bids.models.series.causal_body import CausalBody
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import compute_error
from kraken_bids.models.series.tokens import Tokens
from kraken_bids.models.series.training import evaluating

Arrays = dict[str, NDArray[Any]]


def trace_network(network: SeriesNetwork, tokens: Tokens) -> Arrays:
    """Compute the intermediates of a batch, without dropout.

    Returns
    -------
    dict of str to ndarray
        Masks, embedded volumes, hidden states, outputs, loss, and the weights (``sd:``); what
        lies behind the hidden volume of a sequence, where nothing that counts depends on it, is
        0.
    """
    assert isinstance(network.decoder, CausalBody)
    assert tokens.scored_rows is not None
    sequences = tokens.sequences
    values = torch.from_numpy(tokens.values)
    with evaluating(network):
        shown = network.embedder.show(tokens, values)
        embedded = network.embedder(tokens, values)
        every = Layout(tokens.lengths, embedded.device)
        hidden = network.decoder(embedded, every, every, None)
        outputs = network.unembed(hidden)
        loss = compute_error(network.reconstruct(tokens)[0], tokens)
    longest = int(sequences.lengths.max())

    def pad(rows: Any, lengths: NDArray[np.intp]) -> NDArray[Any]:
        found = np.zeros((len(lengths), longest, *np.shape(rows)[1:]), np.asarray(rows).dtype)
        found[np.arange(longest) < lengths[:, None]] = rows
        return found

    is_hidden = np.zeros(values.shape, np.int64)
    is_hidden[tokens.scored_rows] = 1
    return {
        "inputs": pad(tokens.values, sequences.lengths),
        "attention_mask_in": pad(np.ones(len(values), np.int64), sequences.lengths),
        "tr_position_ids_exact": pad(sequences.time_ids, sequences.lengths),
        "csm_modelling_mask": pad(is_hidden, sequences.lengths),
        "csm_masked_inputs": tokens.values[tokens.scored_rows].ravel(),
        "csm_inputs_embeds": pad(shown, tokens.lengths),
        "csm_attention_mask": pad(np.ones(len(shown), np.int64), tokens.lengths),
        "csm_embedded": pad(embedded, tokens.lengths),
        "csm_hidden": pad(hidden, tokens.lengths),
        "csm_outputs": pad(outputs, tokens.lengths),
        "csm_loss_l1": np.asarray(loss),
        **{f"sd:{name}": weights.numpy() for name, weights in network.state_dict().items()},
    }
