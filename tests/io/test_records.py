"""One record, in a table, beside it and in a sidecar."""

from dataclasses import dataclass
from pathlib import Path

from kraken_bids.io.facts import Facts, read_table
from kraken_bids.io.records import (
    column,
    from_columns,
    from_sidecar,
    remove_records,
    to_sidecar,
    write_records,
)
from kraken_bids.io.texts import read_json


@dataclass(frozen=True)
class Whose:
    """Whose row it is."""

    name: str = column(at_end=True)


@dataclass(frozen=True)
class Motion:
    """Head motion."""

    mean_fd: float | None = column("mm")
    n_left_out: int | None = column(key="VolumesLeftOut", in_table=False)
    verdict: str = column(levels={"ok": "still"}, default="ok")
    inner: object = None


def test_a_record_is_a_row_whose_columns_are_described(tmp_path: Path) -> None:
    """In the order of the fields, except for what stands last; plain fields are in no file."""
    path = tmp_path / "motion.tsv"
    write_records(
        path,
        (Whose, Motion),
        [(Whose("a"), Motion(0.5, 3)), (Whose("b"), Motion())],
        description="x",
    )
    assert path.read_text() == "mean_fd\tverdict\tname\n0.5\tok\ta\nn/a\tok\tb\n"
    assert read_json(tmp_path / "motion.json") == {
        "Description": "x",
        "mean_fd": {"Description": "mm"},
        "verdict": {"Levels": {"ok": "still"}},
    }
    assert from_columns(Whose, read_table(path, texts=("name",))) == [Whose("a"), Whose("b")]
    remove_records(path)
    assert not list(tmp_path.iterdir())


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    """So that whoever reads it finds them."""
    write_records(tmp_path / "motion.tsv", [Motion], [], description="x")
    assert (tmp_path / "motion.tsv").read_text() == "mean_fd\tverdict\n"


def test_a_record_comes_back_from_a_sidecar() -> None:
    """By kind; what is not known is left out, and what is of another kind is not known."""
    record = Motion(0.5, 3)
    content = to_sidecar(record)
    assert content == {"MeanFD": 0.5, "VolumesLeftOut": 3, "Verdict": "ok"}
    assert from_sidecar(Motion, Facts(content)) == record
    assert to_sidecar(Motion()) == {"Verdict": "ok"}
    odd = from_sidecar(Motion, Facts({"MeanFD": "x", "VolumesLeftOut": 0.5}))
    assert (odd.mean_fd, odd.n_left_out, odd.verdict) == (None, None, "")
