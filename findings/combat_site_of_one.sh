#!/usr/bin/env bash
# Connectomes of several sites, harmonised by neuroCombat, the Python ComBat of the field.
#
# One would guess: a site with one person cannot be harmonised, which is said, or that person alone is
# left as it was; the others, of sites with twenty people each, are harmonised as without that site.
#
# What happens: every number of everybody is NaN, with nothing but numpy's warnings. The variance of a
# site with one person is 0/0, and the empirical prior of the site, which is over features, passes it on;
# the shift of one site enters the standardisation of all. Whoever averages with nanmean, or drops NaN
# columns, goes on without a word. A single NaN of one person (an edge of a region outside the field of
# view) does the same: every feature of everybody, by way of the same prior.
#
# Seen with neuroCombat 0.2.12, numpy 1.26.4, pandas 2.2.3.
# Source: neuroCombat/neuroCombat.py, find_parametric_adjustments (delta_hat by np.var with ddof=1).
# Bears on us: scores/site_design.py leaves such a site out, and edge_regression.py such an edge of
# such a person; tests/pipeline/predict/test_run_sites.py,
# test_a_site_with_one_person_leaves_the_others_as_they_are.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    neuroCombat==0.2.12 numpy==1.26.4 pandas==2.2.3
cat > "$folder/sites.py" <<'PY'
import warnings

import numpy as np
import pandas as pd
from neuroCombat import neuroCombat

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
edges = rng.standard_normal((50, 41))  # features by people
edges[:, 20:40] += 1.0
sites = ["a"] * 20 + ["b"] * 20 + ["c"]


def harmonise(values, names):
    covars = pd.DataFrame({"site": names})
    return neuroCombat(dat=values, covars=covars, batch_col="site")["data"]


without = harmonise(edges[:, :40], sites[:40])
print("two sites of 20 people: NaN", int(np.isnan(without).sum()), "of", without.size)
alone = harmonise(edges, sites)
print("and a site of one:      NaN", int(np.isnan(alone).sum()), "of", alone.size)
holed = edges[:, :40].copy()
holed[3, 7] = np.nan
hole = harmonise(holed, sites[:40])
print("one number missing:     NaN", int(np.isnan(hole).sum()), "of", hole.size)
assert not np.isnan(without).any()
assert np.isnan(alone).all()
assert np.isnan(hole).all()
PY
"$folder/venv/bin/python" "$folder/sites.py"
