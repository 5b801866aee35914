//! Readers of published datasets, each of the layout as it is published, and of a clinic's own table.
//!
//! Every reader is `read(root, policy)` and gives a [`Dataset`](crate::Dataset). No image is opened by a reader:
//! [`Dataset::load_pixels`](crate::Dataset::load_pixels) and
//! [`Dataset::verify_images`](crate::Dataset::verify_images) do that.

pub mod ham10000;
mod image_index;
mod intake;
mod policy;
mod table;

pub use policy::{ImagePolicy, ReadPolicy};
