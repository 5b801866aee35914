//! Newton's method for the smooth convex likelihoods of this crate.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_positive;

/// A Newton step that changes some output (a row's logit) by more than this is no step of the last kind: at a
/// minimum the next one is its square. Where a likelihood has no maximum, every step adds about 1.
const LAST_STEP: f64 = 1e-5;
/// So many steps in a row with a gradient below the tolerance, and yet longer than [`LAST_STEP`], are taken as
/// proof that the likelihood only rises towards infinity.
const PATIENCE: usize = 6;
/// Share of the decrease that the gradient promises and that a step must keep.
const SUFFICIENT_DECREASE: f64 = 1e-4;
/// Relative growth of the value that rounding alone may cause.
const VALUE_ROUNDING: f64 = 1e-14;

/// When a maximum-likelihood fit ends.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `gradient_tolerance` | 1e-8 | largest entry of the gradient of the mean objective, above 0 |
/// | `max_iterations` | 100 | Newton steps, 1 or more |
///
/// A fit has converged where no entry of the gradient exceeds the tolerance *and* the Newton step at that
/// point would move no row's logit by more than 1e-5 (relative to the others of its row); that step is still
/// taken. The second condition is what tells a minimum from a valley that sinks for ever: there the gradient
/// vanishes as well, but the steps do not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoppingRule {
    /// Largest entry of the gradient.
    pub gradient_tolerance: f64,
    /// Largest number of Newton steps.
    pub max_iterations: usize,
}

impl Default for StoppingRule {
    fn default() -> Self {
        Self { gradient_tolerance: 1e-8, max_iterations: 100 }
    }
}

