"""From latents to the predicted connectomes of each participant, some participants at a time."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import latents_path, prediction_archive_path, relmat_path
from kraken_bids.flavors import Flavor
from kraken_bids.model.adaptation import Adaptation
from kraken_bids.model.fusion import count_inputs, fuse, parse_selector
from kraken_bids.model.predict import Model
from kraken_bids.pipeline.predictions.cohort import Member
from kraken_bids.pipeline.predictions.files import PredictionJob, entities_of, write_predictions
from kraken_bids.pipeline.predictions.freshness import are_whole
from kraken_bids.pipeline.predictions.warned import Warned
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.provenance import digest
from kraken_bids.pipeline.workers import run_tasks
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

BLOCK = 48
"""Predicted connectomes of one target that are decoded at once: members times sources."""


@dataclass(frozen=True)
class Source:
    """What predictions start from: the fused latents of every member."""

    name: str
    """``fusion``, ``fusionSC``, ``fusionFC`` or a flavor id."""
    flavors: tuple[Flavor, ...]
    """The inputs that it averages."""
    latents: Array
    """[n_members, n_latent]; NaN where a member has none of the inputs."""
    n_inputs: NDArray[np.int64]
    """[n_members]."""
    has_input: Mapping[Flavor, NDArray[np.bool_]]
    """Per input: which members have it [n_members]."""
    inputs: Mapping[Flavor, Array] = field(default_factory=dict)
    """Per input: latents [n_members, n_latent]."""

    @property
    def single(self) -> Flavor | None:
        """The one flavor that it is, where it is no fusion."""
        return self.flavors[0] if self.flavors[0].name == self.name else None

    def predict(self, model: Model, target: Flavor, rows: slice | Sequence[int]) -> Array:
        """Predicted connectomes ``[n_rows, n_edges]`` of some members."""
        return model.decode(target, self._fuse(model, target, rows), source=self.single)

    def factor(
        self, model: Model, target: Flavor, rows: Sequence[int]
    ) -> tuple[Array, Array] | None:
        """Two matrices whose product is :meth:`predict`, where there are such."""
        return model.factor_decoded(target, self._fuse(model, target, rows), source=self.single)

    def _fuse(self, model: Model, target: Flavor, rows: slice | Sequence[int]) -> Array:
        """Latents ``[n_rows, n_latent]`` as the decoder of a target takes them."""
        if self.single is None and model.network.architecture.group_paths:
            inputs = {flavor: own[rows] for flavor, own in self.inputs.items()}
            return model.fuse_for(target, inputs)
        return self.latents[rows]


def list_source_names(settings: Settings, model: Model) -> tuple[str, ...]:
    """List the sources whose latents are kept: those asked for, and every flavor by itself."""
    flavors = [flavor.name for flavor in model.flavors]
    return tuple(dict.fromkeys((*settings.prediction.sources, *flavors)))


def build_sources(latents: Mapping[Flavor, Array], names: Sequence[str]) -> tuple[Source, ...]:
    """Fused latents of the sources asked for; a source that nobody has inputs for is left out.

    Parameters
    ----------
    latents : mapping of Flavor to ndarray of shape (n_members, n_latent)
        Latents of every input flavor.
    names : sequence of str
        ``fusion``, ``fusionSC``, ``fusionFC``, ``each``, or flavor ids.
    """
    present = {flavor: rows for flavor, rows in latents.items() if np.isfinite(rows).any()}
    groups = {flavor.group for flavor in present}
    sources = []
    for name in _expand(names, present):
        lacks = {"fusionSC": "SC", "fusionFC": "FC"}.get(name)
        if not present or (lacks and lacks not in groups) or not _is_there(name, present):
            if name.startswith("fusion"):
                logger.info("source %s is left out: nobody has an input for it", name)
            continue
        selector = parse_selector(name, present)
        sources.append(
            Source(
                name,
                selector.flavors,
                latents=fuse(present, selector),
                n_inputs=count_inputs(present, selector),
                has_input={f: _has_row(present[f]) for f in selector.flavors},
                inputs={f: present[f] for f in selector.flavors},
            )
        )
    return tuple(sources)


@dataclass(frozen=True)
class PredictionPlan:
    """What all predictions of a run share."""

    model: Model
    adaptation: Adaptation | None
    sources: tuple[Source, ...]
    settings: Settings
    notice: str = ""
    """What readers must know about the adaptation, in plain words."""
    warned: Warned = field(default_factory=Warned)
    """What else they must know."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of each session's predictions by its label, as they are written; '' where that
    failed."""
    fingerprints: dict[Path, bytes] = field(default_factory=dict)
    """Of the sidecars that need not be written, by their file."""

    @property
    def targets(self) -> tuple[Flavor, ...]:
        """Flavors to predict."""
        return self.settings.prediction.targets or self.model.flavors

    @cached_property
    def adapted(self) -> list[tuple[object, ...]]:
        """What tells one adaptation from another, for digests."""
        fits = {} if self.adaptation is None else self.adaptation.flavors
        return [
            (flavor.name, fit.mode, fit.b0, fit.b1, fit.n_subjects, float(fit.mean_new.sum()))
            for flavor, fit in sorted(fits.items())
        ]

    @property
    def written_sources(self) -> tuple[Source, ...]:
        """Sources whose predicted connectomes are written, of those whose latents are."""
        wanted = _expand(self.settings.prediction.sources, self.model.flavors)
        return tuple(source for source in self.sources if source.name in wanted)


def predict_members(
    plan: PredictionPlan, members: Sequence[Member], executor: Executor
) -> Iterator[tuple[Member, BaseException | None]]:
    """Predict and write every member, one after the other; the files are written by the executor.

    Yields
    ------
    member, error
        As each one is written; error is None where all went well.
    """
    wanted: list[tuple[int, str]] = []
    n_done = 0
    for index, member in enumerate(members):
        try:
            digest_ = plan.digests[member.label] = digest_predictions(plan, member)
            is_done = not plan.settings.run.force and _is_done(plan, index, member, digest_)
        except OSError as problem:
            yield member, problem
            continue
        if is_done:
            logger.debug("%s: predictions up to date, skipped", member.label)
            n_done += 1
            yield member, None
        else:
            wanted.append((index, digest_))
    if n_done:
        logger.info("%d prediction(s) up to date, skipped (--force redoes them)", n_done)
    progress = Progress("predicted", len(wanted))
    for job, _, error in run_tasks(executor, write_predictions, _make_jobs(plan, members, wanted)):
        progress.advance()
        if error is not None:
            plan.digests[job.member.label] = ""
        yield job.member, error


def _make_jobs(
    plan: PredictionPlan, members: Sequence[Member], wanted: Sequence[tuple[int, str]]
) -> Iterator[PredictionJob]:
    """Decode some members at a time, as their files come to be written."""
    n_members = max(1, BLOCK // max(1, len(plan.written_sources)))
    for start in range(0, len(wanted), n_members):
        block = dict(wanted[start : start + n_members])
        decoded = decode_members(plan, tuple(block))
        for index, digest_ in block.items():
            yield _to_job(
                plan, index, members[index], digest_=digest_, connectomes=decoded.pop(index)
            )


def decode_members(
    plan: PredictionPlan, indices: Sequence[int]
) -> dict[int, dict[tuple[str, Flavor], Array]]:
    """Predicted edges ``[n_edges]`` of some members, by source and target.

    They are decoded together, target after target, which costs little more than one alone.
    """
    decoded: dict[int, dict[tuple[str, Flavor], Array]] = {index: {} for index in indices}
    for target in plan.targets:
        for source in plan.written_sources:
            rows = [index for index in indices if source.n_inputs[index]]
            for index, edges in zip(rows, source.predict(plan.model, target, rows), strict=True):
                decoded[index][source.name, target] = edges
    return decoded


def digest_predictions(plan: PredictionPlan, member: Member) -> str:
    """Digest of everything that a member's predictions depend on."""
    inputs = [
        (flavor.name, member.measurements[flavor].run_digest or path.stat().st_mtime_ns)
        for flavor, path in sorted(member.connectomes.items())
    ]
    targets = [flavor.name for flavor in plan.targets]
    sources = [source.name for source in plan.written_sources]
    file_format = plan.settings.prediction.output_format
    return digest(
        "predictions",
        __version__,
        plan.model.sha256,
        inputs,
        plan.adapted,
        sources,
        targets,
        file_format,
        *(["header"] if plan.settings.run.matrix_header else []),
    )


