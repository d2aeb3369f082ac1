"""Which data the user asked for: sessions, tasks, filters, explicit paths."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.bids.names import parse_name, split_extension, strip_label
from kraken_bids.bids.transforms import TemplateOptions
from kraken_bids.exceptions import InputError
from kraken_bids.io.texts import read_json, read_text

LONG_NAMES = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "reconstruction": "rec",
    "direction": "dir",
    "resolution": "res",
    "density": "den",
    "description": "desc",
    "segmentation": "seg",
    "ceagent": "ce",
    "tracer": "trc",
    "staining": "stain",
    "modality": "mod",
    "inversion": "inv",
    "mtransfer": "mt",
    "processing": "proc",
    "hemisphere": "hemi",
    "template": "tpl",
}
"""PyBIDS's names of entities, which filter files use, to those in file names."""
KINDS = ("bold", "tractogram")
"""What conditions of a filter file can be about, here."""
ABSENT, PRESENT, OPTIONAL = "Query.NONE", "Query.ANY", "Query.OPTIONAL"
WORDS = {
    "NONE": ABSENT,
    "ANY": PRESENT,
    "*": PRESENT,
    "REQUIRED": PRESENT,
    "OPTIONAL": OPTIONAL,
    ABSENT: ABSENT,
    PRESENT: PRESENT,
    "Query.REQUIRED": PRESENT,
    OPTIONAL: OPTIONAL,
}
"""How filter files spell pybids's ``Query``, beside ``<Query.NONE: 1>`` of fMRIPrep's logs."""
REGEX = "regex_search"
"""Key beside the entities: their values are regular expressions."""
ENTITY = re.compile("[a-z]+")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Query:
    """Restrictions on what is searched; empty means everything."""

    sessions: tuple[str, ...] = ()
    """Session labels, with or without ``ses-``."""
    tasks: tuple[str, ...] = ()
    """Task labels, with or without ``task-``."""
    filters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Content of the BIDS filter file: conditions for ``bold`` and for ``tractogram``."""
    excluded: tuple[str, ...] = ()
    """What is left out, by the entities of its name: ``sub-03_task-rest_run-2``."""
    bold_desc: str = "preproc"
    """``desc`` of the BOLD series that are measured, beside those that are cleaned already."""
    denoise: str = "auto"
    """How BOLD is cleaned here; ``auto`` and ``none`` take series that are cleaned already."""

    def accepts_session(self, session: str | None) -> bool:
        """Whether a session (None: the subject has no session level) is asked for."""
        wanted = {strip_label(label, "ses") for label in self.sessions}
        return not wanted or session in wanted

    def accepts(self, kind: str, entities: Mapping[str, str]) -> bool:
        """Whether a parsed name satisfies the filters of a kind (``bold`` or ``tractogram``)."""
        tasks = {strip_label(label, "task") for label in self.tasks}
        if kind == "bold" and tasks and entities.get("task") not in tasks:
            return False
        if any(matches(entities, parse_exclusion(name)) for name in self.excluded):
            return False
        return matches(entities, self.filters.get(kind, {}))


@dataclass(frozen=True)
class ExplicitPaths:
    """Paths of the user, with ``{subject}`` and ``{session}`` (labels alone) to fill."""

    tractograms: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    parcellations: Mapping[str, str] = field(default_factory=dict)
    """Parcellation name to label image in the space of the tractogram."""
    lesion: str | None = None
    """Lesion mask; subjects without the file have none."""
    templates: TemplateOptions = field(default_factory=TemplateOptions)
    """Transforms between templates, and what is to be done without."""


def parse_exclusion(name: str) -> dict[str, str]:
    """Conditions of ``--exclude-runs``: the entities of a name, its ending if it has one.

    Raises
    ------
    InputError
        If it names no entity besides the subject and the session.
    """
    parts = split_extension(name)[0].split("_")
    found = dict(part.split("-", 1) for part in parts if "-" in part)
    if "-" not in parts[-1]:
        found["suffix"] = parts[-1]
    if not set(found) - {"sub", "ses", "suffix"}:
        raise InputError(
            f"--exclude-runs: expected names like sub-03_task-rest_run-2; found {name!r}, which "
            "would leave out everything. Leave whole participants out with --participant-label, "
            "sessions with --session-id."
        )
    return found


def read_exclusions(words: Sequence[str]) -> tuple[str, ...]:
    """Names to leave out: each word itself, or the first word of each line of a file.

    Raises
    ------
    InputError
        If a file cannot be read, or a name says nothing.
    """
    names: list[str] = []
    for word in words:
        path = Path(word)
        if path.is_file():
            lines = (line.split() for line in read_text(path).splitlines())
            names += [line[0] for line in lines if line and not line[0].startswith("#")]
        else:
            names.append(word)
    for name in names:
        parse_exclusion(name)
    return tuple(dict.fromkeys(names))


def matches(entities: Mapping[str, str], conditions: Mapping[str, object]) -> bool:
    """Whether a parsed name satisfies conditions written as in fMRIPrep's ``--bids-filter-file``.

    Parameters
    ----------
    entities : mapping
        As :func:`~kraken_bids.bids.names.parse_name` gives, with ``datatype`` where known.
    conditions : mapping
        Entity (short or long name) to a value, a list of values (one must fit; none: no
        condition), None or ``Query.NONE`` (must be absent), ``*`` or ``Query.ANY`` (must be
        present), ``Query.OPTIONAL`` (anything). Numbers are compared as numbers: 1 matches
        ``run-01``. An extension may lack its first dot. With ``regex_search`` true, values are
        regular expressions that are found anywhere in the entity, whatever its case, as in pybids.
    """
    return all(
        _fits(
            entities.get(LONG_NAMES.get(key, key)) or None,
            wanted if isinstance(wanted, list | tuple) else [wanted],
            is_pattern=bool(conditions.get(REGEX)),
            is_extension=key == "extension",
        )
        for key, wanted in conditions.items()
        if key != REGEX
    )


def read_filters(path: Path) -> dict[str, dict[str, object]]:
    """Content of a BIDS filter file.

    Raises
    ------
    InputError
        If the file is missing or is not a JSON object of objects, or a condition in it is none.
    """
    content = read_json(path)
    if not all(isinstance(v, dict) for v in content.values()):
        raise InputError(
            f'expected a JSON object like {{"bold": {{"session": "01"}}}} in {path}; '
            f"found {json.dumps(content)[:80]}. Write one object per kind of file."
        )
    for kind in KINDS:
        _check_conditions(content.get(kind, {}), f"{path} ({kind})")
    unused = [kind for kind in content if kind not in KINDS]
    if len(unused) == len(content):
        logger.warning(
            "%s holds conditions for %s and none for %s: it leaves nothing out",
            path,
            ", ".join(unused) or "nothing",
            " or ".join(KINDS),
        )
    return content


def fill_template(template: str, subject: str, session: str | None) -> Path:
    """Path of a template with ``{subject}`` and ``{session}``, both labels without prefix.

    Raises
    ------
    InputError
        If it asks for a session and the subject has none, or its name is that of another
        subject or session.
    """
    if session is None and "{session}" in template:
        raise InputError(
            f"expected sessions for the path {template}; found none for sub-{subject}. "
            "Take {session} out of the path, or run the participants without sessions apart."
        )
    path = Path(template.replace("{subject}", subject).replace("{session}", session or ""))
    found = parse_name(path)
    for key, label in (("sub", subject), ("ses", session)):
        if label is not None and found.get(key, label) != label:
            word = {"sub": "{subject}", "ses": "{session}"}[key]
            raise InputError(
                f"expected a file of {key}-{label} for sub-{subject}; the name of {path} says "
                f"{key}-{found[key]}. Write {word} in its place ({template})."
            )
    return path


def _check_conditions(conditions: Mapping[str, object], where: str) -> None:
    """Refuse what would silently leave everything out, or nothing."""
    is_pattern = conditions.get(REGEX, False)
    if not isinstance(is_pattern, bool):
        raise InputError(f"expected true or false for {REGEX} in {where}; found {is_pattern!r}.")
    for key, wanted in conditions.items():
        if key == REGEX:
            continue
        if not ENTITY.fullmatch(key):
            raise InputError(
                f"expected entities of file names (task, session, acquisition ...) in {where}; "
                f"found {key!r}. Values of sidecars cannot be asked for."
            )
        for one in wanted if isinstance(wanted, list) else [wanted]:
            _check_value(one, f"{key} in {where}", is_pattern=is_pattern)


def _check_value(value: object, where: str, *, is_pattern: bool) -> None:
    if value is not None and not isinstance(value, str | int | float):
        raise InputError(f"expected a value or a list of values for {where}; found {value!r}.")
    word = _read_word(value)
    if word is None and str(value).strip("<").startswith("Query."):
        raise InputError(
            f"expected Query.NONE, Query.ANY, Query.REQUIRED or Query.OPTIONAL for {where}; "
            f"found {value!r}."
        )
    if is_pattern and word is None:
        try:
            re.compile(str(value))
        except re.error as error:
            raise InputError(
                f"expected a regular expression for {where}; found {value!r} ({error}). Correct "
                f"it, or take {REGEX} out."
            ) from error


def _read_word(value: object) -> str | None:
    """One of ABSENT, PRESENT, OPTIONAL; None for a value to compare with."""
    return ABSENT if value is None else WORDS.get(str(value).strip("<>").split(":")[0])


def _fits(
    found: str | None, wanted: Sequence[object], *, is_pattern: bool, is_extension: bool
) -> bool:
    """Whether an entity (None: absent) fits one of the values, or there are none."""
    words = {_read_word(one) for one in wanted}
    if not wanted or OPTIONAL in words:
        return True
    if found is None:
        return ABSENT in words
    values = [str(one) for one in wanted if _read_word(one) is None]
    if is_extension:
        values = [f".{value.removeprefix('.')}" for value in values]
    if is_pattern:
        same = any(re.search(value, found, re.IGNORECASE) for value in values)
    else:
        same = any(_is_same(found, value) for value in values)
    return same or PRESENT in words


def _is_same(found: str, wanted: str) -> bool:
    are_numbers = found.isdecimal() and wanted.isdecimal()
    return found == wanted or (are_numbers and found.lstrip("0") == wanted.lstrip("0"))
