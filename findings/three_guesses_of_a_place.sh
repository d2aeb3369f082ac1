#!/usr/bin/env bash
# An image whose NIfTI header has neither sform nor qform (both codes 0), as many writers leave it.
#
# One would guess that programs agree where it lies, or refuse it: the standard names a method for
# this case, voxel sizes alone.
# What happens: nibabel mirrors the first axis and puts the middle of the image at the origin; ITK
# (ANTs, SimpleITK) puts the first voxel at the origin, first and second axis running to left and
# back; MRtrix puts the middle at the origin and does not mirror. The same voxel lies on the left in
# one and on the right in the other, none of them says so on reading (MRtrix warns), and what nibabel
# writes from such an image with its affine is placed for good.
# And an .mgz whose flag says that its directions do not count (ras_good_flag 0) is loaded by nibabel
# with default directions and the flag set to 1: neither the user nor the next file can tell.
# Seen with nibabel 5.4.2 (nibabel/spatialimages.py get_base_affine; nibabel/freesurfer/mghformat.py
# MGHHeader.__init__), SimpleITK 2.5.7, MRtrix 3.0.3 (run only where it is installed).
# Bears on us: kraken_bids/io/image_values.py; docs/decisions/0026.
# Exits non-zero where that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7
cat > "$dir/guesses.py" <<'PY'
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import SimpleITK as sitk

folder = sys.argv[1]
image = nib.Nifti1Image(np.zeros((11, 13, 15), np.int16), None)
image.header.set_zooms((2, 2, 2))
nib.save(image, f"{folder}/nowhere.nii")
loaded = nib.load(f"{folder}/nowhere.nii")
assert loaded.header["sform_code"] == loaded.header["qform_code"] == 0

voxel = (2, 6, 7)
places = {"nibabel": (loaded.affine @ [*voxel, 1])[:3]}
read = sitk.ReadImage(f"{folder}/nowhere.nii")
places["ITK"] = np.array(read.TransformIndexToPhysicalPoint(voxel)) * [-1, -1, 1]
if shutil.which("mrinfo"):
    words = ["mrinfo", "-quiet", "-transform", f"{folder}/nowhere.nii"]
    rows = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")[:3]
    transform = np.array([row.split() for row in rows], float)
    places["MRtrix"] = transform[:, :3] @ (np.array(voxel) * 2) + transform[:, 3]
for name, place in places.items():
    print(f"voxel {voxel} in RAS mm, {name}: {place}")
distinct = {tuple(np.round(place, 3)) for place in places.values()}

mgh = nib.MGHImage(np.zeros((3, 4, 5), np.int32), np.diag([2.0, 2, 2, 1]))
nib.save(mgh, f"{folder}/a.mgh")
content = bytearray(open(f"{folder}/a.mgh", "rb").read())
content[28:30] = b"\0\0"  # goodRASFlag
open(f"{folder}/a.mgh", "wb").write(content)
flag = int(nib.load(f"{folder}/a.mgh").header["goodRASFlag"])
print(f"goodRASFlag 0 in the file, in nibabel's header after loading: {flag}")
sys.exit(0 if len(distinct) == len(places) and flag == 1 else 1)
PY
"$dir/venv/bin/python" "$dir/guesses.py" "$dir"
