use crate::figure::SeriesStyle;
use crate::frame::{Frame, span};
use crate::number::number;
use crate::svg::Svg;
use crate::{Align, Error, Figure, Table};

/// Above this many epochs dots would run into one another; the line alone is drawn.
const MOST_EPOCHS_WITH_DOTS: usize = 40;

/// What a training run looked like, epoch by epoch. A value that is not finite leaves a gap.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LearningCurve {
    /// The run.
    pub name: String,
    /// Mean training loss of each epoch.
    pub training_loss: Vec<f64>,
    /// Validation loss after each epoch; may be empty.
    pub validation_loss: Vec<f64>,
    /// Validation balanced accuracy after each epoch; may be empty.
    pub balanced_accuracy: Vec<f64>,
}

/// The losses and, where a run has it, the validation balanced accuracy of several runs against the epoch:
/// one figure each.
///
/// # Errors
/// [`Error::Empty`] where no run has a training loss.
pub fn learning_curves(runs: &[LearningCurve]) -> Result<Vec<Figure>, Error> {
    let mut losses = Vec::new();
    let mut accuracies = Vec::new();
    for (color, run) in runs.iter().enumerate() {
        let solid = SeriesStyle::solid(color);
        losses.push((solid, format!("{}, training", run.name), &run.training_loss));
        if !run.validation_loss.is_empty() {
            let dashed = SeriesStyle { color, dashed: true };
            losses.push((dashed, format!("{}, validation", run.name), &run.validation_loss));
        }
        if !run.balanced_accuracy.is_empty() {
            accuracies.push((solid, run.name.clone(), &run.balanced_accuracy));
        }
    }
    let caption = "Mean loss of each epoch. Losses of different objectives do not compare.";
    let mut figures = vec![curves("Loss", "loss", caption, &losses)?];
    if !accuracies.is_empty() {
        let caption = "Mean recall over the classes on the validation split after each epoch.";
        figures.push(curves("Validation balanced accuracy", "balanced accuracy", caption, &accuracies)?);
    }
    Ok(figures)
}

fn curves(
    title: &str,
    axis: &str,
    caption: &str,
    series: &[(SeriesStyle, String, &Vec<f64>)],
) -> Result<Figure, Error> {
    let epochs = series.iter().map(|(_, _, values)| values.len()).max().unwrap_or(0);
    if epochs == 0 {
        return Err(Error::Empty { what: "epochs of a learning curve" });
    }
    let mut svg = Svg::new(480.0, 300.0);
    let y = span(series.iter().flat_map(|(_, _, values)| values.iter().copied()));
    let x = if epochs == 1 { (0.5, 1.5) } else { (1.0, epochs as f64) };
    let frame = Frame { left: 62.0, top: 10.0, width: 404.0, height: 240.0, x, y };
    frame.axes(&mut svg, "epoch", axis, (epochs.min(8), 5));
    let columns = std::iter::once(("Epoch".to_owned(), Align::Right));
    let mut data = Table::new(columns.chain(series.iter().map(|(_, name, _)| (name.clone(), Align::Right))));
    for epoch in 0..epochs {
        let mut cells = vec![(epoch + 1).to_string()];
        cells.extend(
            series.iter().map(|(_, _, values)| values.get(epoch).map_or(String::new(), |&v| number(v))),
        );
        data.row_of(cells);
    }
    for (style, name, values) in series {
        let mut start = 0;
        for piece in values.chunk_by(|a, b| a.is_finite() == b.is_finite()) {
            let at = |offset: usize| frame.point((start + offset + 1) as f64, piece[offset]);
            let points: Vec<(f64, f64)> = (0..piece.len()).map(at).collect();
            if piece[0].is_finite() {
                svg.polyline(&points, &format!("line {}", style.stroke()));
            }
            // A piece of one point has no line to be seen by.
            if piece[0].is_finite() && (epochs <= MOST_EPOCHS_WITH_DOTS || piece.len() == 1) {
                for (offset, (point, value)) in points.iter().zip(piece).enumerate() {
                    let note = format!("{name}, epoch {}: {}", start + offset + 1, number(*value));
                    svg.dot(point.0, point.1, 2.6, &style.fill(), &note);
                }
            }
            start += piece.len();
        }
    }
    Ok(Figure {
        title: title.to_owned(),
        svg: svg.finish(&format!("{title} against the epoch")),
        legend: series.iter().map(|(style, name, _)| (*style, name.clone())).collect(),
        caption: caption.to_owned(),
        data,
    })
}
