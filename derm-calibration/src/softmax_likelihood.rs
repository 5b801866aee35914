//! The mean negative log-likelihood of a softmax over linear functions of the scores.

use ndarray::{Array1, Array2, ArrayView1, Axis, Zip};

use crate::newton::Objective;

/// What the output of a class is a linear function of.
#[derive(Debug)]
pub(crate) enum Design {
    /// Of all scores of the row, `Σ_j θ_cj x_j`; shape [N, D], a constant column included.
    Full(Array2<f64>),
    /// Of its own score, `θ_c0 x_c + θ_c1`; shape [N, C].
    Own(Array2<f64>),
}

impl Design {
    /// `scores` [N, C] with a column of ones.
    pub(crate) fn affine(scores: &Array2<f64>) -> Self {
        let (rows, classes) = scores.dim();
        let mut features = Array2::ones((rows, classes + 1));
        features.slice_mut(ndarray::s![.., ..classes]).assign(scores);
        Self::Full(features)
    }

    /// The outputs [N, C] of parameters [C, D].
    fn outputs(&self, parameters: &Array2<f64>) -> Array2<f64> {
        match self {
            Self::Full(features) => features.dot(&parameters.t()),
            Self::Own(scores) => scores * &parameters.column(0) + parameters.column(1),
        }
    }

    /// `(1/N) Σ_i u_ic ∂output_ic/∂θ_c`, shape [C, D], of `u` [N, C].
    fn gather(&self, u: &Array2<f64>) -> Array2<f64> {
        let rows = u.nrows() as f64;
        match self {
            Self::Full(features) => u.t().dot(features) / rows,
            Self::Own(scores) => {
                let mut gathered = Array2::zeros((u.ncols(), 2));
                gathered.column_mut(0).assign(&((u * scores).sum_axis(Axis(0)) / rows));
                gathered.column_mut(1).assign(&(u.sum_axis(Axis(0)) / rows));
                gathered
            }
        }
    }

    /// `(1/N) Σ_i w_i x_i x_iᵀ` of the features of class `class`.
    fn moments(&self, class: usize, weights: &ArrayView1<'_, f64>) -> Array2<f64> {
        let rows = weights.len() as f64;
        match self {
            Self::Full(features) => {
                let weighted = features * &weights.insert_axis(Axis(1));
                features.t().dot(&weighted) / rows
            }
            Self::Own(scores) => {
                let mut block = Array2::zeros((2, 2));
                for (&weight, &x) in weights.iter().zip(scores.column(class)) {
                    block[[0, 0]] += weight * x * x;
                    block[[0, 1]] += weight * x;
                    block[[1, 1]] += weight;
                }
                block[[1, 0]] = block[[0, 1]];
                block / rows
            }
        }
    }
}

/// `(1/N) Σ_i −ln softmax(outputs_i)_{y_i} + ½ Σ penalty (θ − centre)²`.
#[derive(Debug)]
pub(crate) struct SoftmaxLikelihood<'a> {
    design: Design,
    targets: &'a [usize],
    penalty: Array2<f64>,
    centre: Array2<f64>,
    parameters: Array2<f64>,
    probabilities: Array2<f64>,
}

impl<'a> SoftmaxLikelihood<'a> {
    /// With weights `penalty` [C, D], 0 or more, of the squared distances from `centre` [C, D].
    pub(crate) fn new(
        design: Design,
        targets: &'a [usize],
        penalty: Array2<f64>,
        centre: Array2<f64>,
    ) -> Self {
        let parameters = centre.clone();
        Self { design, targets, penalty, centre, parameters, probabilities: Array2::zeros((0, 0)) }
    }

    /// The mean negative log-likelihood at `parameters`, without the penalty.
    pub(crate) fn nll(&self, parameters: &Array2<f64>) -> f64 {
        softmax_in_place(&mut self.design.outputs(parameters), self.targets)
    }

    /// `P ∘ (A − rowsum(P ∘ A))`: the Hessian of the softmax times the outputs' change A.
    fn curved(&self, mut change: Array2<f64>) -> Array2<f64> {
        Zip::from(change.rows_mut()).and(self.probabilities.rows()).for_each(|mut change, p| {
            let mean: f64 = change.iter().zip(p).map(|(a, p)| a * p).sum();
            change.iter_mut().zip(p).for_each(|(a, p)| *a = p * (*a - mean));
        });
        change
    }
}

impl Objective for SoftmaxLikelihood<'_> {
    fn move_to(&mut self, point: &Array2<f64>) -> f64 {
        let mut outputs = self.design.outputs(point);
        let nll = softmax_in_place(&mut outputs, self.targets);
        self.probabilities = outputs;
        self.parameters.assign(point);
        let distance = point - &self.centre;
        nll + 0.5 * (&self.penalty * &distance * &distance).sum()
    }

    fn gradient(&self) -> Array2<f64> {
        let mut residual = self.probabilities.clone();
        for (mut row, &target) in residual.rows_mut().into_iter().zip(self.targets) {
            row[target] -= 1.0;
        }
        self.design.gather(&residual) + &self.penalty * &(&self.parameters - &self.centre)
    }

    fn hessian_times(&self, direction: &Array2<f64>) -> Array2<f64> {
        self.design.gather(&self.curved(self.design.outputs(direction))) + &self.penalty * direction
    }

    fn blocks(&self) -> Vec<Array2<f64>> {
        let of_class = |class: usize| {
            let weights: Array1<f64> = self.probabilities.column(class).mapv(|p| p * (1.0 - p));
            let mut block = self.design.moments(class, &weights.view());
            let mut diagonal = block.diag_mut();
            diagonal += &self.penalty.row(class);
            block
        };
        (0..self.probabilities.ncols()).map(of_class).collect()
    }

    fn output_change(&self, step: &Array2<f64>) -> f64 {
        let change = self.design.outputs(step);
        let spread = |row: ArrayView1<'_, f64>| {
            let (low, high) =
                row.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &a| (l.min(a), h.max(a)));
            high - low
        };
        change.rows().into_iter().map(spread).fold(0.0, f64::max)
    }
}

/// Turns outputs into their softmax and gives the mean negative log-likelihood of `targets`.
fn softmax_in_place(outputs: &mut Array2<f64>, targets: &[usize]) -> f64 {
    let mut nll = 0.0;
    for (mut row, &target) in outputs.rows_mut().into_iter().zip(targets) {
        let maximum = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let of_target = row[target] - maximum;
        row.mapv_inplace(|a| (a - maximum).exp());
        let sum = row.sum();
        nll += sum.ln() - of_target;
        row /= sum;
    }
    nll / targets.len() as f64
}
