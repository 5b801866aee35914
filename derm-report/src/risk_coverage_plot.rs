use derm_calibration::RiskCoverage;

use crate::figure::SeriesStyle;
use crate::frame::{Frame, tick_labels};
use crate::number::number;
use crate::svg::{Anchor, Svg};
use crate::{Align, Error, Figure, Table};

/// Points of a curve that are drawn; more cannot be seen and would only make the file larger.
const MOST_POINTS: usize = 400;

/// Error rate of the most confident rows against how many of them are answered.
///
/// `target_risk`, where given, is drawn as a line.
///
/// # Errors
/// [`Error::Empty`] for no series.
pub fn risk_coverage_plot(
    series: &[(&str, &RiskCoverage)],
    target_risk: Option<f64>,
) -> Result<Figure, Error> {
    if series.is_empty() {
        return Err(Error::Empty { what: "series of a risk-coverage plot" });
    }
    // The first few rows jump between 0 and 1; the scale is that of the rest.
    let settled = |curve: &RiskCoverage| {
        let skipped = curve.risk().len() / 20;
        curve.risk()[skipped..].iter().copied().fold(0.0, f64::max)
    };
    let highest = series.iter().map(|(_, curve)| settled(curve)).fold(target_risk.unwrap_or(0.0), f64::max);
    let highest = (highest * 1.15).clamp(0.02, 1.0);
    let mut svg = Svg::new(480.0, 340.0);
    let frame =
        Frame { left: 56.0, top: 10.0, width: 412.0, height: 280.0, x: (0.0, 1.0), y: (0.0, highest) };
    frame.axes(&mut svg, "coverage", "risk (share of wrong answers)", (5, 5));
    if let Some(target) = target_risk {
        svg.line(frame.point(0.0, target), frame.point(1.0, target), "axis dashed");
        let label = format!("target {}", number(target));
        svg.text(frame.left + 6.0, frame.y(target) - 5.0, Anchor::Start, "tick", &label);
    }
    let mut data = Table::new([("Series", Align::Left), ("Coverage", Align::Right), ("Risk", Align::Right)]);
    let mut legend = Vec::new();
    for (index, (name, curve)) in series.iter().enumerate() {
        let style = SeriesStyle { color: index, dashed: index % 2 == 1 };
        let rows = curve.risk().len();
        let area = curve.aurc().aurc;
        legend.push((style, format!("{name}: area {}", number(area))));
        let step = rows.div_ceil(MOST_POINTS);
        let drawn = (0..rows).filter(|row| row % step == 0 || row + 1 == rows);
        let at = |row: usize| ((row + 1) as f64 / rows as f64, curve.risk()[row]);
        let line: Vec<(f64, f64)> =
            drawn.map(at).map(|(coverage, risk)| frame.point(coverage, risk.min(highest))).collect();
        svg.polyline(&line, &format!("line {}", style.stroke()));
        for (coverage, label) in tick_labels((0.1, 1.0), 10) {
            let row = ((coverage * rows as f64).ceil() as usize).clamp(1, rows) - 1;
            data.row([(*name).to_owned(), label, number(curve.risk()[row])]);
        }
    }
    Ok(Figure {
        title: "Risk and coverage".to_owned(),
        svg: svg.finish("Risk-coverage curve: error rate of the most confident rows against their share"),
        legend,
        caption: "Error rate among the most confident share of the rows. The area under the curve is the mean error \
                  rate over all coverages; smaller is better."
            .to_owned(),
        data,
    })
}
