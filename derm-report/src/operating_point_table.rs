use derm_metrics::{OperatingChoice, OperatingEvaluation, OperatingTarget, RateEstimate};

use crate::number::{number, percent, with_interval};
use crate::{Align, Error, Table};

/// Sensitivity and specificity on the test rows at thresholds that were chosen on the validation rows: name of the
/// positive classes, what was chosen, and what it does on the test rows, where there is a threshold.
///
/// # Errors
/// [`Error::Empty`] for no point.
pub fn operating_point_table(
    points: &[(&str, &OperatingChoice, Option<&OperatingEvaluation>)],
) -> Result<Table, Error> {
    if points.is_empty() {
        return Err(Error::Empty { what: "operating points" });
    }
    let mut table = Table::new([
        ("Positive", Align::Left),
        ("Chosen for", Align::Left),
        ("Threshold", Align::Right),
        ("Sensitivity", Align::Right),
        ("Specificity", Align::Right),
        ("PPV", Align::Right),
        ("NPV", Align::Right),
        ("Groups +/−", Align::Right),
    ]);
    for (name, choice, on_test) in points {
        let (target, threshold) = match choice {
            OperatingChoice::Reached(point) => (point.target, number(point.threshold)),
            OperatingChoice::OutOfReach { target, best } => {
                (*target, format!("out of reach (best {})", number(*best)))
            }
            OperatingChoice::OneLabel { target } => (*target, "rows of one kind only".to_owned()),
        };
        let rate = |of: fn(&OperatingEvaluation) -> &RateEstimate| match on_test {
            None => "–".to_owned(),
            Some(on_test) => with_interval(of(on_test).value, of(on_test).interval),
        };
        let groups = on_test
            .map_or_else(String::new, |on| format!("{}/{}", on.sensitivity.groups, on.specificity.groups));
        table.row([
            (*name).to_owned(),
            words(target),
            threshold,
            rate(|on| &on.sensitivity),
            rate(|on| &on.specificity),
            rate(|on| &on.ppv),
            rate(|on| &on.npv),
            groups,
        ]);
    }
    let of_interval =
        points.iter().find_map(|(_, _, on_test)| on_test.and_then(|on| on.sensitivity.interval));
    Ok(table.caption(format!(
        "Each threshold on the summed probability of the positive classes was chosen on the validation rows; rates with \
         {}intervals, which count groups (lesions or patients), are those of the test rows. A rate that was reached in \
         validation may be missed here.",
        percent(of_interval)
    )))
}

/// What a threshold is chosen for, in words.
fn words(target: OperatingTarget) -> String {
    match target {
        OperatingTarget::Sensitivity { at_least } => format!("sensitivity ≥ {}", number(at_least)),
        OperatingTarget::Specificity { at_least } => format!("specificity ≥ {}", number(at_least)),
        OperatingTarget::Ppv { at_least } => format!("PPV ≥ {}", number(at_least)),
        OperatingTarget::Youden => "sensitivity + specificity".to_owned(),
    }
}
