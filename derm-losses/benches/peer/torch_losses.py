"""Times the losses of benches/losses.rs in torch: forward and backward, median of repeated runs, two threads."""

import statistics
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(2)
torch.manual_seed(0)

BATCH, CLASSES = 256, 25
MAP = (32, 256, 14, 14)
FEATURES = (64, 256)


def focal(x, y, gamma=2.0):
    log_p = F.log_softmax(x, 1).gather(1, y[:, None]).squeeze(1)
    return ((1 - log_p.exp()) ** gamma * -log_p).mean()


def ldam(x, y, counts, max_margin=0.5, scale=30.0):
    m = counts.pow(-0.25)
    m = m * (max_margin / m.max())
    return F.cross_entropy(scale * (x - F.one_hot(y, CLASSES) * m), y)


def kd(x, t, temperature=4.0):
    log_s = F.log_softmax(x / temperature, 1)
    log_t = F.log_softmax(t / temperature, 1)
    return F.kl_div(log_s, log_t, reduction="batchmean", log_target=True) * temperature**2


def dkd(x, t, y, alpha=1.0, beta=8.0, temperature=4.0):
    """As in the authors' code: the target's logit is moved out of the way by 1000."""
    gt = F.one_hot(y, CLASSES).bool()
    p_s, p_t = F.softmax(x / temperature, 1), F.softmax(t / temperature, 1)
    b_s = torch.stack([(p_s * gt).sum(1), (p_s * ~gt).sum(1)], 1)
    b_t = torch.stack([(p_t * gt).sum(1), (p_t * ~gt).sum(1)], 1)
    tckd = F.kl_div(b_s.log(), b_t, reduction="batchmean")
    log_s = F.log_softmax(x / temperature - 1000.0 * gt, 1)
    others = F.softmax(t / temperature - 1000.0 * gt, 1)
    nckd = F.kl_div(log_s, others, reduction="batchmean")
    return temperature**2 * (alpha * tckd + beta * nckd)


def attention(a):
    return F.normalize(a.pow(2).mean(1).flatten(1))


def attention_transfer(x, t):
    return (attention(x) - attention(t)).pow(2).sum(1).mean()


def similarity_preserving(x, t):
    g = [F.normalize(f.flatten(1) @ f.flatten(1).T) for f in (x, t)]
    return (g[0] - g[1]).pow(2).mean()


def rkd(x, t):
    """As in the authors' code: distances from the Gram matrix."""

    def distances(f):
        square = f.pow(2).sum(1)
        d = (square[:, None] + square[None] - 2 * f @ f.T).clamp(min=1e-12).sqrt() * (1 - torch.eye(len(f)))
        return d / d[d > 0].mean()

    def angles(f):
        e = F.normalize(f[None] - f[:, None], dim=2)
        return torch.bmm(e, e.transpose(1, 2))

    with torch.no_grad():
        distances_t, angles_t = distances(t), angles(t)
    return 25 * F.smooth_l1_loss(distances(x), distances_t) + 50 * F.smooth_l1_loss(angles(x), angles_t)


def bench(name, loss, shape, budget=3.0):
    x = torch.randn(shape)

    def step():
        leaf = x.clone().requires_grad_(True)
        loss(leaf).backward()

    for _ in range(20):
        step()
    times = []
    start = time.perf_counter()
    while time.perf_counter() - start < budget:
        t0 = time.perf_counter()
        step()
        times.append(time.perf_counter() - t0)
    print(f"{name:24} {statistics.median(times) * 1e6:12.1f} us  ({len(times)} runs)")


def main():
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    y = torch.arange(BATCH) * 7 % CLASSES
    t = torch.randn(BATCH, CLASSES)
    counts = 1000.0 / torch.arange(1, CLASSES + 1)
    logits = (BATCH, CLASSES)
    bench("cross_entropy", lambda x: F.cross_entropy(x, y, label_smoothing=0.1), logits)
    bench("focal", lambda x: focal(x, y), logits)
    bench("ldam", lambda x: ldam(x, y, counts), logits)
    bench("kd", lambda x: kd(x, t), logits)
    bench("dkd", lambda x: dkd(x, t, y), logits)
    maps = torch.randn(MAP)
    bench("attention_transfer", lambda x: attention_transfer(x, maps), MAP)
    bench("similarity_preserving", lambda x: similarity_preserving(x, maps), MAP)
    features = torch.randn(FEATURES)
    bench("rkd", lambda x: rkd(x, features), FEATURES)


if __name__ == "__main__":
    main()
