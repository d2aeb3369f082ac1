"""The network for region series: volumes embedded, a body, volumes again."""

import numpy as np
import torch
from torch import Tensor, nn

from kraken_bids.models.series.architecture import N_TIMES, SeriesArchitecture
from kraken_bids.models.series.attention import Indices, Layout
from kraken_bids.models.series.bidirectional_body import BidirectionalBody
from kraken_bids.models.series.causal_body import CausalBody
from kraken_bids.models.series.recurrent_body import RecurrentBody
from kraken_bids.models.series.sequences import Sequences
from kraken_bids.models.series.tokens import Tokens, show_all

CLS_PLACES = {"csm": "last", "bert": "first", "netbert": "first", "autoencoder": "none"}
"""Where the token stands that a sequence is summarised in."""


class Embedder(nn.Module):
    """One vector for each volume, or special vector, and its time.

    Special vectors are volumes themselves: one value for each region. What hides single regions
    (``netbert``) is a value for each place in a sequence.
    """

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self._framework = arch.framework
        if arch.framework != "autoencoder":
            size = (
                (1, arch.n_positions, 1) if arch.framework == "netbert" else (1, 1, arch.n_regions)
            )
            self.msk_embed = nn.Parameter(torch.randn(size))
            self.cls_embed = nn.Parameter(torch.randn(1, 1, arch.n_regions))
        if arch.framework in {"bert", "netbert"}:
            self.sep_embed = nn.Parameter(torch.randn(1, arch.n_regions))
        layers = nn.Sequential(
            nn.Linear(arch.n_regions, arch.embedding),
            nn.LayerNorm(arch.embedding),
            nn.Dropout(arch.dropout),
        )
        self.embed_model = nn.ModuleDict({"model": layers})
        self.wt_re = nn.Embedding(N_TIMES + 1, arch.embedding)

    def forward(self, tokens: Tokens, values: Tensor) -> Tensor:
        """Embed tokens, [n_tokens, embedding].

        Parameters
        ----------
        values : Tensor of shape (n_volumes, n_regions)
        """
        shown = self.show(tokens, values)
        times = torch.from_numpy(tokens.time_ids).to(values.device)
        embedded: Tensor = self.embed_model["model"](shown) + self.wt_re(times)
        return embedded

    def show(self, tokens: Tokens, values: Tensor) -> Tensor:
        """Volumes as the network is shown them, [n_tokens, n_regions]."""
        if tokens.hidden is not None and tokens.places is not None:
            hidden, places = (
                torch.from_numpy(one).to(values.device) for one in (tokens.hidden, tokens.places)
            )
            values = torch.where(hidden, self.msk_embed[0, places], values)
        if self._framework != "autoencoder":
            values = torch.cat([values, *self._list_special()])
        return values.index_select(0, torch.from_numpy(tokens.sources).to(values.device))

    def _list_special(self) -> list[Tensor]:
        """In the order of ``tokens.MASK``, ``CLS`` and ``SEP``."""
        cls = self.cls_embed[0]
        mask = cls if self._framework == "netbert" else self.msk_embed[0]
        return [mask, cls] if self._framework == "csm" else [mask, cls, self.sep_embed]


