"""Which files of a session no page shows: those that an earlier run has left."""

from collections.abc import Mapping
from pathlib import Path

from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.outputs import (
    DECODED,
    RelmatFile,
    find_relmats,
    is_part,
    is_predicted,
    sidecar_path,
)
from kraken_bids.cohort.measurements import CLEANING, RUN
from kraken_bids.cohort.sidecar_records import FILE
from kraken_bids.cohort.sidecars import REDONE, read_measured_digest
from kraken_bids.cohort.standing import read_standing
from kraken_bids.flavors import is_further_meas
from kraken_bids.io.facts import Facts, read_facts

OF_A_RUN = ("task", "acq", "ce", "rec", "dir", "run", "part")
OF_TRACKS = ("sub", "ses", "acq", "rec", "dir", "run")
Key = tuple[str | None, ...]


class Leftovers:
    """Tells what the last run of a session has not to do with."""

    def __init__(self, output_dir: Path, subject: str, session: str | None) -> None:
        standing = read_standing(output_dir, subject, session)
        self._is_known = standing is not None
        self._current: set[Path] = set()
        self._digests: set[str] = set()
        self._keys: set[Key] = set()
        self._measured: list[RelmatFile] = []
        if standing is None:
            return
        for file in find_relmats(output_dir, subject):
            if file.session != session:
                continue
            facts = read_facts(sidecar_path(file.path))
            digest = facts.text(FILE.run_digest)
            if standing.judge(file, output_dir, {file.path: digest or None}.get):
                self._current.add(file.path)
                self._digests.add(digest.partition(REDONE)[0])
                self._measured.append(file)
                self._keys |= {_key(file.entities), *_list_runs(facts)}

    def holds(self, path: Path) -> bool:
        """Whether a file is left over: a connectome, or what was measured along with it."""
        if not self._is_known or path.parent.name not in {"func", "dwi"}:
            return False
        entities = parse_name(path)
        if is_predicted(entities) or entities.get("desc") == DECODED:
            return False
        if is_part(entities) or is_further_meas(entities.get("meas", "")):
            return read_measured_digest(path) not in self._digests
        if entities.get("suffix") == "relmat":
            return path not in self._current
        return path.parent.name == "func" and _key(entities) not in self._keys

    def holds_picture(self, path: Path) -> bool:
        """Whether a picture of the registration is of what the last run did not measure."""
        if not self._is_known:
            return False
        shown = parse_name(f"{path.stem}_picture.png")
        return not any(_is_of(shown, file) for file in self._measured)


def _is_of(shown: Mapping[str, str], file: RelmatFile) -> bool:
    """Whether a picture shows what a connectome was measured with: labels and BOLD, or tracks."""
    algorithm, own = shown.get("tracks"), file.entities
    if shown.get("atlas") != file.flavor.parcellation:
        return False
    if algorithm is None:
        return file.flavor.group == "FC" and _key(shown) == _key(own)
    spaces = {full_space(shown), full_space(own)} - {""}
    return (
        file.flavor.measure.startswith(f"SC{algorithm}")
        and len(spaces) <= 1  # names of tractograms need not say one
        and all(shown.get(name) == own.get(name) for name in OF_TRACKS)
    )


def _list_runs(facts: Facts) -> set[Key]:
    return {_key(parse_name(run.text(RUN.file))) for run in facts.parts(CLEANING.runs)}


def _key(entities: Mapping[str, str]) -> Key:
    return full_space(entities), *(entities.get(name) for name in OF_A_RUN)
