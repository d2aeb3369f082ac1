#!/usr/bin/env bash
# MRtrix's tcktransform: where do points of a streamline go that lie outside the image of the warp?
#
# One would guess: they are left out, as its code does with points that the warp maps to NaN (a whole track
# outside becomes a track of no points); or the command fails.
#
# What happens: they are given the place of the last point that lay inside. A streamline that leaves the warp ends on
# a heap of points at its rim. One that lies outside as a whole becomes a heap at a point of ANOTHER streamline, the
# one before it in the file: tck2connectome counts it as a connection of that region with itself. No
# warning, right number of tracks, and with one thread or many. A warp of a template or of a brain box
# does not reach down the brainstem, nor around another program's tractogram.
#
# Seen with MRtrix 3.0.3 of Debian 12 (mrtrix3 3.0.3-3+b1). Source: cmd/tcktransform.cpp, Warper::pos returns a
# vector that nothing has set when "interp.scanner (x)" is false, and what is in that memory is the last one;
# unchanged in the development branch of April 2026. The page of the command does not speak of such points.
# A way out: pad the warp with NaN (mrgrid WARP pad -uniform 40 -fill nan OUTPUT), so that such points are left out.
# Bears on us: kraken-tools sc counts such heaps as MRtrix does; docs/inputs/edges.md says so.
# Exits non-zero where that changes, 2 without MRtrix.
set -euo pipefail
command -v tcktransform >/dev/null || { echo "needs MRtrix (Debian: mrtrix3)"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cat > "$folder/warped.py" <<'PY'
import subprocess
import sys

import nibabel
import numpy as np
from nibabel.streamlines import Tractogram, load, save


def run(*words):
    subprocess.run([*words, "-quiet", "-force"], check=True)


# A warp that leaves everything in place, of the places 0 to 29 mm; and two regions within it.
affine = np.eye(4)
warp = np.stack(np.indices((30, 30, 30)), axis=-1).astype("f4")
nibabel.save(nibabel.Nifti1Image(warp, affine), "warp.nii")
padded = np.full((80, 80, 80, 3), np.nan, "f4")
padded[20:50, 20:50, 20:50] = warp
wider = np.eye(4)
wider[:3, 3] = -20
nibabel.save(nibabel.Nifti1Image(padded, wider), "padded.nii")
regions = np.zeros((30, 30, 30), "i2")
regions[:15], regions[15:] = 1, 2
nibabel.save(nibabel.Nifti1Image(regions, affine), "regions.nii")
x = np.arange(2, 28, 2.0)
inside = np.c_[x, np.full((len(x), 2), 15)]
lines = {
    "from region 1 to 2, inside": inside,
    "the same, going on 20 mm beyond": np.c_[np.arange(2, 48, 2.0), np.full((23, 2), 15)],
    "50 mm away from the warp": inside + [0, 50, 0],
}
save(Tractogram(list(lines.values()), affine_to_rasmm=np.eye(4)), "lines.tck")
found = {}
for name in ("warp", "padded"):
    for n_threads in ("0", "4"):
        run("tcktransform", "lines.tck", f"{name}.nii", f"{name}.tck", "-nthreads", n_threads)
        found[name, n_threads] = [np.round(line, 3).tolist() for line in load(f"{name}.tck").streamlines]
    print(f"{name}: streamlines of {[len(line) for line in found[name, '0']]} points")
run("tck2connectome", "warp.tck", "regions.nii", "warp.csv", "-symmetric")
counts = np.loadtxt("warp.csv", delimiter=",").astype(int).tolist()
print("connectome of the warped file:", counts)
_, beyond, away = found["warp", "0"]
print("beyond the warp:", beyond[14:17], "…")
print("far from the warp:", away[:3], "…")
is_so = (
    found["warp", "0"] == found["warp", "4"]
    and beyond[14:] == [beyond[13]] * 9
    and counts == [[0, 2], [2, 1]]
    and away == [beyond[-1]] * len(inside)
    and [len(line) for line in found["padded", "0"]] == [13, 14]
)
print("as described" if is_so else "behaves otherwise now")
sys.exit(not is_so)
PY
cd "$folder"
venv/bin/python warped.py
