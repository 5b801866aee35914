//! The search for hyper-parameters: how points are drawn, when trials are given up, what a file of it is worth, and whole
//! searches on a tiny made dataset.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bad_input;
mod pruner;
mod resume;
mod sampler;
mod training;
