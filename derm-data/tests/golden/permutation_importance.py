"""Golden cases for permutation importance: scikit-learn's `permutation_importance` of fixed linear models.

Run: python permutation_importance.py > permutation_importance.json
Needs numpy and scikit-learn. Every value is a multiple of 1/64, so that single precision holds it exactly.
"""

import json

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import permutation_importance
from sklearn.metrics import r2_score


class Fixed(RegressorMixin, BaseEstimator):
    def __init__(self, weights):
        self.weights = weights
        self.is_fitted_ = True

    def fit(self, x, y):
        return self

    def predict(self, x):
        return x @ self.weights


def case(seed, rows, weights, repeats):
    rng = np.random.default_rng(seed)
    weights = np.asarray(weights, dtype=float)
    x = np.round(rng.normal(size=(rows, len(weights))) * 64) / 64
    y = np.round((x @ weights + rng.normal(size=rows) * 0.5) * 64) / 64
    result = permutation_importance(
        Fixed(weights), x, y, scoring="r2", n_repeats=repeats, random_state=seed, n_jobs=1
    )
    # scikit-learn shuffles one index in place and permutes the permuted column again at each repeat, from one seed that
    # all columns share: follow the row numbers through that.
    state = np.random.RandomState(seed)
    column_state = np.random.RandomState(state.randint(np.iinfo(np.int32).max + 1))
    shuffling, numbers, permutations = np.arange(rows), np.arange(rows), []
    for _ in range(repeats):
        column_state.shuffle(shuffling)
        numbers = numbers[shuffling]
        permutations.append(numbers.tolist())
    baseline = r2_score(y, x @ weights)
    for column in range(len(weights)):
        for repeat, permutation in enumerate(permutations):
            permuted = x.copy()
            permuted[:, column] = x[permutation, column]
            expected = baseline - r2_score(y, permuted @ weights)
            assert abs(result.importances[column, repeat] - expected) < 1e-12, (column, repeat)
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "weights": weights.tolist(),
        "permutations": permutations,
        "baseline": baseline,
        "importances": result.importances.tolist(),
        "mean": result.importances_mean.tolist(),
        "std": result.importances_std.tolist(),
    }


print(
    json.dumps(
        {
            "generator": f"scikit-learn {sklearn.__version__}",
            "cases": [
                case(1, 12, [1.0, -2.0, 0.0], 4),
                case(2, 20, [0.5, 0.25, 3.0, -1.0], 5),
                case(3, 5, [0.0, 0.0], 3),
            ],
        }
    )
)
