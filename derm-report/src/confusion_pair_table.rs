use derm_metrics::ConfusionMatrix;

use crate::number::number;
use crate::{Align, Error, Table};

/// The most frequent confusions, `most` of them: true class, class that it was taken for, count and shares.
///
/// # Errors
/// [`Error::Length`] unless there is one label a class.
pub fn confusion_pair_table(
    matrix: &ConfusionMatrix,
    labels: &[String],
    most: usize,
) -> Result<Table, Error> {
    let (got, expected) = (labels.len(), matrix.num_classes());
    if got != expected {
        return Err(Error::Length { what: "labels".to_owned(), got, expected });
    }
    let mut table = Table::new([
        ("True class", Align::Left),
        ("Taken for", Align::Left),
        ("Images", Align::Right),
        ("Share of the class", Align::Right),
        ("Share of all errors", Align::Right),
    ]);
    let pairs = matrix.confusion_pairs();
    for pair in pairs.iter().take(most) {
        table.row([
            labels[pair.truth].clone(),
            labels[pair.predicted].clone(),
            pair.count.to_string(),
            number(pair.share_of_class),
            number(pair.share_of_errors),
        ]);
    }
    Ok(table.caption(match pairs.len() {
        0 => "No image was taken for another class.".to_owned(),
        all => format!("The {} most frequent of {all} confusions that occurred.", all.min(most)),
    }))
}
