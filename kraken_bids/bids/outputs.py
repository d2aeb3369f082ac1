"""Names of the files in OUTPUT_DIR, in one place, and the way back from a name."""

import logging
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from kraken_bids.bids.folders import is_folder, is_nowhere, list_entries
from kraken_bids.bids.names import format_name, parse_name, session_label, split_extension
from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor, is_further_meas, parse_meas
from kraken_bids.io.foreign_kinds import Kind

FUNC_ENTITIES = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "part", "space", "cohort")
DWI_ENTITIES = ("sub", "ses", "acq", "rec", "dir", "run", "space", "cohort")
"""Entities of the source in names of measured files; predictions have ``sub`` and ``ses`` only."""
RELMAT = ".dense.tsv"
PREDICTED = "kraken"
"""End of the ``desc-`` of every raw prediction, and of no measured file."""
CALIBRATED = "krakencal"
"""The same of predictions calibrated on a cohort, and of their intervals."""
MEASURED = re.compile(
    rf"(?s)sub-(?!.*_desc-[^_]*(?:{PREDICTED}|{CALIBRATED})_relmat).*_relmat{re.escape(RELMAT)}"
)
"""Names of connectomes but for predicted ones."""
CLEANED = "hpf"
"""``desc-`` of region series after cleaning, as of the flavors that they become."""
SINGLE_RUN = "singlerun"
"""``desc-`` of the connectomes of one run, where those of all runs are there too."""
PART = re.compile(rf"{SINGLE_RUN}|\d+(?:p\d+)?min")
"""``desc-`` of connectomes of a part of the data, which are inputs of nothing."""
REGISTRATION = "registration"
"""In the names of pictures of where regions lie."""
DISCORDANCE = "discordance"
"""``desc-`` of the table of how far regions are from what was predicted of them."""
FRAMES = "quality"
"""``desc-`` of the table of a run's frames."""
DECODED = "decode"
"""``desc-`` of the states that whole volumes were decoded into, and of what spoke for them."""
OUTPUT = Kind("a whole HDF5 file of kraken-bids", "Make it again with --force.")
"""HDF5 files of OUTPUT_DIR, read back."""

logger = logging.getLogger(__name__)


class RelmatFile(NamedTuple):
    """One measured connectome on disk."""

    subject: str
    session: str | None
    flavor: Flavor
    path: Path
    entities: Mapping[str, str]


def relmat_path(
    output_dir: Path,
    entities: Mapping[str, str],
    flavor: Flavor,
    *,
    source: str | None,
    is_calibrated: bool = False,
    part: str = "",
) -> Path:
    """Path of a connectome: measured, or predicted from a source, raw or calibrated.

    Parameters
    ----------
    entities : mapping
        ``sub``, ``ses`` … of what it was measured from; others are left out.
    source : str or None
        None: measured. Else ``fusion``, ``fusionSC``, a flavor …: predicted from it, which the
        name says as ``desc-<source>kraken`` (letters and digits only).
    is_calibrated : bool, optional
        Whether the prediction is calibrated: ``desc-<source>krakencal``.
    part : str, optional
        ``desc-`` of one that is measured of a part of the data.
    """
    if source is not None:
        folder, end = _end_predicted(flavor, source, CALIBRATED if is_calibrated else PREDICTED)
        start = session_label(entities["sub"], entities.get("ses"))
        return session_folder(output_dir, entities, folder, f"{start}_{end}")
    own = {"atlas": flavor.parcellation, "meas": flavor.meas, "desc": part}
    kept = FUNC_ENTITIES if flavor.datatype == "func" else DWI_ENTITIES
    name = format_name(_keep(entities, kept) | own, suffix="relmat", extension=RELMAT)
    return session_folder(output_dir, entities, flavor.datatype, name)


@lru_cache(maxsize=4096)
def _end_predicted(flavor: Flavor, source: str, kind: str) -> tuple[str, str]:
    """Folder of a prediction, and its name without ``sub`` and ``ses``; a group asks for many."""
    own = {"atlas": flavor.parcellation, "meas": flavor.meas, "desc": label_source(source) + kind}
    return flavor.datatype, format_name(own, suffix="relmat", extension=RELMAT)


def timeseries_path(
    output_dir: Path, entities: Mapping[str, str], parcellation: str, *, is_clean: bool = False
) -> Path:
    """Path of the region means of one run, before or after cleaning (``desc-hpf``)."""
    own = {"atlas": parcellation} | ({"desc": CLEANED} if is_clean else {})
    return _func_path(output_dir, entities, own, "timeseries.tsv")


