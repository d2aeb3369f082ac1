"""Tables of latents, as kraken-bids and kraken-tools predict write them, decoded again."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from kraken_bids.cli.commands.predict import predict
from kraken_bids.cohort.latent_tables import MAX_PACKED_BYTES, read_latent_tables
from kraken_bids.exceptions import InputError
from kraken_bids.models.krakencoder.model import Model

FC, SC = "FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"
SUBJECTS = ["01", "02_ses-a", "03"]
SOURCES = ("fusion", FC, SC)
N_LATENT = 4
VALUES = "\t".join(f"z{k:03d}" for k in range(N_LATENT))
MATRIX = "1\t2\t3\t4\n"

Latents = dict[str, NDArray[np.float32]]
Writer = Callable[[Latents, Path], Path]


@pytest.fixture
def latents() -> Latents:
    """Latents of three sources; the last subject lacks one of them."""
    rng = np.random.default_rng(3)
    rows = {source: rng.normal(size=(3, N_LATENT)).astype(np.float32) for source in SOURCES}
    rows[SC][2] = np.nan
    return rows


def list_lines(latents: Latents, row: int) -> list[str]:
    return [
        "\t".join([source, "1", *(f"{z:.9g}" for z in rows[row])])
        for source, rows in latents.items()
        if np.isfinite(rows[row]).all()
    ]


def write_group(latents: Latents, folder: Path) -> Path:
    lines = [f"participant_id\tsession_id\tsource\tn_inputs\t{VALUES}"]
    for row, label in enumerate(SUBJECTS):
        subject, _, session = label.partition("_")
        lines += [
            f"sub-{subject}\t{session or 'n/a'}\t{line}" for line in list_lines(latents, row)
        ]
    folder.mkdir()
    (folder / "latents.tsv").write_text("\n".join(lines) + "\n")
    return folder / "latents.tsv"


def write_folder(latents: Latents, folder: Path) -> Path:
    for row, label in enumerate(SUBJECTS):
        own = folder / f"sub-{label.partition('_')[0]}"
        own.mkdir(parents=True)
        lines = [f"source\tn_inputs\t{VALUES}", *list_lines(latents, row)]
        (own / f"sub-{label}_desc-kraken_latents.tsv").write_text("\n".join(lines) + "\n")
    write_group(latents, folder / "group")  # the same again, as kraken-bids has it
    return folder


def write_zip(latents: Latents, folder: Path) -> Path:
    write_folder(latents, folder)
    (folder / "._sub-01_desc-kraken_latents.tsv").write_bytes(b"\0\5\26\7 of another system")
    return Path(shutil.make_archive(str(folder), "zip", folder))


def run(model: Path, latents: Path, output: Path, *words: object) -> Result:
    every = ["--model", model, "--input", f"encoded={latents}", "--output", output, *words]
    return CliRunner().invoke(predict, [str(word) for word in every])


def read_output(path: Path) -> dict[str, NDArray]:
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize("write", [write_group, write_folder, write_zip])
def test_tables_are_decoded_as_arrays_are(
    model_folder: Path, tmp_path: Path, latents: Latents, write: Writer
) -> None:
    """The same predictions to the last bit as of a .npz of these latents, NaN where absent."""
    arrays = {f"{source}->encoded": rows for source, rows in latents.items()}
    np.savez(tmp_path / "z.npz", subjects=SUBJECTS, **arrays)
    run(model_folder, tmp_path / "z.npz", tmp_path / "expected.npz")

    result = run(model_folder, write(latents, tmp_path / "in"), tmp_path / "o.npz")

    assert result.exit_code == 0, result.output
    assert f"predicted from them is NaN: {SC} of 1 of 3 subjects" in result.output
    assert "fusion of" not in result.output
    found, expected = read_output(tmp_path / "o.npz"), read_output(tmp_path / "expected.npz")
    assert set(found) == set(expected) >= {f"{source}->{FC}" for source in SOURCES}
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)
    assert np.isnan(found[f"{SC}->{FC}"][2]).all()


@pytest.mark.parametrize("name", ["tables", "tables.zip"])
def test_what_predict_wrote_is_decoded_again(
    model_folder: Path, tmp_path: Path, latents: Latents, name: str
) -> None:
    """BIDS-named tables of kraken-tools predict, in a folder or zipped, as its .npz."""
    arrays = {f"{source}->encoded": rows for source, rows in latents.items()}
    np.savez(tmp_path / "z.npz", subjects=SUBJECTS, **arrays)
    run(model_folder, tmp_path / "z.npz", tmp_path / name, "--targets", FC)

    result = run(model_folder, tmp_path / name, tmp_path / "o.npz", "--targets", FC)

    assert result.exit_code == 0, result.output
    run(model_folder, tmp_path / "z.npz", tmp_path / "expected.npz", "--targets", FC)
    found, expected = read_output(tmp_path / "o.npz"), read_output(tmp_path / "expected.npz")
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)


def test_one_participants_table_is_labelled_by_its_name(
    model_folder: Path, tmp_path: Path, latents: Latents
) -> None:
    """Label and session from the file's name; nothing is said of sources that nobody lacks."""
    table = write_folder(latents, tmp_path / "in") / "sub-02/sub-02_ses-a_desc-kraken_latents.tsv"

    result = run(model_folder, table, tmp_path / "o.npz", "--sources", SC, "--targets", FC)

    assert result.exit_code == 0, result.output
    assert "absent" not in result.output
    found = read_output(tmp_path / "o.npz")
    assert found["subjects"].tolist() == ["02_ses-a"]
    np.testing.assert_array_equal(found[f"{SC}->encoded"], latents[SC][1:2])


