use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::rule::OwnScore;
use super::{ConformalConfig, Partition};

/// The quantiles of a class's scores that stand for their distribution (Ding et al. 2023, section 2.2).
const LEVELS: [f64; 5] = [0.5, 0.6, 0.7, 0.8, 0.9];
/// Lloyd's algorithm from this many seeded starts; the best is kept.
const STARTS: usize = 10;
/// It ends when no class moves; this many rounds are far more than it ever took.
const ROUNDS: usize = 300;

/// Clustered conditioning.
///
/// A share of the calibration rows is set aside to find which classes have scores that are distributed alike: of
/// each class the quantiles 0.5 to 0.9 of its scores, clustered by k-means with weight √n. The other rows give the
/// quantile of each cluster. Classes with fewer than ⌈1/α⌉ − 1 rows in the share set aside are not clustered; the
/// quantile of all rows serves them.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `share` | none: K / (75 + K), K the number of classes with ñ rows or more | share of rows set aside | (0, 1) |
/// | `num_clusters` | none: ⌊share · ñ / 2⌋, at least 1 | clusters | ≥ 1 |
///
/// ñ is the number of rows of the rarest class, or ⌈1/α⌉ − 1 where it has fewer.
///
/// # Source
/// Ding, Angelopoulos, Bates, Jordan and Tibshirani 2023, "Class-conditional conformal prediction with many
/// classes", with its rules for the defaults. Where there is to be a single cluster, or no more classes than
/// clusters, their code does without clusters and serves every class by the quantile of all rows; here the classes
/// that can be clustered make up one cluster, or one each.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Share of the rows set aside for the clustering; none takes the paper's rule.
    pub share: Option<f64>,
    /// Number of clusters; none takes the paper's rule.
    pub num_clusters: Option<usize>,
}

impl ClusterConfig {
    /// The share of rows set aside and the number of clusters, for classes with `counts` calibration rows.
    fn resolve(&self, counts: &[usize], alpha: f64) -> (f64, usize) {
        let rarest = counts.iter().copied().min().unwrap_or_default().max(fewest_rows(alpha));
        let num_large = counts.iter().filter(|&&count| count >= rarest).count() as f64;
        let share = self.share.unwrap_or(num_large / (75.0 + num_large));
        let num_clusters = self.num_clusters.unwrap_or((share * rarest as f64 / 2.0).floor() as usize);
        (share, num_clusters.max(1))
    }
}

/// ⌈1/α⌉ − 1: with fewer rows a quantile at α is infinite.
fn fewest_rows(alpha: f64) -> usize {
    (1.0 / alpha - 1e-9).ceil() as usize - 1
}

/// Takes the rows whose uniform number lies below the share out of `scores`, and gives the clusters that they
/// show.
pub(super) fn set_aside(
    scores: &mut Vec<OwnScore>,
    uniforms: &[f64],
    num_classes: usize,
    clustering: &ClusterConfig,
    config: &ConformalConfig,
) -> Partition {
    let mut counts = vec![0; num_classes];
    for own in scores.iter() {
        counts[own.class] += 1;
    }
    let (share, num_clusters) = clustering.resolve(&counts, config.alpha);
    let mut of_class = vec![Vec::new(); num_classes];
    scores.retain(|own| {
        let is_aside = uniforms[own.row] < share;
        if is_aside {
            of_class[own.class].push(own.score);
        }
        !is_aside
    });
    cluster(&of_class, num_clusters, config.alpha, config.seed)
}

/// The clusters of classes whose own scores, one list a class, are given.
fn cluster(scores: &[Vec<f64>], num_clusters: usize, alpha: f64, seed: u64) -> Partition {
    let fewest = fewest_rows(alpha).max(1);
    let classes: Vec<usize> = (0..scores.len()).filter(|&class| scores[class].len() >= fewest).collect();
    let points: Vec<[f64; LEVELS.len()]> = classes.iter().map(|&class| quantiles(&scores[class])).collect();
    let weights: Vec<f64> = classes.iter().map(|&class| (scores[class].len() as f64).sqrt()).collect();
    let mut of_class = vec![0; scores.len()];
    let num_clusters = num_clusters.min(classes.len());
    if num_clusters > 0 {
        for (&class, cluster) in classes.iter().zip(k_means(&points, &weights, num_clusters, seed)) {
            of_class[class] = cluster + 1;
        }
    }
    Partition::Cluster { of_class, num_parts: num_clusters + 1 }
}

/// The quantiles at [`LEVELS`], linear between order statistics.
fn quantiles(scores: &[f64]) -> [f64; LEVELS.len()] {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    LEVELS.map(|level| {
        let position = level * (sorted.len() - 1) as f64;
        let below = sorted[position.floor() as usize];
        below + position.fract() * (sorted[position.ceil() as usize] - below)
    })
}

type Point = [f64; LEVELS.len()];

fn squared_distance(a: &Point, b: &Point) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Weighted k-means (Lloyd's algorithm from k-means++ starts): the cluster of each point, of the best start.
fn k_means(points: &[Point], weights: &[f64], k: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let runs = (0..STARTS).map(|_| lloyd(points, weights, starts(points, weights, k, &mut rng)));
    let best = runs.min_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, assignment)| assignment).unwrap_or_default()
}

/// k-means++: each start is a point drawn with probability proportional to weight times squared distance from the
/// nearest start so far.
fn starts(points: &[Point], weights: &[f64], k: usize, rng: &mut ChaCha8Rng) -> Vec<Point> {
    let mut centres: Vec<Point> = Vec::with_capacity(k);
    while centres.len() < k {
        let nearest = |point: &Point| {
            let distances = centres.iter().map(|centre| squared_distance(point, centre));
            // The first start has no centre to be far from: there the weight alone decides.
            distances.reduce(f64::min).unwrap_or(1.0)
        };
        let mass: Vec<f64> =
            points.iter().zip(weights).map(|(point, weight)| weight * nearest(point)).collect();
        let mut left = rng.random::<f64>() * mass.iter().sum::<f64>();
        let drawn = mass.iter().position(|mass| {
            left -= mass;
            left < 0.0
        });
        centres.push(points[drawn.unwrap_or(points.len() - 1)]);
    }
    centres
}

/// The summed weighted squared distance at the end, and the cluster of each point.
fn lloyd(points: &[Point], weights: &[f64], mut centres: Vec<Point>) -> (f64, Vec<usize>) {
    let mut assignment = Vec::new();
    for _ in 0..ROUNDS {
        let nearest = |point: &Point| {
            let distance = |&a: &usize, &b: &usize| {
                squared_distance(point, &centres[a]).total_cmp(&squared_distance(point, &centres[b]))
            };
            (0..centres.len()).min_by(distance).unwrap_or_default()
        };
        let next: Vec<usize> = points.iter().map(nearest).collect();
        if next == assignment {
            break;
        }
        assignment = next;
        for (cluster, centre) in centres.iter_mut().enumerate() {
            let members = || (0..points.len()).filter(|&i| assignment[i] == cluster);
            let total: f64 = members().map(|i| weights[i]).sum();
            // A centre that lost its points stays where it is.
            if total > 0.0 {
                *centre = std::array::from_fn(|d| {
                    members().map(|i| weights[i] * points[i][d]).sum::<f64>() / total
                });
            }
        }
    }
    let cost = points.iter().zip(weights).zip(&assignment);
    (cost.map(|((point, weight), &c)| weight * squared_distance(point, &centres[c])).sum(), assignment)
}