def _is_done(plan: PredictionPlan, index: int, member: Member, wanted: str) -> bool:
    """Whether every file of a member's predictions is there, made from the same inputs."""
    output = plan.settings.data.output_dir
    latents = latents_path(output, member.subject, member.session)
    if plan.settings.prediction.output_format == "h5":
        files = [prediction_archive_path(output, member.subject, member.session)]
    else:
        files = [
            relmat_path(output, entities_of(member), target, source=source.name)
            for source in plan.written_sources
            if source.n_inputs[index]
            for target in plan.targets
        ]
    # each by itself: where there are no locks, two runs may have written some each
    return are_whole((latents, *files), wanted, plan.fingerprints)


def _to_job(
    plan: PredictionPlan,
    index: int,
    member: Member,
    *,
    digest_: str,
    connectomes: Mapping[tuple[str, Flavor], Array],
) -> PredictionJob:
    has = [source for source in plan.sources if source.n_inputs[index]]
    return PredictionJob(
        output_dir=plan.settings.data.output_dir,
        member=member,
        latents={s.name: (int(s.n_inputs[index]), s.latents[index]) for s in has},
        connectomes=connectomes,
        sidecars={s.name: _source_sidecar(plan, s, index, member) for s in has},
        output_format=plan.settings.prediction.output_format,
        has_header=plan.settings.run.matrix_header,
        notice=plan.notice,
        digest=digest_,
        warnings=plan.warned.list_of(member.label),
    )


