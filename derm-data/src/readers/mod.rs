//! Readers of published datasets, each of the layout as it is published, and of a clinic's own table.
//!
//! Every reader is `read(root, policy)` and gives a [`Dataset`](crate::Dataset); [`Source`] names one in a recipe. No
//! image is opened by a reader (but [`dermamnist`], whose images are in one file):
//! [`Dataset::load_pixels`](crate::Dataset::load_pixels) and
//! [`Dataset::verify_images`](crate::Dataset::verify_images) do that.

pub mod bcn20000;
mod csv_layout;
pub mod ddi;
pub mod derm7pt;
pub mod dermamnist;
pub mod fitzpatrick17k;
pub mod folders;
pub mod ham10000;
mod image_index;
mod intake;
pub mod isic2019;
pub mod isic2020;
mod join;
mod one_hot;
pub mod pad_ufes_20;
mod policy;
mod python_literal;
pub mod scin;
mod source;
mod table;
pub mod uci_dermatology;

pub use csv_layout::{CsvLayout, ImageColumn, LabelColumns, SchemaFrom, SplitColumn};
pub use policy::{ImagePolicy, ReadPolicy};
pub use source::Source;
