"""Whom the mean of a site is of, and what can be told from it."""

import numpy as np
import pytest

from kraken_bids.exceptions import SettingsError
from kraken_bids.scores.site_design import check_design, check_groups, design_sites, encode_all

EVERYONE = np.ones(8, bool)
SITES = ["a"] * 4 + ["b"] * 4


def design(columns: dict[str, list[str]], sites: list[str] = SITES, **words: object):
    """Set up the regression of eight people."""
    options = {"is_fitted": np.ones(len(sites), bool), "min_people": 2, **words}
    people = [str(k) for k in range(len(sites))]
    return design_sites(sites, people, columns, **options)  # type: ignore[arg-type]


def test_sessions_of_a_person_count_as_one_person() -> None:
    """Of each site: somebody who was measured at both counts at both."""
    people = ["p", "p", "q", "r", "p", "s", "s", "s"]
    found = design_sites(SITES, people, {}, is_fitted=EVERYONE, min_people=2)
    assert found.sites == ("a", "b")
    assert found.n_people == (3, 2)
    np.testing.assert_allclose(found.weights, [0.5, 0.5, 1, 1, 1, 1 / 3, 1 / 3, 1 / 3])


def test_a_site_with_one_person_is_no_site() -> None:
    """The others are as without it."""
    found = design({}, ["a"] * 4 + ["b"] * 3 + ["c"], min_people=1)
    assert found.sites == ("a", "b")
    assert found.weights.tolist() == [1] * 7 + [0]


def test_whoever_lacks_a_covariate_or_a_site_is_not_fitted_on() -> None:
    """And everyone else is."""
    ages = ["20", "30", "", "50", "n/a", "25", "35", "45"]
    found = design({"age": ages}, ["a"] * 4 + ["b"] * 3 + [""])
    assert np.flatnonzero(found.weights).tolist() == [0, 1, 3, 5, 6]


def test_covariates_are_centred_on_those_fitted_on() -> None:
    """Words as well as numbers, so that intercepts are of people who are average in them."""
    columns = {"age": [*map(str, range(8))], "sex": list("MMMFMFMF")}
    found = design(columns)
    assert found.covariate_columns == ("age", "sex=F")
    encoded = encode_all(found.covariates, columns, 8)
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-12)
    assert encoded[:, 0].std() == pytest.approx(1)


def test_a_word_that_nobody_fitted_on_has_is_not_known() -> None:
    """It is not taken for the most frequent one."""
    found = design({"sex": list("MMFFMMFF")})
    other = encode_all(found.covariates, {"sex": ["M", "X", ""]}, 3)
    assert np.isnan(other).reshape(-1).tolist() == [False, True, True]


def test_a_covariate_that_is_constant_within_sites_is_refused() -> None:
    """By name, with the sites."""
    with pytest.raises(SettingsError, match=r"found group=b the same within.*sites a, b"):
        check_design(design({"group": SITES}), "site")


def test_covariates_that_say_the_same_are_refused() -> None:
    """Age and year of birth, say."""
    ages = [20, 30, 40, 55, 25, 35, 45, 60]
    columns = {"age": [str(a) for a in ages], "born": [str(2020 - a) for a in ages]}
    with pytest.raises(SettingsError, match="found born given by site, age"):
        check_design(design(columns), "site")


def test_covariates_that_differ_within_sites_pass(caplog: pytest.LogCaptureFixture) -> None:
    """Without a word."""
    check_design(design({"age": ["20", "30", "40", "50"] * 2, "sex": list("MFFMFMMF")}), "site")
    assert not caplog.records


def test_a_covariate_that_hardly_differs_within_sites_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its effect hangs on few people."""
    ages = ["20", "20", "20", "21", "70", "70", "70", "71"]
    check_design(design({"age": ages}), "site")
    assert "of the variance of age are within sites" in caplog.text


@pytest.mark.parametrize(
    ("groups", "is_refused"),
    [
        ("PPPPCCCC", True),
        ("PPPCPCCC", False),
        ("PPPPPPPP", False),
        ("PPPC    ", False),
    ],
)
def test_site_and_group_that_are_one_are_refused(groups: str, is_refused: bool) -> None:
    """Where no site has both, nobody can tell one from the other."""
    own = [one.strip() for one in groups]
    if not is_refused:
        check_groups(SITES, own, "site", group_column="group")
        return
    with pytest.raises(SettingsError, match=r"a only P, b only C.*cannot be told apart"):
        check_groups(SITES, own, "site", group_column="group")


def test_groups_are_told_from_sites_by_a_chain_of_sites() -> None:
    """Two pairs of sites that share nothing are refused although each site has two groups."""
    sites, groups = [*"aabbccdd"], [*"PQPQRSRS"]
    with pytest.raises(SettingsError, match="cannot be told apart"):
        check_groups(sites, groups, "site", group_column="dx")
    check_groups([*sites, "b"], [*groups, "R"], "site", group_column="dx")
