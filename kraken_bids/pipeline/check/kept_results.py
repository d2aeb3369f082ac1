"""What the group level has computed, kept for its next run on the same inputs.

A file that is damaged, or was computed from anything else, is passed over: then it is computed.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.from_dataset import MeasuredCohort
from kraken_bids.exceptions import InputError
from kraken_bids.io.digests import compute_sha256, digest
from kraken_bids.io.writing import write_text

logger = logging.getLogger(__name__)

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
    """Digest of a file's content; None where it cannot be read."""
    try:
        return compute_sha256(path)
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