def frames_path(output_dir: Path, entities: Mapping[str, str]) -> Path:
    """Path of the table of one run's frames: motion, DVARS, global signal, which count."""
    return _func_path(output_dir, entities, {"desc": FRAMES}, "timeseries.tsv")


def coverage_path(output_dir: Path, entities: Mapping[str, str], parcellation: str) -> Path:
    """Path of the table that says how much of each region the data cover."""
    return _func_path(output_dir, entities, {"atlas": parcellation}, "coverage.tsv")


def reliability_path(output_dir: Path, entities: Mapping[str, str], atlas: str = "") -> Path:
    """Path of the table of how alike connectomes of parts of the data are, of one atlas or all."""
    return _func_path(output_dir, entities, {"atlas": atlas} if atlas else {}, "reliability.tsv")


def name_minutes(minutes: float) -> str:
    """Name the first minutes of the data, as ``desc-`` does: ``5min``, ``7p5min``."""
    return f"{minutes:g}min".replace(".", "p")


def labels_path(output_dir: Path, entities: Mapping[str, str], parcellation: str) -> Path:
    """Path of the regions on the grid of the BOLD series."""
    return _func_path(output_dir, entities, {"atlas": parcellation}, "dseg.nii.gz")


def registration_path(
    output_dir: Path, entities: Mapping[str, str], parcellation: str, *, algorithm: str = ""
) -> Path:
    """Path of the picture of where the regions lie: on a BOLD series, or on streamlines."""
    label = "_".join(f"{key}-{value}" for key, value in _keep(entities, ("sub", "ses")).items())
    own = {k: v for k, v in _keep(entities, FUNC_ENTITIES).items() if k not in {"sub", "ses"}}
    own |= _keep({**entities, "tracks": algorithm}, ("tracks", "space"))
    words = [f"{key}-{value}" for key, value in {**own, "atlas": parcellation}.items()]
    name = f"{'_'.join([label, REGISTRATION, *words])}.png"
    return Path(output_dir, f"sub-{entities['sub']}", "figures", name)


def latents_path(output_dir: Path, subject: str, session: str | None) -> Path:
    """Path of the latents of a session: one row per source."""
    return _kraken_path(output_dir, subject, session, ending="latents.tsv")


def prediction_archive_path(output_dir: Path, subject: str, session: str | None) -> Path:
    """Path of the HDF5 file with all predictions of a session (``--output-format h5``)."""
    return _kraken_path(output_dir, subject, session, ending="relmats.h5")


def calibrated_archive_path(output_dir: Path, subject: str, session: str | None) -> Path:
    """Path of the HDF5 file with a session's calibrated predictions (``--output-format h5``)."""
    return _kraken_path(output_dir, subject, session, ending="relmats.h5", desc=CALIBRATED)


def intervals_path(output_dir: Path, subject: str, session: str | None) -> Path:
    """Path of the HDF5 file with the intervals of a session's calibrated predictions."""
    return _kraken_path(output_dir, subject, session, ending="intervals.h5", desc=CALIBRATED)


def find_calibrated(output_dir: Path, subject: str, session: str | None) -> list[Path]:
    """Everything calibrated of a session in OUTPUT_DIR, sidecars too, by name."""
    folder = session_folder(output_dir, {"sub": subject, "ses": session or ""})
    return [
        Path(entry.path)
        for place in (folder, folder / "func", folder / "dwi")
        for entry in list_entries(place)
        if CALIBRATED in entry.name
        and parse_name(entry.name).get("desc", "").endswith(CALIBRATED)
        and not entry.is_dir(follow_symlinks=False)
    ]


def is_predicted(entities: Mapping[str, str]) -> bool:
    """Whether the name of a file says that it is predicted, raw or calibrated."""
    return entities.get("desc", "").endswith((PREDICTED, CALIBRATED))


def is_part(entities: Mapping[str, str]) -> bool:
    """Whether the name of a file says that it is of a part of the data."""
    return PART.fullmatch(entities.get("desc", "")) is not None


def discordance_path(output_dir: Path, subject: str, session: str | None) -> Path:
    """Path of the table of discordance of a session: one row per target and region."""
    return _kraken_path(output_dir, subject, session, ending="regions.tsv", desc=DISCORDANCE)


