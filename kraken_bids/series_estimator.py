"""Vectors of region series as a step of a scikit-learn pipeline."""

import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from kraken_bids.bids.repetition_time import is_repetition_time
from kraken_bids.cohort.alike_series import check_alike, order_regions
from kraken_bids.cohort.series_files import RegionSeries
from kraken_bids.cohort.standardised_runs import AS_GIVEN, ZSCORE, standardise_run
from kraken_bids.exceptions import ConnectomeError, SettingsError, name_few
from kraken_bids.models.series.checkpoint import read_series_model
from kraken_bids.models.series.data_description import SeriesData
from kraken_bids.models.series.model import SeriesModel

logger = logging.getLogger(__name__)

Floats = NDArray[np.floating[Any]]


class SeriesEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """One vector per series, of a pretrained model, as a scikit-learn transformer.

    The sibling of :class:`kraken_bids.KrakenEncoder` for region series. The model stays as it is,
    so that ``fit`` learns nothing from the series that it is given.

    Parameters
    ----------
    model : Path, str or SeriesModel
        A folder that ``kraken-tools pretrain`` or ``decode`` wrote, or a loaded model, which
        clones share. A pickle of the fitted encoder holds the whole model.
    repetition_time : float
        Of all series, in seconds; one that the model has learned from.
    normalization : str, optional
        ``zscore``: the regions of each series are z-scored, as they were for the model; give whole
        runs then, not trials. ``none``: they are taken as they come, such as trials of runs that
        were z-scored before. By default what the model's own series had.
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``, of a model that is not loaded yet.

    Attributes
    ----------
    model_ : SeriesModel
    n_features_in_ : int
        Regions.

    Examples
    --------
    >>> from sklearn.linear_model import RidgeCV
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> encoder = kraken_bids.SeriesEncoder("model", repetition_time=2.0)  # doctest: +SKIP
    >>> predictor = make_pipeline(encoder, RidgeCV())  # doctest: +SKIP
    >>> cross_val_score(predictor, series, age, cv=5)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: SeriesModel | Path | str,
        *,
        repetition_time: float,
        normalization: str | None = None,
        device: str = "auto",
    ) -> None:
        self.model = model
        self.repetition_time = repetition_time
        self.normalization = normalization
        self.device = device

    def fit(self, X: Sequence[ArrayLike] | Floats, y: object = None) -> "SeriesEncoder":  # noqa: ARG002
        """Load the model and check that it may be given these series.

        Parameters
        ----------
        X : sequence of array of shape (n_volumes, n_regions)
            Series of any lengths, or an array [n_series, n_volumes, n_regions]. Tables of pandas
            are put into the model's order of regions by the names of their columns.
        y : None
            Not looked at.

        Raises
        ------
        CheckpointError
            If the model cannot be used.
        ConnectomeError
            If regions or repetition time are not those of the model.
        SettingsError
            If the repetition time is no number of seconds, or the normalisation unknown.
        """
        if not is_repetition_time(self.repetition_time):
            raise SettingsError(
                "SeriesEncoder: expected repetition_time in seconds; found "
                f"{self.repetition_time!r}."
            )
        if self.normalization not in {None, ZSCORE, AS_GIVEN}:
            raise SettingsError(
                f"SeriesEncoder: expected normalization {ZSCORE} or {AS_GIVEN}; found "
                f"{self.normalization!r}."
            )
        self.model_ = self._load()
        series = _list_series(X, self.model_.data)
        self._check(series)
        self.n_features_in_ = series[0].shape[1]
        self._n_features_out = self.model_.architecture.embedding
        return self

    def transform(self, X: Sequence[ArrayLike] | Floats) -> NDArray[np.float32]:
        """Encode each series as a vector.

        Parameters
        ----------
        X : sequence of array of shape (n_volumes, n_regions)
            As in :meth:`fit`.

        Returns
        -------
        ndarray of float32, shape (n_series, embedding)

        Raises
        ------
        ConnectomeError
            If there is none, regions are others, or one has no values or does not vary.
        """
        check_is_fitted(self)
        series = _list_series(X, self.model_.data)
        self._check(series)
        wanted = self.normalization or self.model_.data.normalization
        scaled = [_scale(one, k, wanted) for k, one in enumerate(series, start=1)]
        self._check(scaled, is_scaled=True)
        return self.model_.embed(scaled, [self.repetition_time] * len(scaled))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:  # noqa: ARG002
        """Names of the columns: ``z000``, ``z001`` …, as in the tables of latents.

        Parameters
        ----------
        input_features : array of str
            Not looked at: a column of series has one name, whatever the number of regions.
        """
        n_columns = len(super().get_feature_names_out())
        return np.array([f"z{k:03d}" for k in range(n_columns)], dtype=object)

    def __sklearn_clone__(self) -> "SeriesEncoder":
        # A model never changes; cross-validation must not copy it for each fold.
        light = copy(self)
        light.model = None  # type: ignore[assignment]
        twin: SeriesEncoder = BaseEstimator.__sklearn_clone__(light)
        twin.model = self.model
        return twin

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.requires_fit = True
        return tags

    def _load(self) -> SeriesModel:
        if isinstance(self.model, SeriesModel):
            return self.model
        return read_series_model(Path(self.model), self.device)

    def _check(self, series: list[Floats], *, is_scaled: bool = False) -> None:
        """Refuse series of another kind than the model's."""
        data = self.model_.data
        n_regions = {one.shape[1] for one in series}
        given = SeriesData(
            n_regions=next((n for n in n_regions if n != data.n_regions), data.n_regions),
            normalization=data.normalization,
            repetition_times=(float(self.repetition_time),),
        )
        if is_scaled:
            values = np.concatenate(series)
            given = replace(
                given, means=tuple(values.mean(axis=0)), deviations=tuple(values.std(axis=0))
            )
        check_alike(given, data)


def _list_series(X: Sequence[ArrayLike] | Floats, data: SeriesData) -> list[Floats]:
    """Arrays of two axes, whatever holds them; those with names in the order of a model."""
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype != object:
        raise ConnectomeError(
            f"expected a list of series [n_volumes, n_regions]; found one array of shape "
            f"{X.shape}. Give a single series as [series]."
        )
    found: list[Floats] = []
    unused: dict[str, None] = {}
    for k, one in enumerate(X, start=1):
        values, names = np.asarray(one, np.float64), tuple(map(str, getattr(one, "columns", ())))
        where = f"series {k}"
        order = (
            order_regions(names, len(names), data, where=where, is_said=True) if names else None
        )
        if order is not None:
            unused |= dict.fromkeys(np.delete(np.array(names), order).tolist())
        found.append(values if order is None else values[:, order])
    if unused:
        logger.warning("left out: columns of no region of the model: %s", name_few([*unused]))
    wrong = [one.shape for one in found if one.ndim != 2 or not one.size]
    if wrong or not found:
        raise ConnectomeError(
            "expected a list of series [n_volumes, n_regions]; found "
            f"{f'one of shape {wrong[0]}' if wrong else 'none'}."
        )
    return found


def _scale(values: Floats, number: int, normalization: str) -> Floats:
    """Scale a series as those of files are."""
    scan = RegionSeries(f"series {number}", values, (), None, Path())
    ready = standardise_run(scan, normalization, shortest=1)
    if isinstance(ready, str):
        raise ConnectomeError(
            f"expected values in every region of series {number}; found {ready}. Leave it out, or "
            "the regions out of all before the model is trained."
        )
    return ready.values
