"""Relevance of a decoded run, among that of other runs in one folder."""

from pathlib import Path

from kraken_bids.bids.decoded_relevance import find_relevance

RUN = "sub-01_task-motor_space-MNI152NLin6Asym"


def test_files_of_the_run_are_found_with_what_their_names_add(tmp_path: Path) -> None:
    """Those of another subject, session or task, and of one run of several, are no part of it."""
    own = {
        f"{RUN}_desc-decode_relevance.nii.gz": set(),
        f"{RUN}_desc-decode_relevance.json": set(),
        f"{RUN}_stat-mean_label-left_desc-decode_relevance.nii.gz": {"stat", "label"},
        f"{RUN}_atlas-mine_desc-decode_relevance.tsv": {"atlas"},
    }
    others = [
        f"{RUN}_desc-decode_relevance.nii.gz".replace("sub-01", "sub-02"),
        f"{RUN}_atlas-mine_desc-decode_relevance.tsv".replace("motor", "rest"),
        f"{RUN}_desc-decode_probabilities.tsv",
    ]
    added = f"{RUN}_desc-decode_relevance.json".replace("_space", "_run-1_space")
    for name in (*own, *others, added):
        (tmp_path / name).touch()
    found = find_relevance(tmp_path / f"{RUN}_desc-decode_probabilities.tsv")
    assert {path.name: set(more) for path, more in found} == {**own, added: {"run"}}
