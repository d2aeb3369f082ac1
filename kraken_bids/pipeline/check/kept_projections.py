"""Projections of measured connectomes, kept for the next run by the contents of their files."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from kraken_bids.cohort.edge_mean import EdgeMean
from kraken_bids.cohort.from_dataset import MemberRows
from kraken_bids.cohort.projections import Cohort, Projection, project_flavor
from kraken_bids.flavors import Flavor
from kraken_bids.io.packed_values import pack, unpack
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.kept_results import Kept, digest_file
from kraken_bids.scores.plausibility import InputCheck

ABSENT = "none"


@dataclass(frozen=True)
class KeptProjections:
    """Projections of a flavor that are recalled as long as every file of it is the same."""

    kept: Kept

    def project(
        self, model: Model, cohort: Cohort, flavor: Flavor, fitted_on: Collection[int]
    ) -> Projection:
        """Recall what :func:`~kraken_bids.cohort.projections.project_flavor` gave, or do it.

        Nothing is kept where a file could not be read, or was changed meanwhile.
        """
        rows = cohort.rows[flavor]
        if not isinstance(rows, MemberRows):
            return project_flavor(model, cohort, flavor, fitted_on)
        name, before = f"projections_{flavor.name}", _digest_files(rows)
        rests_on = [flavor.name, model.sha256, sorted(fitted_on), cohort.subjects, before]
        known = self.kept.find(name, rests_on) if None not in before else None
        if known is not None:
            return _recall(unpack(known), model, rows)
        n_failed = len(rows.failures)
        found = project_flavor(model, cohort, flavor, fitted_on)
        if len(rows.failures) == n_failed and _digest_files(rows) == before:
            self.kept.keep(name, rests_on, pack(_tell(found, rows)))
        return found


def _digest_files(rows: MemberRows) -> list[str | None]:
    """Digest of everyone's file; None where one cannot be read."""
    paths = [member.connectomes.get(rows.flavor) for member in rows.members]
    return [ABSENT if path is None else digest_file(path) for path in paths]


def _tell(found: Projection, rows: MemberRows) -> dict[str, Any]:
    aside = [
        row
        for row, member in enumerate(rows.members)
        if rows.flavor in member.connectomes and row not in rows.digests
    ]
    return {
        "rows": found.rows,
        "reread": sorted(found.reread),
        "mean": vars(found.mean),
        "check": found.check.tell_state(),
        "mirrored": rows.list_mirrored(),
        "digests": rows.digests,
        "aside": aside,
    }


def _recall(known: Mapping[str, Any], model: Model, rows: MemberRows) -> Projection:
    mean = EdgeMean(rows.n_edges)
    vars(mean).update(known["mean"])
    check = InputCheck(rows.flavor, model.training_means().get(rows.flavor))
    check.resume(known["check"])
    rows.mirrored.update(known["mirrored"])
    rows.digests.update(known["digests"])
    for row in known["aside"]:  # those that the model may not take: it is said of each again
        rows.read(row, row + 1)
    return Projection(known["rows"], frozenset(known["reread"]), mean, check)
