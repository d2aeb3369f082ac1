#!/usr/bin/env bash
# Held-out predictions of connectomes by scikit-learn's cross_val_predict, scored over all people.
#
# One would guess: where nothing can be predicted, held-out predictions are at chance: an edge's predicted
# values are uncorrelated with the measured ones, and a person's connectome resembles the own prediction
# as often more as less than another's (average rank 0.5; the measure of "identification").
#
# What happens: they are far below it. Whoever is in a fold is missing from its training mean, so that
# the mean is lower where the person is higher: with leave-one-out, a model that gives back the mean has
# r = -1 in every edge, and everyone's own prediction is the last of all (average rank 0). A ridge whose
# penalty is chosen by cross-validation finds that nothing can be predicted, gives back nearly the mean,
# and does the same. With ten folds r is -0.4, with hardly better ranks. A model of some skill can so be
# reported as one without, and "significantly below chance" means that it predicts nothing. The
# correlation of a person's measured and predicted edges, 0.95 here, tells none of this: it is the mean's.
#
# Seen with scikit-learn 1.9.1 (whose documentation advises against scoring such predictions together, and
# does not say which way they err). No fault of the library; a property of what it is asked for.
# Bears on us: kraken_bids/scores/cross_fitted.py compares what predictions add to their mean;
# tests/scores/test_cross_fitted.py, test_the_mean_alone_is_at_chance_and_gains_nothing.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
cat > "$folder/folds.py" <<'PY'
import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, LeaveOneOut, cross_val_predict

rng = np.random.default_rng(0)
n_people, n_edges = 60, 400
measured = 3 * rng.standard_normal(n_edges) + rng.standard_normal((n_people, n_edges))
features = rng.standard_normal((n_people, 50))  # unrelated to the connectomes

for name, model in (("mean", DummyRegressor()), ("ridge", RidgeCV(np.logspace(-2, 6, 9)))):
    for folds in (LeaveOneOut(), KFold(10, shuffle=True, random_state=0)):
        predicted = cross_val_predict(model, features, measured, cv=folds)
        people = np.corrcoef(measured, predicted)[:n_people, n_people:]
        own = np.diag(people)
        lower = (people < own[:, None]).sum(axis=1) + 0.5 * ((people == own[:, None]).sum(axis=1) - 1)
        rank = lower.mean() / (n_people - 1)
        edges = [np.corrcoef(a, b)[0, 1] for a, b in zip(measured.T, predicted.T)]
        print(f"{name}, {type(folds).__name__}: own r {own.mean():.2f},", end=" ")
        print(f"average rank {rank:.2f} (chance 0.5), mean r of edges {np.mean(edges):.2f}")
PY
"$folder/venv/bin/python" "$folder/folds.py" | tee "$folder/seen"
grep -q '^mean, LeaveOneOut: .* rank 0.00 .* edges -1.00' "$folder/seen"
grep -q '^mean, KFold: .* rank 0.0[0-9] .* edges -0.38' "$folder/seen"
grep -q '^ridge, LeaveOneOut: .* rank 0.00 .* edges -0.95' "$folder/seen"
grep -q '^ridge, KFold: .* rank 0.0[0-9] .* edges -0.38' "$folder/seen"
# printed on the day it was written:
#   mean, LeaveOneOut: own r 0.95, average rank 0.00 (chance 0.5), mean r of edges -1.00
#   mean, KFold: own r 0.95, average rank 0.04 (chance 0.5), mean r of edges -0.38
#   ridge, LeaveOneOut: own r 0.95, average rank 0.00 (chance 0.5), mean r of edges -0.95
#   ridge, KFold: own r 0.95, average rank 0.04 (chance 0.5), mean r of edges -0.38