impl StoppingRule {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Range`] unless the tolerance is positive and finite, [`Error::Count`] for no iteration.
    pub fn validate(&self) -> Result<(), Error> {
        check_positive("gradient_tolerance", self.gradient_tolerance)?;
        if self.max_iterations == 0 {
            return Err(Error::Count { argument: "max_iterations", value: 0, minimum: 1 });
        }
        Ok(())
    }
}

/// How a maximum-likelihood fit ended; one that did not converge is an error and not this.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convergence {
    /// Newton steps.
    pub iterations: usize,
    /// Largest entry of the gradient of the mean objective before the last step.
    pub gradient: f64,
}

/// A convex function with its derivatives at the point where it was last moved to.
pub(crate) trait Objective {
    /// Moves to `point` and gives the value there.
    fn move_to(&mut self, point: &Array2<f64>) -> f64;
    /// The gradient.
    fn gradient(&self) -> Array2<f64>;
    /// The Hessian times `direction`.
    fn hessian_times(&self, direction: &Array2<f64>) -> Array2<f64>;
    /// The blocks of the Hessian that belong to each row of the parameters.
    fn blocks(&self) -> Vec<Array2<f64>>;
    /// The largest change of an output under `step`.
    fn output_change(&self, step: &Array2<f64>) -> f64;
}

/// Minimises `objective` from `point` by Newton's method with conjugate gradients, preconditioned by the
/// blocks of the Hessian, and with step halving.
///
/// # Source
/// Nocedal and Wright 2006, algorithm 7.1.
pub(crate) fn minimize(
    method: &'static str,
    objective: &mut impl Objective,
    mut point: Array2<f64>,
    rule: &StoppingRule,
) -> Result<(Array2<f64>, Convergence), Error> {
    rule.validate()?;
    let mut value = objective.move_to(&point);
    let mut flat = 0;
    for iterations in 1..=rule.max_iterations {
        let gradient = objective.gradient();
        let largest =
            gradient.iter().fold(0.0_f64, |a, g| if g.is_nan() { f64::NAN } else { a.max(g.abs()) });
        let step = newton_step(objective, &gradient);
        let change = objective.output_change(&step);
        let failed = |reason| Error::NotConverged { method, iterations, gradient: largest, change, reason };
        if !(largest.is_finite() && change.is_finite()) {
            return Err(failed("the likelihood or its derivatives are not finite"));
        }
        let at_minimum = largest <= rule.gradient_tolerance && change <= LAST_STEP;
        if largest <= rule.gradient_tolerance {
            flat += 1;
        } else {
            flat = 0;
        }
        if flat > PATIENCE && !at_minimum {
            return Err(failed(
                "the likelihood has no maximum: the parameters grow without end, as where classes can be \
                 separated or a class has no row; a penalty or fewer parameters would bound them",
            ));
        }
        let promised = (&gradient * &step).sum();
        let mut length = 1.0;
        loop {
            let next = &point + &(&step * length);
            let reached = objective.move_to(&next);
            if reached <= value + SUFFICIENT_DECREASE * length * promised + VALUE_ROUNDING * value.abs() {
                (point, value) = (next, reached);
                break;
            }
            length /= 2.0;
            if length < 1e-12 {
                if at_minimum {
                    // Rounding hides any further decrease.
                    objective.move_to(&point);
                    break;
                }
                return Err(failed("no step along the Newton direction lowers the objective"));
            }
        }
        if at_minimum {
            return Ok((point, Convergence { iterations, gradient: largest }));
        }
    }
    let gradient = objective.gradient();
    let largest = gradient.iter().fold(0.0_f64, |a, g| a.max(g.abs()));
    let change = objective.output_change(&newton_step(objective, &gradient));
    let reason = "the largest number of iterations is reached";
    Err(Error::NotConverged { method, iterations: rule.max_iterations, gradient: largest, change, reason })
}

/// The solution of `H step = −gradient` to a relative residual that falls with the gradient.
fn newton_step(objective: &impl Objective, gradient: &Array2<f64>) -> Array2<f64> {
    let blocks: Vec<Cholesky> = objective.blocks().iter().map(Cholesky::new).collect();
    let precondition = |residual: &Array2<f64>| {
        let mut solved = residual.clone();
        for (mut row, block) in solved.rows_mut().into_iter().zip(&blocks) {
            let values = block.solve(&row.to_vec());
            row.iter_mut().zip(values).for_each(|(entry, value)| *entry = value);
        }
        solved
    };
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let forcing = norm.sqrt().min(0.1);
    let mut step = Array2::zeros(gradient.raw_dim());
    let mut residual = -gradient;
    let mut solved = precondition(&residual);
    let mut direction = solved.clone();
    let mut product = (&residual * &solved).sum();
    let target = forcing * forcing * product;
    for _ in 0..(2 * gradient.len()).min(1000) {
        let curved = objective.hessian_times(&direction);
        let curvature = (&direction * &curved).sum();
        if !(curvature > 0.0 && product > target) {
            break;
        }
        let length = product / curvature;
        step.scaled_add(length, &direction);
        residual.scaled_add(-length, &curved);
        solved = precondition(&residual);
        let next = (&residual * &solved).sum();
        direction = &solved + &(&direction * (next / product));
        product = next;
    }
    step
}

/// The lower triangle L of A = L Lᵀ, for a small positive semi-definite A that gets a trace of the identity.
struct Cholesky(Array2<f64>);

impl Cholesky {
    fn new(block: &Array2<f64>) -> Self {
        let size = block.nrows();
        let largest = block.diag().iter().fold(0.0_f64, |a, &d| a.max(d));
        let identity = || Self(Array2::eye(size));
        if !(largest.is_finite() && largest > f64::MIN_POSITIVE) {
            return identity();
        }
        let mut lower = Array2::<f64>::zeros((size, size));
        for row in 0..size {
            for column in 0..=row {
                let mut sum = block[[row, column]];
                if row == column {
                    sum += 1e-12 * largest;
                }
                for k in 0..column {
                    sum -= lower[[row, k]] * lower[[column, k]];
                }
                if row == column {
                    // Rounding may eat a direction in which the block is flat.
                    lower[[row, row]] = sum.max(1e-13 * largest).sqrt();
                } else {
                    lower[[row, column]] = sum / lower[[column, column]];
                }
            }
        }
        if lower.iter().all(|value| value.is_finite()) { Self(lower) } else { identity() }
    }

    fn solve(&self, right: &[f64]) -> Vec<f64> {
        let lower = &self.0;
        let size = right.len();
        let mut x = right.to_vec();
        for row in 0..size {
            for k in 0..row {
                x[row] -= lower[[row, k]] * x[k];
            }
            x[row] /= lower[[row, row]];
        }
        for row in (0..size).rev() {
            for k in row + 1..size {
                x[row] -= lower[[k, row]] * x[k];
            }
            x[row] /= lower[[row, row]];
        }
        x
    }
}
