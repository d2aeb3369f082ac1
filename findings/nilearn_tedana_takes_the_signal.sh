#!/usr/bin/env bash
# nilearn's load_confounds with tedana="non-aggressive": what is left after these confounds?
#
# One would guess: the gentler of two ways to clean a multi-echo series. "Aggressive" removes whatever
# the rejected components can explain; "non-aggressive" only what they explain beyond the accepted ones.
# So what load_confounds returns, given to a masker as its documentation shows (confounds=, sample_mask=),
# leaves at least as much signal as the aggressive way.
#
# What happens: it returns the accepted components too, as further columns (accepted_…, rejected_…). A
# masker regresses out every column that it is given, so that the signal goes first: what remains are the
# components' leftovers, of which a connectome can be computed like any other. The documentation of the
# option says that both kinds are returned; neither it nor a warning says that they are no confounds to
# pass on. The fit on all columns, of which only the rejected ones' share is subtracted, is left to the
# user; done here by least squares it keeps the signal.
#
# Seen with nilearn 0.14.1 (nilearn/interfaces/fmriprep/load_confounds_components.py, _load_tedana), files
# named as tedana names them.
# Bears on us: kraken_bids/pipeline/measure/nilearn_confounds.py takes load_confounds_strategy's four
# strategies only, none of which is this one.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nilearn==0.14.1 numpy==2.4.6
cat > "$folder/tedana.py" <<'PY'
import sys
import warnings

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.connectome import sym_matrix_to_vec
from nilearn.interfaces.fmriprep import load_confounds
from nilearn.maskers import NiftiLabelsMasker

warnings.simplefilter("ignore")
stem = f"{sys.argv[1]}/sub-01_task-rest"
rng = np.random.default_rng(0)
n_volumes, n_accepted, n_rejected = 300, 12, 5
n_components = n_accepted + n_rejected
names = [f"ICA_{number:02d}" for number in range(n_components)]
kinds = ["accepted"] * n_accepted + ["rejected"] * n_rejected
mixing = rng.standard_normal((n_volumes, n_components))
mixing[:, n_accepted:] += 0.5 * mixing[:, :n_rejected]  # noise shares time courses with signal
pd.DataFrame(mixing, columns=names).to_csv(f"{stem}_desc-ICA_mixing.tsv", sep="\t", index=False)
table = pd.DataFrame({"Component": names, "classification": kinds})
table.to_csv(f"{stem}_desc-tedana_metrics.tsv", sep="\t", index=False)

regions = np.arange(1, 28).reshape(3, 3, 3)
labels = np.kron(regions, np.ones((2, 2, 2))).astype(np.int16)
maps = rng.standard_normal((27, n_components))[labels - 1]
signal = maps[..., :n_accepted] @ mixing[:, :n_accepted].T
noise = maps[..., n_accepted:] @ mixing[:, n_accepted:].T
noise += 0.3 * rng.standard_normal(noise.shape)
bold = nib.Nifti1Image(signal + noise, np.eye(4))
nib.save(bold, f"{stem}_desc-optcom_bold.nii.gz")
masker = NiftiLabelsMasker(nib.Nifti1Image(labels, np.eye(4)), standardize=None)


def measure(image, **options):
    series = masker.fit_transform(image, **options)
    return series.std(), sym_matrix_to_vec(np.corrcoef(series.T), discard_diagonal=True)


size, truth = measure(nib.Nifti1Image(signal, np.eye(4)))


def report(how, columns, found):
    kept, edges = found
    r = np.corrcoef(edges, truth)[0, 1]
    print(f"{how}, {columns}: SD {kept / size:.2f} of the signal's, FC r = {r:.2f} with its FC")


for how in ("aggressive", "non-aggressive"):
    confounds, mask = load_confounds(bold.get_filename(), strategy=("tedana",), tedana=how)
    found = measure(bold.get_filename(), confounds=confounds, sample_mask=mask)
    counts = pd.Series([name.split("_")[0] for name in confounds.columns]).value_counts()
    report(how, " and ".join(f"{n} {kind}" for kind, n in sorted(counts.items())), found)
centred = (confounds - confounds.mean()).to_numpy()
fit = np.linalg.lstsq(centred, bold.get_fdata().reshape(-1, n_volumes).T, rcond=None)[0]
is_rejected = confounds.columns.str.startswith("rejected")
removed = (centred[:, is_rejected] @ fit[is_rejected]).T.reshape(bold.shape)
kept = nib.Nifti1Image(bold.get_fdata() - removed, np.eye(4))
report("the rejected ones' share of that fit", "by least squares", measure(kept))
PY
"$folder/venv/bin/python" "$folder/tedana.py" "$folder" | tee "$folder/seen"
grep -q '^aggressive, 5 rejected: .* r = 0.99 ' "$folder/seen"
grep -q '^non-aggressive, 12 accepted and 5 rejected: SD 0.0[0-9] .* r = -\?0.[01]' "$folder/seen"
grep -q '^the rejected .* least squares: .* r = 1.00 ' "$folder/seen"
# printed on the day it was written:
#   aggressive, 5 rejected: SD 0.94 of the signal's, FC r = 0.99 with its FC
#   non-aggressive, 12 accepted and 5 rejected: SD 0.06 of the signal's, FC r = -0.03 with its FC
#   the rejected ones' share of that fit, by least squares: SD 1.00 of the signal's, FC r = 1.00 with its FC
