#![doc = include_str!("../README.md")]
// A test that meets a wrong file or a wrong value must stop and print.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::missing_panics_doc, reason = "every function here panics where a case is not as expected")]

mod case;
mod file;
mod got;
mod tensor;

pub use case::Case;
pub use file::{GoldenFile, golden_folder};
pub use got::Got;
pub use tensor::Tensor;
