use derm_metrics::{CalibrationNorm, ReliabilityTable};

use crate::figure::SeriesStyle;
use crate::frame::Frame;
use crate::number::{number, optional};
use crate::svg::{Anchor, Svg};
use crate::{Align, Error, Figure, Table};

/// Confidence against accuracy of each bin, with the share of rows in the bins below: honest confidence lies
/// on the diagonal.
///
/// `series` names each table, such as `[("before", …), ("after", …)]`.
///
/// # Errors
/// [`Error::Empty`] for no series.
pub fn reliability_diagram(series: &[(&str, &ReliabilityTable)]) -> Result<Figure, Error> {
    if series.is_empty() {
        return Err(Error::Empty { what: "series of a reliability diagram" });
    }
    let mut svg = Svg::new(480.0, 440.0);
    let unit = (0.0, 1.0);
    let main = Frame { left: 56.0, top: 10.0, width: 412.0, height: 270.0, x: unit, y: unit };
    main.axes(&mut svg, "", "accuracy", (5, 5));
    svg.line(main.point(0.0, 0.0), main.point(1.0, 1.0), "axis dashed");
    let shares = |table: &ReliabilityTable| {
        let total = table.total() as f64;
        table.bins().iter().map(|bin| bin.count as f64 / total).collect::<Vec<f64>>()
    };
    let largest = series.iter().flat_map(|(_, table)| shares(table)).fold(0.0, f64::max);
    let below =
        Frame { left: 56.0, top: 312.0, width: 412.0, height: 80.0, x: unit, y: (0.0, largest * 1.05) };
    below.axes(&mut svg, "confidence", "share", (5, 2));

    let mut data = Table::new([
        ("Series", Align::Left),
        ("Bin", Align::Left),
        ("Rows", Align::Right),
        ("Mean confidence", Align::Right),
        ("Accuracy", Align::Right),
    ]);
    let mut legend = Vec::new();
    for (index, (name, table)) in series.iter().enumerate() {
        let style = SeriesStyle { color: index, dashed: index % 2 == 1 && series.len() > 1 };
        let error = table.error(CalibrationNorm::L1);
        legend.push((style, format!("{name}: calibration error {}", number(error))));
        let mut points = Vec::new();
        for (bin, share) in table.bins().iter().zip(shares(table)) {
            let ends = format!("{} to {}", optional(bin.lower), optional(bin.upper));
            data.row([
                (*name).to_owned(),
                ends.clone(),
                bin.count.to_string(),
                optional(bin.mean_confidence),
                optional(bin.accuracy),
            ]);
            let (Some(confidence), Some(accuracy)) = (bin.mean_confidence, bin.accuracy) else { continue };
            let note = format!("{name}, {ends}: {} rows, accuracy {}", bin.count, number(accuracy));
            points.push((confidence, accuracy, share, note.clone()));
            if let (Some(low), Some(high)) = (bin.lower, bin.upper) {
                let width = (below.x(high) - below.x(low)) / series.len() as f64;
                let x = below.x(low) + width * index as f64;
                let top = below.y(share);
                svg.rect(
                    x + 0.5,
                    top,
                    ((width - 1.0).max(0.5), below.bottom() - top),
                    &style.fill(),
                    0.75,
                    &note,
                );
            }
        }
        let line: Vec<(f64, f64)> = points.iter().map(|point| main.point(point.0, point.1)).collect();
        svg.polyline(&line, &format!("line {}", style.stroke()));
        for (confidence, accuracy, share, note) in points {
            let (x, y) = main.point(confidence, accuracy);
            svg.dot(x, y, 2.5 + 6.0 * share.sqrt(), &style.fill(), &note);
        }
    }
    svg.text(
        main.right() - 4.0,
        main.bottom() - 8.0,
        Anchor::End,
        "tick",
        "dots grow with the share of rows",
    );
    Ok(Figure {
        title: "Reliability".to_owned(),
        svg: svg.finish("Reliability diagram: accuracy against confidence, and the share of rows in each bin"),
        legend,
        caption: "Accuracy of the rows in each bin of confidence. On the dashed diagonal confidence is honest; below it \
                  the model is more certain than it is right."
            .to_owned(),
        data,
    })
}
