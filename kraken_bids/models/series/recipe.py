"""What fixes a training on series: presets, and what may be changed of them."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.series.architecture import SeriesArchitecture, check_framework
from kraken_bids.models.step_training import StepSettings

PRESETS = ("small", "release")


@dataclass(frozen=True)
class SeriesRecipe:
    """What fixes a training; :func:`choose_recipe` gives the presets."""

    framework: str = "csm"
    """One of :data:`~kraken_bids.models.series.architecture.FRAMEWORKS`."""
    embedding: int = 128
    """Numbers that stand for a volume."""
    n_layers: int = 2
    """Layers."""
    dropout: float = 0.1
    """Share of numbers dropped in training."""
    batch_size: int = 32
    """Sequences of a step; of ``bert`` and ``netbert``, pairs."""
    shortest: int = 10
    """Fewest volumes of a sequence."""
    longest: int = 50
    """Most volumes of a sequence."""
    gaps: tuple[int, int] = (1, 5)
    """Fewest and most volumes left out between the halves of a pair."""
    masking_rate: float = 0.2
    """Share of volumes (``bert``) or regions (``netbert``) that are hidden."""
    steps: StepSettings = field(default_factory=StepSettings)
    """Steps, rate, warm-up, seed, device."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises
        ------
        SettingsError
        """
        check_framework(self.framework)
        if not 4 <= self.shortest <= self.longest or self.batch_size < 1:
            raise SettingsError(
                "expected sequences of at least 4 volumes, the longest not shorter than the "
                f"shortest, and a batch of at least 1; found {self.shortest} to {self.longest} "
                f"and {self.batch_size}."
            )
        if not 0 < self.masking_rate < 1 or not 0 <= self.gaps[0] <= self.gaps[1]:
            raise SettingsError(
                "expected a masking rate between 0 and 1, and gaps from 0 on, the fewest first; "
                f"found {self.masking_rate:g} and {self.gaps}."
            )

    @property
    def is_paired(self) -> bool:
        """Whether sequences come in pairs, whose order is judged too."""
        return self.framework in {"bert", "netbert"}

    def design(self, n_regions: int, n_classes: int = 0) -> SeriesArchitecture:
        """Describe the network for series of these regions."""
        return SeriesArchitecture(
            framework=self.framework,
            n_regions=n_regions,
            embedding=self.embedding,
            n_layers=self.n_layers,
            dropout=self.dropout,
            n_classes=n_classes,
        )

    def to_json(self) -> dict[str, Any]:
        """Give plain values, to be kept with a model."""
        return asdict(self)


def choose_recipe(preset: str, framework: str) -> SeriesRecipe:
    """Recipe of a preset.

    Parameters
    ----------
    preset : str
        ``small``, for a CPU; ``release``, that of the released models.

    Raises
    ------
    SettingsError
        If there is none of that name.

    Source: training configurations of the released models.
    """
    if preset not in PRESETS:
        raise SettingsError(f"expected a preset {', '.join(PRESETS)}; found {preset!r}.")
    recipe = SeriesRecipe(framework=framework)
    if recipe.is_paired:
        recipe = replace(recipe, shortest=15, longest=55, batch_size=16)
    if framework == "netbert":
        recipe = replace(recipe, masking_rate=0.1)
    if framework == "autoencoder":
        recipe = replace(recipe, dropout=0.2)
    if preset == "small":
        return recipe
    rates = {"csm": 5e-4, "bert": 1e-4, "netbert": 1e-4, "autoencoder": 2e-4}
    return replace(
        recipe,
        embedding=768,
        n_layers=2 if framework == "autoencoder" else 4,
        batch_size=192,
        steps=StepSettings(n_steps=300_000, learning_rate=rates[framework]),
    )
