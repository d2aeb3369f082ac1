"""One ridge for everyone's partial correlations: searched, saved, brought to the files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from kraken_bids.bids.outputs import relmat_path, sidecar_path
from kraken_bids.cohort.failures import Failure
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.saved_ridge import add_ridge, read_saved_ridges
from kraken_bids.cohort.sidecars import read_digest
from kraken_bids.connectome.functional.correlations import compute_partial_correlation
from kraken_bids.connectome.functional.ridge_search import search_ridge
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.pipeline.measure import ridges
from kraken_bids.pipeline.measure.ridges import find_target, list_targets, read_target
from kraken_bids.pipeline.refit import refit_partial_correlations
from kraken_bids.published.cache import PublishedFile
from kraken_bids.settings import DataSettings, FunctionalSettings, Settings

PARTIAL = parse_flavor("FCpcorr_fs86_hpf")
PLAIN = parse_flavor("FCcorr_fs86_hpf")
N_PEOPLE = 5


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a cache of this test's own, where nothing is fetched."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("KRAKEN_BIDS_DATA", str(folder))
    return folder


@pytest.fixture
def people() -> list[NDArray[np.float64]]:
    """Correlation matrices of 86 regions; a third of what varies is common."""
    rng = np.random.default_rng(4)
    mixing = rng.normal(size=(30, 86))
    runs = [rng.normal(size=(300, 30)) @ mixing / 4 for _ in range(N_PEOPLE)]
    return [np.corrcoef((run + rng.normal(size=run.shape)).T) for run in runs]


@pytest.fixture
def out(tmp_path: Path, people: list[NDArray[np.float64]]) -> Path:
    """OUTPUT_DIR as a participant run with λ = 0.06 leaves it."""
    for k, square in enumerate(people):
        write(tmp_path, f"{k + 1:02d}", PLAIN, square, RunDigest=f"run{k}")
        partial = compute_partial_correlation(square, ridge=0.06)
        write(tmp_path, f"{k + 1:02d}", PARTIAL, partial, Lambda=0.06, RunDigest=f"run{k}")
    return tmp_path


def write(
    out: Path, subject: str, flavor: Flavor, square: NDArray[np.float64], **facts: object
) -> None:
    """Write a measured connectome of a rest run, with its sidecar."""
    path = relmat_path(out, {"sub": subject, "task": "rest"}, flavor, source=None)
    write_relmat(path, square)
    write_json(sidecar_path(path), {"Flavor": flavor.name, "Denoising": "24p", **facts})


def find(out: Path, flavor: Flavor, subject: str = "01") -> Path:
    """Path of a measured connectome."""
    return relmat_path(out, {"sub": subject, "task": "rest"}, flavor, source=None)


def refit(out: Path, **chosen: float) -> list[Failure]:
    """Run the stage on everyone in OUTPUT_DIR."""
    settings = Settings(
        data=DataSettings(bids_dir=out / "bids", output_dir=out),
        functional=FunctionalSettings(pcorr_lambda=chosen),
    )
    return refit_partial_correlations(settings, list_members(out))


def list_stamps(out: Path) -> dict[Path, int]:
    """Time of change of every file under ``sub-*``."""
    return {p: p.stat().st_mtime_ns for p in out.rglob("sub-*/func/*")}


def test_everyone_gets_the_same_ridge(out: Path, people: list[NDArray[np.float64]]) -> None:
    """Every matrix is that of its correlation file at the λ of the search; sidecars say so."""
    expected = search_ridge(lambda: people)
    assert refit(out) == []
    for k, square in enumerate(people):
        path = find(out, PARTIAL, f"{k + 1:02d}")
        wanted = compute_partial_correlation(square, ridge=expected.ridge)
        np.testing.assert_allclose(read_relmat(path), wanted, atol=1e-4)
        sidecar = read_json(sidecar_path(path))
        assert sidecar["Lambda"] == expected.ridge != 0.06
        assert sidecar["LambdaSource"] == "group search"
        assert sidecar["LambdaSessions"] == N_PEOPLE
        assert sidecar["LambdaErrors"] == "bids::group/pcorr.tsv"
        assert sidecar["Denoising"] == "24p"
        assert sidecar["RunDigest"].startswith(f"run{k}+")


def test_table_holds_the_curve(out: Path, people: list[NDArray[np.float64]]) -> None:
    """group/pcorr.tsv has the error of every λ tried, its sidecar the choice, for later runs."""
    expected = search_ridge(lambda: people)
    refit(out)
    columns = read_columns(out / "group" / "pcorr.tsv")
    assert set(columns["atlas"]) == {"fs86"}
    np.testing.assert_allclose(columns["lambda"], expected.tried, atol=1e-8)
    np.testing.assert_allclose(columns["error"], expected.errors, rtol=1e-3)
    assert read_json(out / "group" / "pcorr.json")["Atlases"]["fs86"]["Lambda"] == expected.ridge
    assert read_saved_ridges(out) == {"fs86": expected.ridge}


def test_nothing_saved(tmp_path: Path) -> None:
    """Without a group search there is nothing to read."""
    assert read_saved_ridges(tmp_path) == {}


def test_again_is_no_work(out: Path) -> None:
    """A second run changes no file of anyone."""
    refit(out)
    before = list_stamps(out)
    refit(out)
    assert list_stamps(out) == before


def test_given_ridge_is_applied_without_search(out: Path) -> None:
    """--pcorr-lambda names the λ that everyone gets."""
    refit(out, fs86=0.2)
    sidecar = read_json(sidecar_path(find(out, PARTIAL)))
    assert (sidecar["Lambda"], sidecar["LambdaSource"]) == (0.2, "chosen by the user")
    assert "LambdaSessions" not in sidecar
    assert read_saved_ridges(out) == {"fs86": 0.2}


def test_given_ridge_for_no_atlas_is_refused(out: Path) -> None:
    """A misspelled atlas is named before any file changes."""
    before = list_stamps(out)
    with pytest.raises(SettingsError, match="found fs68"):
        refit(out, fs68=0.2)
    assert list_stamps(out) == before


def test_a_broken_file_fails_alone(out: Path) -> None:
    """One cut correlation file is left out of the search and reported; the others are done."""
    find(out, PLAIN, "02").write_text("1\t0.5\n")
    (failure,) = refit(out)
    assert failure.subject == "02"
    assert "square matrix" in failure.message
    sidecar = read_json(sidecar_path(find(out, PARTIAL)))
    assert sidecar["LambdaSessions"] == N_PEOPLE - 1


def test_correlation_that_is_gone(out: Path) -> None:
    """A partial correlation whose correlation is missing fails with its path."""
    find(out, PLAIN, "02").unlink()
    (failure,) = refit(out)
    assert str(find(out, PLAIN, "02")) in failure.message


def test_one_person_is_too_few(out: Path) -> None:
    """Refused before anything is written, with the atlas and the way out."""
    before = list_stamps(out)
    alone = list_members(out, ["03"])
    settings = Settings(data=DataSettings(bids_dir=out / "bids", output_dir=out))
    with pytest.raises(ConnectomeError, match=r"FCpcorr_fs86_hpf.*at least 2.*found 1"):
        refit_partial_correlations(settings, alone)
    assert list_stamps(out) == before
    assert not (out / "group").exists()


def test_no_partial_correlations(out: Path) -> None:
    """Nothing to refit is said."""
    for path in out.rglob("*FCpcorr*"):
        path.unlink()
    with pytest.raises(InputError, match="found none"):
        refit(out)


def test_fetched_target_is_searched_for(
    out: Path,
    people: list[NDArray[np.float64]],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the published target in the cache λ is the one nearest to it; the sidecar names it."""
    target = np.linalg.inv(np.mean(people, axis=0) + 0.3 * np.eye(86))
    name = "kraken_regtarget_FCpcorr_fs86_hpf_HCPYA710train.mat"
    path = cache / "models" / name
    path.parent.mkdir()
    savemat(path, {"C": target, "lambda": 0.0, "conntype": "precision"}, do_compression=True)
    published = {name: PublishedFile(name, (), compute_sha256(path))}
    monkeypatch.setattr(ridges, "list_published", lambda: published)
    refit(out)
    sidecar = read_json(sidecar_path(find(out, PARTIAL)))
    assert sidecar["Lambda"] == search_ridge(lambda: people, target=target).ridge
    assert sidecar["Lambda"] != search_ridge(lambda: people).ridge
    assert sidecar["LambdaTarget"] == name


