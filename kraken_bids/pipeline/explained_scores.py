"""The score that is explained: an edge, a mean over networks, weights of a file, a latent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.custom_atlases import read_region_table
from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.exceptions import ConnectomeError, FlavorError, SettingsError
from kraken_bids.flavors import find_flavor, suggest
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.model_regions import describe_regions
from kraken_bids.models.krakencoder.sensitivity import Score
from kraken_bids.parcellations import Parcellation, recognize_parcellation


@dataclass(frozen=True)
class ScoreOptions:
    """Which number of a prediction is explained; one of the last four."""

    target: str = ""
    """Flavor that is predicted; none for a latent."""
    edge: tuple[str, ...] = ()
    """Two regions of it: names, or numbers of the table of regions."""
    block: tuple[str, ...] = ()
    """Two of its networks: the mean over the edges between them, or within one."""
    weights: Path | None = None
    """A file of weights on its edges: their sum of products."""
    latent: int | None = None
    """Number of an element of the source's latent, from 0."""

    def __post_init__(self) -> None:
        """Check that one thing is asked for."""
        asked = [bool(self.edge), bool(self.block), self.weights is not None]
        is_latent = self.latent is not None
        if sum(asked) + is_latent != 1:
            raise SettingsError(
                "expected one of --edge REGION REGION, --block NETWORK NETWORK, --weights FILE "
                f"and --latent NUMBER; found {sum(asked) + is_latent} of them."
            )
        if is_latent == bool(self.target):
            raise SettingsError(
                "expected --target FLAVOR with --edge, --block and --weights, and without it "
                f"--latent; found {self.target or 'no --target'}."
            )
        for option, given in (("--edge", self.edge), ("--block", self.block)):
            if given and len(given) != 2:
                raise SettingsError(
                    f"expected two names with {option}; found {len(given)}: {', '.join(given)}."
                )


def find_regions(
    model: Model, names: Sequence[str], tables: Mapping[str, Path]
) -> dict[str, Parcellation]:
    """Regions of some atlases: of a table that was given, the package's, or the model's.

    Raises
    ------
    ConnectomeError
        If a table has another number of regions than the model.
    InputError
        If a table cannot be read.
    """
    found = {}
    for name in dict.fromkeys(names):
        own = describe_regions(model, [name])[0]
        known = recognize_parcellation(name)
        given = read_region_table(name, tables[name]) if name in tables else None
        regions = given or known or own
        if regions.n_regions != own.n_regions:
            raise ConnectomeError(
                f"expected the {own.n_regions} regions of {name} that {model.name} knows; found "
                f"{regions.n_regions} in {tables.get(name, 'the table of the package')}."
            )
        found[name] = regions
    return found


def make_score(
    model: Model, options: ScoreOptions, tables: Mapping[str, Path]
) -> tuple[Score, str]:
    """Make the score that is asked for; also what it is, in words.

    Raises
    ------
    ConnectomeError
        If weights are not finite, or all 0.
    FlavorError
        If the model has no such flavor, or the atlas no such region or network.
    SettingsError
        If the model has no such latent.
    """
    if options.latent is not None:
        return _weigh_latent(model, options.latent)
    target = find_flavor(options.target, model.flavors, f"the model {model.name}")
    if options.weights is not None:
        weights = _read_weights(f"{target.name}={options.weights}")
        return Score(target, weights), f"edges weighted by {options.weights.name}"
    regions = find_regions(model, [target.parcellation], tables)[target.parcellation]
    choose = _choose_edge if options.edge else _choose_block
    chosen, words = choose(options.edge or options.block, regions)
    return Score(target, chosen / chosen.sum()), words


def _choose_edge(names: Sequence[str], regions: Parcellation) -> tuple[NDArray[np.bool_], str]:
    a, b = sorted(_find_region(name, regions) for name in names)
    if a == b:
        raise FlavorError(
            f"--edge: expected two different regions; found {regions.region_names[a]} twice."
        )
    first, second = np.triu_indices(regions.n_regions, 1)
    words = f"edge {regions.region_names[a]} – {regions.region_names[b]}"
    return (first == a) & (second == b), words


def _choose_block(names: Sequence[str], regions: Parcellation) -> tuple[NDArray[np.bool_], str]:
    a, b = (_find_network(name, regions) for name in names)
    groups = np.array(regions.groups)
    one, other = (groups[ends] for ends in np.triu_indices(regions.n_regions, 1))
    chosen = ((one == a) & (other == b)) | ((one == b) & (other == a))
    if not chosen.any():
        raise FlavorError(f"--block: expected networks with edges; found none within {a}.")
    return chosen, f"mean over edges {f'within {a}' if a == b else f'between {a} and {b}'}"


def _weigh_latent(model: Model, number: int) -> tuple[Score, str]:
    if not 0 <= number < model.latent_size:
        raise SettingsError(
            f"--latent: expected a number from 0 to {model.latent_size - 1}; found {number}."
        )
    weights = np.zeros(model.latent_size)
    weights[number] = 1.0
    return Score(None, weights), f"latent z{number:03d}"


def _read_weights(given: str) -> NDArray[np.float64]:
    """Weights ``[n_edges]`` of ``FLAVOR=FILE``, in any layout that connectomes may have."""
    cohort = open_connectomes([given])
    rows = next(iter(cohort.rows.values())).read(0, len(cohort.subjects))
    if len(rows) != 1 or not np.isfinite(rows).all() or not rows.any():
        raise ConnectomeError(
            f"--weights: expected one matrix of finite weights, some of them not 0, in {given}; "
            f"found {len(rows)}, with {int((~np.isfinite(rows)).sum())} cells that are not finite."
        )
    return np.asarray(rows[0], np.float64)


def _find_region(name: str, regions: Parcellation) -> int:
    if name in regions.region_names:
        return regions.region_names.index(name)
    if name.isdecimal() and int(name) in regions.indices:
        return regions.indices.index(int(name))
    raise FlavorError(
        f"--edge: expected regions of {regions.name}, by their name or their index in its table; "
        f"found {name!r}.{suggest(name, regions.region_names)}"
    )


def _find_network(name: str, regions: Parcellation) -> str:
    networks = tuple(dict.fromkeys(regions.groups))
    if name not in networks:
        raise FlavorError(
            f"--block: expected networks of {regions.name} ({', '.join(networks)}); found "
            f"{name!r}. Other ones are read from the column group of --atlas "
            f"{regions.name}=TABLE.tsv."
        )
    return name
