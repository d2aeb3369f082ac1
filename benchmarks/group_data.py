"""A synthetic OUTPUT_DIR of many people, as the participant level leaves it, and its model."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import relmat_path, sidecar_path
from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.matrix_text import format_matrix

FEW = (
    "FCcorr_fs86_hpf",
    "FCcorr_fs86_hpfgsr",
    "FCpcorr_fs86_hpf",
    "SCifod2act_fs86_volnorm",
    "SCsdstream_fs86_volnorm",
)
N_SEEDS = 20
SHARE_NOISE = 0.1
"""Noise of a person: in spreads of the edge over people (FC), or as a share of it (SC)."""
Seeds = Mapping[Flavor, NDArray[np.float32]]


def read_seeds(folder: Path) -> Seeds:
    """Edges ``[n_people, n_edges]`` of real people, in an archive of square matrices."""
    with np.load(folder / "connectomes_cohort20.npz") as archive:
        return {
            parse_flavor(name): np.stack([square_to_edges(square) for square in archive[name]])
            for name in archive.files
            if name != "subjects"
        }


def make_seeds(flavors: tuple[Flavor, ...]) -> Seeds:
    """Edges of invented people who share factors over their flavors."""
    rng = np.random.default_rng(1)
    person = rng.standard_normal((N_SEEDS, 8)).astype(np.float32)
    seeds = {}
    for flavor in flavors:
        n_edges = flavor.n_regions * (flavor.n_regions - 1) // 2
        common = rng.beta(1, 5, n_edges).astype(np.float32)
        own = person @ rng.standard_normal((8, n_edges), np.float32)
        rows = 0.9 * common + 0.03 * own
        seeds[flavor] = np.clip(rows, 0 if flavor.group == "SC" else -1, 0.99)
    return seeds


def write_model_of(seeds: Seeds, folder: Path, n_components: int) -> None:
    """Write an untrained model whose transforms were fitted on the seeds."""
    from kraken_bids.models.krakencoder.checkpoint import write_model
    from kraken_bids.models.krakencoder.training import TrainingSettings, train_model

    settings = TrainingSettings(
        transform=f"pca{n_components}", latent_size=16, n_epochs=0, batch_size=4, device="cpu"
    )
    write_model(train_model(dict(seeds), settings=settings), folder)


def write_people(output: Path, seeds: Seeds, numbers: range) -> None:
    """Write the measured connectomes of these people: each a mixture of two seeds, and noise."""
    spreads = {flavor: rows.std(axis=0) for flavor, rows in seeds.items()}
    for number in numbers:
        rng = np.random.default_rng(number)
        label = f"{number:05d}"
        one, other = rng.choice(len(next(iter(seeds.values()))), 2, replace=False)
        share, motion = rng.uniform(0.3, 0.7), float(rng.gamma(4, 0.04))
        digests = {}
        for flavor, rows in seeds.items():
            is_bold = flavor.group == "FC"
            noise = SHARE_NOISE * rng.standard_normal(rows.shape[1])
            edges = share * rows[one] + (1 - share) * rows[other]
            if is_bold:
                edges = np.clip(edges + spreads[flavor] * noise, -1, 1)
            else:  # where no streamline runs, none is invented
                edges = rows[one] * np.exp(noise)
            entities = {"sub": label, **({"task": "rest"} if is_bold else {"space": "ACPC"})}
            path = relmat_path(output, entities, flavor, source=None)
            path.parent.mkdir(parents=True, exist_ok=True)
            square = edges_to_square(edges, diagonal=flavor.diagonal)
            path.write_bytes(b"".join(format_matrix(square)))
            sidecar = _describe(flavor, label, motion)
            sidecar_path(path).write_text(json.dumps(sidecar, indent=2))
            digests[path.relative_to(output).as_posix()] = sidecar["RunDigest"]
        noted = {"Notices": [], "Measured": digests, "LeftAside": [], "Earlier": []}
        (output / "logs" / f"sub-{label}_inputs.json").write_text(json.dumps(noted, indent=2))


def _describe(flavor: Flavor, label: str, motion: float) -> dict[str, object]:
    """Say as much as a sidecar of the participant level does, in as many bytes."""
    facts: dict[str, object] = {
        "Flavor": flavor.name,
        "Atlas": flavor.parcellation,
        "Predicted": False,
        "Sources": [f"bids:fmriprep:sub-{label}/func/file-{k}_bold.nii.gz" for k in range(10)],
        "MissingRegions": [],
        "UsableAsInput": True,
        "Software": "kraken_bids",
        "SoftwareVersion": "0.1.0",
        "RunDigest": f"{flavor.name}-{label}",
    }
    if flavor.group == "SC":
        ends = {"n_streamlines": 20000, "n_both": 19000, "n_one": 900, "n_none": 100}
        return facts | {
            "TractographyAlgorithm": flavor.name.split("_")[0].removeprefix("SC"),
            "SearchRadius": 4.0,
            "Units": "krakencoder",
            "UnitsDescription": "counts scaled to 5 million streamlines",
            "Streamlines": ends | {"n_self": 3300, "density": 0.6},
            "RegionVoxels": [6000 + k for k in range(flavor.n_regions)],
            "LengthHistogram": {"BinWidth": 5.0, "Mean": 60.0, "Counts": list(range(100))},
        }
    run = {"RepetitionTime": 2.0, "VolumesTotal": 200, "VolumesUsed": 197, "MinutesTotal": 6.667}
    run |= {"MinutesUsed": 6.567, "MeanFD": motion, "MeanDVARS": 1.02}
    names = [f"confound_{k}_derivative1_power2" for k in range(40)]
    return facts | {
        "Denoising": "fmriclean",
        "HighPass": 0.01,
        "RepetitionTime": 2.0,
        "Runs": [{"File": f"sub-{label}_run-{k}_bold.nii.gz", **run, "Confounds": names}
                 for k in (1, 2)],
        "EffectiveDuration": 788.0,
        "MinutesMinimum": 5.0,
        "MeanFD": motion,
        "MeanDVARS": 1.02,
        "Frames": 394,
        "RegionsMeasured": flavor.n_regions,
    }  # fmt: skip