def test_published_targets_are_listed() -> None:
    """Three targets were published, of the atlases of the model; none is in an empty cache."""
    assert len(list_targets()) == 3
    for atlas in ("fs86", "shen268", "coco439"):
        flavor = parse_flavor(f"FCpcorr_{atlas}_hpf")
        assert any(flavor.name in file.name for file in list_targets())
        assert find_target(flavor) is None
    assert find_target(parse_flavor("FCpcorr_mine_hpf")) is None


def test_damaged_target_is_refused(cache: Path) -> None:
    """A file of that name with other bytes is not used."""
    path = cache / "models" / list_targets()[0].name
    path.parent.mkdir()
    path.write_bytes(b"<html>please log in</html>")
    flavor = parse_flavor("_".join(path.name.split("_")[2:5]))
    with pytest.raises(InputError, match="SHA-256"):
        find_target(flavor)


@pytest.mark.parametrize(
    "content",
    [
        {"C": np.eye(4), "other": np.ones((4, 4))},
        {"FC": np.eye(4), "subjects": np.array(["a", "b"])},
        {"precision_mean": np.eye(4), "lambda": 0.0},
    ],
)
def test_names_of_the_target(tmp_path: Path, content: dict[str, object]) -> None:
    """The matrix is C or FC as the reference writes it, else the only one of that size."""
    savemat(tmp_path / "target.mat", content)
    np.testing.assert_array_equal(read_target(tmp_path / "target.mat", 4), np.eye(4))


