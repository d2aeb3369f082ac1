"""What fixes the shape of a network for region series."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_type_hints

from kraken_bids.exceptions import CheckpointError, SettingsError

FRAMEWORKS = ("csm", "bert", "netbert", "autoencoder")
"""Causal sequence modelling; masked volumes; masked regions; sequence-to-sequence autoencoder."""
HEAD_SIZE = 64
"""Numbers of an attention head, where their number is not given."""
TIME_STEP, MAX_SECONDS = 0.2, 300.0
"""Grid of the embedding of time, in seconds, and its end."""
N_TIMES = 1500
"""Embeddings of time; one more follows for what is no volume."""
MAX_SIZE = 1 << 16


@dataclass(frozen=True)
class SeriesArchitecture:
    """Shape of a network.

    Source: Thomas, Ré & Poldrack 2022; sizes of the release are 768 numbers, 4 layers, 12 heads.
    """

    framework: str
    """One of :data:`FRAMEWORKS`."""
    n_regions: int
    """Regions, columns of the series."""
    embedding: int = 128
    """Numbers that stand for a volume."""
    n_layers: int = 2
    """Layers of the transformer, or of each recurrent half."""
    n_heads: int = 0
    """Attention heads; 0: one for each 64 numbers of the embedding."""
    n_positions: int = 512
    """Longest sequence, special tokens counted."""
    dropout: float = 0.1
    """Share of numbers dropped in training, everywhere."""
    n_classes: int = 0
    """Classes of the decoding head; 0: none."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises
        ------
        SettingsError
        """
        check_framework(self.framework)
        sizes = {"regions": self.n_regions, "embedding": self.embedding, "layers": self.n_layers}
        for name, size in {**sizes, "positions": self.n_positions}.items():
            if not 1 <= size <= MAX_SIZE:
                raise SettingsError(f"expected 1 to {MAX_SIZE} {name}; found {size}.")
        if not 0 <= self.n_classes <= MAX_SIZE or not 0 <= self.dropout < 1:
            raise SettingsError(
                f"expected 0 to {MAX_SIZE} classes and a dropout from 0 up to 1; found "
                f"{self.n_classes} and {self.dropout:g}."
            )
        if self.framework != "autoencoder" and self.embedding % self.heads:
            raise SettingsError(
                f"expected an embedding that the {self.heads} attention heads share equally; "
                f"found {self.embedding}. Give a multiple, or another number of heads."
            )

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.n_heads or max(1, self.embedding // HEAD_SIZE)

    def to_json(self) -> dict[str, Any]:
        """Give plain values, to be kept with a model."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SeriesArchitecture":
        """Read what :meth:`to_json` gave.

        Raises
        ------
        CheckpointError
            If it is no such description.
        """
        kinds = get_type_hints(cls)
        try:
            return cls(**{name: kind(values[name]) for name, kind in kinds.items()})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                f"expected the architecture of a network for series; found a fault: {error}."
            ) from error


def check_framework(name: str) -> None:
    """Raise SettingsError unless it is one of :data:`FRAMEWORKS`."""
    if name not in FRAMEWORKS:
        raise SettingsError(f"expected a framework {', '.join(FRAMEWORKS)}; found {name!r}.")
