"""Names are taken apart and put together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.bids.names import (
    format_name,
    full_space,
    parse_name,
    split_extension,
    strip_label,
)

LABELS = st.text(alphabet="abcXYZ0189", min_size=1, max_size=6)


def test_parse_keeps_run_as_spelled() -> None:
    """Entities come in order and ``run-01`` stays ``01``."""
    name = "sub-01_ses-1_task-rest_run-01_space-T1w_desc-preproc_bold.nii.gz"
    assert list(parse_name(name).items()) == [
        ("sub", "01"),
        ("ses", "1"),
        ("task", "rest"),
        ("run", "01"),
        ("space", "T1w"),
        ("desc", "preproc"),
        ("suffix", "bold"),
        ("extension", ".nii.gz"),
    ]


def test_parse_takes_compound_extensions_and_odd_values() -> None:
    """A double extension is one; values may hold hyphens; stray parts are no harm."""
    parsed = parse_name("/a/sub-1_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv")
    assert parsed["extension"] == ".dense.tsv"
    assert parsed["suffix"] == "relmat"
    odd = parse_name("sub-1_stray_desc-iFOD2-40M_tractography.tck")
    assert odd == {
        "sub": "1",
        "desc": "iFOD2-40M",
        "suffix": "tractography",
        "extension": ".tck",
    }


def test_format_orders_entities() -> None:
    """BIDS order, ``meas`` after ``atlas``, ``desc`` last, unknown ones before it."""
    entities = {"desc": "x", "foo": "1", "meas": "m", "atlas": "a", "space": "s", "sub": "1"}
    name = format_name(entities, suffix="relmat", extension=".tsv")
    assert name == "sub-1_space-s_atlas-a_meas-m_foo-1_desc-x_relmat.tsv"


@given(st.dictionaries(st.sampled_from(["sub", "ses", "task", "run", "space", "desc"]), LABELS))
def test_round_trip(entities: dict[str, str]) -> None:
    """Parsing a formatted name gives the entities back."""
    name = format_name(entities, suffix="bold", extension=".nii")
    assert parse_name(name) == {**entities, "suffix": "bold", "extension": ".nii"}


def test_strip_label() -> None:
    """Labels are taken with and without their entity."""
    assert strip_label("sub-01", "sub") == strip_label("01", "sub") == "01"


@pytest.mark.parametrize(
    ("name", "stem", "extension"),
    [
        ("errts.sub-01.r01.nii.gz", "errts.sub-01.r01", ".nii.gz"),
        ("sub-01_relmat.dense.tsv", "sub-01_relmat", ".dense.tsv"),
        ("FCcorr_a.b_hpf.tsv", "FCcorr_a.b_hpf", ".tsv"),
        ("sub-01_space-fsLR_den-91k_bold.dtseries.nii", "sub-01_space-fsLR_den-91k_bold", None),
        ("hemi-L_space-fsnative_bold.func.gii", "hemi-L_space-fsnative_bold", None),
        ("tracks.tck.gz", "tracks", ".tck.gz"),
        ("sub-01_res-1.25_dseg.nii", "sub-01_res-1.25_dseg", ".nii"),
        ("README", "README", ""),
    ],
)
def test_only_the_extension_is_split_off(name: str, stem: str, extension: str | None) -> None:
    """Dots before it belong to the name."""
    expected = name.removeprefix(stem) if extension is None else extension
    assert split_extension(f"/a.b/{name}") == (stem, expected)


def test_cohorts_are_spaces_of_their_own() -> None:
    """Names say ``space-X_cohort-2``, transforms ``to-X+2``: one and the same."""
    name = "sub-01_task-rest_space-MNIPediatricAsym_cohort-2_res-2_desc-preproc_bold.nii.gz"
    assert full_space(parse_name(name)) == "MNIPediatricAsym+2"
    assert full_space(parse_name("tpl-MNIInfant_cohort-1_atlas-x_dseg.nii.gz")) == "MNIInfant+1"
    assert full_space(parse_name("sub-01_space-T1w_bold.nii")) == "T1w"
    assert full_space(parse_name("sub-01_cohort-2_T1w.nii")) == ""
