"""The recurrent autoencoder: sequence in, one vector, sequence out."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.attention import Layout
from kraken_bids.models.series.causal_body import make_head

TEACHER_FORCING = 0.5
"""Share of training batches whose decoder is fed the true volumes."""


class RecurrentEncoder(nn.Module):
    """Bidirectional layers, whose two directions are averaged; states go from layer to layer."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        width = arch.embedding
        self.pooler_layer = nn.Sequential(
            nn.Dropout(arch.dropout), nn.Linear(width, width), nn.Tanh(), nn.Dropout(arch.dropout)
        )
        self.lstms = nn.ModuleList(
            nn.LSTM(width, width, bidirectional=True, batch_first=True)
            for _ in range(arch.n_layers)
        )
        self.layer_norms = make_norms(arch)

    def forward(self, packed: PackedSequence) -> Tensor:
        """Last states of each sequence, averaged over directions, [n_sequences, embedding]."""
        _, *order = packed
        inputs, states = packed.data, None
        for k, lstm in enumerate(self.lstms):
            found, states = lstm(PackedSequence(inputs, *order), states)
            if k < len(self.layer_norms):
                both = found.data.unflatten(1, (2, -1)).mean(1)
                inputs = self.layer_norms[k](both + inputs)
        assert states is not None
        hidden: Tensor = states[0].mean(0)
        return hidden


class RecurrentDecoder(nn.Module):
    """Layers one after the other at each step; states go from layer to layer, and on."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        width = arch.embedding
        self.lstms = nn.ModuleList(
            nn.LSTM(width, width, batch_first=True) for _ in range(arch.n_layers)
        )
        self.layer_norms = make_norms(arch)
        self.linear_output_layer = nn.Sequential(
            nn.Dropout(arch.dropout), nn.Linear(width, width), nn.Dropout(arch.dropout)
        )

    def forward(self, pooled: Tensor, hidden: Tensor, targets: Tensor) -> Tensor:
        """Unroll from the pooled vector, [n_sequences, longest, embedding].

        Parameters
        ----------
        targets : Tensor of shape (n_sequences, longest, embedding)
            Embedded volumes; what the decoder is fed, where it is fed the truth, is the volume
            before the one to be given.
        """
        forced = self.training and float(torch.rand(())) < TEACHER_FORCING
        states, inputs = (hidden, torch.zeros_like(hidden)), pooled
        found: list[Tensor] = []
        for k in range(targets.shape[1]):
            if k:
                inputs = targets[:, k - 1] if forced else found[-1]
            outputs, states = self._step(inputs, states)
            found.append(outputs)
        return torch.stack(found, 1)

    def _step(
        self, inputs: Tensor, states: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        for k, lstm in enumerate(self.lstms):
            if k:
                inputs = self.layer_norms[k - 1](states[0] + inputs)
            states = torch.lstm_cell(inputs, states, *lstm.parameters())
        return self.linear_output_layer(states[0]), states


class RecurrentBody(nn.Module):
    """Encoder and decoder."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self.encoder = RecurrentEncoder(arch)
        self.decoder = RecurrentDecoder(arch)
        self.decoding_head = make_head(arch)

    def pool(self, x: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
        """One vector of each sequence, the state behind it, and the padded sequences."""
        padded = layout.pad(x)
        packed = pack_padded_sequence(
            padded, layout.lengths, batch_first=True, enforce_sorted=False
        )
        hidden = self.encoder(packed)
        return self.encoder.pooler_layer(hidden), hidden, padded

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Give the volumes of sequences again, each [n_tokens, embedding]."""
        pooled, hidden, padded = self.pool(x, layout)
        return layout.join(self.decoder(pooled, hidden, padded))


def make_norms(arch: SeriesArchitecture) -> nn.ModuleList:
    """Normalisations before each layer but the first."""
    return nn.ModuleList(
        nn.Sequential(nn.LayerNorm(arch.embedding), nn.Dropout(arch.dropout))
        for _ in range(arch.n_layers - 1)
    )
