#!/usr/bin/env bash
# nilearn's signal.clean with sample_mask (scrubbing) and a Butterworth filter: what becomes of the volumes left out?
#
# One would guess, and its documentation says: they are replaced by cubic splines before the filter, so that
# their values touch nothing, and those at both ends of the run are discarded; the result holds the
# volumes of sample_mask.
#
# What happens: sample_mask is an array of indices by then, and "~sample_mask" of indices is no complement: ~3
# is -4, a place counted from the end. A volume that is left out is replaced only where the volume at
# the mirrored place of the run is kept. In the middle of a run, or where a quarter of it is scrubbed
# for about a quarter of what is scrubbed, the filter smears motion over the volumes that stay. And
# where volumes are left out at both ends (non-steady state, and motion before the end), as many of them as
# both ends have stay in the series, while the indices are shifted as if they had gone: it begins too early, and
# each volume is taken for a later one. No warning; shape and length are right. Maskers and clean_img pass
# their sample_mask to it. Without a filter, and with filter="cosine", volumes are left out properly.
#
# Seen with nilearn 0.14.1, and in the source of 0.10.4 and 0.12.1 the same line. Source: nilearn/signal.py,
# _interpolate_volumes ("volumes[~sample_mask, :] = ...") and _handle_scrubbed_volumes ("sample_mask -=").
# Bears on us: kraken_bids never hands a sample_mask to a filter of nilearn; its tests compare
# scrubbing with signal.clean where that does not filter (tests/pipeline/test_volume_confounds.py).
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nilearn==0.14.1
cat > "$folder/scrubbed.py" <<'PY'
import sys
import warnings

import numpy as np
from nilearn.signal import butterworth, clean
from scipy.interpolate import CubicSpline

warnings.simplefilter("ignore")
n = 300
volumes = np.arange(n)
words = {"t_r": 2.0, "low_pass": 0.1, "detrend": False, "standardize": None}

# Each volume's value is its own number, which a low-pass filter leaves as it is.
numbers = volumes[:, np.newaxis].astype(float)
starts = {}
for name, kept in (("first 5 left out", volumes[5:]), ("first 5 and last 3 left out", volumes[5:-3])):
    starts[name] = [clean(numbers.copy(), sample_mask=kept, **words)[20, 0] for kept in (kept, np.isin(volumes, kept))]
    print(f"{name}: the 20th value is {starts[name][0]:.2f}, should be {kept[20]}; by a boolean mask {starts[name][1]:.2f}")

# Two independent regions that share nothing but motion, which is left out.
rng = np.random.default_rng(0)
regions = rng.standard_normal((n, 2))


def correlate(out, filtered):
    """By signal.clean, and by splines, filter and leaving out done here."""
    moved = regions.copy()
    moved[out] += 10 * rng.standard_normal((len(out), 1))
    kept = np.setdiff1d(volumes, out)
    options = words if filtered else {"detrend": False, "standardize": None}
    found = clean(moved.copy(), sample_mask=kept, **options)
    spline = CubicSpline(kept, moved[kept])(volumes)
    own = butterworth(spline, sampling_rate=0.5, low_pass=0.1, copy=True)[kept] if filtered else moved[kept]
    return np.corrcoef(found.T)[0, 1], np.corrcoef(own.T)[0, 1]


inner = np.sort(rng.choice(np.arange(10, n - 10), 75, replace=False))
rows = {
    "20 volumes at one side": correlate(np.arange(60, 80), True),
    "20 volumes in the middle": correlate(np.arange(140, 160), True),
    "75 volumes anywhere": correlate(inner, True),
    "75 volumes anywhere, no filter": correlate(inner, False),
}
for name, (found, own) in rows.items():
    print(f"{name}: r is {found:.2f}, with all of them replaced {own:.2f}")
is_so = (
    np.allclose(starts["first 5 left out"], 25, atol=0.1)
    and np.allclose(starts["first 5 and last 3 left out"], 22, atol=0.1)
    and abs(np.subtract(*rows["20 volumes at one side"])) < 0.01
    and np.subtract(*rows["20 volumes in the middle"]) > 0.2
    and np.subtract(*rows["75 volumes anywhere"]) > 0.2
    and abs(np.subtract(*rows["75 volumes anywhere, no filter"])) < 0.01
)
print("as described" if is_so else "behaves otherwise now")
sys.exit(not is_so)
PY
"$folder/venv/bin/python" "$folder/scrubbed.py"
