"""Subjects of a cohort whom a model was trained on are found by their labels."""

import pytest

from kraken_bids.cohort.training_subjects import add_tuned, find_trained


@pytest.mark.parametrize(
    "provenance",
    [
        {"Subjects": ["001_ses-a", "sub-4", "9"]},
        {"Subjects": ["9"], "FineTunedSubjects": ["1", "04"]},
        {"MergedFrom": [{"Provenance": {"Subjects": ["1"]}}, {"Provenance": {"Subjects": ["4"]}}]},
        add_tuned({"FineTunedSubjects": ["1"]}, ["sub-4_ses-1", "sub-4_ses-2"]),
    ],
)
def test_subjects_are_found_however_they_are_spelled(provenance: dict[str, object]) -> None:
    labels = ["sub-01_ses-1", "sub-01_ses-2", "sub-02", "sub-04"]
    assert find_trained(provenance, labels) == ["sub-01", "sub-04"]


def test_of_a_model_that_names_nobody_nothing_is_known() -> None:
    assert find_trained({"Subjects": "all"}, ["01"]) is None
    assert find_trained({"Subjects": ["7"]}, ["01"]) == []