class SeriesNetwork(nn.Module):
    """A network for region series; names of weights are those of the release.

    Notes
    -----
    Nothing is padded outside attention; the last layer is computed for those tokens alone that a
    result is made of.

    Source: Thomas, Ré & Poldrack 2022.
    """

    def __init__(self, architecture: SeriesArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.embedder = Embedder(architecture)
        self.decoder: CausalBody | BidirectionalBody | RecurrentBody
        if architecture.framework == "csm":
            self.decoder = CausalBody(architecture)
        elif architecture.framework == "autoencoder":
            self.decoder = RecurrentBody(architecture)
        else:
            self.decoder = BidirectionalBody(architecture)
        self.unembedder = nn.ModuleDict()
        if architecture.embedding != architecture.n_regions:
            self.unembedder["model"] = nn.Sequential(
                nn.Linear(architecture.embedding, architecture.n_regions)
            )

    def reconstruct(self, tokens: Tokens) -> tuple[Tensor, Tensor | None]:
        """Fill in what is to be filled in.

        Returns
        -------
        volumes : Tensor of shape (n_scored, n_regions)
        logits : Tensor of shape (n_pairs,)
            That the halves of pairs follow each other; None without pairs.
        """
        assert tokens.scored is not None
        embedded = self.embedder(tokens, self._place(tokens))
        if isinstance(self.decoder, RecurrentBody):
            layout = Layout(tokens.lengths, embedded.device)
            scored = torch.from_numpy(tokens.scored).to(embedded.device)
            return self.unembed(self.decoder(embedded, layout)[scored]), None
        if tokens.is_next is None:
            return self.unembed(self._run(tokens, embedded, tokens.scored)), None
        asking = np.union1d(tokens.scored, tokens.starts)
        hidden = self._run(tokens, embedded, asking)
        volumes, firsts = (
            torch.from_numpy(np.searchsorted(asking, one)).to(hidden.device)
            for one in (tokens.scored, tokens.starts)
        )
        assert isinstance(self.decoder, BidirectionalBody)
        logits = self.decoder.is_next_head(self.decoder.pooler_layer(hidden[firsts]))
        return self.unembed(hidden[volumes]), logits[:, 0]

    def encode(self, sequences: Sequences, values: Tensor | None = None) -> Tensor:
        """One vector for each sequence, [n_sequences, embedding].

        What a head classifies by, where there is one; the pooled first token of ``bert`` and
        ``netbert``, and the code of the autoencoder. The summary token of a causal network that
        was never fine-tuned was never trained either: there, the mean of the last layer's states.

        Parameters
        ----------
        values : Tensor of shape (n_volumes, n_regions), optional
            In place of those of the sequences, for gradients.
        """
        arch = self.architecture
        is_mean = arch.framework == "csm" and not arch.n_classes
        tokens = show_all(sequences, cls="none" if is_mean else CLS_PLACES[arch.framework])
        embedded = self.embedder(tokens, self._place(tokens) if values is None else values)
        if isinstance(self.decoder, RecurrentBody):
            return self.decoder.pool(embedded, Layout(tokens.lengths, embedded.device))[0]
        if is_mean:
            hidden = self._run(tokens, embedded, None)
            parts = torch.split(hidden, tokens.lengths.tolist())
            return torch.stack([part.mean(0) for part in parts])
        asking = tokens.ends if arch.framework == "csm" else tokens.starts
        pooled: Tensor = self.decoder.pooler_layer(self._run(tokens, embedded, asking))
        return pooled

    def classify(self, sequences: Sequences, values: Tensor | None = None) -> Tensor:
        """Logits of each class, [n_sequences, n_classes]; parameters as of :meth:`encode`."""
        assert self.decoder.decoding_head is not None
        logits: Tensor = self.decoder.decoding_head(self.encode(sequences, values))
        return logits

    def _run(self, tokens: Tokens, embedded: Tensor, asking: Indices | None) -> Tensor:
        """Hidden states of the tokens that are asked for."""
        assert not isinstance(self.decoder, RecurrentBody)
        every = Layout(tokens.lengths, embedded.device)
        last = every if asking is None else Layout(tokens.lengths, embedded.device, asking)
        types = None if tokens.types is None else torch.from_numpy(tokens.types)
        hidden: Tensor = self.decoder(
            embedded, every, last, None if types is None else types.to(embedded.device)
        )
        return hidden

    def unembed(self, hidden: Tensor) -> Tensor:
        """Make volumes of hidden states."""
        volumes: Tensor = self.unembedder["model"](hidden) if len(self.unembedder) else hidden
        return volumes

    def _place(self, tokens: Tokens) -> Tensor:
        """Bring volumes to where the weights are, in their precision."""
        weight = self.embedder.wt_re.weight
        return torch.from_numpy(tokens.values).to(weight.device, weight.dtype)
