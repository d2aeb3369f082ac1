"""A tiny data set, a tiny model and a finished run, made once; and the real command to run."""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import h5py
import nibabel
import numpy as np
import pytest
from click.testing import CliRunner, Result

from kraken_bids.cli.app import main
from kraken_bids.demo.cohort import simulate_cohort
from kraken_bids.demo.dataset import write_demo_dataset
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.training import TrainingSettings, train_model
from kraken_bids.report.section import Page
from kraken_bids.report.sections import registration

FLAVORS = ("FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm", "SCsdstream_fs86_volnorm")
"""What the tiny models know, and what is measured unless a test says otherwise."""
SUBJECTS = ("01", "02", "03")
FEW = ("--adaptation-min-subjects", "2")
"""Asks for an adaptation to as few people as there are."""
FC_TARGET = "func/sub-{}_atlas-fs86_meas-FCcorrHPF_desc-{}kraken_relmat.dense.tsv"
SC_TARGET = "dwi/sub-{}_atlas-fs86_meas-SCifod2actVN_desc-{}kraken_relmat.dense.tsv"
TINY = TrainingSettings(
    transform="pca4", latent_size=4, dropout=0.0, n_epochs=1, batch_size=4, device="cpu"
)


def draw_registration(page: Page) -> dict[str, bytes]:
    """Show what was drawn while measuring, and draw no other figure of a page."""
    return dict(registration.SECTION.draw(page.data.get("registration", ())))


@dataclass(frozen=True)
class World:
    """What every test starts from; read only."""

    bids: Path
    """Raw root with derivatives; sub-01 and sub-02 with labels carried, sub-03 with its own."""
    model: Path
    """Model of :data:`FLAVORS`."""
    other_model: Path
    """Another one."""
    done: Path
    """OUTPUT_DIR of a finished participant run over ``bids``."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    output: str
    """Both streams, white space folded."""

    def says(self, *words: object) -> bool:
        """Whether all words stand in the output, and no traceback."""
        return "Traceback" not in self.output and all(str(word) in self.output for word in words)


class App:
    """The command, with folders of this test's own."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.bids = folder / "bids"
        self.out = folder / "out"
        self.fmriprep = self.bids / "derivatives" / "fmriprep"
        self.qsirecon = self.bids / "derivatives" / "qsirecon"

    def copy_bids(self, *subjects: str) -> None:
        """Make a data set with some participants; its files are links, to be replaced only."""
        others = [f"sub-{subject}" for subject in SUBJECTS if subject not in subjects]
        ignore = shutil.ignore_patterns(*others)
        shutil.copytree(self.world.bids, self.bids, copy_function=os.link, ignore=ignore)

    def copy_done(self) -> None:
        """Take over the finished run."""
        shutil.copytree(self.world.done, self.out)

    def options(self, flavors: Sequence[str] = FLAVORS) -> list[object]:
        """Options that keep a run small."""
        return ["--model", self.world.model, "--atlases", "fs86", "--flavors", *flavors]

    def invoke(self, *words: object) -> Outcome:
        """Run ``kraken-bids`` in this process; what is not an exit fails the test."""
        result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
        return Outcome(result.exit_code, " ".join(result.output.split()))

    def participant(self, *words: object, flavors: Sequence[str] = FLAVORS) -> Outcome:
        """Run the participant level on the data set of this test, or on the shared one."""
        bids = self.bids if self.bids.exists() else self.world.bids
        return self.invoke(bids, self.out, "participant", *self.options(flavors), *words)

    def group(self, *words: object) -> Outcome:
        """Run the group level, which is to adapt on the few people here unless words differ."""
        return self.invoke(self.world.bids, self.out, "group", *self.options(), *FEW, *words)

    def bold(self, subject: str, run: int = 1, space: str = "T1w") -> Path:
        """Path of a BOLD series."""
        name = f"sub-{subject}_task-rest_run-{run:02d}_space-{space}_desc-preproc_bold.nii.gz"
        return self.fmriprep / f"sub-{subject}" / "func" / name

    def dwi(self, subject: str, ending: str, algorithm: str = "ifod2") -> Path:
        """Path of a file beside the tractograms."""
        name = f"sub-{subject}_space-ACPC_model-{algorithm}_{ending}"
        return self.qsirecon / f"sub-{subject}" / "dwi" / name

    def failures(self) -> dict[str, str]:
        """Participant to why, of ``logs/failures.tsv``."""
        columns = read_columns(self.out / "logs" / "failures.tsv")
        return dict(zip(columns["participant_id"], columns["message"], strict=True))

    def is_finished(self, subject: str, source: str = "fusion") -> bool:
        """Whether a participant has a report, latents and predictions of both kinds."""
        folder = self.out / f"sub-{subject}"
        latents = folder / f"sub-{subject}_desc-kraken_latents.tsv"
        wanted = [self.out / f"sub-{subject}.html", latents, latents.with_suffix(".json")]
        wanted += [folder / name.format(subject, source) for name in (FC_TARGET, SC_TARGET)]
        return all(path.is_file() for path in wanted)

    def measured(self, subject: str) -> list[str]:
        """Names of the measured connectomes of a participant, from ``atlas-`` on."""
        found = (self.out / f"sub-{subject}").rglob("*_relmat.dense.tsv")
        names = [path.name for path in found if "kraken_" not in path.name]
        return sorted(name[name.index("atlas-") :].partition("_relmat")[0] for name in names)

    def sidecar(self, subject: str, ending: str) -> dict[str, object]:
        """Content of the one sidecar whose name ends so."""
        (path,) = (self.out / f"sub-{subject}").rglob(f"*{ending}.json")
        return dict(json.loads(path.read_text()))

    def check_whole_files(self) -> list[Path]:
        """Assert that every file is whole; returns the temporary ones."""
        temporary = []
        for path in sorted(p for p in self.out.rglob("*") if p.is_file()):
            if ".tmp" in path.suffixes:
                temporary.append(path)
            elif not path.name.startswith("."):
                _check_whole(path)
        return temporary


