"""A small data set and a small model, made once: a run over three people takes some seconds."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from group_data import write_people

from kraken_bids.demo.cohort import simulate_cohort
from kraken_bids.demo.dataset import write_demo_dataset
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.training import TrainingSettings, train_model

FLAVORS = ("FCcorr_fs86_hpf", "FCpcorr_fs86_hpf", "SCifod2act_fs86_volnorm")
N_SUBJECTS = 3
N_CROWD = 20
"""Further people whose connectomes are there already: enough for predictions to be calibrated."""
N_VOLUMES = 80
TINY = TrainingSettings(
    transform="pca4", latent_size=4, dropout=0.0, n_epochs=1, batch_size=4, device="cpu"
)
LEFT_OUT = re.compile(r"run-02|space-MNI152NLin6Asym_res-2_(desc-preproc_bold|boldref)|sdstream")
"""Files of the demonstration that would only make runs longer."""


@dataclass(frozen=True)
class World:
    """What every fault starts from; read only."""

    folder: Path
    """Where results are written."""
    bids: Path
    model: Path
    people: tuple[str, ...]
    """Labels of the participants that runs take."""
    crowd: Path
    """A folder of results with the measured connectomes of others."""

    def participant(self, out: Path, *words: str, people: tuple[str, ...] = ()) -> list[str]:
        """Words of the command that measures and predicts people."""
        labels = people or self.people
        more = ["--atlases", "fs86", "--flavors", *FLAVORS, "--participant-label", *labels]
        return [*self._begin(out, "participant"), *more, *words]

    def group(self, out: Path, *words: str) -> list[str]:
        """Words of the command that adapts to everyone and predicts again."""
        return [*self._begin(out, "group"), *words]

    def _begin(self, out: Path, level: str) -> list[str]:
        start = ["kraken-bids", str(self.bids), str(out), level, "--model", str(self.model)]
        return [*start, "--adaptation-min-subjects", "2"]


def build_world(folder: Path, *, seed: int) -> World:
    """Write data and model into a folder that others may read."""
    logging.getLogger("kraken_bids").setLevel(logging.WARNING)
    world = World(
        folder, folder / "bids", folder / "model",
        tuple(f"{number + 1:02d}" for number in range(N_SUBJECTS)), folder / "crowd",
    )  # fmt: skip
    write_demo_dataset(world.bids, N_SUBJECTS, seed=seed)
    for path in sorted(world.bids.rglob("*")):
        if LEFT_OUT.search(path.name):
            path.unlink()
        elif path.name.endswith("desc-preproc_bold.nii.gz"):
            _shorten_series(path)
        elif path.name.endswith("desc-confounds_timeseries.tsv"):
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(lines[: N_VOLUMES + 1]))
    cohort = simulate_cohort(8, seed, parcellations=("fs86",))
    few = {flavor: cohort[flavor] for flavor in map(parse_flavor, FLAVORS)}
    write_model(train_model(few, settings=TINY), world.model)
    write_tables(world, few)
    (world.crowd / "logs").mkdir(parents=True)
    write_people(world.crowd, few, range(1, N_CROWD + 1))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return world


def write_tables(world: World, cohort: dict[object, np.ndarray]) -> None:
    """Write connectomes for ``kraken-tools``, a file per flavor."""
    (world.folder / "tables").mkdir()
    for flavor, edges in cohort.items():
        np.savez(world.folder / "tables" / f"{flavor}.npz", data=edges,
                 subjects=[f"p{index}" for index in range(len(edges))])  # fmt: skip


def _shorten_series(path: Path) -> None:
    image = nibabel.load(path)
    short = np.asanyarray(image.dataobj)[..., :N_VOLUMES]
    nibabel.save(nibabel.Nifti1Image(short, image.affine, image.header), path)
