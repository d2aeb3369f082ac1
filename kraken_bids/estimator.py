"""Latents as a step of a scikit-learn pipeline."""

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from kraken_bids.exceptions import CheckpointError, ConnectomeError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.krakencoder.adaptation import (
    DEFAULT_MODE,
    MIN_SUBJECTS,
    Adaptation,
    check_adaptation,
    check_covers,
    fit_adaptation,
    parse_mode,
)
from kraken_bids.models.krakencoder.fusion import Selector, fuse
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.published.models import PRETRAINED


class KrakenEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Latents of connectomes, as a scikit-learn transformer.

    ``fit`` fits the adaptation on the rows that it is given, and nothing else: the model stays
    as it is. In a cross-validated pipeline these are the rows of the training fold, so that no
    test subject has a share in the mean that is shifted.

    Parameters
    ----------
    model : Path, str or Model
        A loaded model, which clones share; or what :func:`kraken_bids.load_model` takes, which
        each ``fit`` loads anew: load it first where folds are many. A pickle of the fitted
        encoder holds the whole model.
    flavors : str, Flavor or sequence of these, optional
        Flavors of the columns of ``X``, side by side in this order; by default all of the model's
        in its order. The latents of several flavors are fused: their mean. For latents side by
        side, unite encoders of one flavor each by ``sklearn.compose.ColumnTransformer``.
    adaptation : str or Adaptation
        ``meanfit+meanshift`` (the published default), ``meanfit``, ``meanshift`` or ``none``, to
        be fitted by ``fit``; or one fitted before, such as
        ``kraken_bids.read_adaptation(path)``, which ``fit`` takes as it is.
    adaptation_min_subjects : int
        Subjects who must have a flavor for ``fit`` to fit its adaptation; ``fit`` fails where
        there are fewer. The mean of a few subjects is mostly their own, and shifting it takes away
        what tells them apart. Mind the training folds, which are smaller than the cohort.
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``, of a model that is not loaded yet.

    Attributes
    ----------
    model_ : Model
    flavors_ : tuple of Flavor
    adaptation_ : Adaptation or None
        None for the mode ``none``.
    n_features_in_ : int
        Number of edges of all flavors.

    Examples
    --------
    >>> from sklearn.linear_model import RidgeCV
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> model = kraken_bids.load_model("pretrained")  # doctest: +SKIP
    >>> encoder = kraken_bids.KrakenEncoder(model, flavors="FCcorr_fs86_hpf")  # doctest: +SKIP
    >>> predictor = make_pipeline(encoder, RidgeCV())  # doctest: +SKIP
    >>> cross_val_score(predictor, X, age, cv=5)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model | Path | str = PRETRAINED,
        *,
        flavors: Flavor | str | Sequence[Flavor | str] | None = None,
        adaptation: Adaptation | str = DEFAULT_MODE,
        adaptation_min_subjects: int = MIN_SUBJECTS,
        device: str = "auto",
    ) -> None:
        self.model = model
        self.flavors = flavors
        self.adaptation = adaptation
        self.adaptation_min_subjects = adaptation_min_subjects
        self.device = device

    def fit(self, X: ArrayLike, y: object = None) -> "KrakenEncoder":  # noqa: ARG002
        """Fit the adaptation on these subjects.

        Parameters
        ----------
        X : array of shape (n_subjects, n_edges)
            Edges in their own units, not standardised. With several flavors, NaN in all columns
            of a flavor says that a subject lacks it. Every row counts as a subject of its own:
            where some have several sessions, give ``adaptation`` fitted by ``kraken-tools
            predict --save-adaptation``, or :func:`~kraken_bids.fit_adaptation` the mean over
            subjects of their means.
        y : None
            Not looked at.

        Returns
        -------
        KrakenEncoder

        Raises
        ------
        CheckpointError
            If the model cannot be used, its transform of a flavor keeps no training mean to
            adapt to, or a given adaptation lacks a flavor.
        ConnectomeError
            If the number of edges is wrong, edges are missing, or fewer than
            ``adaptation_min_subjects`` subjects have a flavor whose adaptation is to be fitted.
        FlavorError
            If the model lacks a flavor.
        """
        is_fitted_here = isinstance(self.adaptation, str) and parse_mode(self.adaptation) != "none"
        # one subject's own mean would be taken from it; one edge has no line to be fitted on
        least = 2 if is_fitted_here else 1
        values = self._validate(X, reset=True, ensure_min_samples=least, ensure_min_features=least)
        self.model_ = self._load()
        self.flavors_ = self._choose_flavors()
        self._n_features_out = self.model_.latent_size
        self.adaptation_ = self._adapt(self._split(values))
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Encode subjects as latents.

        Parameters
        ----------
        X : array of shape (n_subjects, n_edges)
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_subjects, n_latent)
            Of the same type as ``X``: float32 or float64; computed in float32.

        Raises
        ------
        ConnectomeError
            If the number of edges is wrong, edges are missing, or a subject has no flavor.
        """
        check_is_fitted(self)
        values = self._validate(X, reset=False)
        latents = {
            flavor: self.model_.encode(flavor, edges, self.adaptation_)
            for flavor, edges in self._split(values).items()
        }
        fused = fuse(latents, Selector("fusion", self.flavors_))
        empty = np.flatnonzero(np.isnan(fused).any(axis=1))
        if empty.size:
            raise ConnectomeError(
                f"expected at least one of {', '.join(f.name for f in self.flavors_)} for each "
                f"subject; found NaN in all of them in row {empty[0]}. Leave such rows out."
            )
        return fused.astype(values.dtype, copy=False)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the columns: ``z000``, ``z001`` …, as in the tables of latents."""
        n_latent = len(super().get_feature_names_out(input_features))
        return np.array([f"z{k:03d}" for k in range(n_latent)], dtype=object)

    def __sklearn_clone__(self) -> "KrakenEncoder":
        # A model never changes; cross-validation must not copy its gigabyte for each fold.
        light = copy(self)
        light.model = None  # type: ignore[assignment]
        twin: KrakenEncoder = BaseEstimator.__sklearn_clone__(light)
        twin.model = self.model
        return twin

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._may_lack_flavors()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _may_lack_flavors(self) -> bool:
        return not isinstance(self.flavors, str | Flavor) and len(self.flavors or "all") > 1

    def _validate(self, X: ArrayLike, **how: Any) -> NDArray[np.floating]:
        values: NDArray[np.floating] = validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan" if self._may_lack_flavors() else True,
            **how,
        )
        return values

    def _load(self) -> Model:
        if isinstance(self.model, Model):
            return self.model
        return load_model(self.model, device=self.device)

    def _choose_flavors(self) -> tuple[Flavor, ...]:
        if self.flavors is None:
            return self.model_.flavors
        given = [self.flavors] if isinstance(self.flavors, str | Flavor) else self.flavors
        return tuple(parse_flavor(one) if isinstance(one, str) else one for one in given)

    def _split(self, values: NDArray[np.floating]) -> Mapping[Flavor, NDArray[np.floating]]:
        """Columns of each flavor."""
        sizes = [self.model_.n_edges(flavor) for flavor in self.flavors_]
        if values.shape[1] != sum(sizes):
            each = ", ".join(f"{f} {n}" for f, n in zip(self.flavors_, sizes, strict=True))
            raise ConnectomeError(
                f"expected {sum(sizes)} edges ({each}); found {values.shape[1]} columns. Give the "
                "upper triangles of the flavors, side by side in this order."
            )
        blocks = np.split(values, np.cumsum(sizes)[:-1], axis=1)
        return dict(zip(self.flavors_, blocks, strict=True))

    def _adapt(self, blocks: Mapping[Flavor, NDArray[np.floating]]) -> Adaptation | None:
        if isinstance(self.adaptation, Adaptation):
            check_adaptation(self.adaptation, self.model_.sha256, self.model_.sizes)
            check_covers(self.adaptation, self.flavors_)
            return self.adaptation
        if parse_mode(self.adaptation) == "none":
            return None
        training_means = self.model_.training_means()
        lacking = [flavor.name for flavor in self.flavors_ if flavor not in training_means]
        if lacking:
            raise CheckpointError(
                f"expected transforms that keep the mean of their training connectomes, to adapt "
                f"to; {self.model_.name} has none for {', '.join(lacking)}. "
                'Give adaptation="none".'
            )
        present = {f: edges[~np.isnan(edges).all(axis=1)] for f, edges in blocks.items()}
        self._check_counts({flavor: len(edges) for flavor, edges in present.items()})
        means = {
            flavor: (edges.mean(axis=0, dtype=np.float64), len(edges))
            for flavor, edges in present.items()
        }
        return fit_adaptation(
            means, training_means, self.adaptation, model_sha256=self.model_.sha256
        )

    def _check_counts(self, counts: Mapping[Flavor, int]) -> None:
        # one subject's own mean would be taken from it
        least = max(self.adaptation_min_subjects, 2)
        few = ", ".join(f"{n} of {flavor}" for flavor, n in counts.items() if n < least)
        if few:
            raise ConnectomeError(
                f"expected at least {least} subjects who have a flavor, to fit its adaptation; "
                f"found {few}. In a cross-validation these are the subjects of the training fold: "
                "take larger ones, leave the flavor out, or give a saved adaptation. To fit on "
                "fewer all the same, give a smaller adaptation_min_subjects (2 or more)."
            )
