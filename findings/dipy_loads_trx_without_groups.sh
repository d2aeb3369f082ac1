#!/usr/bin/env bash
# A .trx file with groups (bundles, or the regions that streamlines join), read and written by dipy.
#
# One would guess: load_tractogram and save_tractogram know the format, so groups come through, or a warning says
# that they do not, as with data per streamline in a .tck.
#
# What happens: groups and data per group are gone after loading, without a word, while data per streamline
# and per point come through. Whoever sorts out streamlines of a TRX with dipy and saves it as TRX
# has a valid file in which nobody's bundles or regions are. trx-python, which dipy reads by, keeps them and renumbers
# their members in a selection.
#
# Seen with dipy 1.12.1 and trx-python 0.6. Source: dipy/io/streamline.py, load_tractogram (trx_obj.to_sft());
# trx/trx_file_memmap.py, to_sft. Neither docstring speaks of groups.
# Bears on us: kraken-tools sc takes groups of a TRX in place of a label image (docs/inputs/edges.md).
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dipy==1.12.1 trx-python==0.6
cat > "$folder/groups.py" <<'PY'
import logging
import sys
import warnings

import nibabel
import numpy as np
from dipy.io.stateful_tractogram import Space, StatefulTractogram
from dipy.io.streamline import load_tractogram, save_tractogram
from trx.trx_file_memmap import TrxFile, load, save

said = []
logging.getLogger().addHandler(logging.NullHandler())
logging.getLogger().handlers[0].emit = lambda record: said.append(record.getMessage())
reference = nibabel.Nifti1Image(np.zeros((20, 20, 20), "f4"), np.diag([2.0, 2, 2, 1]))
lines = [np.array([[2, k, 9], [30, k, 9]], "f4") for k in range(1, 7)]
weights = {"sift2": np.arange(6.0)[:, np.newaxis]}
first = TrxFile.from_sft(StatefulTractogram(lines, reference, Space.RASMM, data_per_streamline=weights))
first.groups = {"AF_left": np.array([0, 2], "u4"), "CST_left": np.array([3, 4, 5], "u4")}
first.data_per_group = {"AF_left": {"volume": np.array([[812.0]], "f4")}}
save(first, "first.trx")
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    save_tractogram(load_tractogram("first.trx", reference), "by_dipy.trx")
found = {}
for name in ("first", "by_dipy"):
    one = load(f"{name}.trx")
    found[name] = {k: v.tolist() for k, v in one.groups.items()}, list(one.data_per_group), list(one.data_per_streamline)
    print(f"{name}: groups {found[name][0]}, data of groups {found[name][1]}, of streamlines {found[name][2]}")
chosen = load("first.trx").select(np.array([2, 0]), keep_group=True)
members = sorted(chosen.groups["AF_left"].tolist())
print("trx-python's selection of streamlines 2 and 0: AF_left has", members)
about = [text for text in [*said, *(str(one.message) for one in warned)] if "group" in text.lower()]
print(f"warnings of groups while dipy read and wrote: {len(about)}")
is_so = (
    found["first"] == ({"AF_left": [0, 2], "CST_left": [3, 4, 5]}, ["AF_left"], ["sift2"])
    and found["by_dipy"] == ({}, [], ["sift2"])
    and members == [0, 1]
    and not about
)
print("as described" if is_so else "behaves otherwise now")
sys.exit(not is_so)
PY
cd "$folder"
venv/bin/python groups.py