@pytest.mark.parametrize(
    "content",
    [
        {"C": np.eye(5)},
        {"C": np.full((4, 4), np.nan)},
        {"C": np.triu(np.ones((4, 4)))},
        {"one": np.eye(4), "two": np.eye(4)},
        {"C": np.empty(0)},
    ],
)
def test_other_targets_are_refused(tmp_path: Path, content: dict[str, object]) -> None:
    """Another size, NaN, half a matrix, two of them or none: said with what was found."""
    savemat(tmp_path / "target.mat", content)
    with pytest.raises(InputError, match=r"precision matrix \(4, 4\)"):
        read_target(tmp_path / "target.mat", 4)


def test_atlases_that_no_model_knows(out: Path) -> None:
    """An atlas of the user's own gets a λ of its own; that of the others stays theirs."""
    refit(out)
    alone = read_saved_ridges(out)
    rng = np.random.default_rng(9)
    own = [np.corrcoef(rng.normal(size=(9, 40))) for _ in range(N_PEOPLE)]
    for k, square in enumerate(own):
        write(out, f"{k + 1:02d}", parse_flavor("FCcorr_mine_hpf"), square)
        write(out, f"{k + 1:02d}", parse_flavor("FCpcorr_mine_hpf"), square)
    assert refit(out) == []
    assert read_saved_ridges(out) == {**alone, "mine": search_ridge(lambda: own).ridge}
    assert set(read_columns(out / "group" / "pcorr.tsv")["atlas"]) == {"fs86", "mine"}


def test_files_without_sidecar(out: Path) -> None:
    """Connectomes of other tools, which have no sidecar, get one that names λ."""
    path = sidecar_path(find(out, PARTIAL))
    path.unlink()
    sidecar_path(find(out, PLAIN)).unlink()
    assert refit(out) == []
    assert json.loads(path.read_text())["LambdaSource"] == "group search"


def stop_at(monkeypatch: pytest.MonkeyPatch, name: str, *, call: int) -> None:
    """Kill the stage at the n-th call of a function that writes."""
    real: Callable[..., object] = getattr(ridges, name)
    calls = []

    def write_or_die(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(ridges, name, write_or_die)


@pytest.mark.parametrize(
    ("name", "call"), [("write_json", 2), ("write_relmat", 1), ("write_json", 3)]
)
def test_a_refit_that_is_killed(
    out: Path,
    people: list[NDArray[np.float64]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    call: int,
) -> None:
    """Wherever it stops, no new matrix stands under the old λ; any other λ can be taken then."""
    path = find(out, PARTIAL)
    before = read_relmat(path)
    with monkeypatch.context() as patch:
        stop_at(patch, name, call=call)
        with pytest.raises(KeyboardInterrupt):
            refit(out, fs86=0.2)
    if read_digest(path) is not None:
        np.testing.assert_array_equal(read_relmat(path), before)
    assert read_digest(find(out, PARTIAL, "02")) == "run1"

    assert refit(out, fs86=0.06) == []

    np.testing.assert_allclose(read_relmat(path), before, atol=1e-5)
    sidecar = read_json(sidecar_path(path))
    assert sidecar["Lambda"] == 0.06
    assert (read_digest(path) or "").startswith("run0")
    assert sidecar["Denoising"] == "24p"
    assert refit(out, fs86=0.3) == []
    expected = compute_partial_correlation(people[0], ridge=0.3)
    np.testing.assert_allclose(read_relmat(path), expected, atol=1e-4)
    assert read_digest(path) == "run0+lambda=0.3"


@pytest.mark.parametrize("flavor", [PLAIN, PARTIAL])
@pytest.mark.parametrize("digest", ["another", None])
def test_correlation_of_another_run(out: Path, flavor: Flavor, digest: str | None) -> None:
    """Matrices measured apart, or one whose measuring was stopped, are not mixed."""
    path = sidecar_path(find(out, flavor))
    content = {k: v for k, v in read_json(path).items() if k != "RunDigest"}
    write_json(path, content | ({"RunDigest": digest} if digest else {}))
    before = find(out, PARTIAL).read_bytes()

    (failure,) = refit(out)

    assert failure.subject == "01"
    assert "of one run" in failure.message
    assert find(out, PARTIAL).read_bytes() == before


def test_a_saved_ridge_is_in_the_digest() -> None:
    """Of partial correlations of its atlas, unless the user's own λ is among the settings."""
    saved = {"fs86": 0.2}
    assert add_ridge("a", PARTIAL, {}, saved) == "a+lambda=0.2"
    assert add_ridge("a", PARTIAL, {}, {"fs86": 0.2000000001}) == "a+lambda=0.2000000001"
    assert add_ridge("a", PLAIN, {}, saved) == "a"
    assert add_ridge("a", PARTIAL, {"fs86": 0.1}, saved) == "a"
    assert add_ridge("a", parse_flavor("FCpcorr_shen268_hpf"), {}, saved) == "a"
