#!/usr/bin/env bash
# A .nii.gz put into a WebDataset shard by TarWriter: is the file in the tar the file that was put in?
#
# One would guess: yes. Bytes under a name are written as they are (a .jpg, a .nii, a .npy given as bytes
# are), and the file is packed already.
#
# What happens: whatever is written under a name that ends in .gz is packed, bytes too, so that the
# member is packed twice. After `tar -x` no program of the field opens it: what is inside the .nii.gz is
# not an image but a gzip file; the library's own .decode() takes one layer off and gives packed
# bytes. Nothing is said on either side. A shard whose members were put in by tar itself is read rightly.
#
# Seen with webdataset 1.0.2 (writer.py, encode_based_on_extension1: gzip.compress of every value
# under a name that ends in .gz) and nibabel 5.4.2.
# Bears on us: kraken_bids reads arrays and numbers of such tars, no images (docs/inputs/region_series.md).
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2 nibabel==5.4.2
cat > "$folder/packed.py" <<'PY'
import gzip
import tarfile
from pathlib import Path

import nibabel
import numpy as np
import webdataset

values = np.arange(24.0).reshape(2, 3, 4)
nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), "sub-01_bold.nii.gz")
image = Path("sub-01_bold.nii.gz").read_bytes()
plain = gzip.decompress(image)
with webdataset.TarWriter("by_library.tar") as sink:
    sink.write({"__key__": "sub-01_bold", "nii.gz": image})
    sink.write({"__key__": "sub-02_bold", "nii": plain})
with tarfile.open("by_tar.tar", "w") as archive:
    archive.add("sub-01_bold.nii.gz")
for name in ("by_library", "by_tar"):
    with tarfile.open(f"{name}.tar") as archive:
        archive.extractall(name, filter="data")
    member = Path(name, "sub-01_bold.nii.gz")
    layers = "twice" if gzip.decompress(member.read_bytes()) == image else "once"
    try:
        opened = np.array_equal(nibabel.load(member).get_fdata(), values)
    except nibabel.filebasedimages.ImageFileError:
        opened = False
    samples = webdataset.WebDataset(f"{name}.tar", shardshuffle=False).decode()
    decoded = next(iter(samples))["nii.gz"]
    print(f"{name}: packed {layers}, nibabel opens it {opened}, .decode() is it {decoded == plain}")
print("by_library, .nii: as put in", Path("by_library/sub-02_bold.nii").read_bytes() == plain)
PY
cd "$folder"
venv/bin/python packed.py | tee seen
grep -q "^by_library: packed twice, nibabel opens it False, .decode() is it False" seen
grep -q "^by_tar: packed once, nibabel opens it True, .decode() is it True" seen
grep -q "^by_library, .nii: as put in True" seen
