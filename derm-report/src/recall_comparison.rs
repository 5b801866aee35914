use derm_metrics::Evaluation;

use crate::dot_rows::{DotAxis, DotRow, dot_rows};
use crate::number::{interval, optional, percent};
use crate::{Align, Error, Figure, Table};

/// Recall of each class with its interval, one mark a model, such as teacher and student.
///
/// # Errors
/// [`Error::Empty`] for no model or no class, [`Error::Length`] where models differ in their number of
/// classes.
pub fn recall_comparison(models: &[(&str, &Evaluation)]) -> Result<Figure, Error> {
    let Some((_, first)) = models.first() else {
        return Err(Error::Empty { what: "models to compare" });
    };
    let classes = first.classes.len();
    if classes == 0 {
        return Err(Error::Empty { what: "classes to compare" });
    }
    for (name, evaluation) in models {
        let got = evaluation.classes.len();
        if got != classes {
            return Err(Error::Length { what: format!("classes of {name}"), got, expected: classes });
        }
    }
    let mut data = Table::new([
        ("Class", Align::Left),
        ("Images", Align::Right),
        ("Groups", Align::Right),
        ("Model", Align::Left),
        ("Recall", Align::Right),
        ("Interval", Align::Right),
    ]);
    let mut rows = Vec::new();
    for (position, class) in first.classes.iter().enumerate() {
        let of_models = || models.iter().map(|(name, evaluation)| (name, &evaluation.classes[position]));
        for (name, of) in of_models() {
            data.row([
                of.label.clone(),
                of.support.to_string(),
                of.groups.to_string(),
                (*name).to_owned(),
                optional(of.recall),
                interval(of.recall_interval),
            ]);
        }
        rows.push(DotRow {
            label: class.label.clone(),
            count: class.groups.to_string(),
            values: of_models().map(|(_, of)| (of.recall, of.recall_interval)).collect(),
        });
    }
    let names: Vec<&str> = models.iter().map(|(name, _)| *name).collect();
    let axis = DotAxis { name: "recall", counts: "groups", range: (0.0, 1.0), mark: None };
    let (svg, legend) = dot_rows(&names, &rows, axis, "Recall of each class with intervals");
    Ok(Figure {
        title: "Recall of each class".to_owned(),
        svg,
        legend,
        caption: format!(
            "Share of the images of each class that were recognised, with {}intervals that count groups (lesions or \
             patients).",
            percent(first.classes.iter().find_map(|class| class.recall_interval))
        ),
        data,
    })
}
