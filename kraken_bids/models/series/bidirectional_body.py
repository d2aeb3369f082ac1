"""The bidirectional transformer: BERT's layers, by the names that weights have elsewhere."""

from torch import Tensor, nn
from torch.nn.functional import dropout, gelu

from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.attention import Layout
from kraken_bids.models.series.causal_body import SPREAD, make_head, make_pooler

EPSILON = 1e-12
"""Of its normalisations."""


class TokenEmbeddings(nn.Module):
    """Positions, and the halves of pairs."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self._dropout = arch.dropout
        self.position_embeddings = nn.Embedding(arch.n_positions, arch.embedding)
        self.token_type_embeddings = nn.Embedding(2, arch.embedding)
        self.LayerNorm = nn.LayerNorm(arch.embedding, EPSILON)

    def forward(self, x: Tensor, positions: Tensor, types: Tensor | None) -> Tensor:
        """Add them, and normalise."""
        kinds = self.token_type_embeddings
        halves = kinds.weight[:1] if types is None else kinds(types)
        normalised = self.LayerNorm(x + self.position_embeddings(positions) + halves)
        return dropout(normalised, self._dropout, self.training)


class SelfAttention(nn.Module):
    """Queries, keys and values."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self._n_heads, self._dropout = arch.heads, arch.dropout
        self.query = nn.Linear(arch.embedding, arch.embedding)
        self.key = nn.Linear(arch.embedding, arch.embedding)
        self.value = nn.Linear(arch.embedding, arch.embedding)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Attend from the tokens that are asked for."""
        rate = self._dropout if self.training else 0.0
        return layout.attend(
            self.query(layout.pick(x)), self.key(x), self.value(x),
            n_heads=self._n_heads, causal=False, rate=rate,
        )  # fmt: skip


class Residual(nn.Module):
    """A linear layer, added to what was there, normalised."""

    def __init__(self, arch: SeriesArchitecture, n_in: int) -> None:
        super().__init__()
        self._dropout = arch.dropout
        self.dense = nn.Linear(n_in, arch.embedding)
        self.LayerNorm = nn.LayerNorm(arch.embedding, EPSILON)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """Map, add, normalise."""
        mapped = dropout(self.dense(x), self._dropout, self.training)
        normalised: Tensor = self.LayerNorm(mapped + before)
        return normalised


class BidirectionalLayer(nn.Module):
    """One layer; normalised after each part."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(arch), "output": Residual(arch, arch.embedding)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(arch.embedding, 4 * arch.embedding)})
        self.output = Residual(arch, 4 * arch.embedding)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Change the tokens that are asked for; gives those alone."""
        mixed = self.attention["self"](x, layout)
        x = self.attention["output"](mixed, layout.pick(x))
        wide = gelu(self.intermediate["dense"](x), approximate="tanh")
        changed: Tensor = self.output(wide, x)
        return changed


class BidirectionalTransformer(nn.Module):
    """Embeddings and layers."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self.embeddings = TokenEmbeddings(arch)
        layers = nn.ModuleList(BidirectionalLayer(arch) for _ in range(arch.n_layers))
        self.encoder = nn.ModuleDict({"layer": layers})
        self._layers = list(layers)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=SPREAD)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(
        self, x: Tensor, layout: Layout, last: Layout, types: Tensor | None = None
    ) -> Tensor:
        """Hidden states of the tokens that ``last`` asks for, [n_asking, embedding]."""
        x = self.embeddings(x, layout.positions, types)
        for layer in self._layers[:-1]:
            x = layer(x, layout)
        hidden: Tensor = self._layers[-1](x, last)
        return hidden


class BidirectionalBody(nn.Module):
    """The transformer, and what pairs are judged and sequences classified by."""

    def __init__(self, arch: SeriesArchitecture) -> None:
        super().__init__()
        self.transformer = BidirectionalTransformer(arch)
        self.pooler_layer = make_pooler(arch)
        self.is_next_head = nn.Sequential(nn.Linear(arch.embedding, 1))
        self.decoding_head = make_head(arch)

    def forward(self, x: Tensor, layout: Layout, last: Layout, types: Tensor | None) -> Tensor:
        """Hidden states of the tokens that ``last`` asks for."""
        hidden: Tensor = self.transformer(x, layout, last, types)
        return hidden
