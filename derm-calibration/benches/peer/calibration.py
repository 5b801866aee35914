"""The same rows through scipy, scikit-learn, torch, netcal and relplot.

    DERM_BENCH_TABLE=<folder> cargo bench -p derm-calibration     # writes the rows
    python calibration.py <folder> [word …] > calibration.txt

With words only the measurements whose name holds one of them run. Medians of a few runs after one warm-up, all cores that the libraries take.
"""

import sys
import time

import numpy as np
import relplot
import scipy.optimize
import sklearn
import torch
from netcal.scaling import BetaCalibration
from sklearn.isotonic import IsotonicRegression

folder = sys.argv[1]
ROWS, CLASSES = 15561, 25
logits = np.fromfile(f"{folder}/logits.f32", dtype="<f4").reshape(ROWS, CLASSES).astype(np.float64)
targets = np.fromfile(f"{folder}/targets.i64", dtype="<i8")


def log_softmax(z):
    m = z.max(1, keepdims=True)
    return z - m - np.log(np.exp(z - m).sum(1, keepdims=True))


ln_p = log_softmax(logits)
p = np.exp(ln_p)


def nll(z):
    return float(-log_softmax(z)[np.arange(ROWS), targets].mean())


def measure(name, run, repeats=5):
    if sys.argv[2:] and not any(word in name for word in sys.argv[2:]):
        return
    note = run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    print(f"{name}: {np.median(times) * 1e3:.2f} ms   {note}", flush=True)


def torch_temperature():
    """Guo et al.'s way: L-BFGS over T from 1.5, here to convergence."""
    z, y = torch.tensor(logits), torch.tensor(targets)
    t = torch.nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    optimizer = torch.optim.LBFGS([t], lr=0.5, max_iter=100, tolerance_grad=1e-9, tolerance_change=1e-12)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(z / t, y)
        loss.backward()
        return loss

    optimizer.step(closure)
    return f"T {t.item():.9f}  NLL {nll(logits / t.item()):.9f}"


def scipy_temperature():
    def loss(u):
        return nll(logits / np.exp(u))

    u = scipy.optimize.minimize_scalar(loss, bounds=(np.log(0.05), np.log(10)), method="bounded", options={"xatol": 1e-9})
    return f"T {np.exp(u.x):.9f}  NLL {u.fun:.9f}"


def torch_affine(features, full, odir=None, max_iter=2000):
    """L-BFGS with a strong Wolfe line search, from the identity."""
    x, y = torch.tensor(features), torch.tensor(targets)
    if full:
        w = torch.nn.Parameter(torch.eye(CLASSES, dtype=torch.float64))
    else:
        w = torch.nn.Parameter(torch.ones(CLASSES, dtype=torch.float64))
    b = torch.nn.Parameter(torch.zeros(CLASSES, dtype=torch.float64))
    optimizer = torch.optim.LBFGS(
        [w, b], max_iter=max_iter, tolerance_grad=1e-8, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def outputs():
        return x @ w.T + b if full else x * w + b

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(outputs(), y)
        if odir:
            off = w - torch.diag(torch.diag(w))
            loss = loss + odir * (off**2).sum() / (CLASSES * (CLASSES - 1)) + odir * (b**2).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    steps = optimizer.state[w]["n_iter"]
    with torch.no_grad():
        largest = max(w.grad.abs().max().item(), b.grad.abs().max().item())
        return f"NLL {nll(outputs().numpy()):.9f}  steps {steps}  gradient {largest:.1e}"


def sklearn_isotonic():
    q = np.empty_like(p)
    for c in range(CLASSES):
        q[:, c] = IsotonicRegression(out_of_bounds="clip").fit(p[:, c], targets == c).predict(p[:, c])
    q /= q.sum(1, keepdims=True)
    return f"NLL {-np.log(np.maximum(q[np.arange(ROWS), targets], 1e-12)).mean():.9f}"


def netcal_beta():
    q = np.empty_like(p)
    for c in range(CLASSES):
        q[:, c] = BetaCalibration().fit(p[:, c], (targets == c).astype(int)).transform(p[:, c]).ravel()
    q /= q.sum(1, keepdims=True)
    return f"NLL {-np.log(np.maximum(q[np.arange(ROWS), targets], 1e-12)).mean():.9f}"


confidence, correct = p.max(1), (p.argmax(1) == targets).astype(float)

print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
      f"torch {torch.__version__} with {torch.get_num_threads()} threads; {ROWS} rows, {CLASSES} classes")
measure("temperature, torch L-BFGS", torch_temperature)
measure("temperature, scipy bounded", scipy_temperature)
measure("vector, torch L-BFGS", lambda: torch_affine(logits, full=False), 3)
measure("dirichlet, torch L-BFGS", lambda: torch_affine(ln_p, full=True), 1)
measure("dirichlet ODIR 1e-2, torch L-BFGS", lambda: torch_affine(ln_p, full=True, odir=1e-2), 1)
measure("isotonic one-vs-rest, scikit-learn", sklearn_isotonic)
measure("beta one-vs-rest, netcal", netcal_beta, 1)
measure("smooth ECE, relplot", lambda: f"value {relplot.smECE(confidence, correct):.9f}")
