"""Draws of the flavors that some sessions lack, from those who have both modalities."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.calibrated_pairs import CalibratedPair
from kraken_bids.cohort.imputed_files import imputed_path, write_imputed
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecar_records import FILE, ORIGIN, SOFTWARE, ModelRecord
from kraken_bids.cohort.sidecars import matrix_sidecar
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest
from kraken_bids.io.facts import read_facts
from kraken_bids.io.records import to_sidecar
from kraken_bids.models.calibration.imputation import Imputer
from kraken_bids.pipeline.check.compared_sessions import Column
from kraken_bids.pipeline.check.kept_results import Kept
from kraken_bids.scores.covariates import encode_covariates
from kraken_bids.scores.quality_control import CROSS_MODAL

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImputationReader:
    """Writes draws of every target that somebody lacks who has the other modality."""

    plan: PredictionPlan
    members: Sequence[Member]
    families: Sequence[str]
    """Of every member."""
    columns: Mapping[str, Column]
    """Covariates, each with a value of every member."""
    kept: Kept
    rests_on: object
    """What predictions and families are, for :class:`Kept`."""

    def wants(self, source: str, target: Flavor) -> bool:
        """Whether draws are asked for, of a pair across modalities, that are not there yet."""
        if not self.plan.settings.worth.impute or source != CROSS_MODAL[target.group]:
            return False
        known = self.kept.find(_name(target), self._key)
        path = self._path_of(target)
        size = path.stat().st_size if path.exists() else 0
        return known is None or known["bytes"] != size

    def read(self, pair: CalibratedPair) -> None:
        """Draw, and write, the connectomes of everyone who lacks the target.

        Where nobody does, or too few subjects have both, there are none, and a file of an earlier
        run is removed.
        """
        path = self._path_of(pair.target)
        try:
            imputer, rows = self._prepare(pair)
        except ConnectomeError as error:
            logger.warning("no draws of %s: %s", pair.target, error)
            rows = None
        if rows is None or not pair.lacking:
            self._remove(pair.target)
            self.kept.keep(_name(pair.target), self._key, {"bytes": 0})
            return
        self._write(pair, imputer, rows)
        self.kept.keep(_name(pair.target), self._key, {"bytes": path.stat().st_size})
        logger.info(
            "%s: %d draws of %d session(s) that lack it",
            pair.target, self.plan.settings.worth.impute, len(pair.lacking),
        )  # fmt: skip

    def finish(self, refused: Mapping[tuple[str, Flavor], str]) -> None:
        """Say which targets have no draws, for want of subjects with both; remove old ones.

        Those of other connectomes, another model or other adaptations go too, whether draws are
        asked for or not; but not where a run is on part of the dataset.

        Parameters
        ----------
        refused : mapping of (str, Flavor) to str
            Why pairs of source and target were not calibrated.
        """
        for (source, target), reason in refused.items():
            if self.plan.settings.worth.impute and source == CROSS_MODAL[target.group]:
                logger.warning("no draws of %s: %s", target, reason)
                self._remove(target)
        if self.plan.settings.data.is_part:
            return
        for target in self.plan.model.flavors:
            facts = read_facts(sidecar_path(self._path_of(target)))
            if facts.plain and facts.text(FILE.run_digest) != self._digest:
                logger.warning(
                    "draws of %s are taken away: they are of other connectomes or predictions "
                    "than are there now. Run the group level with --impute again",
                    target,
                )
                self._remove(target)

    def _path_of(self, target: Flavor) -> Path:
        return imputed_path(self.plan.settings.data.output_dir, target)

    def _remove(self, target: Flavor) -> None:
        path = self._path_of(target)
        for old in (path, sidecar_path(path)):
            old.unlink(missing_ok=True)

    def _prepare(self, pair: CalibratedPair) -> tuple[Imputer, NDArray[np.float64]]:
        """Subjects to draw from, and the covariates of those who are drawn."""
        everyone = [*pair.subjects, *pair.lacking]
        columns = {name: [own[k] for k in everyone] for name, own in self.columns.items()}
        covariates = encode_covariates(columns, len(everyone)).values
        n = len(pair.subjects)
        families = [self.families[k] for k in pair.subjects]
        seed = crc32(pair.target.name.encode())
        imputer = Imputer(
            pair.measured, pair.predicted, pair.fitted, covariates[:n], families, seed
        )
        return imputer, covariates[n:]

    def _write(
        self, pair: CalibratedPair, imputer: Imputer, covariates: NDArray[np.float64]
    ) -> None:
        """Write the draws of one target while they are made."""
        source = next(one for one in self.plan.sources if one.name == pair.source)
        predicted = source.predict(self.plan.model, pair.target, list(pair.lacking))
        n_draws = self.plan.settings.worth.impute
        own = [self.members[k].label for k in pair.subjects]
        write_imputed(
            self.plan.settings.data.output_dir,
            pair.target,
            dict(zip(own, pair.measured, strict=True)),
            lacking=[self.members[k].label for k in pair.lacking],
            weight=imputer.explained,
            draws=imputer.draw(predicted, covariates, n_draws),
            n_draws=n_draws,
            facts=matrix_sidecar(pair.target)
            | {
                "Description": f"Draws of {pair.target} of sessions that lack it, beside the "
                "measured ones: calibrated prediction, residual as people have it, and the "
                "doubt of the fit. Analyse each draw and pool by Rubin's rules "
                "(kraken_bids.read_imputed, kraken_bids.pool_estimates); one draw alone is "
                "nobody's connectome",
                ORIGIN.source: pair.source,
                "Draws": n_draws,
                "Measured": len(own),
                "Imputed": len(pair.lacking),
                "Covariates": list(self.columns),
                "ResidualFactors": imputer.n_factors,
                "ExplainedVariance": imputer.explained,
                "Seed": imputer.seed,
                **to_sidecar(ModelRecord(self.plan.model.name, self.plan.model.sha256)),
                **SOFTWARE,
                FILE.run_digest: self._digest,
            },
        )

    @property
    def _digest(self) -> str:
        """Digest of the connectomes, the model and the adaptation that draws are of."""
        return digest("draws", self.kept.inputs, self.plan.model.sha256, self.plan.adapted)

    @property
    def _key(self) -> object:
        columns = {name: [str(value) for value in own] for name, own in self.columns.items()}
        return [self.rests_on, columns, self.plan.settings.worth.impute]


def _name(target: Flavor) -> str:
    return f"imputed_{target.name}"
