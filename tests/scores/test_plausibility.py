"""Values that a flavor cannot have are found while connectomes pass."""

import logging

import numpy as np
import pytest

from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.adaptation import fit_adaptation
from kraken_bids.region_orders import list_edge_orders
from kraken_bids.scores.doubt_words import Doubt, describe_doubts
from kraken_bids.scores.exchanged_flavors import list_exchanged_doubts
from kraken_bids.scores.plausibility import InputCheck, check_inputs

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
N_EDGES = 3655
Edges = np.ndarray


@pytest.fixture
def mean() -> Edges:
    """Of people whose edges lie between 0 and 0.9."""
    return 0.9 * np.random.default_rng(0).beta(1, 4, N_EDGES)


@pytest.fixture
def people(mean: Edges) -> Edges:
    """Six of them."""
    return np.clip(mean + 0.02 * np.random.default_rng(1).normal(size=(6, N_EDGES)), 0, 1)


def claims(check: InputCheck, mean: Edges) -> list[tuple[str, tuple[int, ...]]]:
    return [(doubt.claim, doubt.whom) for doubt in check.list_doubts({check.flavor: mean})]


def test_right_values_are_not_doubted(people: Edges, mean: Edges) -> None:
    """Of either kind, and at any scale that people may have."""
    for flavor in (FC, SC):
        assert claims(check_inputs(flavor, people, {flavor: mean}), mean) == []


def test_correlations_beyond_one_are_named(people: Edges, mean: Edges) -> None:
    """Of one person, of all; rounding is not beyond."""
    people[2, 5] = 1.0004
    assert claims(check_inputs(FC, people, {FC: mean}), mean) == []
    people[2, 5] = -1.3
    (found,) = check_inputs(FC, people, {FC: mean}).list_doubts({FC: mean})
    assert "correlations beyond 1" in found.claim
    assert found.figures == (("up to", "1.3"),)
    assert found.whom == (2,)
    (found,) = claims(check_inputs(FC, 2 * people, {FC: mean}), mean)
    assert found[1] == ()
    assert claims(check_inputs(SC, 2 * people, {SC: mean}), mean) == []


def test_negative_structure_is_named(people: Edges, mean: Edges) -> None:
    """Logarithms, not the few negative edges that harmonising sites leaves."""
    harmonised = people - 0.02
    assert (harmonised < 0).any()
    assert claims(check_inputs(SC, harmonised, {SC: mean}), mean) == []
    scores = (people - people.mean()) / people.std()
    ((claim, whom),) = claims(check_inputs(SC, scores, {SC: mean}), mean)
    assert "negative" in claim
    assert whom == ()


def test_counts_given_as_volume_normalised_are_named(people: Edges, mean: Edges) -> None:
    """Whole numbers, however they scale; a flavor of counts may have them."""
    counts = np.rint(1000 * people)
    counts[2] = 1000 * people[2]
    ((claim, whom),) = claims(check_inputs(SC, counts, {SC: mean}), mean)
    assert "whole numbers, as counts" in claim
    assert whom == (0, 1, 3, 4, 5)
    flavor = parse_flavor("SCifod2act_fs86_count")
    assert claims(check_inputs(flavor, counts, {flavor: mean}), mean) == []


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_someone_of_one_value_is_named_and_has_no_share_in_the_mean(
    people: Edges, mean: Edges, value: float
) -> None:
    """A failed run."""
    people[3] = value
    check = InputCheck(SC, mean)
    assert [check.add(row, edges) for row, edges in enumerate(people)] == [
        row != 3 for row in range(6)
    ]
    ((claim, whom),) = claims(check, mean)
    assert "all edges are the same" in claim
    assert whom == (3,)
    np.testing.assert_allclose(check.mean, np.delete(people, 3, axis=0).mean(axis=0))


def test_one_person_in_other_units_is_named(people: Edges, mean: Edges) -> None:
    """His mean would be everyone's."""
    people[1] *= 1e4
    ((claim, whom),) = claims(check_inputs(SC, people, {SC: mean}), mean)
    assert "other subjects'" in claim
    assert whom == (1,)


def test_other_units_are_named_with_their_factor(people: Edges, mean: Edges) -> None:
    """Slope of the cohort's mean on the reference."""
    check = check_inputs(SC, 1000 * people, {SC: mean})
    (found,) = check.list_scale_doubts(mean, "the training data")
    assert "another scale than the training data" in found.claim
    assert float(found.figures[0][1]) == pytest.approx(1000, rel=0.03)
    assert check.list_scale_doubts(1000 * mean, "its own cohort") == []


def test_missing_regions_do_not_make_a_person_unlike(people: Edges, mean: Edges) -> None:
    """Their edges count as the training mean's."""
    people[0, ::3] = np.nan
    assert claims(check_inputs(SC, people, {SC: mean}), mean) == []


def test_without_a_training_mean_values_are_judged_alone(people: Edges) -> None:
    """As for models whose transform keeps none."""
    check = check_inputs(FC, 5 * people, {})
    assert ["beyond" in doubt.claim for doubt in check.list_doubts({})] == [True]
    assert check.list_scale_doubts(np.ones(N_EDGES), "nothing") == []


