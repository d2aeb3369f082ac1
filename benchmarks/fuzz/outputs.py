"""Readers of what is in OUTPUT_DIR: sidecars, tables and archives that both levels read back."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from numbers import Real
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from fuzz.cases import Reader, Seed, require
from fuzz.models import build_model
from fuzz.out_files import build_archive, build_output_dir


def list_readers() -> list[Reader]:
    """All readers of OUTPUT_DIR: each damages one of its files and reads all that it needs."""
    return [
        Reader("OUT, one person", _list_of_person, _read_subject),
        Reader("OUT, the group", _list_of_group, _read_group),
        Reader("OUT, a run", _list_of_run, _read_run),
    ]


def _list_seeds(is_wanted: Any) -> Sequence[Seed]:
    files = build_output_dir()
    return [
        Seed(f"out/{name}", content, {f"out/{n}": c for n, c in files.items() if n != name})
        for name, content in files.items()
        if is_wanted(name)
    ]


def _list_of_person() -> Sequence[Seed]:
    own = ("sub-01/", "logs/", "group/participants", "group/mean", "group/warnings", "atlas-")
    seeds = _list_seeds(lambda name: name.startswith(own))
    archive = "out/sub-01/sub-01_desc-kraken_relmats.h5"  # of --output-format h5
    beside = {**seeds[0].beside, seeds[0].name: seeds[0].content}
    return [*seeds, Seed(archive, build_archive(), beside)]


def _list_of_group() -> Sequence[Seed]:
    return _list_seeds(
        lambda name: (
            name.startswith(("group/", "logs/", "participants"))
            or name.endswith(("latents.json", "latents.tsv", "relmat.json", "coverage.tsv"))
        )
    )


def _list_of_run() -> Sequence[Seed]:
    return _list_seeds(
        lambda name: name.endswith((".json", "failures.tsv", "dseg.tsv", "relmat.dense.tsv"))
    )


# ------------------------------------------------------------------------------------ the doors


def _find_root(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.name == "out")


def _read_subject(path: Path) -> None:
    from kraken_bids.cohort.from_dataset import list_members
    from kraken_bids.report.page import build_subject_page
    from kraken_bids.report.written import Written

    root = _find_root(path)
    for member in list_members(root, ("01",)):
        _check_plain(build_subject_page(Written(root, member)).data)


def _read_group(path: Path) -> None:
    from kraken_bids.cohort.from_dataset import list_members
    from kraken_bids.report.page import build_group_page
    from kraken_bids.report.written_group import WrittenGroup

    root = _find_root(path)
    _check_plain(build_group_page(WrittenGroup(root, list_members(root))).data)


def _read_run(path: Path) -> None:
    from kraken_bids.bids.custom_atlases import read_region_table
    from kraken_bids.bids.output_dataset import write_dataset_description, write_region_tables
    from kraken_bids.cohort.failures import list_failures, read_failures
    from kraken_bids.cohort.from_dataset import list_members
    from kraken_bids.cohort.projections import Cohort, Projected
    from kraken_bids.cohort.saved_ridge import read_saved_ridges
    from kraken_bids.exceptions import InputError
    from kraken_bids.pipeline.check.cohort_doubts import warn_of_unlike
    from kraken_bids.pipeline.check.group_tables import write_quality
    from kraken_bids.pipeline.check.qcfc import write_qcfc

    root = _find_root(path)
    if path.name == "dataset_description.json":
        write_dataset_description(root, name="x", sources={"raw": root})
    if path.name.endswith("dseg.tsv"):
        write_region_tables(root, [read_region_table("mini", path)])
    for row in [*list_failures(root), *read_failures(root, "01")]:
        require(all(isinstance(word, str) for word in row), "a failure without words")
    for ridge in read_saved_ridges(root).values():
        require(isinstance(ridge, float) and 0 <= ridge < np.inf, "an odd ridge")
    members = list_members(root)
    warn_of_unlike(members)
    if not members:
        raise InputError("nobody")
    write_quality(root, members, Projected(Cohort((), {}), {}), {}, inputs={})
    write_qcfc(root, members)
    _predict(root, members, path)


def _predict(root: Path, members: Sequence[Any], path: Path) -> None:
    """Do what the participant level does between measuring and predicting, and after."""
    from kraken_bids.pipeline.check.input_quality import encoded_of, judge_inputs
    from kraken_bids.pipeline.check.quality_sidecars import Judgement, write_judgement
    from kraken_bids.pipeline.participant import plan_predictions
    from kraken_bids.settings import DataSettings, PredictionSettings, Settings

    settings = Settings(
        data=DataSettings(root.parent, root), prediction=PredictionSettings(model="mini")
    )
    plan, failures = plan_predictions(settings, build_model(), members)
    odd = [failure.message for failure in failures if "unexpected" in failure.message]
    require(not odd, f"a failure of no error of ours: {odd[:1]}")
    inputs = judge_inputs(encoded_of(plan, members), correlates=True)
    if "kraken" not in path.name:  # it takes long
        plan = replace(plan, sources=())
    write_judgement(plan, members, Judgement(inputs))


def _check_plain(value: Any, hint: Any = Any, where: str = "page") -> None:
    """Check the fields of a page, and of what is in it, against what they are declared to be."""
    if is_dataclass(value) and not isinstance(value, type):
        hints = _list_hints(type(value))
        for one in fields(value):
            _check_plain(getattr(value, one.name), hints[one.name], f"{where}.{one.name}")
    elif get_origin(hint) is tuple and isinstance(value, tuple):
        inner = get_args(hint)
        for part in value:
            _check_plain(part, inner[0] if inner[-1] is Ellipsis else Any, where)
    elif get_origin(hint) in (Union, UnionType):
        if value is not None:
            _check_plain(value, next(h for h in get_args(hint) if h is not type(None)), where)
    elif hint in (str, int, float):
        kind = {str: str, int: int, float: Real}[hint]
        require(isinstance(value, kind), f"{where} is of {type(value).__name__}")


@cache
def _list_hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
