"""Readers of arrays from other programs: connectomes, latents, predictions; in every format."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.arrays import (
    FLAVORS,
    N_PEOPLE,
    PEOPLE,
    edges,
    format_rows,
    format_table,
    latents,
    pack_h5,
    pack_mat,
    pack_npy,
    pack_npz,
    pack_zip,
    squares,
)
from fuzz.cases import Reader, Seed, require
from fuzz.matlab import list_mats, list_mats73
from fuzz.models import build_model

FC, SC = FLAVORS
RELMAT = "sub-{}_atlas-mini_meas-{}_relmat.dense.tsv"


def list_readers() -> list[Reader]:
    """All readers of arrays from other programs, one for each kind of file."""
    connectomes, predictions, latent = _keyed_connectomes(), _keyed_predictions(), _keyed_latents()
    packings: Mapping[str, Callable[[Mapping[str, Any]], list[Seed]]] = {
        "npz": _pack_npz,
        "mat": list_mats,
        "mat 7.3": list_mats73,
        "h5": _pack_h5,
    }
    return [
        *(Reader(f"connectomes {kind}", lambda p=pack: p(connectomes), _read_connectomes)
          for kind, pack in packings.items()),
        Reader("connectomes npy", _list_npy, _read_connectomes),
        Reader("connectomes gii", _list_giftis, _read_connectomes),
        Reader("connectomes text", _list_texts, _read_connectomes),
        Reader("connectomes zip", _list_zips, _read_connectomes),
        *(Reader(f"predictions {kind}", lambda p=pack: p(predictions), _read_predictions)
          for kind, pack in packings.items() if kind != "mat 7.3"),
        Reader("predictions zip", _list_prediction_zips, _read_predictions),
        Reader("predictions archive", _list_archives, _read_archive),
        *(Reader(f"latents {kind}", lambda p=pack: p(latent), _read_latents)
          for kind, pack in packings.items()),
        Reader("latents text", _list_latent_texts, _read_latents),
    ]  # fmt: skip


# ------------------------------------------------------------------------------- kinds of file


def _keyed_connectomes() -> dict[str, Any]:
    return {FC: squares(), SC: edges().astype(np.float32), "subjects": list(PEOPLE)}


def _keyed_predictions() -> dict[str, Any]:
    arrow = {f"fusion->{FC}": squares(), f"fusionSC->{SC}": edges().astype(np.float32)}
    return arrow | {"fusion->encoded": latents(), "subjects": list(PEOPLE)}


def _keyed_latents() -> dict[str, Any]:
    sources = {"fusion->encoded": latents(), "fusionSC->encoded": latents().astype(np.float64)}
    return sources | {"subjects": list(PEOPLE)}


def _pack_npz(content: Mapping[str, Any]) -> list[Seed]:
    words = content | {"subjects": np.array(content["subjects"], object)}
    return [
        Seed("a.npz", pack_npz(content)),
        Seed("a.npz", pack_npz(content, compressed=True)),
        Seed("a.npz", pack_npz(words)),
    ]


def _pack_h5(content: Mapping[str, Any]) -> list[Seed]:
    nested = {key.replace("->", "/"): value for key, value in content.items()}
    return [
        Seed("a.h5", pack_h5(nested)),
        Seed("a.h5", pack_h5(nested, libver="latest")),
        Seed("a.h5", _pack_chunked(nested)),
    ]


def _pack_chunked(content: Mapping[str, Any]) -> bytes:
    import io

    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, value in content.items():
            if key == "subjects":
                file[key] = np.array([word.encode() for word in value])
            else:
                file.create_dataset(key, data=value, compression="gzip", shuffle=True)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------- connectomes


def _list_npy() -> list[Seed]:
    return [
        Seed("a.npy", pack_npy(squares())),
        Seed("a.npy", pack_npy(edges().astype(">f4"))),
        Seed("a.npy", pack_npy(np.asfortranarray(squares()))),
    ]


def _list_giftis() -> list[Seed]:
    import nibabel as nib

    encodings = ("GIFTI_ENCODING_B64GZ", "GIFTI_ENCODING_B64BIN", "GIFTI_ENCODING_ASCII")
    seeds = []
    for encoding in encodings:
        array = nib.gifti.GiftiDataArray(
            np.triu(squares()[0]).astype(np.float32), encoding=encoding
        )
        seeds.append(Seed("sub-01.shape.gii", nib.gifti.GiftiImage(darrays=[array]).to_bytes()))
    return seeds


def _list_texts() -> list[Seed]:
    return [
        Seed(f"sub-01_{FC}.tsv", format_rows(squares()[0])),
        Seed("sub-01.csv", format_rows(squares()[0], ",")),
        Seed("edges.txt", format_rows(edges(), " ")),
        Seed(f"{FC}.json", _describe_bold(), {f"{FC}.tsv": format_rows(squares()[0])}),
    ]


def _describe_bold() -> bytes:
    """Write what kraken-tools writes beside a connectome, which says whose it is."""
    bold = {"Path": "/data/sub-01_ses-2_task-rest_bold.nii.gz", "Bytes": 1, "SHA256OfEnds": "0"}
    return json.dumps({"Bold": bold, "GeneratedBy": {"Name": "kraken_bids"}}).encode()


def _list_zips() -> list[Seed]:
    members = {
        f"sub-{k + 1:02d}/func/" + RELMAT.format(f"{k + 1:02d}", "FCcorrHPF"): format_rows(square)
        for k, square in enumerate(squares())
    }
    nemo = "sub-01_lesion_nemo_output_ifod2act_chacoconn_mini_nemoSC_volnorm_mean.mat"
    content = {nemo: pack_mat({"SC": squares()[0]}), "participants.tsv": b"participant_id\n"}
    return [
        Seed("a.zip", pack_zip(members)),
        Seed("a.zip", pack_zip(members, 0)),
        Seed("a.zip", pack_zip(members | content)),
    ]


def _read_connectomes(path: Path) -> None:
    from kraken_bids.cohort.from_files import read_connectomes

    path = path.with_suffix(".tsv") if path.suffix == ".json" else path
    is_keyed = path.suffix not in {".npy", ".gii", ".tsv", ".csv", ".txt"}
    given = path if is_keyed else f"{FC}={path}"
    if is_keyed and path.suffix != ".zip" and path.stat().st_size % 4 == 0:
        given = f"{SC}={path}"  # such files have two doors
    found = read_connectomes([given])
    n_people = len(found.subjects)
    require(n_people and found.edges, "nobody, or no flavor")
    require(all(isinstance(label, str) and label for label in found.subjects), "no labels")
    for rows in found.edges.values():
        require(rows.shape[0] == n_people and rows.ndim == 2, "rows of other people")
        require(rows.dtype in (np.float32, np.float64), "another type")
        require(not np.isinf(rows).any(), "edges that are infinite")


# ---------------------------------------------------------------------------------- predictions


def _list_prediction_zips() -> list[Seed]:
    members = {
        f"sub-01/func/sub-01_atlas-mini_meas-FCcorrHPF_desc-{source}kraken_relmat.dense.tsv":
        format_rows(squares()[0])
        for source in ("fusion", "fusionSC")
    }  # fmt: skip
    return [Seed("a.zip", pack_zip(members))]


def _list_archives() -> list[Seed]:
    squares_of = {f"fusion/{flavor}": squares()[0].astype(np.float32) for flavor in FLAVORS}
    return [
        Seed("out/sub-01/sub-01_desc-kraken_relmats.h5", pack_h5(squares_of)),
        Seed("out/sub-01/sub-01_desc-kraken_relmats.h5", pack_h5(squares_of, libver="latest")),
    ]


def _read_archive(path: Path) -> None:
    _read_predictions(path.parents[1])


def _read_predictions(path: Path) -> None:
    from kraken_bids.cohort.stored_predictions import read_predictions

    found = read_predictions(path)
    require(found.subjects and found.readers, "no predictions")
    for source, target in found.readers:
        rows = found.read(source, target)
        require(rows.ndim == 2 and len(rows) == len(found.subjects), "rows of other people")
        require(rows.dtype.kind == "f", "another type")


# -------------------------------------------------------------------------------------- latents


def _list_latent_texts() -> list[Seed]:
    columns: dict[str, Any] = {
        "participant_id": PEOPLE,
        "session_id": ["n/a"] * N_PEOPLE,
        "source": ["fusion"] * N_PEOPLE,
        "n_inputs": [2] * N_PEOPLE,
    }
    values = {f"z00{k}": [f"{v:.6g}" for v in latents()[:, k]] for k in range(3)}
    own = {"source": ["fusion", "fusionSC"], "n_inputs": [2, 1]}
    own |= {name: column[:2] for name, column in values.items()}
    name = "sub-01_desc-kraken_latents.tsv"
    return [
        Seed("latents.tsv", format_table(columns | values)),
        Seed(name, format_table(own)),
        Seed("plain.csv", format_rows(latents(), ",")),
        Seed("latents.npy", pack_npy(latents())),
        Seed("a.zip", pack_zip({f"sub-01/{name}": format_table(own)})),
    ]


def _read_latents(path: Path) -> None:
    from kraken_bids.cohort.latent_inputs import open_latents

    model = build_model()
    found = open_latents([f"encoded={path}"], model, sources=(), targets=model.flavors)
    require(found.subjects, "nobody")
    for rows in found.encoded.values():
        require(rows.shape == (len(found.subjects), model.latent_size), "latents of others")
        require(not np.isinf(rows).any(), "latents that are infinite")