def test_one_sentence_for_flavors_that_share_a_fault() -> None:
    """With each one's figures, in their order."""
    doubts = [
        Doubt(flavor, "lies", (("r", number),), "Mend it.")
        for flavor, number in ((FC, "0.1"), (SC, "0.2"))
    ]
    doubts.append(Doubt(FC, "is flat", (), "Measure it.", (0, 4)))
    assert describe_doubts(doubts, lambda rows: f"rows {rows}") == [
        f"{FC}, {SC}: lies (r 0.1 and 0.2). Mend it.",
        f"{FC} of rows (0, 4): is flat. Measure it.",
    ]


def test_a_mean_in_another_order_is_said_where_an_adaptation_is_fitted(
    mean: Edges, caplog: pytest.LogCaptureFixture
) -> None:
    """In Python, where the mean is all that is given; in every mode."""
    order = next(one for one in list_edge_orders("fs86", N_EDGES) if one.name == "alphabetical")
    for mode in ("none", "meanshift", "meanfit", "meanfit+meanshift"):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "kraken_bids"):
            fit_adaptation({FC: (mean, 12)}, {FC: mean}, mode)
            assert caplog.messages == []
            fit_adaptation({FC: (mean[order.edges], 12)}, {FC: mean}, mode)
        assert len(caplog.messages) == 1
        assert order.words in caplog.messages[0]


def test_missing_regions_written_as_zeros_are_named(people: Edges, mean: Edges) -> None:
    """Of FC from one region on; of SC from a tenth on, since small ones may lack streamlines."""
    first, second = np.triu_indices(86, 1)
    people = people + 0.001  # no edge of these is 0
    people[4, (first == 7) | (second == 7)] = 0
    (found,) = check_inputs(FC, people, {FC: mean}).list_doubts({FC: mean})
    assert "regions are 0" in found.claim
    assert found.figures == (("regions:", "1"),)
    assert found.whom == (4,)
    assert claims(check_inputs(SC, people, {SC: mean}), mean) == []
    people[4, np.isin(first, range(10)) | np.isin(second, range(10))] = 0
    (found,) = check_inputs(SC, people, {SC: mean}).list_doubts({SC: mean})
    assert found.figures == (("regions:", "10"),)
    people[4, np.isin(first, range(10)) | np.isin(second, range(10))] = np.nan
    assert claims(check_inputs(SC, people, {SC: mean}), mean) == []


def test_correlations_below_a_threshold_set_to_zero_are_named(people: Edges, mean: Edges) -> None:
    """Structure has zeros by right."""
    people = np.where(people > 0.1, people, 0)
    ((claim, whom),) = claims(check_inputs(FC, people, {FC: mean}), mean)
    assert "exactly 0" in claim
    assert whom == ()
    assert claims(check_inputs(SC, people, {SC: mean}), mean) == []


def test_one_connectome_under_two_names_is_named(people: Edges, mean: Edges) -> None:
    """A copy in another's place; people who differ in one edge are two."""
    people[5], people[2] = people[1], people[0]
    people[2, 9] += 0.01
    ((claim, whom),) = [
        (doubt.claim, doubt.whom)
        for doubt in check_inputs(SC, people, {SC: mean}).list_duplicate_doubts()
    ]
    assert "one and the same" in claim
    assert whom == (1, 5)
    many = np.repeat(people[:4], 2, axis=0)  # in one line, where they are many
    (doubt,) = check_inputs(SC, many, {SC: mean}).list_duplicate_doubts()
    assert doubt.whom == tuple(range(8))


def test_what_people_share_must_resemble_the_training_mean(mean: Edges) -> None:
    """Each of them resembles it a little, as where a part of the regions lies wrong."""
    rng = np.random.default_rng(2)
    deviation = mean - mean.mean()
    wrong = mean.mean() + 0.3 * deviation + deviation[rng.permutation(N_EDGES)]
    people = wrong + 0.01 * rng.normal(size=(6, N_EDGES))
    ((claim, whom),) = claims(check_inputs(SC, people, {SC: mean}), mean)
    assert "does not resemble" in claim
    assert whom == ()
    noisy = mean + mean.std() * 4 * rng.normal(size=(6, N_EDGES))
    assert not [
        claim
        for claim, _ in claims(check_inputs(FC, noisy, {FC: mean}), mean)
        if "resemble" in claim
    ]


def test_correlations_with_and_without_the_global_signal_are_not_exchanged(
    people: Edges, mean: Edges
) -> None:
    """For one person or all; regressing it out lowers every person's mean correlation."""
    gsr = parse_flavor("FCcorr_fs86_hpfgsr")
    lower = people - 0.15
    for rows in ([], [2], list(range(6))):
        with_it, without = people.copy(), lower.copy()
        with_it[rows], without[rows] = lower[rows], people[rows]
        checks = {
            FC: check_inputs(FC, with_it, {FC: mean}),
            gsr: check_inputs(gsr, without, {gsr: mean - 0.15}),
        }
        found = list_exchanged_doubts(checks)
        assert {doubt.flavor for doubt in found} == ({FC, gsr} if rows else set())
        for doubt in found:
            assert "exchanged" in doubt.claim
            assert doubt.whom == (tuple(rows) if len(rows) < 6 else ())
