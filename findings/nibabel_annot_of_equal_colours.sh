#!/usr/bin/env bash
# A parcellation written as a FreeSurfer annotation by nibabel (write_annot), and read again (read_annot).
#
# One would guess: what is written, labels from 0 to n-1 with their names, is what is read; colours are for drawing.
#
# What happens: an .annot file holds no labels but the colour of every vertex, and a region is found again by it.
# Regions of one colour become one region when the file is read: one of them has the vertices of all, and
# the others stay in the list of names, with no vertex. A colormap of 20 colours (tab20) on 100 regions leaves 20
# of them. And a region that is black (0, 0, 0), as the first colour of some colormaps is, cannot be told from
# "no region": all of its vertices read -1. write_annot makes the colour codes itself (fill_ctab=True) and
# says nothing in either case, nor does its documentation; MNE's writer of the format refuses equal colours.
# Series and connectomes by region so lose regions, or shift where those without vertices are dropped.
#
# Seen with nibabel 5.4.2 and matplotlib 3.11.2. Source: nibabel/freesurfer/io.py, write_annot (ctab[:, -1][labels])
# and read_annot (searchsorted of the codes; "labels != 0").
# Bears on us: kraken_bids takes regions from label images and tables, never from .annot.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    nibabel==5.4.2 numpy==2.4.6 matplotlib==3.11.2
cat > "$folder/colours.py" <<'PY'
import sys
import warnings

import numpy as np
from matplotlib import colormaps
from nibabel.freesurfer import read_annot, write_annot

warnings.simplefilter("error")
n = 100
labels = np.repeat(np.arange(n), 30)
names = [f"region{k}" for k in range(n)]
colormap = {
    "tab20": colormaps["tab20"](np.arange(n) % 20),
    "hsv": colormaps["hsv"](np.arange(n) / n),
    "inferno": colormaps["inferno"](np.arange(n) / n),
    "nipy_spectral": colormaps["nipy_spectral"](np.arange(n) / n),
}
found = {}
for name, colours in colormap.items():
    codes = np.round(colours * 255).astype(int)
    codes[:, 3] = 0
    write_annot("lh.own.annot", labels, codes, names, fill_ctab=True)
    read, _, read_names = read_annot("lh.own.annot")
    found[name] = len(np.unique(read[read >= 0])), int((read == -1).sum()), int((read == labels).sum())
    print(
        f"{name}: {n} regions written, {len(read_names)} names read, {found[name][0]} regions with vertices, "
        f"{found[name][1]} vertices of none, {found[name][2]} of {len(labels)} with their label"
    )
is_so = found["tab20"][::2] == (20, 600) and found["hsv"] == (100, 0, 3000) and found["nipy_spectral"][1] == 30
print("as described" if is_so else "behaves otherwise now")
sys.exit(not is_so)
PY
cd "$folder"
venv/bin/python colours.py
