//! What a network that sees image and answers must beat on the synthetic dataset: two models of the answers alone,
//! and a linear model of the image's colours and the lesion's area.
//!
//! All three weigh classes by the inverse of their frequency and choose what there is to choose by the balanced
//! accuracy on the validation split, so that balanced accuracy on the test split shows them at their best.

use burn::module::Module as _;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use derm_backbones::QuestionnaireEncoderConfig;
use derm_core::{Criterion as _, Logits, Probabilities, SplitRole, Targets, ValueError};
use derm_data::ColourHistogram;
use derm_losses::{CrossEntropyLossConfig, WeightNormalization, WeightScheme, ZeroCounts, class_weights};
use derm_metrics::{ClassSet, balanced_accuracy};
use derm_train::{Error, Prepared};
use ndarray::{Array1, Array2, ArrayView1, Axis};

use crate::answers_network::{AnswersNetwork, tensor};

/// L2 penalties from which [`SoftmaxRegression::select`] chooses: none to speak of, up to one that leaves little.
pub const PENALTIES: [f64; 6] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// One row of numbers a record, with its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Features, [N, D].
    pub values: Array2<f64>,
    /// Class of each row.
    pub targets: Vec<usize>,
}

impl Rows {
    /// The encoded answers of a role's records, in the split's order.
    ///
    /// # Errors
    /// Where the split does not fit the dataset or an answer not the schema.
    pub fn answers(prepared: &Prepared, role: SplitRole) -> Result<Self, Error> {
        let dataset = &prepared.dataset;
        Self::of(prepared, role, |index| Ok(dataset.schema().encode(&dataset.record(index)?.answers)?))
    }

    /// The colour histograms and lesion areas of a role's records, in the split's order.
    ///
    /// # Errors
    /// Where the split does not fit the dataset or an image cannot be read.
    pub fn colours(prepared: &Prepared, role: SplitRole) -> Result<Self, Error> {
        Self::of(prepared, role, |index| {
            Ok(ColourHistogram::of(prepared.pixels().get(index)?.as_ref()).to_row())
        })
    }

    fn of(
        prepared: &Prepared,
        role: SplitRole,
        row: impl Fn(usize) -> Result<Vec<f32>, Error>,
    ) -> Result<Self, Error> {
        let indices = prepared.split.indices(&prepared.dataset, role)?;
        let targets =
            prepared.dataset.classes(&indices)?.into_iter().map(derm_core::ClassIndex::get).collect();
        let mut values = Vec::new();
        for &index in &indices {
            values.extend(row(index)?.into_iter().map(f64::from));
        }
        let shape = (indices.len(), values.len() / indices.len().max(1));
        let (got, expected) = (values.len(), shape.0 * shape.1);
        let values = Array2::from_shape_vec(shape, values).map_err(|_| ValueError::Length {
            argument: "features",
            got,
            expected,
        })?;
        Ok(Self { values, targets })
    }

    /// Inverse frequency of each row's class; they sum to 1, each class that is there with the same share.
    fn weights(&self, num_classes: usize) -> Array1<f64> {
        let mut counts = vec![0usize; num_classes];
        for &target in &self.targets {
            counts[target] += 1;
        }
        let present = counts.iter().filter(|&&count| count > 0).count() as f64;
        self.targets.iter().map(|&target| 1.0 / (present * counts[target] as f64)).collect()
    }
}

/// Multinomial logistic regression on standardised features.
///
/// Minimises `Σ_i w_i (−log p_i[y_i]) + λ/2 ‖W‖²`, where `p = softmax(x W + b)` and the weights `w` give every
/// class the same share of the sum. The objective is convex; the minimum is found by Nesterov's accelerated
/// gradient with a step of 1/L, where L bounds the curvature, restarted where it turns against the gradient.
///
/// # Source
/// Böhning 1992 (the bound on the curvature); O'Donoghue and Candès 2015 (the restart).
#[derive(Debug, Clone)]
pub struct SoftmaxRegression {
    mean: Array1<f64>,
    deviation: Array1<f64>,
    /// [D + 1, C]; the last row is the bias.
    weights: Array2<f64>,
}

