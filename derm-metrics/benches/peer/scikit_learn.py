"""What `benches/metrics.rs` measures, with scikit-learn and numpy: medians in milliseconds.

The bootstrap is timed over 100 replicates and scaled to 1,000; everything else as it stands.
"""

import statistics
import time

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics as sk

ROWS, CLASSES = 15_561, 25


def predictions():
    rng = np.random.default_rng(1)
    priors = np.exp(-np.arange(CLASSES) / 6.0)
    y = rng.choice(CLASSES, size=ROWS, p=priors / priors.sum())
    z = np.log(priors) + 2.2 * np.eye(CLASSES)[y] + 1.27 * rng.standard_normal((ROWS, CLASSES))
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True), y


def ece(p, y, bins=15):
    confidence, correct = p.max(1), p.argmax(1) == y
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(index, confidence, bins) - np.bincount(index, correct, bins)
    return np.abs(gap).sum() / len(y)


def delong(first, second, hot):
    """DeLong by midranks (Sun and Xu 2014), vectorised."""
    m, n = hot.sum(), (~hot).sum()
    v10, v01 = [], []
    for score in (first, second):
        everyone = stats.rankdata(score)
        v10.append((everyone[hot] - stats.rankdata(score[hot])) / n)
        v01.append(1.0 - (everyone[~hot] - stats.rankdata(score[~hot])) / m)
    area = [v.mean() for v in v10]
    covariance = np.cov(v10) / m + np.cov(v01) / n
    variance = covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1]
    z = (area[0] - area[1]) / np.sqrt(variance)
    return area, covariance, z, 2.0 * stats.norm.sf(abs(z))


def median(work, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def five(p, y):
    predicted = p.argmax(1)
    return (
        sk.accuracy_score(y, predicted),
        sk.balanced_accuracy_score(y, predicted),
        sk.f1_score(y, predicted, average="macro", labels=np.unique(y), zero_division=0),
        sk.roc_auc_score(y, p, multi_class="ovr", average="macro", labels=range(CLASSES)),
        ece(p, y),
    )


def main():
    p, y = predictions()
    hot = y == 0
    labels = list(range(CLASSES))
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}")
    print(f"{ROWS} x {CLASSES}, medians")
    area = lambda how: sk.roc_auc_score(y, p, multi_class=how, average="macro", labels=labels)
    onehot = np.eye(CLASSES, dtype=int)[y]
    print(f"auroc_ovr_macro          {median(lambda: area('ovr'), 20):10.2f} ms")
    print(f"auroc_ovo                {median(lambda: area('ovo'), 5):10.2f} ms")
    precision = lambda: sk.average_precision_score(onehot, p, average="macro")
    print(f"average_precision_macro  {median(precision, 20):10.2f} ms")
    print(f"delong                   {median(lambda: delong(p[:, 0], p[:, 1], hot), 20):10.2f} ms")
    rng = np.random.default_rng(7)

    def replicate():
        rows = rng.integers(0, ROWS, ROWS)
        five(p[rows], y[rows])

    print(f"bootstrap of 1000        {1000 * median(replicate, 100):10.2f} ms (median of 100 replicates, times 1000)")


if __name__ == "__main__":
    main()
