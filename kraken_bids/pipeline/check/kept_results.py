"""What the group level has computed, kept for its next run on the same inputs.

A file that is damaged, or was computed from anything else, is passed over: then it is computed.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.edge_mean import EdgeMean
from kraken_bids.cohort.from_dataset import MeasuredCohort, MemberRows
from kraken_bids.cohort.projections import Cohort, Projection, project_flavor
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest, recall_sha256
from kraken_bids.io.packed_values import pack, unpack
from kraken_bids.io.writing import write_text
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.scores.plausibility import InputCheck

logger = logging.getLogger(__name__)

ABSENT = "none"
"""In place of the digest of a session without the flavor."""
Plain = Mapping[str, Any]
"""Texts, numbers, lists and mappings, which JSON gives back as they were."""


@dataclass(frozen=True)
class Kept:
    """Where results are kept, and what all of them rest on."""

    folder: Path | None = None
    """None: they are computed always, and not kept."""
    inputs: object = None
    """Whose connectomes, and the digests of their contents."""
    anew: bool = False
    """Whether they are computed whatever is kept."""

    def recall(
        self,
        name: str,
        rests_on: object,
        compute: Callable[[], Plain],
        *,
        lacked: Sequence[object] = (),
    ) -> Plain:
        """Give what was computed from the same inputs, else compute and keep it.

        Parameters
        ----------
        name : str
            Of the result.
        rests_on : object
            What it rests on besides the inputs: values that JSON can hold, and digests.
        compute : callable
            Its numbers are the same to the last bit whether they are computed or read back.
        lacked : sequence, optional
            To which computing adds what it had to do without; then nothing is kept.
        """
        content = self.find(name, rests_on)
        if content is None:
            content = compute()
            if not lacked:
                self.keep(name, rests_on, content)
        return content

    def find(self, name: str, rests_on: object) -> Plain | None:
        """Give what :meth:`keep` was given for the same inputs; None where that is not there."""
        if self.folder is None or self.anew:
            return None
        content = _read(self._path_of(name), self._key(name, rests_on))
        if content is not None:
            logger.debug("%s: as computed before from the same inputs", name)
        return content

    def keep(self, name: str, rests_on: object, content: Plain) -> None:
        """Keep a result for :meth:`find`."""
        if self.folder is not None:
            _write(self._path_of(name), self._key(name, rests_on), content)

    def _path_of(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f".{name}.json"

    def _key(self, name: str, rests_on: object) -> str:
        return digest(name, __version__, self.inputs, rests_on)


NOTHING_KEPT = Kept()


def keep_results(output_dir: Path, cohort: MeasuredCohort, *, anew: bool) -> Kept:
    """Keep in ``group/`` what is computed of a cohort's members and what was read of them."""
    subjects = [
        (member.label, [flavor.name for flavor in sorted(member.connectomes)])
        for member in cohort.members
    ]
    read = [(flavor.name, sorted(own.items())) for flavor, own in sorted(cohort.digests.items())]
    return Kept(group_path(output_dir, ""), [subjects, read], anew)


def digest_file(path: Path) -> str | None:
    """Digest of a file's content; None where it cannot be read.

    Read once by this process and those forked from it, pages too, as long as it does not change.
    """
    try:
        return recall_sha256(path)
    except OSError:
        return None


def digest_array(values: NDArray[Any]) -> str:
    """Digest of an array's type, shape and numbers."""
    found = hashlib.sha256(f"{values.dtype} {values.shape} ".encode())
    found.update(np.ascontiguousarray(values).data)
    return found.hexdigest()


def _read(path: Path, key: str) -> Plain | None:
    """Read a file whose first line is the digest of the key and of what follows."""
    try:
        head, _, text = path.read_bytes().partition(b"\n")
        if head == _sign(key, text):
            content: Plain = json.loads(text)
            return content
    except (OSError, ValueError) as error:
        logger.debug("%s is passed over: %s", path, error)
    return None


def _write(path: Path, key: str, content: Plain) -> None:
    text = json.dumps(content).encode()
    try:
        write_text(path, f"{_sign(key, text).decode()}\n{text.decode()}")
    except InputError as error:  # nothing but the time of the next run hangs on it
        logger.warning("not kept for the next run, which will compute it again: %s", error)


def _sign(key: str, text: bytes) -> bytes:
    return hashlib.sha256(key.encode() + text).hexdigest().encode()


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
