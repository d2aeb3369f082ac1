"""``kraken-tools export``: connectomes of OUTPUT_DIR as files of other tools."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from kraken_bids.bids.names import format_name, strip_label
from kraken_bids.bids.output_dataset import check_output_folder
from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.output_connectomes import Kind, list_kinds, read_edges
from kraken_bids.cohort.sidecar_records import VERSION
from kraken_bids.connectome.labels.region_places import find_known_centres
from kraken_bids.exceptions import InputError, SettingsError, name_few
from kraken_bids.flavors import suggest
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.pipeline.export.edge_vectors import ORDERS, write_vectors
from kraken_bids.pipeline.export.graphs import AXES, write_edge_list, write_graphml
from kraken_bids.pipeline.export.stack import Floats, Stack, drop_missing
from kraken_bids.pipeline.export.toolbox_files import write_conn, write_mat, write_nbs
from kraken_bids.report.written import Written

logger = logging.getLogger(__name__)

STAGE = "export"
WRITERS: dict[str, tuple[str, Callable[..., None]]] = {
    "graphml": (".graphml", write_graphml),
    "edges": (".edges.tsv", write_edge_list),
    "vectors": (".vectors.tsv", write_vectors),
    "mat": (".mat", write_mat),
    "nbs": ("_nbs", write_nbs),
    "conn": (".mtx.nii", write_conn),
}
"""End of the name of the file, or folder, of each format, and what writes it."""
ONE_BY_ONE = ("graphml",)
"""Formats that hold one session."""
TOGETHER = ("nbs",)
"""Formats that hold everyone."""


@dataclass(frozen=True)
class ExportOptions:
    """Which connectomes become which files."""

    formats: tuple[str, ...]
    what: tuple[str, ...] = ("measured",)
    """``measured``, ``predicted`` or ``calibrated``."""
    flavors: tuple[str, ...] = ()
    """Empty: all."""
    sources: tuple[str, ...] = ()
    """Of predictions; empty: all."""
    participants: tuple[str, ...] = ()
    """Labels without ``sub-``; empty: all."""
    is_stacked: bool = False
    """Whether a file holds everyone."""
    order: str = "rows"
    """Of vectors, of :data:`~kraken_bids.pipeline.export.edge_vectors.ORDERS`."""
    drops_missing: bool = False
    """Whether regions that were not seen are left out."""


@dataclass(frozen=True)
class Exported:
    """What an export has written, and what it could not read."""

    paths: tuple[Path, ...]
    failures: tuple[Failure, ...]


def export_connectomes(output_dir: Path, folder: Path, options: ExportOptions) -> Exported:
    """Write connectomes of OUTPUT_DIR as other tools read them.

    Parameters
    ----------
    output_dir : Path
        What kraken-bids wrote; not changed.
    folder : Path
        Where to write.

    Raises
    ------
    InputError
        If OUTPUT_DIR has nothing of what is asked for.
    SettingsError
        If the folder is OUTPUT_DIR or in it, or a ``.mat`` file would be too large.
    """
    if folder.resolve().is_relative_to(output_dir.resolve()):
        raise SettingsError(
            f"expected a folder outside OUTPUT_DIR ({output_dir}), a BIDS dataset whose sidecars "
            f"have the same names; found {folder}."
        )
    check_output_folder(folder)
    members = _find_members(output_dir, options.participants)
    paths: list[Path] = []
    failures: list[Failure] = []
    kinds: dict[str, list[Kind]] = {}
    for member in members:
        with failing_alone(failures, subject=member.subject, session=member.session, stage=STAGE):
            kinds[member.label] = list_kinds(output_dir, member)
    chosen = _choose(sorted({kind for found in kinds.values() for kind in found}), options)
    for kind in chosen:
        own = [member for member in members if kind in kinds.get(member.label, ())]
        _say_lacking(kind, [label for label, found in kinds.items() if kind not in found])
        stack = _read_stack(output_dir, own, kind, failures)
        if stack is not None:
            _write_regions(stack, folder / f"atlas-{stack.regions.name}_regions.tsv")
            for part, entities, formats in _cut(stack, options):
                paths += _write_part(part, folder, entities, formats=formats, options=options)
    return Exported(tuple(paths), tuple(failures))


def _say_lacking(kind: Kind, labels: Sequence[str]) -> None:
    """Name the sessions that do not have what is exported of others."""
    if labels:
        origin = f" from {kind.source}" if kind.source else ""
        words = f"{kind.what} {kind.flavor}{origin}"
        logger.warning("%s: %d session(s) have none: %s", words, len(labels), name_few(labels))


def _find_members(output_dir: Path, participants: Sequence[str]) -> list[Member]:
    wanted = [strip_label(label, "sub") for label in participants]
    members = list(list_members(output_dir, wanted or None))
    absent = [label for label in wanted if label not in {one.subject for one in members}]
    if absent or not members:
        raise InputError(
            f"expected measured connectomes of {', '.join(absent) or 'participants'} in "
            f"{output_dir}; found none. Give a folder that kraken-bids wrote, and check labels."
        )
    return members


def _choose(found: Sequence[Kind], options: ExportOptions) -> list[Kind]:
    """Choose what is asked for; every word must be that of something that is there."""
    for name, wanted, known in (
        ("--what", options.what, {kind.what for kind in found}),
        ("--flavors", options.flavors, {kind.flavor.name for kind in found}),
        ("--sources", options.sources, {kind.source for kind in found if kind.source}),
    ):
        absent = [word for word in wanted if word not in known]
        if absent:
            raise InputError(
                f"{name}: expected what OUTPUT_DIR has ({', '.join(sorted(known)) or 'nothing'}); "
                f"found {', '.join(absent)}.{suggest(absent[0], known)}"
            )
    chosen = [
        kind
        for kind in found
        if kind.what in options.what
        and kind.flavor.name in (options.flavors or (kind.flavor.name,))
        and (not kind.source or kind.source in (options.sources or (kind.source,)))
    ]
    if not chosen:
        raise InputError(
            "expected connectomes that --what, --flavors and --sources ask for together; found "
            "none. Ask for less."
        )
    return chosen


def _read_stack(
    output_dir: Path, members: Sequence[Member], kind: Kind, failures: list[Failure]
) -> Stack | None:
    """Read one kind of everyone; None where nobody's can be read."""
    regions = Written(output_dir, members[0]).read_regions(kind.flavor.parcellation)
    read, edges = list[Member](), list[Floats]()
    for member in members:
        with failing_alone(failures, subject=member.subject, session=member.session, stage=STAGE):
            edges.append(read_edges(output_dir, member, kind, regions.n_edges))
            read.append(member)
    if not read:
        return None
    return Stack(
        kind=kind,
        regions=regions,
        subjects=tuple(f"sub-{one.subject}" for one in read),
        sessions=tuple(f"ses-{one.session}" if one.session else None for one in read),
        edges=np.array(edges),
        centres=find_known_centres(regions),
    )


