"""Dynamic communities as a scikit-learn transformer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from kraken_bids.cohort.region_columns import find_columns
from kraken_bids.exceptions import ConnectomeError, name_few
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.model import find_presence, fit_communities

Floats = NDArray[np.floating[Any]]


class DynamicCommunities(TransformerMixin, BaseEstimator):
    """Communities shared by all scans, and when each is present.

    ``fit`` searches for the communities of a list of scans; ``transform`` for their presence in
    further scans, the communities held as they are.

    Parameters
    ----------
    n_communities : int
        Most communities; some may stay empty.
    gamma : float
        Resolution of modularity: the more, the smaller the communities.
    epochs : int
        Steps of a search.
    n_seeds : int
        Searches from different starts.
    random_state : int
        Seed of the first start. On a CPU the same seed gives the same bytes.
    device : str
        ``cpu`` or ``cuda[:N]``.
    settings : CommunitySettings, optional
        Everything else; the parameters above replace what it says of them.

    Attributes
    ----------
    affiliation_ : ndarray of shape (n_regions, n_communities)
        Shares; NaN for regions that a scan lacks.
    labels_ : ndarray of shape (n_regions,)
        Community of the largest share; -1 for such regions.
    stability_ : float
        Mean adjusted Rand index between starts.
    n_features_in_ : int
        Regions.
    feature_names_in_ : ndarray of shape (n_regions,)
        Their names; there only where a scan was a table of pandas.

    Examples
    --------
    >>> communities = DynamicCommunities(n_communities=7).fit(scans)  # doctest: +SKIP
    >>> presence = communities.transform(further_scans)  # doctest: +SKIP
    """

    def __init__(  # noqa: PLR0913 - scikit-learn's parameters are arguments
        self,
        n_communities: int = 10,
        *,
        gamma: float = 1.0,
        epochs: int = 200,
        n_seeds: int = 5,
        random_state: int = 0,
        device: str = "cpu",
        settings: CommunitySettings | None = None,
    ) -> None:
        self.n_communities = n_communities
        self.gamma = gamma
        self.epochs = epochs
        self.n_seeds = n_seeds
        self.random_state = random_state
        self.device = device
        self.settings = settings

    def fit(self, X: Sequence[Floats], y: object = None) -> "DynamicCommunities":
        """Search for the communities of scans.

        Parameters
        ----------
        X : sequence of ndarray of shape (n_volumes, n_regions)
            One per scan; scans may differ in length. Tables of pandas are put into the order of
            the first by the names of their columns.
        y : None
            Ignored.

        Raises
        ------
        ConnectomeError
            As :func:`~kraken_bids.models.communities.model.fit_communities`, or if tables have
            other regions than the first.
        """
        del y
        names = next((own for one in X if (own := _name_columns(one))), ())
        found = fit_communities(
            [_take_regions(one, names) for one in X], self._settings(), device=self.device
        )
        if names:
            self.feature_names_in_ = np.array(names, object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.affiliation_ = found.affiliation
        self.labels_ = found.labels
        self.stability_ = found.stability
        self.n_features_in_ = len(found.affiliation)
        return self

    def transform(self, X: Sequence[Floats]) -> list[NDArray[np.float32]]:
        """Search for the presence of the communities in scans.

        Parameters
        ----------
        X : sequence of ndarray of shape (n_volumes, n_regions)
            Tables of pandas are put into the order of those that were fitted.

        Returns
        -------
        list of ndarray of shape (n_volumes, n_communities)
            Between 0 and 1; of a scan the same whatever other scans there are.

        Raises
        ------
        ConnectomeError
            If scans have other regions than those that were fitted.
        """
        check_is_fitted(self)
        names = tuple(getattr(self, "feature_names_in_", ()))
        scans = [_take_regions(one, names) for one in X]
        return list(find_presence(scans, self.affiliation_, self._settings(), device=self.device))

    def _settings(self) -> CommunitySettings:
        return replace(
            self.settings or CommunitySettings(),
            n_communities=self.n_communities,
            gamma=self.gamma,
            epochs=self.epochs,
            n_seeds=self.n_seeds,
            seed=self.random_state,
        )


def _name_columns(scan: Any) -> tuple[str, ...]:
    """Names of the columns of a table; none of an array, or of a table that numbers them."""
    names = tuple(getattr(scan, "columns", ()))
    return names if all(isinstance(name, str) for name in names) else ()


def _take_regions(scan: Any, names: tuple[str, ...]) -> Floats:
    """Values of a scan, with the regions of a table in the order of the names."""
    own, values = _name_columns(scan), np.asarray(scan)
    if not (own and names) or own == names:
        return values
    order, missing = find_columns(own, names, "")
    if missing or len(own) != len(names):
        others = [name for name in own if name not in names]
        raise ConnectomeError(
            f"expected tables of the regions {name_few(names)}; found one with "
            f"{name_few(others) or 'fewer'}, {len(own)} columns. Give scans of one atlas."
        )
    return values[:, order]
