use derm_metrics::{SubgroupRow, SubgroupTable};

use crate::dot_rows::{DotAxis, DotRow, dot_rows};
use crate::frame::span;
use crate::metric_table::words;
use crate::number::{interval, number, percent, with_interval};
use crate::{Align, Error, Figure, Table};

/// A metric in each subgroup of one column with its interval; the dashed line is its value on all rows. Subgroups of
/// too few lesions or patients have no number and say so.
///
/// # Errors
/// [`Error::Empty`] for no subgroup, or for a metric that the table does not have.
pub fn subgroup_comparison(column: &str, table: &SubgroupTable, metric: &str) -> Result<Figure, Error> {
    let gap = table.gaps.iter().find(|gap| gap.name == metric);
    let Some(gap) = gap.filter(|_| !table.rows.is_empty()) else {
        return Err(Error::Empty { what: "subgroups with that metric" });
    };
    let estimate = |row: &SubgroupRow| {
        let metrics = row.metrics.as_ref()?;
        let found = metrics.iter().find(|estimate| estimate.name == metric)?;
        Some((found.value, found.interval))
    };
    let mut data = Table::new([
        ("Subgroup", Align::Left),
        ("Images", Align::Right),
        ("Groups", Align::Right),
        ("Value", Align::Right),
        ("Interval", Align::Right),
    ]);
    let mut rows = Vec::new();
    for row in &table.rows {
        let (value, ends) = estimate(row).unwrap_or((None, None));
        let text = match estimate(row) {
            None => format!("fewer than {} groups", table.min_groups),
            Some(_) => value.map_or_else(|| "undefined".to_owned(), number),
        };
        data.row([name_of(row), row.samples.to_string(), row.groups.to_string(), text, interval(ends)]);
        rows.push(DotRow { label: name_of(row), count: row.groups.to_string(), values: vec![(value, ends)] });
    }
    let values = rows.iter().flat_map(|row| {
        let (value, ends) = row.values[0];
        [value, ends.map(|ends| ends.low), ends.map(|ends| ends.high)].into_iter().flatten()
    });
    let (low, high) = span(values.chain(gap.overall));
    // Most metrics are fractions, and a scale that begins at 0 does not make small gaps look large.
    let range = (low.min(0.0), if high <= 1.1 { 1.0 } else { high });
    let written = words(metric);
    let axis = DotAxis { name: &written, counts: "groups", range, mark: gap.overall };
    let mut title = format!("{written} by {}", column.replace('_', " "));
    // A heading begins with a capital.
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let (svg, legend) = dot_rows(&[&written], &rows, axis, &title);
    let of_interval = rows.iter().find_map(|row| row.values[0].1);
    Ok(Figure {
        title,
        svg,
        legend,
        caption: format!(
            "{}intervals from a bootstrap over groups (lesions or patients); the dashed line is all rows{}. A subgroup of \
             fewer than {} groups has no number.",
            percent(of_interval),
            gap.overall.map_or_else(String::new, |value| format!(", {}", number(value))),
            table.min_groups,
        ),
        data,
    })
}

/// Every metric in each subgroup of one column, and how far the subgroups lie apart.
pub fn subgroup_table(column: &str, table: &SubgroupTable) -> Table {
    let columns = [(column.to_owned(), Align::Left), ("Images".to_owned(), Align::Right)];
    let columns = columns.into_iter().chain([("Groups".to_owned(), Align::Right)]);
    let names = table.gaps.iter().map(|gap| (words(&gap.name), Align::Right));
    let mut cells_of = Table::new(columns.chain(names));
    for row in &table.rows {
        let mut cells = vec![name_of(row), row.samples.to_string(), row.groups.to_string()];
        cells.extend((0..table.gaps.len()).map(|position| match &row.metrics {
            None => "too few".to_owned(),
            Some(metrics) => with_interval(metrics[position].value, metrics[position].interval),
        }));
        cells_of.row_of(cells);
    }
    let mut gaps = vec!["largest gap".to_owned(), String::new(), String::new()];
    gaps.extend(table.gaps.iter().map(|gap| with_interval(gap.gap, gap.interval)));
    cells_of.row_of(gaps);
    cells_of.caption(format!(
        "Too few: fewer than {} groups (lesions or patients), whose numbers would say nothing. The gap is the largest minus \
         the smallest value of the subgroups that are known and large enough; noise alone opens one.",
        table.min_groups
    ))
}

fn name_of(row: &SubgroupRow) -> String {
    if row.is_unknown() { "unknown".to_owned() } else { row.value.clone() }
}