def region_table_path(output_dir: Path, parcellation: str) -> Path:
    """Path of the table of regions of a parcellation."""
    return Path(output_dir) / f"atlas-{parcellation}_dseg.tsv"


def group_report_path(output_dir: Path) -> Path:
    """Path of the group's report."""
    return Path(output_dir) / "group.html"


def group_path(output_dir: Path, name: str) -> Path:
    """Path of a file of the group level, such as ``adaptation.json``."""
    return Path(output_dir) / "group" / name


def sidecar_path(path: Path) -> Path:
    """Path of the JSON sidecar of a file: its whole name with another extension."""
    return path.with_name(split_extension(path)[0] + ".json")


def label_source(source: str) -> str:
    """Letters and digits of the name of a source, as ``desc-`` begins with them."""
    return "".join(c for c in source if c.isascii() and c.isalnum())


def find_relmats(output_dir: Path, subject: str | None = None) -> list[RelmatFile]:
    """Measured connectomes in OUTPUT_DIR; predictions, and those of a part, are passed over.

    Folders that may not be read, and links to nowhere, are passed over with a warning. Also finds
    the bare names of the published tools without sidecar:
    ``sub-X_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv``. With a subject, with or without ``sub-``,
    only theirs.
    """
    label = "*" if subject is None else subject.removeprefix("sub-")
    found = sorted(Path(output_dir).glob(f"sub-{label}"))
    # links to nowhere with a suffix are pages whose content is not there
    folders = [p for p in found if is_folder(p) or (is_nowhere(p) and not p.suffix)]
    return [found for folder in folders for found in _list_relmats(folder)]


def find_sessions(output_dir: Path) -> list[tuple[str, str | None]]:
    """(subject, session) of everyone who has a measured connectome in OUTPUT_DIR."""
    return list(dict.fromkeys((f.subject, f.session) for f in find_relmats(output_dir)))


def _list_relmats(folder: Path) -> Iterator[RelmatFile]:
    inside = list_entries(folder)
    named = [Path(entry.path) for entry in inside if entry.name.startswith("ses-")]
    sessions = [path for path in named if list_entries(path)]
    for level in (folder, *sessions) if inside else ():
        for datatype in ("func", "dwi"):
            for entry in list_entries(place := level / datatype):
                if not MEASURED.fullmatch(entry.name):
                    continue
                path = place / entry.name
                entities = parse_name(path)
                if is_predicted(entities) or is_part(entities):
                    continue
                try:
                    flavor = parse_meas(entities.get("meas", ""), entities.get("atlas", ""))
                except FlavorError:
                    if is_further_meas(entities.get("meas", "")):
                        continue
                    logger.warning("%s is passed over: no known meas- and atlas-", path)
                    continue
                own = {"sub": folder.name[4:]}
                own |= {"ses": level.name.removeprefix("ses-")} if level != folder else {}
                if any(entities.get(key, label) != label for key, label in own.items()):
                    logger.warning(
                        "%s is passed over: its name says another participant or session than "
                        "its folder; move or rename it",
                        path,
                    )
                    continue
                yield RelmatFile(own["sub"], own.get("ses"), flavor, path, entities)


def _func_path(
    output_dir: Path, entities: Mapping[str, str], own: Mapping[str, str], ending: str
) -> Path:
    named = _keep(entities, FUNC_ENTITIES) | dict(own)
    suffix, _, extension = ending.partition(".")
    name = format_name(named, suffix=suffix, extension=f".{extension}")
    return session_folder(output_dir, entities, "func", name)


def _kraken_path(
    output_dir: Path, subject: str, session: str | None, *, ending: str, desc: str = PREDICTED
) -> Path:
    entities = {"sub": subject.removeprefix("sub-"), "ses": (session or "").removeprefix("ses-")}
    label = session_label(entities["sub"], entities["ses"])
    return session_folder(output_dir, entities, f"{label}_desc-{desc}_{ending}")


def session_folder(output_dir: Path, entities: Mapping[str, str], *inside: str) -> Path:
    """Folder of a session (``sub``, and ``ses`` if any), or one inside of it."""
    session = [f"ses-{entities['ses']}"] if entities.get("ses") else []
    return output_dir / "/".join((f"sub-{entities['sub']}", *session, *inside))


def _keep(entities: Mapping[str, str], kept: tuple[str, ...]) -> dict[str, str]:
    return {key: entities[key] for key in kept if entities.get(key)}
