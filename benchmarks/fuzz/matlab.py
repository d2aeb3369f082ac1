"""Valid MATLAB files of every version."""

import io
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fuzz.arrays import FLAVORS, N_PEOPLE, PEOPLE, pack_mat, squares
from fuzz.cases import Seed

PUBLISHED = "predicted_alltypes"
SC = FLAVORS[1]
WRITE_OBJECTS = """
import sys
import numpy as np
import pandas as pd
from matio import save_to_mat

flavors, path, version, *people = sys.argv[1:]
content = {
    **{flavor: np.ones((len(people), 15)) for flavor in flavors.split()},
    "subjects": np.array([[name] for name in people], np.dtypes.StringDType()),
    "T": pd.DataFrame({"ID": people, "age": [20.0, 30.0, 40.0, 50.0]}),
}
save_to_mat(path, content, version=version)
"""


def list_mats(content: Mapping[str, Any]) -> list[Seed]:
    """Pack arrays by name, or predictions by ``SOURCE->TARGET``, in versions 4 and 5."""
    spelled = {key.replace("->", "_to_"): value for key, value in content.items()}
    alone = {key: value for key, value in spelled.items() if "_to_" not in key}
    nested: dict[str, dict[str, Any]] = {}
    for key, value in content.items():
        source, arrow, target = key.partition("->")
        if arrow:
            nested.setdefault(source, {})[target] = value
    named = {"subjects": np.array(content["subjects"], object)}
    if nested:
        held = {PUBLISHED: nested, **named}
        return [Seed("a.mat", pack_mat(held, do_compression=packed)) for packed in (False, True)]
    flat = {key: value for key, value in alone.items() if key == SC}
    return [
        Seed("a.mat", pack_mat(alone | named)),
        Seed("a.mat", pack_mat(alone | named, do_compression=True)),
        Seed("a.mat", pack_mat(alone | {"subjects": np.arange(N_PEOPLE)})),
        Seed("a.mat", pack_mat(flat | {"subjects": np.array(content["subjects"])}, format="4")),
        Seed("a.mat", pack_mat(flat | {"odd": _list_odd_arrays(), **named})),
        *_list_objects("v7"),
    ]


def _list_odd_arrays() -> dict[str, Any]:
    """List what MATLAB has beside real numbers: structs, cells, complex, sparse, logical."""
    from scipy.sparse import csc_array

    return {
        "complex": np.ones((2, 3)) * 1j,
        "sparse": csc_array(np.eye(3)),
        "cells": np.array([np.eye(2), "word", np.arange(3)], object),
        "logical": np.array([True, False]),
        "word": "text",
    }


def list_mats73(content: Mapping[str, Any]) -> list[Seed]:
    """Pack arrays by name in version 7.3: axes reversed, words as numbers, cells as references."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        for key, value in content.items():
            if key != "subjects":
                one = file.create_dataset(key.partition("->")[2] or key, data=np.asarray(value).T)
                one.attrs["MATLAB_class"] = np.bytes_(
                    "single" if value.dtype == np.float32 else "double"
                )
                if len(file) == 1 and "->" in key:
                    break
        group = file.create_group("#refs#")
        cells = np.empty((1, len(content["subjects"])), h5py.ref_dtype)
        for place, word in enumerate(content["subjects"]):
            codes = np.frombuffer(word.encode("utf-16-le"), "<u2").reshape(-1, 1)
            cell = group.create_dataset(f"c{place}", data=codes)
            cell.attrs["MATLAB_class"] = np.bytes_("char")
            cells[0, place] = cell.ref
        names = file.create_dataset("subjects", data=cells)
        names.attrs["MATLAB_class"] = np.bytes_("cell")
    objects = [_pack_structs(), *_list_objects("v7.3")] if FLAVORS[0] in content else []
    return [Seed("a.mat", _begin(buffer.getvalue())), *objects]


def _begin(whole: bytes) -> bytes:
    """Write the line with which MATLAB begins a file of version 7.3."""
    line = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    return line + whole[len(line) :]


def _pack_structs() -> Seed:
    """Pack a struct with everybody's matrices, packed in chunks, and an array of a struct each."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        for name in ("S", "S/inner", "people"):
            file.create_group(name).attrs["MATLAB_class"] = np.bytes_("struct")
        chunks = {"chunks": (2, 3, N_PEOPLE), "compression": 3}
        for name in (f"S/{SC}", "S/inner/other"):
            file.create_dataset(name, data=squares().T, **chunks)
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
        for field in ("connectivity", "names"):
            references = np.empty((1, N_PEOPLE), h5py.ref_dtype)
            for person, square in enumerate(squares()):
                held = file.create_dataset(f"#refs#/{field}{person}", data=square)
                held.attrs["MATLAB_class"] = np.bytes_("double")
                references[0, person] = held.ref
            file.create_dataset(f"people/{field}", data=references)
    return Seed("a.mat", _begin(buffer.getvalue()))


def _list_objects(version: str) -> list[Seed]:
    """Write a string array and a table; nothing where mat-io is not installed."""
    if find_spec("matio") is None:
        return []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.mat"
        # in a process of its own: mat-io sets an option of pandas for all
        words = [
            sys.executable,
            "-c",
            WRITE_OBJECTS,
            " ".join(FLAVORS),
            str(path),
            version,
            *PEOPLE,
        ]
        subprocess.run(words, check=True)
        return [Seed("a.mat", path.read_bytes())]
