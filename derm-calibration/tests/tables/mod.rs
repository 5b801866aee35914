//! Tables of predictions that several tests take.

use derm_core::{
    LabelMap, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind, Scores, View,
};
use ndarray::Array2;

/// Rows with these logits, each its own lesion, with a site as subgroup.
pub(crate) fn table<R: Role>(logits: Array2<f32>, targets: Vec<usize>, split_hash: &str) -> Predictions<R> {
    let ids: Vec<String> = (0..targets.len()).map(|row| format!("{row:05}")).collect();
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: LabelMap::new((0..logits.ncols()).map(|class| format!("class {class}"))).unwrap(),
        split_hash: split_hash.into(),
    };
    let site = |row: usize| ["", "arm", "face"][row % 3].to_owned();
    let columns = PredictionColumns {
        subgroups: [("site".to_owned(), (0..targets.len()).map(site).collect())].into(),
        groups: ids.clone(),
        cases: ids.clone(),
        ids,
        targets,
        ..PredictionColumns::default()
    };
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values: logits }).unwrap()
}

/// A fixed table of `rows` rows of 5 classes whose uncertain ones are wrong at times.
pub(crate) fn usual<R: Role>(rows: usize, shift: usize) -> Predictions<R> {
    let strength = |row: usize| 6.0 * ((row * 7919 + shift) % 997) as f32 / 997.0;
    let targets: Vec<usize> = (0..rows).map(|row| (row * 31 + shift) % 5).collect();
    let values = Array2::from_shape_fn((rows, 5), |(row, class)| {
        let wrong = strength(row) < 1.5 && row % 3 == 0;
        if class == (targets[row] + usize::from(wrong)) % 5 {
            strength(row)
        } else {
            (class * row % 7) as f32 / 20.0
        }
    });
    table(values, targets, "0f3a")
}
