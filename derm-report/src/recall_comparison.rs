use derm_metrics::{ClassEvaluation, Evaluation};

use crate::figure::SeriesStyle;
use crate::frame::Frame;
use crate::number::{interval, optional, percent, with_interval};
use crate::svg::{Anchor, Svg, shorten};
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
    let longest = first.classes.iter().map(|class| class.label.chars().count()).max().unwrap_or(0).min(18);
    let left = 22.0 + 6.8 * longest as f64;
    let pitch = 14.0 * models.len() as f64 + 12.0;
    let height = pitch * classes as f64;
    let mut svg = Svg::new(480.0, height + 66.0);
    let frame = Frame { left, top: 22.0, width: 480.0 - left - 52.0, height, x: (0.0, 1.0), y: (0.0, 1.0) };
    frame.axes(&mut svg, "recall", "", (5, 0));
    svg.text(474.0, 14.0, Anchor::End, "tick", "lesions");
    let mut data = Table::new([
        ("Class", Align::Left),
        ("Images", Align::Right),
        ("Lesions", Align::Right),
        ("Model", Align::Left),
        ("Recall", Align::Right),
        ("Interval", Align::Right),
    ]);
    for (position, class) in first.classes.iter().enumerate() {
        let top = frame.top + pitch * position as f64;
        if position > 0 {
            svg.line((10.0, top), (474.0, top), "grid");
        }
        let centre = top + pitch / 2.0 + 4.0;
        svg.text(left - 8.0, centre, Anchor::End, "tick", &shorten(&class.label, 18));
        svg.text(474.0, centre, Anchor::End, "tick", &class.groups.to_string());
        for (index, (name, evaluation)) in models.iter().enumerate() {
            let style = SeriesStyle { color: index, dashed: index % 2 == 1 };
            let of: &ClassEvaluation = &evaluation.classes[position];
            data.row([
                of.label.clone(),
                of.support.to_string(),
                of.groups.to_string(),
                (*name).to_owned(),
                optional(of.recall),
                interval(of.recall_interval),
            ]);
            let y = top + 6.0 + 14.0 * (index as f64 + 0.5);
            if let Some(ends) = of.recall_interval {
                svg.line((frame.x(ends.low), y), (frame.x(ends.high), y), &format!("bar {}", style.stroke()));
            }
            if let Some(recall) = of.recall {
                let note = format!("{name}, {}: {}", of.label, with_interval(of.recall, of.recall_interval));
                svg.dot(frame.x(recall), y, 4.5, &style.fill(), &note);
            }
        }
    }
    let style = |index| SeriesStyle { color: index, dashed: index % 2 == 1 };
    Ok(Figure {
        title: "Recall of each class".to_owned(),
        svg: svg.finish("Recall of each class with intervals"),
        legend: models
            .iter()
            .enumerate()
            .map(|(index, (name, _))| (style(index), (*name).to_owned()))
            .collect(),
        caption: format!(
            "Share of the images of each class that were recognised, with {}intervals that count lesions.",
            percent(first.classes.iter().find_map(|class| class.recall_interval))
        ),
        data,
    })
}