@pytest.fixture(autouse=True)
def process_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back what the command changes in its process: thread counts and log handlers."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    yield
    for handler in list(logging.getLogger("kraken_bids").handlers):
        logging.getLogger("kraken_bids").removeHandler(handler)
        handler.close()
    logging.captureWarnings(capture=False)


@pytest.fixture(autouse=True)
def without_templateflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this machine's transforms between templates out of it."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the participants' figures out of their pages; other tests draw them."""
    monkeypatch.setattr("kraken_bids.report.page.draw_figures", draw_registration)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no registration while measuring, which takes a third of the time."""
    monkeypatch.setattr(
        "kraken_bids.pipeline.measure.session.draw_registration_pictures", lambda _task: []
    )


@pytest.fixture
def app(world: World, tmp_path: Path) -> App:
    return App(world, tmp_path)


@pytest.fixture(scope="session")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make OUTPUT_DIR of a finished run of both levels, adapted to the few people; read only."""
    app = App(world, tmp_path_factory.mktemp("finished"))
    app.copy_done()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kraken_bids.report.page.draw_figures", draw_registration)
        for outcome in (app.group(), app.participant(*FEW), app.group()):
            assert outcome.exit_code == 0, outcome.output
    return app.out


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Build the world once, also where several pytest processes share it."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kraken_bids_world"
    root.mkdir(exist_ok=True)
    found = World(root / "bids", root / "model", root / "other_model", root / "done")
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "complete").exists():
            _build(found)
            (root / "complete").touch()
    return found


def _build(world: World) -> None:
    write_demo_dataset(world.bids, len(SUBJECTS), seed=3)
    cohort = simulate_cohort(8, 1, parcellations=("fs86",))
    few = {flavor: cohort[flavor] for flavor in map(parse_flavor, FLAVORS)}
    write_model(train_model(few, settings=TINY), world.model)
    other = {flavor: edges[::-1] * np.float32(0.9) for flavor, edges in few.items()}
    write_model(train_model(other, settings=TINY), world.other_model)
    app = App(world, world.done.parent)
    app.out = world.done
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kraken_bids.report.page.draw_figures", draw_registration)
        outcome = app.participant()
    assert outcome.exit_code == 0, outcome.output


def _check_whole(path: Path) -> None:
    if path.name.endswith("_relmat.dense.tsv"):
        assert len(read_relmat(path)) in {86, 268, 439}, path
    elif path.suffix == ".tsv":
        assert path.read_text().endswith("\n"), path
        read_columns(path)
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>"), path
    elif path.suffix == ".h5":
        h5py.File(path).close()
    elif path.suffix == ".png":
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path


def save_bold(
    path: Path, values: np.ndarray, *, tr: float = 2.0, facts: Mapping[str, object] | None = None
) -> None:
    """Write a series [x, y, z, t] of voxels of 3 mm; with facts, a sidecar of them and of TR."""
    image = nibabel.Nifti1Image(values.astype(np.float32), np.diag([3.0, 3, 3, 1]))
    image.header.set_zooms((3, 3, 3, tr))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    if facts is not None:
        sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
        sidecar.write_text(json.dumps({"RepetitionTime": tr, **facts}))


def measure(
    bids: Path, out: Path, atlas: str, *words: object, level: str = "participant"
) -> Result:
    """Run a level with one custom atlas, ``NAME=FILE``, and no model."""
    options = ("--atlases", atlas.partition("=")[0], "--atlas", atlas)
    args = [str(word) for word in (bids, out, level, *options, *words)]
    return CliRunner().invoke(main, args, catch_exceptions=False)


@pytest.fixture(scope="session")
def small(tree: SimpleNamespace) -> SimpleNamespace:
    """Give functions for data sets of a few voxels, measured in an atlas of their own."""
    return SimpleNamespace(describe=tree.describe, save_bold=save_bold, measure=measure)


@pytest.fixture
def break_file() -> object:
    """Replace a file that is a link, so that the others who share it keep theirs."""

    def replace(path: Path, content: bytes | None = None) -> None:
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(whole[: len(whole) // 2] if content is None else content)

    return replace


@pytest.fixture
def shift_image() -> object:
    """Move an image sideways and up."""

    def shift(path: Path, millimetres: float) -> None:
        image = nibabel.load(path)
        affine = image.affine.copy()
        affine[:3, 3] += millimetres * np.array([0.6, 0.0, 0.8])
        moved = nibabel.Nifti1Image(np.asanyarray(image.dataobj), affine)
        path.unlink()
        nibabel.save(moved, path)

    return shift
