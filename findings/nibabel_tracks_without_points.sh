#!/usr/bin/env bash
# A .tck file with tracks of no points, in nibabel: is the n-th streamline the n-th track of the file?
#
# One would guess: yes. MRtrix writes such tracks on purpose (tcktransform, where a whole track lies outside the
# warp; tckresample -line and -arc, where one crosses no plane), so that a file keeps its number of tracks
# and the tables beside it stay right: weights of tcksift2, and the pair of regions of each track by
# tck2connectome -out_assignments.
#
# What happens: nibabel leaves them out, from the file and from any list of streamlines that becomes an
# ArraySequence (cropping to a mask makes such), and every later streamline moves up. header["count"] still gives
# the number of the file. Streamlines chosen by a table of MRtrix's are other ones; zip() of streamlines and
# weights pairs the wrong ones and drops the last weights; no warning. (Lengths that differ are noticed only where
# weights are given to a Tractogram.) dipy's load_tractogram reads .tck by way of it.
#
# Seen with nibabel 5.4.2 (nibabel/streamlines/tck.py, _read: "if pts.size: yield"; array_sequence.py, append: "if
# element.size == 0: return") and MRtrix 3.0.3 (run only where it is installed).
# Bears on us: kraken_bids/io/tck.py keeps them, as unassigned tracks with their own weights;
# tests/io/test_tck.py, test_blocks_never_matter.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cat > "$folder/tracks.py" <<'PY'
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel
import numpy as np
from nibabel.streamlines import ArraySequence, load

warnings.simplefilter("error")
folder = Path(sys.argv[1])


def write(path, tracks):
    """As MRtrix does: NaN behind each track, infinity at the end."""
    ends = np.full((1, 3), np.nan, "<f4")
    rows = [*(np.concatenate([track, ends]) for track in tracks), np.full((1, 3), np.inf, "<f4")]
    header = f"mrtrix tracks\ncount: {len(tracks):010}\ndatatype: Float32LE\nfile: . 100\nEND\n"
    path.write_bytes(header.encode().ljust(100) + np.concatenate(rows).astype("<f4").tobytes())


# A third of the x of a track is its number in the file; the fourth (number 3) has no points.
tracks = [np.array([[x, 0, 0], [x, 9, 0]], "f4") for x in range(0, 18, 3)]
tracks[3] = tracks[3][:0]
write(folder / "tracks.tck", tracks)
read = load(folder / "tracks.tck")
found = {"nibabel, from the file": [round(line[0, 0] / 3) for line in read.streamlines]}
found["nibabel, from a list"] = [round(line[0, 0] / 3) for line in ArraySequence(tracks)]
if shutil.which("tcktransform"):
    # A warp that leaves everything in place, and knows nothing (NaN) about the places of track 3.
    tracks[3] = np.array([[9, 0, 0], [9, 9, 0]], "f4")
    write(folder / "all.tck", tracks)
    warp = np.stack(np.indices((25, 25, 25)) - 5, axis=-1).astype("f4")
    warp[14] = np.nan
    affine = np.eye(4)
    affine[:3, 3] = -5
    nibabel.save(nibabel.Nifti1Image(warp, affine), folder / "warp.nii")
    subprocess.run(["tcktransform", "-quiet", "all.tck", "warp.nii", "warped.tck"], cwd=folder, check=True)
    words = ["tckinfo", "-quiet", "-count", "warped.tck"]
    said = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout
    print("MRtrix of its own file:", said.strip().splitlines()[-1])
    warped = load(folder / "warped.tck").streamlines
    found["nibabel, from the file of MRtrix"] = [round(line[0, 0] / 3) for line in warped]
for name, numbers in found.items():
    print(f"{name}: tracks {numbers}")
print("count in the header:", int(read.header["count"]))
is_so = all(numbers == [0, 1, 2, 4, 5] for numbers in found.values()) and int(read.header["count"]) == 6
print("as described" if is_so else "behaves otherwise now")
sys.exit(not is_so)
PY
"$folder/venv/bin/python" "$folder/tracks.py" "$folder"
