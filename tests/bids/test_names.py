"""Names are taken apart and put together."""

from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.bids.names import format_name, parse_name, strip_label

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
    """The extension begins at the first dot; values may hold hyphens; stray parts are no harm."""
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
