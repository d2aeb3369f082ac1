"""Fusion: the mean of the latents of several input flavors, and the selectors that name them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor, parse_flavor, suggest
from kraken_bids.models.krakencoder.checks import check_same_subjects

GROUP_FUSIONS = {"fusion": ("FC", "SC"), "fusionFC": ("FC",), "fusionSC": ("SC",)}
EACH = "each"
NAME_PATTERN = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True)
class Selector:
    """One source of predictions: a name and the input flavors whose latents it averages."""

    name: str
    """``fusion``, ``fusionSC``, a flavor id, or a name of the user's own."""
    flavors: tuple[Flavor, ...]
    """The flavors it averages, among those that were given as inputs."""

    @property
    def is_fusion(self) -> bool:
        """Whether it is more than one flavor by its own name."""
        return [self.name] != [flavor.name for flavor in self.flavors]


def parse_selector(text: str, flavors: Iterable[Flavor]) -> Selector:
    """Parse one selector over the input flavors at hand.

    Parameters
    ----------
    text : str
        ``fusion`` (all), ``fusionSC``, ``fusionFC``, a flavor id, or ``NAME=A,B,…`` where each
        part is one of these or a pattern such as ``SC*_fs86_*``.
    flavors : iterable of Flavor
        Input flavors that are present.

    Raises
    ------
    FlavorError
        If the name is not letters and digits, or nothing among ``flavors`` fits.
    """
    present = tuple(flavors)
    name, equals, rest = text.partition("=")
    if equals and not NAME_PATTERN.fullmatch(name):
        raise FlavorError(
            f"expected NAME=FLAVOR,FLAVOR,… with a name of letters and digits; found {text!r}."
        )
    parts = [part.strip() for part in (rest if equals else text).split(",") if part.strip()]
    chosen = tuple(f for f in present if any(_is_selected(f, part) for part in parts))
    if not chosen:
        raise FlavorError(
            f"expected a source that names at least one of the input flavors "
            f"({', '.join(f.name for f in present) or 'none given'}); found {text!r}. "
            "Say fusion, fusionSC, fusionFC, each, one of these flavors, or NAME=PATTERN,…"
            f"{suggest(text, [*GROUP_FUSIONS, EACH, *(f.name for f in present)])}"
        )
    if not equals and text not in GROUP_FUSIONS:
        return Selector(chosen[0].name if len(chosen) == 1 else _plain_name(text), chosen)
    return Selector(name if equals else text, chosen)


def parse_selectors(
    texts: Sequence[str], flavors: Iterable[Flavor], *, skip_empty: bool = False
) -> tuple[Selector, ...]:
    """Parse several selectors, without repeats; ``each`` is every input flavor by itself.

    Parameters
    ----------
    texts : sequence of str
        As :func:`parse_selector` takes them, or ``each``.
    flavors : iterable of Flavor
        Input flavors that are present.
    skip_empty : bool
        Leave out ``fusionSC`` and ``fusionFC`` where the inputs have no such flavor, in place of
        an error.

    Raises
    ------
    FlavorError
        If a text fits no input flavor, or two different sources have one name.
    """
    present = tuple(flavors)
    found: dict[str, Selector] = {}
    for text in texts:
        if (
            skip_empty
            and text in GROUP_FUSIONS
            and not any(_is_selected(f, text) for f in present)
        ):
            continue
        several = [f.name for f in present] if text == EACH else [text]
        for selector in (parse_selector(one, present) for one in several):
            if found.setdefault(selector.name, selector) != selector:
                raise FlavorError(
                    f"expected different names for different sources; found {selector.name} twice."
                )
    return tuple(found.values())


def list_excluded(variant: str, target: Flavor, flavors: Iterable[Flavor]) -> tuple[Flavor, ...]:
    """List the flavors that the variants ``noself`` and ``noatlas`` leave out for one target."""
    if variant == "noself":
        return tuple(f for f in flavors if f == target)
    if variant == "noatlas":
        return tuple(f for f in flavors if f.parcellation == target.parcellation)
    raise FlavorError(f"expected the variant noself or noatlas; found {variant!r}.")


def fuse(
    latents: Mapping[Flavor, NDArray[np.floating]] | Mapping[str, NDArray[np.floating]],
    selector: Selector | str = "fusion",
    *,
    renormalize: bool = False,
    exclude: Iterable[Flavor] = (),
) -> NDArray[np.float32]:
    """Mean latent of the selected flavors, subject by subject.

    Parameters
    ----------
    latents : mapping of Flavor or str to ndarray of shape (n_subjects, n_latent)
        By flavor, or its id. A row of NaN: the subject lacks it; left out of the subject's mean.
    selector : Selector or str
        Which flavors.
    renormalize : bool
        Scale the mean to unit length; the published results do not.
    exclude : iterable of Flavor
        Flavors to leave out all the same.

    Returns
    -------
    ndarray of shape (n_subjects, n_latent)
        NaN for a subject that has none of the flavors.

    Raises
    ------
    ConnectomeError
        If flavors differ in their subjects.
    FlavorError
        If no flavor remains.
    """
    by_flavor = {parse_flavor(str(flavor)): rows for flavor, rows in latents.items()}
    chosen = _remaining(by_flavor, selector, exclude)
    check_same_subjects({flavor: by_flavor[flavor] for flavor in chosen})
    mean = _average_present([by_flavor[flavor] for flavor in chosen])
    if renormalize:
        norms = np.linalg.norm(mean, axis=1, keepdims=True)
        mean = mean / np.where(norms > 0, norms, 1.0)
    return np.asarray(mean, np.float32)


def _average_present(latents: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Mean over flavors [n_subjects, n_latent] of the rows that are there; NaN without any."""
    stacked = np.stack(latents).astype(np.float64)
    present = np.isfinite(stacked).all(axis=2, keepdims=True)
    counts = present.sum(axis=0)
    sums = np.where(present, stacked, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def count_inputs(
    latents: Mapping[Flavor, NDArray[np.floating]], selector: Selector | str = "fusion"
) -> NDArray[np.int64]:
    """Count the flavors that :func:`fuse` averages for each subject: ``[n_subjects]``."""
    stacked = np.stack([latents[f] for f in _remaining(latents, selector, ())])
    return np.asarray(np.isfinite(stacked).all(axis=2).sum(axis=0), np.int64)


def _remaining(
    latents: Mapping[Flavor, NDArray[np.floating]],
    selector: Selector | str,
    exclude: Iterable[Flavor],
) -> tuple[Flavor, ...]:
    chosen = parse_selector(selector, latents) if isinstance(selector, str) else selector
    left_out = set(exclude)
    remaining = tuple(f for f in chosen.flavors if f in latents and f not in left_out)
    if not remaining:
        raise FlavorError(
            f"expected at least one input flavor for {chosen.name}; found none after leaving out "
            f"{', '.join(sorted(f.name for f in left_out)) or 'nothing'}. "
            "Give more input flavors, or do not exclude these."
        )
    return remaining


def _is_selected(flavor: Flavor, part: str) -> bool:
    if part in GROUP_FUSIONS:
        return flavor.group in GROUP_FUSIONS[part]
    return fnmatchcase(flavor.name, part.replace("sift2count", "sift2"))


def _plain_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text) or "fusion"