def _source_sidecar(
    plan: PredictionPlan, source: Source, index: int, member: Member
) -> dict[str, object]:
    inputs = [flavor for flavor in source.flavors if source.has_input[flavor][index]]
    fits = {} if plan.adaptation is None else plan.adaptation.flavors
    root = plan.settings.data.output_dir
    paths = [member.connectomes[flavor].relative_to(root).as_posix() for flavor in inputs]
    return {
        "Predicted": True,
        "Source": source.name,
        "SourceFlavors": [flavor.name for flavor in inputs],
        "Sources": [f"bids::{path}" for path in paths],
        "Model": plan.model.name,
        "ModelSHA256": plan.model.sha256,
        "ModelFlavors": len(plan.model.flavors),
        "AdaptationMode": "none" if plan.adaptation is None else plan.adaptation.mode,
        **({"AdaptationNotice": plan.notice} if plan.notice else {}),
        "Adaptation": {
            flavor.name: {
                "b0": fits[flavor].b0,
                "b1": fits[flavor].b1,
                "R2": fits[flavor].r2,
                "CohortSize": fits[flavor].n_subjects,
            }
            for flavor in inputs
            if flavor in fits
        },
        "Software": "kraken_bids",
        "SoftwareVersion": __version__,
    }


def _expand(names: Sequence[str], flavors: Iterable[Flavor]) -> list[str]:
    all_flavors = list(flavors)
    expanded: list[str] = []
    for name in names:
        expanded += [flavor.name for flavor in all_flavors] if name == "each" else [name]
    return list(dict.fromkeys(expanded))


def _is_there(name: str, present: Mapping[Flavor, object]) -> bool:
    return name.startswith("fusion") or any(flavor.name == name for flavor in present)


def _has_row(latents: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(latents).all(axis=1), np.bool_)