impl SoftmaxRegression {
    /// Steps after which the fit ends even where the gradient is not small.
    const MAX_STEPS: usize = 4000;

    /// Largest component of the gradient at which the fit ends.
    const GRADIENT_TOLERANCE: f64 = 1e-6;

    /// Fits the rows with penalty λ ≥ 0.
    pub fn fit(rows: &Rows, num_classes: usize, penalty: f64) -> Self {
        let width = rows.values.ncols();
        let mean = rows.values.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(width));
        // A column that never changes stays 0 after centring, whatever it is divided by.
        let deviation =
            rows.values.std_axis(Axis(0), 0.0).mapv(|value| if value > 0.0 { value } else { 1.0 });
        let weights = Array2::zeros((width + 1, num_classes));
        let mut model = Self { mean, deviation, weights };
        let inputs = model.inputs(&rows.values);
        let row_weights = rows.weights(num_classes);
        let step = 1.0 / (curvature(&inputs, &row_weights) + penalty);

        let mut ahead = model.weights.clone();
        let mut momentum = 1.0_f64;
        for _ in 0..Self::MAX_STEPS {
            let gradient = gradient(&inputs, &rows.targets, &row_weights, &ahead, penalty);
            if gradient.iter().all(|value| value.abs() < Self::GRADIENT_TOLERANCE) {
                break;
            }
            let next = &ahead - &(&gradient * step);
            let moved = &next - &model.weights;
            if (&gradient * &moved).sum() > 0.0 {
                momentum = 1.0;
            }
            let following = f64::midpoint(1.0, (1.0 + 4.0 * momentum * momentum).sqrt());
            ahead = &next + &(moved * ((momentum - 1.0) / following));
            momentum = following;
            model.weights = next;
        }
        model
    }

    /// The fit whose penalty, of [`PENALTIES`], has the best balanced accuracy on the validation rows; the
    /// stronger penalty wins a tie.
    ///
    /// # Errors
    /// [`Error::Metrics`] where the validation rows do not fit.
    pub fn select(train: &Rows, validation: &Rows, num_classes: usize) -> Result<Self, Error> {
        let mut best: Option<(f64, Self)> = None;
        for penalty in PENALTIES {
            let model = Self::fit(train, num_classes, penalty);
            let value = balanced_accuracy(
                &model.probabilities(&validation.values)?,
                &validation.targets,
                ClassSet::Present,
            )?;
            if best.as_ref().is_none_or(|(before, _)| value >= *before) {
                best = Some((value, model));
            }
        }
        best.map(|(_, model)| model).ok_or_else(|| ValueError::Empty { argument: "penalties" }.into())
    }

    /// The class probabilities of features [N, D], [N, C].
    ///
    /// # Errors
    /// [`Error::Values`] where a feature is not finite.
    pub fn probabilities(&self, values: &Array2<f64>) -> Result<Probabilities, Error> {
        Ok(Logits::new(self.inputs(values).dot(&self.weights))?.softmax())
    }

    /// Standardised features with a column of ones, [N, D + 1].
    fn inputs(&self, values: &Array2<f64>) -> Array2<f64> {
        let mut inputs = Array2::ones((values.nrows(), values.ncols() + 1));
        let standardised = (values - &self.mean) / &self.deviation;
        inputs.slice_mut(ndarray::s![.., ..values.ncols()]).assign(&standardised);
        inputs
    }
}

/// Gradient of the penalised loss; the bias, the last row, is not penalised.
fn gradient(
    inputs: &Array2<f64>,
    targets: &[usize],
    row_weights: &Array1<f64>,
    weights: &Array2<f64>,
    penalty: f64,
) -> Array2<f64> {
    let mut residual = inputs.dot(weights);
    for ((mut row, &target), &weight) in residual.outer_iter_mut().zip(targets).zip(row_weights) {
        let largest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        row.mapv_inplace(|value| (value - largest).exp());
        let sum = row.sum();
        row.mapv_inplace(|value| weight * value / sum);
        row[target] -= weight;
    }
    let mut gradient = inputs.t().dot(&residual);
    let bias = weights.nrows() - 1;
    let (mut shrunk, of_weights) =
        (gradient.slice_mut(ndarray::s![..bias, ..]), weights.slice(ndarray::s![..bias, ..]));
    shrunk.scaled_add(penalty, &of_weights);
    gradient
}

