use derm_calibration::{ConformalTable, SetCoverage};

use crate::dot_rows::{DotAxis, DotRow, dot_rows};
use crate::number::{interval, number, optional, percent};
use crate::{Align, Error, Figure, Table};

/// How often the conformal sets of each true class hold it, beside what is promised: one mark a promise, such as one
/// for all rows together and one for each class.
///
/// # Errors
/// [`Error::Empty`] for no series, [`Error::Length`] unless each has one entry a label.
pub fn conformal_coverage(series: &[(&str, &ConformalTable)], labels: &[String]) -> Result<Figure, Error> {
    let Some((_, first)) = series.first() else {
        return Err(Error::Empty { what: "series of a conformal coverage plot" });
    };
    for (name, table) in series {
        let (got, expected) = (table.by_class.len(), labels.len());
        if got != expected {
            return Err(Error::Length { what: format!("classes of {name}"), got, expected });
        }
    }
    let mut data = Table::new([
        ("Class", Align::Left),
        ("Groups", Align::Right),
        ("Promise", Align::Left),
        ("Coverage", Align::Right),
        ("Interval", Align::Right),
        ("Mean set size", Align::Right),
    ]);
    let mut rows = Vec::new();
    for position in 0..=labels.len() {
        let of = |table: &ConformalTable| -> SetCoverage {
            if position == 0 { table.overall } else { table.by_class[position - 1] }
        };
        let label = if position == 0 { "all" } else { &labels[position - 1] };
        for (name, table) in series {
            let part = of(table);
            data.row([
                label.to_owned(),
                part.count.to_string(),
                (*name).to_owned(),
                optional(part.coverage),
                interval(part.interval),
                optional(part.mean_size),
            ]);
        }
        rows.push(DotRow {
            label: label.to_owned(),
            count: of(first).count.to_string(),
            values: series.iter().map(|(_, table)| (of(table).coverage, of(table).interval)).collect(),
        });
    }
    let promised = 1.0 - first.nominal_alpha;
    let names: Vec<&str> = series.iter().map(|(name, _)| *name).collect();
    let axis = DotAxis { name: "coverage", counts: "groups", range: (0.0, 1.0), mark: Some(promised) };
    let (svg, legend) = dot_rows(&names, &rows, axis, "Coverage of the conformal sets by true class");
    Ok(Figure {
        title: "Coverage of the conformal sets".to_owned(),
        svg,
        legend,
        caption: format!(
            "Share of the groups (lesions or patients, one image each) whose set holds the true class, with exact \
             {}intervals. The dashed line is the promise, {}, which is made for all groups together or for each class, as \
             the name says.",
            percent(first.overall.interval),
            number(promised),
        ),
        data,
    })
}

/// What conformal sets are worth, one line a promise: coverage, size, and how many sets are empty or of one class.
///
/// # Errors
/// [`Error::Empty`] for no series.
pub fn conformal_table(series: &[(&str, &ConformalTable)]) -> Result<Table, Error> {
    let Some((_, first)) = series.first() else {
        return Err(Error::Empty { what: "series of a conformal table" });
    };
    let mut table = Table::new([
        ("Promise", Align::Left),
        ("Promised", Align::Right),
        ("Coverage", Align::Right),
        ("Interval", Align::Right),
        ("Mean set size", Align::Right),
        ("Empty sets", Align::Right),
        ("Sets of one class", Align::Right),
        ("Of those right", Align::Right),
        ("Mean class gap", Align::Right),
    ]);
    for (name, of) in series {
        table.row([
            (*name).to_owned(),
            number(1.0 - of.nominal_alpha),
            optional(of.overall.coverage),
            interval(of.overall.interval),
            optional(of.overall.mean_size),
            of.empty_sets.to_string(),
            of.singletons.to_string(),
            optional(of.singleton_accuracy),
            number(of.class_coverage_gap),
        ]);
    }
    Ok(table.caption(format!(
        "{} groups (lesions or patients), one image each. The gap is the mean distance of a class's coverage from the \
         promise.",
        first.overall.count
    )))
}
