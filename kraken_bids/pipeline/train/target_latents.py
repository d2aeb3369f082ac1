"""Latents that a new flavor's encoder is to match, subject by subject."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.latent_inputs import read_latents
from kraken_bids.cohort.subject_names import list_few, unify_labels
from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError
from kraken_bids.models.krakencoder.model import Model

Latents = NDArray[np.float32]

FUSION = "fusion"


def read_target_latents(path: Path, model: Model, source: str = "") -> tuple[list[str], Latents]:
    """Read latents of one source from a file or folder.

    Parameters
    ----------
    path : Path
        As :func:`kraken_bids.cohort.latent_inputs.read_latents` takes it: published
        ``kraken_target_*_encoded.mat``, what ``kraken-tools predict`` wrote, ``.npz``, tables, or
        a folder that kraken-bids wrote.
    model : Model
        Whose latents they are.
    source : str
        Which; ``fusion``, or the only one, by default.

    Returns
    -------
    subjects : list of str
        Numbers from 1 where the file names nobody.
    latents : ndarray of shape (n_subjects, n_latent)

    Raises
    ------
    InputError, ConnectomeError
        If the file is missing or broken, names somebody twice, or holds no latents of this model.
    FlavorError
        If the source is not in it, or has to be chosen.
    """
    if not path.is_file() and not path.is_dir():
        raise InputError(f"--latents: expected a file or folder; found no {path}. Check the path.")
    subjects, by_source = read_latents(path)
    rows = by_source[_choose_source(source, by_source, path)]
    if rows.ndim != 2 or rows.shape[1] != model.latent_size or np.isinf(rows).any():
        raise ConnectomeError(
            f"--latents: expected latents [n_subjects, {model.latent_size}] of {model.name} in "
            f"{path}; found {list(rows.shape)}{', some infinite' * bool(np.isinf(rows).any())}. "
            "Give latents that this model encoded."
        )
    labels = list(subjects or map(str, range(1, len(rows) + 1)))
    if len(labels) != len(rows):
        raise InputError(
            f"--latents: expected a name for each of {len(rows)} rows in {path}; found "
            f"{len(labels)}."
        )
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InputError(
            f"--latents: expected each subject once in {path}; found {list_few(twice)} more than "
            "once. Keep one of them."
        )
    return labels, np.asarray(rows, np.float32)


def match_latents(
    subjects: Sequence[str], labels: Sequence[str], latents: Latents, *, where: str
) -> Latents:
    """Put latents into the order of a cohort's subjects, by name; NaN for those without.

    Parameters
    ----------
    subjects : sequence of str
        Rows of the cohort.
    labels : sequence of str
        Rows of the latents.
    latents : ndarray of shape (n_labels, n_latent)
    where : str
        Where they come from, for the message.

    Raises
    ------
    InputError
        If nobody is in both, or names do not say who is who.
    """
    unified = unify_labels({"--input": subjects, where: labels})
    places = {unified[label]: row for row, label in enumerate(labels)}
    matched = np.full((len(subjects), latents.shape[1]), np.nan, np.float32)
    for row, subject in enumerate(subjects):
        if unified[subject] in places:
            matched[row] = latents[places[unified[subject]]]
    if np.isnan(matched).all():
        raise InputError(
            f"expected subjects of --input among those of {where}; found nobody in common: "
            f"{list_few(list(subjects))} and {list_few(list(labels))}. Name them alike in both "
            "(rows are never joined by their place where one of them has names)."
        )
    return matched


def _choose_source(asked: str, latents: Mapping[str, Latents], path: Path) -> str:
    wanted = asked or (FUSION if FUSION in latents else "")
    if not wanted and len(latents) == 1:
        return next(iter(latents))
    if wanted in latents:
        return wanted
    raise FlavorError(
        f"--latents-source: expected one of the sources of {path} ({', '.join(latents)}); found "
        f"{asked or 'none given'}."
    )
