"""The causal transformer: GPT-2's layers, by the names that weights have elsewhere."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu

from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.attention import Layout

SPREAD = 0.02
"""Standard deviation of initial weights."""


class Projection(nn.Module):
    """A linear layer whose weights are [n_in, n_out]."""

    def __init__(self, n_in: int, n_out: int, spread: float = SPREAD) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out) * spread)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows."""
        return torch.addmm(self.bias, x, self.weight)

    def split(self, x: Tensor, asking: Tensor, n_first: int) -> tuple[Tensor, Tensor]:
        """Map the asking rows to the first outputs, and all rows to the others."""
        weight, bias = self.weight, self.bias
        first = torch.addmm(bias[:n_first], x.index_select(0, asking), weight[:, :n_first])
        return first, torch.addmm(bias[n_first:], x, weight[:, n_first:])


class CausalAttention(nn.Module):
    """Attention to what came before."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self._n_heads, self._dropout = arch.heads, arch.dropout
        self.c_attn = Projection(arch.embedding, 3 * arch.embedding)
        spread = SPREAD / (2 * arch.n_layers) ** 0.5
        self.c_proj = Projection(arch.embedding, arch.embedding, spread)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Attend from the tokens that are asked for."""
        width = x.shape[1]
        if layout.asking is None:
            queries, others = self.c_attn(x).tensor_split([width], dim=1)
        else:
            queries, others = self.c_attn.split(x, layout.asking, width)
        keys, values = others.tensor_split(2, dim=1)
        rate = self._dropout if self.training else 0.0
        mixed = layout.attend(queries, keys, values, n_heads=self._n_heads, causal=True, rate=rate)
        projected: Tensor = self.c_proj(mixed)
        return dropout(projected, self._dropout, self.training)


class FeedForward(nn.Module):
    """Two layers, four times as wide between them."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self._dropout = arch.dropout
        self.c_fc = Projection(arch.embedding, 4 * arch.embedding)
        spread = SPREAD / (2 * arch.n_layers) ** 0.5
        self.c_proj = Projection(4 * arch.embedding, arch.embedding, spread)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows."""
        mapped: Tensor = self.c_proj(gelu(self.c_fc(x), approximate="tanh"))
        return dropout(mapped, self._dropout, self.training)


class CausalBlock(nn.Module):
    """One layer; normalised before each part."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(arch.embedding)
        self.attn = CausalAttention(arch)
        self.ln_2 = nn.LayerNorm(arch.embedding)
        self.mlp = FeedForward(arch)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Change the tokens that are asked for; gives those alone."""
        x = layout.pick(x) + self.attn(self.ln_1(x), layout)
        changed: Tensor = x + self.mlp(self.ln_2(x))
        return changed


class CausalTransformer(nn.Module):
    """Positions, layers, a last normalisation."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self._dropout = arch.dropout
        self.wpe = nn.Embedding(arch.n_positions, arch.embedding)
        nn.init.normal_(self.wpe.weight, std=SPREAD)
        self.h = nn.ModuleList(CausalBlock(arch) for _ in range(arch.n_layers))
        self.ln_f = nn.LayerNorm(arch.embedding)

    def forward(self, x: Tensor, layout: Layout, last: Layout) -> Tensor:
        """Hidden states of the tokens that ``last`` asks for, [n_asking, embedding]."""
        x = dropout(x + self.wpe(layout.positions), self._dropout, self.training)
        for block in self.h[:-1]:
            x = block(x, layout)
        normalised: Tensor = self.ln_f(self.h[-1](x, last))
        return normalised


class CausalBody(nn.Module):
    """The transformer, and what a sequence is classified by."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self.transformer = CausalTransformer(arch)
        self.pooler_layer = make_pooler(arch)
        self.decoding_head = make_head(arch)

    def forward(self, x: Tensor, layout: Layout, last: Layout, types: Tensor | None) -> Tensor:
        """Hidden states of the tokens that ``last`` asks for; it knows no types."""
        assert types is None
        hidden: Tensor = self.transformer(x, layout, last)
        return hidden


def make_pooler(arch: SeriesArchitecture) -> nn.Sequential:
    """Make the layers that make one vector of a sequence's summary token."""
    return nn.Sequential(
        nn.Linear(arch.embedding, arch.embedding), nn.Tanh(), nn.Dropout(arch.dropout)
    )


def make_head(arch: SeriesArchitecture) -> nn.Sequential | None:
    """Make the layer of one number for each class; None where there is none."""
    if not arch.n_classes:
        return None
    return nn.Sequential(nn.Linear(arch.embedding, arch.n_classes))
