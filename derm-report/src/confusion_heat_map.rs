use derm_metrics::ConfusionMatrix;

use crate::svg::{Anchor, Svg, shorten};
use crate::{Align, Error, Figure, Table};

/// Above this many classes a cell is too small for its number, which then shows only when it is pointed at,
/// and in the table.
const MOST_CLASSES_WITH_NUMBERS: usize = 12;

/// How often each class was taken for each: rows true, columns predicted, shaded by the share of the row.
///
/// # Errors
/// [`Error::Length`] unless there is one label a class, [`Error::Empty`] for no class.
pub fn confusion_heat_map(matrix: &ConfusionMatrix, labels: &[String]) -> Result<Figure, Error> {
    let classes = matrix.num_classes();
    if classes == 0 {
        return Err(Error::Empty { what: "classes of a confusion matrix" });
    }
    if labels.len() != classes {
        return Err(Error::Length { what: "labels".to_owned(), got: labels.len(), expected: classes });
    }
    // Many classes have small cells, so their labels are small, upright and may be longer.
    let many = classes > MOST_CLASSES_WITH_NUMBERS;
    let (letters, letter, class, slant) =
        if many { (26, 4.4, "tick small", -90.0) } else { (16, 6.6, "tick", -50.0) };
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).min(letters);
    let (left, top) = (
        44.0 + letter * longest as f64,
        if many { 14.0 + letter * longest as f64 } else { 26.0 + 5.0 * longest as f64 },
    );
    // Room at the right for the last column's slanted label.
    let size = (480.0 - left - 4.0 - if many { 0.0 } else { 2.5 * longest as f64 }) / classes as f64;
    let side = size * classes as f64;
    let mut svg = Svg::new(480.0, top + side + 30.0);
    let (counts, shares) = (matrix.counts(), matrix.normalized());
    for (index, label) in labels.iter().enumerate() {
        let centre = size * (index as f64 + 0.5);
        let short = shorten(label, letters);
        svg.text(left - 8.0, top + centre + if many { 2.5 } else { 4.0 }, Anchor::End, class, &short);
        svg.turned_text(left + centre + 3.0, top - 8.0, slant, Anchor::Start, class, &short);
    }
    for ((row, column), &count) in counts.indexed_iter() {
        let share = shares[[row, column]];
        let (x, y) = (left + size * column as f64, top + size * row as f64);
        let note = format!("{} taken for {}: {count} ({share:.3})", labels[row], labels[column]);
        let color = if row == column { "f0" } else { "f1" };
        svg.rect(x, y, (size, size), "cell", 1.0, "");
        // Below proportion, so that the few errors that matter can be seen.
        let shade = share.powf(0.7);
        svg.rect(x, y, (size, size), color, shade, &note);
        if !many && count > 0 {
            let text = if shade > 0.6 { "count on" } else { "count" };
            svg.text(x + size / 2.0, y + size / 2.0 + 4.0, Anchor::Middle, text, &count.to_string());
        }
    }
    svg.text(left + side / 2.0, top + side + 20.0, Anchor::Middle, "name", "predicted");
    svg.turned_text(14.0, top + side / 2.0, -90.0, Anchor::Middle, "name", "true");

    let columns = std::iter::once(("True class".to_owned(), Align::Left));
    let mut data = Table::new(columns.chain(labels.iter().map(|label| (label.clone(), Align::Right))));
    for (label, row) in labels.iter().zip(counts.rows()) {
        let mut cells = vec![label.clone()];
        cells.extend(row.iter().map(ToString::to_string));
        data.row_of(cells);
    }
    Ok(Figure {
        title: "Confusion matrix".to_owned(),
        svg: svg.finish("Confusion matrix: true classes against predicted ones"),
        legend: Vec::new(),
        caption: "Number of images of each true class (row) that were predicted as each class (column). The stronger the shade, \
                  the larger the share of the row: blue where right, orange where wrong."
            .to_owned(),
        data,
    })
}