def _cut(
    stack: Stack, options: ExportOptions
) -> Iterator[tuple[Stack, dict[str, str], list[str]]]:
    """Give everyone, then each session, with entities of its files and their formats."""
    joined = TOGETHER if not options.is_stacked else [*WRITERS.keys() - {*ONE_BY_ONE}]
    together = [name for name in options.formats if name in joined]
    alone = [name for name in options.formats if name not in together]
    if together:
        yield stack, {}, together
    for row, (subject, session) in enumerate(zip(stack.subjects, stack.sessions, strict=True)):
        if alone:
            part = replace(
                stack, subjects=(subject,), sessions=(session,), edges=stack.edges[[row]]
            )
            whose = {"sub": strip_label(subject, "sub"), "ses": strip_label(session or "", "ses")}
            yield part, whose, alone


def _write_part(
    part: Stack,
    folder: Path,
    entities: dict[str, str],
    *,
    formats: Sequence[str],
    options: ExportOptions,
) -> list[Path]:
    shown = drop_missing(part) if options.drops_missing else part
    name = format_name(entities | part.kind.entities, suffix="relmat", extension="")
    unseen = [
        region
        for region, gone in zip(shown.regions.region_names, shown.unseen, strict=True)
        if gone
    ]
    if unseen:
        logger.warning(
            "%s: %d region(s) that were not seen are NaN (no edges in graphs): %s. Most toolboxes "
            "take no NaN: --drop-missing leaves them out",
            name, len(unseen), name_few(unseen),
        )  # fmt: skip
    paths = []
    for one in formats:
        ending, write = WRITERS[one]
        paths.append(folder / f"{name}{ending}")
        if one == "vectors":
            write = partial(write_vectors, order=options.order)
        write(shown, paths[-1])
    facts = shown.describe() | {"UnseenRegions": unseen}
    facts |= {"VectorOrder": ORDERS[options.order]} if "vectors" in formats else {}
    write_json(folder / f"{name}.json", facts | VERSION)
    return paths


def _write_regions(stack: Stack, path: Path) -> None:
    regions = stack.regions
    columns = {
        "index": regions.indices,
        "name": regions.region_names,
        "hemisphere": regions.hemispheres,
        "network": stack.networks,
        **dict(zip(AXES, stack.centres.T, strict=True)),
    }
    write_table(path, columns)
