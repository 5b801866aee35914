//! Logistic regression on a handful of features, with fractional targets.

use ndarray::{Array1, Array2, Axis};

use crate::Error;
use crate::newton::{Convergence, Objective, StoppingRule, minimize};

/// `(1/N) Σ_i ln(1 + e^{a_i}) − t_i a_i` with `a_i = w · x_i`.
struct LogisticLikelihood<'a> {
    features: &'a Array2<f64>,
    targets: &'a [f64],
    probabilities: Array1<f64>,
}

/// The weights `w` of the maximum of the likelihood, one a column of `features` [N, D].
pub(crate) fn fit_logistic(
    method: &'static str,
    features: &Array2<f64>,
    targets: &[f64],
    rule: &StoppingRule,
) -> Result<(Vec<f64>, Convergence), Error> {
    let mut likelihood = LogisticLikelihood { features, targets, probabilities: Array1::zeros(0) };
    let start = Array2::zeros((1, features.ncols()));
    let (weights, convergence) = minimize(method, &mut likelihood, start, rule)?;
    Ok((weights.into_iter().collect(), convergence))
}

/// `1 / (1 + e^{−a})` without overflow.
pub(crate) fn sigmoid(a: f64) -> f64 {
    if a >= 0.0 {
        1.0 / (1.0 + (-a).exp())
    } else {
        let e = a.exp();
        e / (1.0 + e)
    }
}

impl Objective for LogisticLikelihood<'_> {
    fn move_to(&mut self, point: &Array2<f64>) -> f64 {
        let outputs = self.features.dot(&point.row(0));
        self.probabilities = outputs.mapv(sigmoid);
        let loss = |(a, t): (&f64, &f64)| a.max(0.0) + (-a.abs()).exp().ln_1p() - t * a;
        outputs.iter().zip(self.targets).map(loss).sum::<f64>() / self.targets.len() as f64
    }

    fn gradient(&self) -> Array2<f64> {
        let residual: Array1<f64> = self.probabilities.iter().zip(self.targets).map(|(p, t)| p - t).collect();
        (self.features.t().dot(&residual) / self.targets.len() as f64).insert_axis(Axis(0))
    }

    fn hessian_times(&self, direction: &Array2<f64>) -> Array2<f64> {
        let outputs = self.features.dot(&direction.row(0));
        let curved = outputs * self.probabilities.mapv(|p| p * (1.0 - p));
        (self.features.t().dot(&curved) / self.targets.len() as f64).insert_axis(Axis(0))
    }

    fn blocks(&self) -> Vec<Array2<f64>> {
        let weights = self.probabilities.mapv(|p| p * (1.0 - p)).insert_axis(Axis(1));
        vec![self.features.t().dot(&(self.features * &weights)) / self.targets.len() as f64]
    }

    fn output_change(&self, step: &Array2<f64>) -> f64 {
        self.features.dot(&step.row(0)).iter().fold(0.0, |a, b| a.max(b.abs()))
    }
}
