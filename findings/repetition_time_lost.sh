#!/usr/bin/env bash
# The repetition time of a BOLD series after ordinary steps of nilearn and nibabel.
#
# One would guess that a library keeps the fourth voxel size of a series, as smooth_img, clean_img,
# index_img, resample_img and concat_imgs of nilearn do, or leaves it 0 where it does not know.
# What happens: nilearn.image.math_img (without copy_header_from) gives a series of 1.0 in unknown
# units; nibabel.concat_images of the volumes of a series gives 1.0 with the unit "sec" taken over,
# so that the header claims a repetition time of one second. Filters set in Hz are then off by the
# true repetition time, with no message.
# Seen with nibabel 5.4.2 (nibabel/funcs.py, concat_images: the new image takes the first one's
# header, whose fourth size a 3D image does not have) and nilearn 0.14.1 (nilearn/image/image.py,
# math_img).
# Bears on us: kraken_bids/bids/repetition_time.py, which doubts a header that says 1 and nothing else.
# Exits non-zero where that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 nilearn==0.14.1
cat > "$dir/lost.py" <<'PY'
import sys
import warnings

import nibabel as nib
import numpy as np
from nilearn import image

warnings.simplefilter("ignore")
series = nib.Nifti1Image(np.random.default_rng(0).random((6, 6, 6, 20), "f4"), np.diag([3, 3, 3, 1]))
series.header.set_zooms((3, 3, 3, 2.0))
series.header.set_xyzt_units("mm", "sec")


def told(img):
    return float(img.header.get_zooms()[3]), img.header.get_xyzt_units()[1]


found = {
    "the series itself": told(series),
    "nilearn smooth_img": told(image.smooth_img(series, 4)),
    "nilearn concat_imgs": told(image.concat_imgs([series, series])),
    "nilearn math_img": told(image.math_img("2 * img", img=series)),
    "nibabel concat_images": told(nib.concat_images([series.slicer[..., k] for k in range(20)])),
}
for name, (size, unit) in found.items():
    print(f"{name:24s} {size:g} {unit}")
expected = {
    "the series itself": (2.0, "sec"),
    "nilearn smooth_img": (2.0, "sec"),
    "nilearn concat_imgs": (2.0, "sec"),
    "nilearn math_img": (1.0, "unknown"),
    "nibabel concat_images": (1.0, "sec"),
}
sys.exit(found != expected)
PY
"$dir/venv/bin/python" "$dir/lost.py"
