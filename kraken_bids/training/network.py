"""The network as torch trains it: its weights, which :class:`Network` computes with."""

from torch import Tensor, nn
from torch.nn import functional

from kraken_bids.model.engine.architecture import Architecture
from kraken_bids.model.engine.devices import to_numpy
from kraken_bids.model.engine.network import Network


class Branch(nn.Module):
    """Linear layers of an encoder, a decoder or a translation, as torch fills them at first."""

    def __init__(self, layers: tuple[tuple[int, int, bool], ...]) -> None:
        super().__init__()
        self.linears = nn.ModuleList(
            nn.Linear(n_in, n_out, bias=bias) for n_in, n_out, bias in layers
        )


class TrainableNetwork(nn.Module):
    """Weights of a :class:`Network`, with gradients and dropout."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        for kind in ("encoders", "decoders", "translations"):
            self.add_module(kind, nn.ModuleDict())
        for name, layers in architecture.branches().items():
            kind, _, key = name.partition(".")
            self.get_submodule(kind).add_module(key, Branch(layers))
        self._weights = dict(self.named_parameters())

    @property
    def network(self) -> Network:
        """The same weights, to compute with."""
        drop = functional.dropout if self.training else None
        return Network(self.architecture, self._weights, drop)

    def encode(self, values: Tensor, flavor: str) -> Tensor:
        """Latents ``[n_subjects, n_latent]`` of reduced connectomes of one flavor."""
        latents: Tensor = self.network.encoder(flavor)(values)
        return latents

    def forward(self, values: Tensor, source: str, target: str) -> tuple[Tensor, Tensor]:
        """Latent and prediction of one path, as :meth:`Network.run` gives them."""
        return self.network.run(values, source, target)

    def freeze(self) -> Network:
        """Copy the network as it is now: arrays of numpy, no dropout."""
        weights = {name: to_numpy(values).copy() for name, values in self._weights.items()}
        return Network(self.architecture, weights)
