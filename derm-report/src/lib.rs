#![doc = include_str!("../README.md")]

mod confusion_heat_map;
mod error;
mod escape;
mod figure;
mod frame;
mod gallery;
mod interval_plot;
mod learning_curves;
mod metric_table;
mod number;
mod pareto_plot;
mod recall_comparison;
mod reliability_diagram;
mod report;
mod risk_coverage_plot;
mod svg;
mod table;
mod tier_coverage;
mod tier_summary;

pub use confusion_heat_map::confusion_heat_map;
pub use error::Error;
pub use figure::Figure;
pub use gallery::GalleryItem;
pub use interval_plot::{IntervalMark, interval_plot};
pub use learning_curves::{LearningCurve, learning_curves};
pub use metric_table::{class_table, metric_table};
pub use pareto_plot::{ParetoPoint, pareto_front, pareto_plot};
pub use recall_comparison::recall_comparison;
pub use reliability_diagram::reliability_diagram;
pub use report::{Report, Section};
pub use risk_coverage_plot::risk_coverage_plot;
pub use table::{Align, Table};
pub use tier_coverage::tier_coverage;
pub use tier_summary::{policy_notes, tier_summary};
