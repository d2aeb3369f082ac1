"""The model that made the predictions, and the latents of a session."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kraken_bids.cohort.latent_tables import stack_latents
from kraken_bids.cohort.sidecar_records import ModelRecord
from kraken_bids.io.records import from_sidecar
from kraken_bids.report.section import Section
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup


@dataclass(frozen=True)
class ModelInfo:
    """The model that made the predictions."""

    name: str
    sha256: str
    n_flavors: int
    n_latent: int


@dataclass(frozen=True)
class LatentRow:
    """One latent vector of the participant."""

    source: str
    n_inputs: int
    norm: float
    """Its length: 1 for one flavor; for a fusion the lower, the more its inputs disagree."""


def describe_model(written: Written) -> ModelInfo | None:
    """Describe the model that made a session's predictions; None before there are any."""
    if not written.sources:
        return None
    first = next(iter(written.sources.values()))
    n_latent = sum(name.startswith("z") for name in written.latent_columns)
    known = from_sidecar(ModelRecord, first)
    return ModelInfo(known.model, known.model_sha256, known.model_flavors or 0, n_latent)


def describe_group_model(group: WrittenGroup) -> ModelInfo | None:
    """Describe the model of the first session that has predictions; None before there are any."""
    everyone = (Written(group.output_dir, member) for member in group.members)
    return next(filter(None, map(describe_model, everyone)), None)


def gather(written: Written) -> dict[str, Any]:
    """Gather the model and the latents of a session."""
    return {"model": written.once(describe_model), "latents": _list_latents(written)}


def gather_group(group: WrittenGroup) -> dict[str, Any]:
    """Gather the model of the cohort's predictions."""
    return {"model": group.once(describe_group_model), "latents": ()}


def _list_latents(written: Written) -> tuple[LatentRow, ...]:
    columns = written.latent_columns
    if not columns:
        return ()
    norms = np.linalg.norm(stack_latents(columns), axis=1)
    return tuple(
        LatentRow(str(source), int(n), float(norm))
        for source, n, norm in zip(columns["source"], columns["n_inputs"], norms, strict=True)
        if np.isfinite(n)
    )


SUBJECT = Section("model", "Model and latents", "model_facts.html", gather)
GROUP = Section("model", "Model", "model_facts.html", gather_group)
