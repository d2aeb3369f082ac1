"""Connectomes of a cohort: the rows of several files joined over subjects."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.edge_columns import EdgeColumns
from kraken_bids.cohort.flavor_blocks import Edges, Part
from kraken_bids.cohort.subject_names import check_common, count_labels, unify_labels
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import ByFlavor, Flavor

logger = logging.getLogger(__name__)

MAX_SHOWN = 4
"""Flavors that a cohort names when it is printed."""


@dataclass(frozen=True, repr=False)
class Connectomes:
    """Connectomes of a cohort in memory."""

    subjects: tuple[str, ...]
    """Labels, one per row; ``01_ses-1`` where there are sessions."""
    edges: Mapping[Flavor, Edges]
    """``[n_subjects, n_edges]`` per flavor, found also by its id: NaN for missing regions, or a
    whole row of it where a subject lacks the flavor."""

    def __post_init__(self) -> None:
        # frozen, so not by a plain assignment
        object.__setattr__(self, "edges", ByFlavor(self.edges))

    def __repr__(self) -> str:
        shown = [f"{flavor} {list(edges.shape)}" for flavor, edges in self.edges.items()]
        if len(shown) > MAX_SHOWN:
            shown[MAX_SHOWN - 1 :] = [f"and {len(shown) - MAX_SHOWN + 1} more flavors"]
        return f"<Connectomes of {count_labels(self.subjects)}: {', '.join(shown)}>"


@dataclass(frozen=True)
class Input:
    """Connectomes of one flavor that one ``--input`` gave."""

    number: int
    """Which input it was."""
    flavor: Flavor
    part: Part


def join_inputs(inputs: Sequence[Input]) -> tuple[tuple[str, ...], dict[Flavor, "CohortRows"]]:
    """Everybody who is named, in the order met, and their rows by flavor.

    Where no file names its subjects, rows belong together by their place.

    Raises
    ------
    InputError
        If some inputs name their subjects and others do not, inputs have nobody in common, or
        spell subjects so that nobody can tell who is who.
    """
    _check_all_named([one.part for one in inputs])
    n_rows = _number_rows([one.part for one in inputs])
    numbers = tuple(str(number) for number in range(1, n_rows + 1))
    labels: dict[str, list[str]] = {}
    origins: dict[str, set[int]] = {}
    for one in inputs:
        labels.setdefault(one.flavor.name, []).extend(one.part.subjects or numbers)
        origins.setdefault(one.flavor.name, set()).add(one.number)
    _check_counted_alike(labels)
    unified = unify_labels(labels)
    common = {name: [unified[label] for label in own] for name, own in labels.items()}
    check_common(common, origins)
    parts: dict[Flavor, list[Part]] = {}
    for one in inputs:
        own = tuple(unified[label] for label in one.part.subjects or numbers)
        parts.setdefault(one.flavor, []).append(replace(one.part, subjects=own))
    subjects = tuple(dict.fromkeys(label for own in common.values() for label in own))
    return subjects, {f: join_rows(f, several, subjects) for f, several in parts.items()}


def _check_all_named(parts: Sequence[Part]) -> None:
    """Refuse to pair rows without names with the names of another file."""
    named = [part for part in parts if part.subjects is not None]
    unnamed = [part for part in parts if part.subjects is None]
    if named and unnamed:
        raise InputError(
            f"expected names of the subjects in {unnamed[0].where}, since {named[0].where} has "
            f"names and rows are not paired by their place; found none beside its "
            f"{unnamed[0].n_rows} connectome(s). Add subjects to the file, or give one file per "
            "subject with sub-LABEL in its name."
        )


def _number_rows(parts: Sequence[Part]) -> int:
    """Rows of files without names, which must have as many each."""
    if parts[0].subjects is not None:
        return 0
    if len(parts) > 1:
        logger.info(
            "no input names its subjects: rows of %d inputs belong together by their place",
            len(parts),
        )
    for part in parts:
        if part.n_rows != parts[0].n_rows:
            raise InputError(
                f"expected {parts[0].n_rows} connectomes in {part.where}, as in "
                f"{parts[0].where}, since they do not name their subjects; found {part.n_rows}. "
                "Add an array of subjects to each."
            )
        _check_same_order(parts[0], part)
    return parts[0].n_rows


def _check_same_order(first: Part, part: Part) -> None:
    """Refuse rows without names where another list beside them says that they lie otherwise."""
    for key, values in first.beside.items():
        other = part.beside.get(key, values)
        if other != values and set(other) == set(values):
            raise InputError(
                f"expected rows of {part.where} in the order of those of {first.where}, since "
                f"they do not name their subjects; found the values of {key} in another order "
                f"({values[0]} first there, {other[0]} here). If {key} names the subjects, call "
                "it subjects; else sort the files alike."
            )


def _check_counted_alike(labels: Mapping[str, Sequence[str]]) -> None:
    """Refuse to pair subjects who are numbered from 0 with others who are numbered from 1."""
    counted: dict[int, str] = {}
    for name, own in labels.items():
        n = len(own)
        for start in (0, 1):
            if n > 1 and set(own) == {str(start + row) for row in range(n)}:
                counted[start] = name
    if len(counted) == 2:
        raise InputError(
            f"expected the same numbers for the same subjects; found those of {counted[0]} "
            f"counted from 0 and those of {counted[1]} from 1. Number them alike, or name them."
        )


@dataclass(frozen=True)
class CohortRows:
    """Connectomes of one flavor over all subjects, in one file or many."""

    parts: tuple[Part, ...]
    places: tuple[tuple[int, int] | None, ...]
    """Of each subject: which part, and which row of it; None where it lacks the flavor."""
    n_edges: int

    def read(self, start: int, stop: int) -> Edges:
        """Edges of the subjects from ``start`` to ``stop``; NaN where one lacks the flavor."""
        pieces = []
        for part, first, n_rows in _list_runs(self.places[start:stop]):
            if part is None:
                pieces.append(np.full((n_rows, self.n_edges), np.nan, np.float32))
            else:
                pieces.append(self.parts[part].read(first, first + n_rows))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def list_columns(self) -> list[tuple[NDArray[np.int64], EdgeColumns]]:
        """List what lies edge by edge in its file, with the subject of each of its rows."""
        subjects = [np.zeros(part.n_rows, np.int64) for part in self.parts]
        for subject, place in enumerate(self.places):
            if place is not None:
                subjects[place[0]][place[1]] = subject
        return [
            (whose, part.columns)
            for whose, part in zip(subjects, self.parts, strict=True)
            if part.columns is not None
        ]

    def list_mirrored(self) -> list[int]:
        """List the subjects whose matrix, once read, was found to hold one triangle only."""
        return [
            subject
            for subject, place in enumerate(self.places)
            if place is not None and place[1] in self.parts[place[0]].mirrored
        ]

    def list_present(self) -> NDArray[np.bool_]:
        """Whether each subject has a row in a file."""
        return np.array([place is not None for place in self.places], bool)


def join_rows(flavor: Flavor, parts: Iterable[Part], subjects: tuple[str, ...]) -> CohortRows:
    """Rows of all parts in the order of the subjects, read when they are asked for.

    Raises
    ------
    ConnectomeError
        If the parts differ in their number of edges.
    InputError
        If a subject is in two of them.
    """
    several = tuple(parts)
    widths = {part.n_edges for part in several}
    if len(widths) != 1:
        raise ConnectomeError(
            f"{flavor}: expected one number of edges; found {sorted(widths)} in "
            f"{', '.join(part.where for part in several)}. Give one parcellation per flavor."
        )
    places: dict[str, tuple[int, int]] = {}
    for index, part in enumerate(several):
        for row, subject in enumerate(part.subjects or subjects):
            if subject in places:
                raise InputError(
                    f"expected one {flavor} of subject {subject}; found it in "
                    f"{several[places[subject][0]].where} and {part.where}. Give one of them; "
                    "files of one subject each need sub-LABEL in their names or folders."
                )
            places[subject] = (index, row)
    found = tuple(places.get(subject) for subject in subjects)
    for index, part in enumerate(several):
        part.expect([place[1] for place in found if place is not None and place[0] == index])
    return CohortRows(several, found, widths.pop())


def join_parts(flavor: Flavor, parts: Iterable[Part], subjects: tuple[str, ...]) -> Edges:
    """Read the rows of all parts in the order of the subjects; NaN where a subject has none."""
    return join_rows(flavor, parts, subjects).read(0, len(subjects))


def _list_runs(places: Sequence[tuple[int, int] | None]) -> Iterable[tuple[int | None, int, int]]:
    """Join consecutive rows of one part: part (None: absent), first row, number of rows."""
    runs: list[tuple[int | None, int, int]] = []
    for place in places:
        part, row = place or (None, 0)
        if runs and runs[-1][0] == part and (part is None or sum(runs[-1][1:]) == row):
            runs[-1] = (part, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((part, row, 1))
    return runs
