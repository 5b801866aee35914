//! Classes spread over columns: one column a class.

use super::table::Row;
use crate::Error;

/// Which of the columns is 1, where exactly one is and the others are 0.
pub(super) fn one_hot<S: AsRef<str>>(row: Row<'_>, columns: &[S]) -> Result<usize, Error> {
    let mut found = None;
    for (position, column) in columns.iter().enumerate() {
        let column = column.as_ref();
        match row.cell(column).parse::<f64>() {
            Ok(0.0) => {}
            Ok(1.0) if found.is_none() => found = Some(position),
            Ok(1.0) => {
                let first = found.map_or("", |first: usize| columns[first].as_ref());
                return Err(row.malformed(format!("the classes `{first}` and `{column}` are both 1")));
            }
            _ => return Err(row.wrong(column, "0 or 1")),
        }
    }
    found.ok_or_else(|| row.malformed("none of the class columns is 1"))
}

/// The columns as weights: none negative, and not all 0. An empty cell is 0.
pub(super) fn weights<S: AsRef<str>>(row: Row<'_>, columns: &[S]) -> Result<Vec<f64>, Error> {
    let weight = |column: &S| match row.cell(column.as_ref()) {
        "" => Ok(0.0),
        cell => {
            let number = cell.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
            number.ok_or_else(|| row.wrong(column.as_ref(), "a number of at least 0"))
        }
    };
    let weights: Vec<f64> = columns.iter().map(weight).collect::<Result<_, _>>()?;
    if weights.iter().any(|&weight| weight > 0.0) {
        return Ok(weights);
    }
    Err(row.malformed("no class has a weight above 0"))
}

/// Weights of the classes as a distribution (sum 1), and the likeliest class; of equal ones the first.
pub(super) fn distribution(weights: &[f64]) -> (Vec<f32>, usize) {
    let total: f64 = weights.iter().sum();
    let shares: Vec<f32> = weights.iter().map(|weight| (weight / total) as f32).collect();
    let mut best = 0;
    for (class, share) in shares.iter().enumerate() {
        if *share > shares[best] {
            best = class;
        }
    }
    (shares, best)
}