def test_columns_in_any_order_and_empty_cells(tmp_path: Path) -> None:
    """As a spreadsheet may leave a table: no sessions, other columns, n/a and empty as NaN."""
    path = tmp_path / "mine.tsv"
    path.write_text(
        "\ufeffz001\tsource\tz000\tgroup\tparticipant_id\n"
        "2\tfusion\t1\tx\tsub-01\r\nn/a\tfusion\t\ty\tb\n"
    )

    subjects, latents = read_latent_tables(path)

    assert subjects == ("01", "b")
    np.testing.assert_array_equal(latents["fusion"], [[1, 2], [np.nan, np.nan]])


def test_a_matrix_without_header_is_no_table(model_folder: Path, tmp_path: Path) -> None:
    """[n_subjects, n_latent] of .tsv, .csv and .txt stays the source ``encoded``."""
    for name, text in (("m.tsv", MATRIX), ("m.csv", "1,2,3,4\n"), ("m.txt", "# z\n1 2 3 4\n")):
        (tmp_path / name).write_text(text)
        result = run(model_folder, tmp_path / name, tmp_path / "o.npz", "--targets", FC)
        assert result.exit_code == 0, result.output
        found = read_output(tmp_path / "o.npz")
        np.testing.assert_array_equal(found["encoded->encoded"], [[1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("latents.tsv", f"source\t{VALUES}\nfusion\t{MATRIX}", "expected participant_id in each"),
        ("sub-1_latents.tsv", f"{VALUES}\n{MATRIX}", "a column source of names"),
        ("sub-1_latents.tsv", f"source\t{VALUES}\n7\t{MATRIX}", "a column source of names"),
        ("sub-1_latents.tsv", "source\tn_inputs\nfusion\t1\n", "z001 … of numbers, or n/a, in"),
        ("sub-1_latents.tsv", "source\tz000\tz001\na\t1\tx\n", "found words in z001"),
        ("sub-1_latents.tsv", f"source\t{VALUES}\n", "found none. Give a folder"),
        ("sub-1_latents.tsv", f"source\t{VALUES}\na\t1\t2\n", "found 3 in line 2"),
        ("sub-1_latents.tsv", f"source\t{VALUES}\na\t{MATRIX}a\t{MATRIX}", "latent of a of subj"),
        ("x.tsv", f"participant_id\tsource\t{VALUES}\n01\ta\t{MATRIX}", "sub-01 in"),
        ("x.tsv", f"participant_id\tsource\t{VALUES}\nn/a\ta\t{MATRIX}", "in each row of"),
    ],
)
def test_broken_tables_are_explained(tmp_path: Path, name: str, text: str, message: str) -> None:
    """What was expected and found, and in which file."""
    (tmp_path / name).write_text(text)

    with pytest.raises(InputError, match=message) as caught:
        read_latent_tables(tmp_path / name)

    assert name in str(caught.value)


def test_folders_that_do_not_fit_are_explained(
    model_folder: Path, tmp_path: Path, latents: Latents
) -> None:
    """An empty folder, one subject twice, tables of two models, those of another model."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"sub-\*_latents\.tsv, or a table with rows"):
        read_latent_tables(tmp_path / "empty")
    folder = write_folder(latents, tmp_path / "in")
    wide = folder / "sub-04_latents.tsv"
    wide.write_text("source\tz000\nfusion\t1\n")
    with pytest.raises(InputError, match=r"one model; found 4 values in .* 1 values in .*sub-04"):
        read_latent_tables(folder)
    result = run(model_folder, wide, tmp_path / "o.npz")
    assert result.exit_code == 4
    assert f"latents [n_subjects, {N_LATENT}]" in result.output
    wide.write_bytes((folder / "sub-01/sub-01_desc-kraken_latents.tsv").read_bytes())
    wide.rename(folder / "sub-01_latents.tsv")
    with pytest.raises(InputError, match=r"fusion of subject 01; found it in .*sub-01.* and in"):
        read_latent_tables(folder)


def write_archive(path: Path, name: str, content: bytes, packing: int) -> None:
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr(name, content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("../sub-1_latents.tsv", b"x", "leads out of it"),
        ("sub-1_latents.tsv", bytes(70_000_000), "declares 70,000,000 bytes"),
        ("sub-1_latents.tsv", bytes(MAX_PACKED_BYTES + 1), "bytes of one subject"),
        ("sub-1_latents.tsv", b"source\tz000\n\xff\xfe\t1\n", "decode"),
        ("sub-1_relmat.tsv", b"1\n", "found none"),
    ],
)
def test_hostile_archives_are_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """Paths that lead out, archives and tables that fill the memory, bytes that are no text."""
    write_archive(tmp_path / "z.zip", name, content, zipfile.ZIP_DEFLATED)

    with pytest.raises(InputError, match=message) as caught:
        read_latent_tables(tmp_path / "z.zip")

    assert "z.zip" in str(caught.value)


def test_damaged_archives_are_refused(tmp_path: Path, latents: Latents) -> None:
    """No zip, half of one, and one whose bytes were changed."""
    path = tmp_path / "z.zip"
    write_archive(path, "sub-1_latents.tsv", b"source\tz000\nfusion\t1\n", zipfile.ZIP_STORED)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole.replace(b"fusion", b"fusioN", 1)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"z\.zip"):
            read_latent_tables(path)


def test_latents_that_the_model_cannot_have_encoded_are_warned_of(
    tmp_path: Path, model: Model, model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its latents have length 1 and fused ones less: longer ones were scaled, or are another's."""
    edges = np.random.default_rng(1).normal(size=(3, model.n_edges(FC)))
    rows = model.encode(FC, edges)
    for factor, words in ((1.0, ""), (0.5, ""), (3.0, "up to 3 long"), (0.0, "0 in all places")):
        np.save(tmp_path / "z.npy", rows * np.float32(factor))
        caplog.clear()
        assert run(model_folder, tmp_path / "z.npy", tmp_path / "o.npz").exit_code == 0
        said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(said) == bool(words)
        assert all(words in text for text in said)