/// A bound on the loss's curvature: half the largest eigenvalue of `Xᵀ diag(w) X`, by power iteration.
fn curvature(inputs: &Array2<f64>, row_weights: &Array1<f64>) -> f64 {
    let norm = |vector: ArrayView1<f64>| vector.dot(&vector).sqrt();
    let mut vector = Array1::from_elem(inputs.ncols(), 1.0 / (inputs.ncols() as f64).sqrt());
    let mut eigenvalue = 0.0;
    for _ in 0..100 {
        let next = inputs.t().dot(&(inputs.dot(&vector) * row_weights));
        eigenvalue = norm(next.view());
        if eigenvalue == 0.0 {
            break;
        }
        vector = next / eigenvalue;
    }
    // The iteration comes from below; the margin makes it a bound.
    0.5 * 1.05 * eigenvalue
}

/// Trains a network of the answers alone.
struct AnswersTraining;

impl AnswersTraining {
    const STEPS: usize = 300;
    const STEPS_BETWEEN_VALIDATIONS: usize = 10;
    const LEARNING_RATE: f64 = 3e-3;
    const WEIGHT_DECAY: f32 = 0.05;
    const DROPOUT: f64 = 0.3;

    /// Trains on all rows at each step; gives the test probabilities of the step with the best balanced accuracy on
    /// the validation rows.
    fn test_probabilities(
        [train, validation, test]: [&Rows; 3],
        num_classes: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Probabilities, Error> {
        let training_device = device.clone().without_autodiff().autodiff();
        training_device.seed(seed);
        let inputs = train.values.ncols();
        let config =
            QuestionnaireEncoderConfig { dropout: Self::DROPOUT, ..QuestionnaireEncoderConfig::new(inputs) };
        let mut network = AnswersNetwork::init(&config, num_classes, &training_device)?;
        let [train_rows, validation_rows, test_rows] =
            [train, validation, test].map(|rows| rows.values.mapv(|value| value as f32));

        let mut counts = vec![0; num_classes];
        for &target in &train.targets {
            counts[target] += 1;
        }
        let weights = class_weights(
            &counts,
            WeightScheme::InverseFrequency,
            WeightNormalization::Balanced,
            ZeroCounts::Refuse,
        )?;
        let criterion = CrossEntropyLossConfig {
            class_weights: Some(weights.into_iter().map(|weight| weight as f32).collect()),
            ..CrossEntropyLossConfig::default()
        }
        .init(num_classes, &training_device)?;
        let targets = Targets::from_indices(&train.targets, num_classes, &training_device)?;
        let answers = tensor(&train_rows, &training_device);
        let mut optimizer =
            ModuleOptimizer::from(AdamWConfig::new().with_weight_decay(Self::WEIGHT_DECAY).build());

        let mut best: Option<(f64, Probabilities)> = None;
        for step in 1..=Self::STEPS {
            let loss = criterion.forward(network.forward(answers.clone()), &targets);
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(Self::LEARNING_RATE, network, gradients);
            if step.is_multiple_of(Self::STEPS_BETWEEN_VALIDATIONS) {
                let still = network.valid();
                let value = balanced_accuracy(
                    &still.probabilities(&validation_rows, device)?,
                    &validation.targets,
                    ClassSet::Present,
                )?;
                if best.as_ref().is_none_or(|(before, _)| value > *before) {
                    best = Some((value, still.probabilities(&test_rows, device)?));
                }
            }
        }
        best.map(|(_, probabilities)| probabilities)
            .ok_or_else(|| ValueError::Empty { argument: "steps" }.into())
    }
}

/// The test probabilities of the three baselines, rows in the split's order.
#[derive(Debug, Clone)]
pub struct Baselines {
    /// Linear model of the answers.
    pub answers_linear: Probabilities,
    /// Two hidden layers on the answers.
    pub answers_network: Probabilities,
    /// Linear model of colour histogram and lesion area.
    pub colours_linear: Probabilities,
}

impl Baselines {
    /// Fits them on the training rows of the data.
    ///
    /// # Errors
    /// Where data cannot be read.
    pub fn fit(prepared: &Prepared, seed: u64, device: &Device) -> Result<Self, Error> {
        let num_classes = prepared.dataset.labels().num_classes();
        let [train, validation, test] = of_roles(prepared, Rows::answers)?;
        let linear = SoftmaxRegression::select(&train, &validation, num_classes)?;
        let network =
            AnswersTraining::test_probabilities([&train, &validation, &test], num_classes, seed, device)?;
        let [train, validation, of_test] = of_roles(prepared, Rows::colours)?;
        let colours = SoftmaxRegression::select(&train, &validation, num_classes)?;
        Ok(Self {
            answers_linear: linear.probabilities(&test.values)?,
            answers_network: network,
            colours_linear: colours.probabilities(&of_test.values)?,
        })
    }
}

fn of_roles(
    prepared: &Prepared,
    rows: impl Fn(&Prepared, SplitRole) -> Result<Rows, Error>,
) -> Result<[Rows; 3], Error> {
    let of_role = |role| rows(prepared, role);
    Ok([of_role(SplitRole::Train)?, of_role(SplitRole::Validation)?, of_role(SplitRole::Test)?])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Overlapping classes of unequal size on two features, one of them far from unit scale.
    fn rows() -> Rows {
        let mut values = Vec::new();
        let mut targets = Vec::new();
        for index in 0..60_u32 {
            let target = [0, 0, 0, 1, 1, 2][index as usize % 6];
            let noise = f64::from((index * 37) % 23) / 23.0;
            values.extend([target as f64 + 2.0 * noise, 500.0 * (noise - 0.3 * target as f64)]);
            targets.push(target);
        }
        Rows { values: Array2::from_shape_vec((60, 2), values).unwrap(), targets }
    }

    /// The loss of the model, by its public answer.
    fn loss(model: &SoftmaxRegression, rows: &Rows, penalty: f64) -> f64 {
        let probabilities = model.probabilities(&rows.values).unwrap();
        let of_row = |row: usize| -probabilities.row(row)[rows.targets[row]].ln();
        // 30, 20 and 10 rows of three classes.
        let weights = [1.0 / 90.0, 1.0 / 60.0, 1.0 / 30.0];
        let data: f64 = (0..60).map(|row| weights[rows.targets[row]] * of_row(row)).sum();
        let squares: f64 = model.weights.slice(ndarray::s![..2, ..]).iter().map(|w| w * w).sum();
        data + 0.5 * penalty * squares
    }

    #[test]
    fn the_fit_is_a_minimum() {
        let rows = rows();
        for penalty in [1e-3, 0.1] {
            let model = SoftmaxRegression::fit(&rows, 3, penalty);
            let least = loss(&model, &rows, penalty);
            for position in 0..model.weights.len() {
                for shift in [-0.01, 0.01] {
                    let mut moved = model.clone();
                    moved.weights.as_slice_mut().unwrap()[position] += shift;
                    assert!(loss(&moved, &rows, penalty) > least, "λ {penalty}, weight {position}, {shift}");
                }
            }
        }
    }

    #[test]
    fn the_intercept_gives_every_class_its_share() {
        let rows = rows();
        let probabilities = SoftmaxRegression::fit(&rows, 3, 0.01).probabilities(&rows.values).unwrap();
        let weights = rows.weights(3);
        for class in 0..3 {
            let share: f64 = (0..60).map(|row| weights[row] * probabilities.row(row)[class]).sum();
            assert!((share - 1.0 / 3.0).abs() < 1e-5, "class {class} has {share}");
        }
    }

    #[test]
    fn the_choice_is_by_validation() {
        let rows = rows();
        let chosen = SoftmaxRegression::select(&rows, &rows, 3).unwrap();
        let value = |model: &SoftmaxRegression| {
            let probabilities = model.probabilities(&rows.values).unwrap();
            balanced_accuracy(&probabilities, &rows.targets, ClassSet::Present).unwrap()
        };
        let best = PENALTIES.iter().map(|&p| value(&SoftmaxRegression::fit(&rows, 3, p))).fold(0.0, f64::max);
        assert_eq!(value(&chosen), best);
    }
}
