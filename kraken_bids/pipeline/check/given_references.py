"""Inputs and second measurements that were given beside observed connectomes."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.calibrated_pairs import crosses_modality
from kraken_bids.cohort.joined_rows import Connectomes
from kraken_bids.cohort.subject_names import subject_of
from kraken_bids.flavors import Flavor
from kraken_bids.pipeline.check.peer_comparison import Fitting, Measured, compare_peer
from kraken_bids.scores.inner_products import multiply_rows
from kraken_bids.scores.second_measurements import (
    MIN_TWICE,
    UNKNOWN,
    Ceiling,
    compare_twice,
    pair_sessions,
    score_ceiling,
)
from kraken_bids.scores.significance import Comparison

logger = logging.getLogger(__name__)

Edges = NDArray[np.floating]


@dataclass(frozen=True)
class Peers:
    """Compares predictions with partial least squares from the inputs that they were made from."""

    connectomes: Connectomes | None = None
    """None where no inputs were given."""
    _multiplied: dict[Flavor, Measured] = field(default_factory=dict)

    def compare(
        self, source: str, target: Flavor, measured: Measured, fitting: Fitting
    ) -> Comparison | None:
        """Compare the peer with what was observed; None where there can be none.

        Parameters
        ----------
        source : str
            Of the predictions, as it is named in their file.
        measured : Measured
            The observed connectomes of those who have a prediction.
        fitting : Fitting
            Of these subjects.
        """
        flavors = self._list_inputs(source, target)
        if not flavors or not fitting.is_enough:
            return None
        inputs = [self._multiply(flavor) for flavor in flavors]
        return compare_peer(measured, inputs, measured.subjects, fitting)

    def _list_inputs(self, source: str, target: Flavor) -> list[Flavor]:
        """List the inputs of a source that holds nothing of the target's modality."""
        known = [] if self.connectomes is None else list(self.connectomes.edges)
        name = source.partition(".")[0]
        own = [f for f in known if name in {f.name, f"fusion{f.group}"}]
        return own if crosses_modality(name, own, target) else []

    def _multiply(self, flavor: Flavor) -> Measured:
        assert self.connectomes is not None
        if flavor not in self._multiplied:
            edges = self.connectomes.edges[flavor]
            rows = np.flatnonzero(np.isfinite(edges).all(axis=1)).tolist()
            subjects = [self.connectomes.subjects[row] for row in rows]
            self._multiplied[flavor] = Measured.of(subjects, edges[rows])
        return self._multiplied[flavor]


@dataclass(frozen=True)
class Ceilings:
    """Finds what a second measurement reaches: one that was given, or another session."""

    retest: Connectomes | None
    """None where no second measurements were given."""
    draws: Mapping[str, int]
    """How scores are resampled."""
    _found: dict[tuple[Flavor, tuple[object, ...]], Ceiling] = field(default_factory=dict)

    def find(self, target: Flavor, measured: Measured, observed: Edges) -> Ceiling:
        """Find the ceiling of a target.

        Parameters
        ----------
        observed : ndarray of shape (n_subjects, n_edges)
            The same connectomes.
        """
        key = target, measured.subjects
        if key not in self._found:
            self._found[key] = self._compare(target, measured, observed)
        return self._found[key]

    def _compare(self, target: Flavor, measured: Measured, observed: Edges) -> Ceiling:
        people = [subject_of(str(subject)) for subject in measured.subjects]
        basis, pairs = "sessions", pair_sessions(people)
        center, rows = measured.center, measured.rows
        if self.retest is not None and target in self.retest.edges:
            basis, again = "given", self.retest.edges[target]
            both = self._pair_retest(target, measured, observed)
            pairs = [(2 * k, 2 * k + 1) for k in range(len(both))]
            people = [people[row] for row, _ in both for _ in range(2)]
            if both:
                center, rows = multiply_rows(
                    np.concatenate([[observed[i], again[j]] for i, j in both])
                )
        if len(pairs) < MIN_TWICE:
            if basis == "given":
                logger.warning(
                    "%s: the ceiling is not known: expected second measurements (--retest) of at "
                    "least %d of the subjects compared; found those of %d",
                    *(target, MIN_TWICE, len(pairs)),
                )
            return UNKNOWN
        families = [people[first] for first, _ in pairs]
        comparison = compare_twice(center, rows, pairs, families=families)
        return score_ceiling(comparison, basis, **self.draws)

    def _pair_retest(
        self, target: Flavor, measured: Measured, observed: Edges
    ) -> list[tuple[int, int]]:
        """Pair rows with those of the second measurement; one that is the first is left out."""
        assert self.retest is not None
        again = self.retest.edges[target]
        place = {subject: k for k, subject in enumerate(self.retest.subjects)}
        known = [
            (row, place[str(subject)])
            for row, subject in enumerate(measured.subjects)
            if str(subject) in place and np.isfinite(again[place[str(subject)]]).all()
        ]
        both = [
            (i, j)
            for i, j in known
            if not np.array_equal(observed[i].astype(np.float32), again[j].astype(np.float32))
        ]
        if len(both) < len(known):
            logger.warning(
                "%s: the second measurement (--retest) of %d subject(s) is the first one itself, "
                "which is no ceiling: they are left out of it",
                *(target, len(known) - len(both)),
            )
        return both
