"""Attention among the tokens of each sequence, which lie one after the other without padding."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Indices = NDArray[np.intp]


class Layout:
    """Where the tokens of a batch lie, and which of them are asked for.

    Parameters
    ----------
    lengths : ndarray
        Tokens of each sequence.
    device : torch.device
        Of the tokens.
    asking : ndarray, optional
        Tokens whose new states are needed, ascending; all by default.
    """

    def __init__(
        self, lengths: Indices, device: torch.device, asking: Indices | None = None
    ) -> None:
        self.lengths = torch.from_numpy(lengths)
        """Tokens of each sequence; on the CPU, as torch wants them."""
        self._device, self._shape = device, (len(lengths), int(lengths.max()))
        starts = np.cumsum(lengths) - lengths
        sequence_of = np.repeat(np.arange(len(lengths)), lengths)
        positions = np.arange(len(sequence_of)) - starts[sequence_of]
        self.positions = self._place(positions)
        """Place of each token in its sequence."""
        self.asking = None if asking is None else self._place(asking)
        """Tokens that are asked for; None: all."""
        self._keys = self._place(_fill(self._shape, sequence_of, positions))
        self._is_key = np.arange(self._shape[1]) < lengths[:, None]
        self._ends = np.broadcast_to(np.arange(self._shape[1]), self._shape)
        self._questions, places = self._keys, positions
        if asking is not None:
            ends, sequence_of = positions[asking], sequence_of[asking]
            counts = np.bincount(sequence_of, minlength=len(lengths))
            places = np.arange(len(asking)) - (np.cumsum(counts) - counts)[sequence_of]
            self._ends = np.zeros((len(lengths), int(counts.max())), np.intp)
            self._ends[sequence_of, places] = ends
            self._questions = self._place(_fill(self._ends.shape, sequence_of, places))
        self._answers = self._place(sequence_of * self._ends.shape[1] + places)

    def pick(self, tokens: Tensor) -> Tensor:
        """Give the tokens that are asked for."""
        return tokens if self.asking is None else tokens.index_select(0, self.asking)

    def pad(self, tokens: Tensor) -> Tensor:
        """[n_sequences, longest, width]; what fills short sequences up is never to be used."""
        return tokens.index_select(0, self._keys).reshape(*self._shape, -1)

    def join(self, padded: Tensor) -> Tensor:
        """Give the tokens of padded sequences, one sequence after the other."""
        return padded.reshape(-1, padded.shape[-1]).index_select(0, self._answers)

    def attend(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        n_heads: int,
        causal: bool,
        rate: float,
    ) -> Tensor:
        """Attend from the tokens that are asked for to those of their sequence.

        Parameters
        ----------
        queries : Tensor of shape (n_asking, width)
        keys, values : Tensor of shape (n_tokens, width)
        causal : bool
            To no token that comes later.
        rate : float
            Of dropout.

        Returns
        -------
        Tensor of shape (n_asking, width)
        """
        answers = scaled_dot_product_attention(
            self._spread(queries, self._questions, n_heads),
            self._spread(keys, self._keys, n_heads),
            self._spread(values, self._keys, n_heads),
            attn_mask=self._find_mask(causal=causal),
            dropout_p=rate,
            is_causal=causal and self.asking is None,
        )
        return self.join(answers.transpose(1, 2).reshape(*self._ends.shape, -1))

    def _spread(self, tokens: Tensor, index: Tensor, n_heads: int) -> Tensor:
        """[n_sequences, n_heads, longest, size]; what fills short sequences up is never used."""
        padded = tokens.index_select(0, index)
        return padded.reshape(self._shape[0], -1, n_heads, padded.shape[1] // n_heads).transpose(
            1, 2
        )

    def _find_mask(self, *, causal: bool) -> Tensor | None:
        """Say what may be seen; None where all may, or causality says it."""
        if causal and self.asking is None:
            return None
        seen = self._is_key[:, None]
        if causal:
            seen = seen & (np.arange(self._shape[1]) <= self._ends[..., None])
        elif seen.all():
            return None
        return torch.from_numpy(seen[:, None]).to(self._device)

    def _place(self, indices: Indices) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(indices)).to(self._device)


def _fill(shape: tuple[int, ...], sequence_of: Indices, places: Indices) -> Indices:
    """Row at each place of each sequence, flat; 0 where there is none."""
    rows = np.zeros(shape, np.intp)
    rows[sequence_of, places] = np.arange(len(sequence_of))
    return rows.reshape(-1)
