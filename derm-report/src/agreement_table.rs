use derm_metrics::{AgreementCounts, ModelAgreement};

use crate::number::optional;
use crate::{Align, Error, Table};

/// What two models said of the same images, by true class: where they agree, and who is right where they do not.
///
/// # Errors
/// [`Error::Length`] unless there is one label a class.
pub fn agreement_table(
    (first, second): (&str, &str),
    agreement: &ModelAgreement,
    labels: &[String],
) -> Result<Table, Error> {
    let (got, expected) = (labels.len(), agreement.by_class.len());
    if got != expected {
        return Err(Error::Length { what: "labels".to_owned(), got, expected });
    }
    let mut table = Table::new([
        ("True class".to_owned(), Align::Left),
        ("Images".to_owned(), Align::Right),
        ("Same answer".to_owned(), Align::Right),
        ("Both right".to_owned(), Align::Right),
        (format!("Only {first} right"), Align::Right),
        (format!("Only {second} right"), Align::Right),
        ("Same error".to_owned(), Align::Right),
        ("Different errors".to_owned(), Align::Right),
    ]);
    let mut push = |label: &str, counts: &AgreementCounts| {
        table.row([
            label.to_owned(),
            counts.rows().to_string(),
            optional(counts.agreement()),
            counts.both_right.to_string(),
            counts.only_first_right.to_string(),
            counts.only_second_right.to_string(),
            counts.same_error.to_string(),
            counts.different_errors.to_string(),
        ]);
    };
    push("all", &agreement.overall);
    for (label, counts) in labels.iter().zip(&agreement.by_class) {
        push(label, counts);
    }
    Ok(table.caption("Counted in images; the most probable class of each model is its answer."))
}
