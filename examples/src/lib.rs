//! What the example programs share: the device, and how a program ends.

pub mod answers_network;
pub mod baselines;
pub mod ensemble;
pub mod evaluate;
pub mod own_network;
pub mod quantize;
pub mod questionnaire_only;
pub mod quickstart;
pub mod robustness;
pub mod vet_labels;

/// The programs of the workspace's README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

use std::path::Path;
use std::process::ExitCode;

use burn::tensor::Device;
use derm_core::{Predictions, PredictionsError, Role};
use derm_train::Devices;

/// The device that the environment variable `BURN_DEVICE` names (`flex`, `ndarray`, `cuda`), else the best one
/// that was compiled in.
///
/// # Errors
/// Where the variable names a backend that this program was built without.
pub fn device() -> Result<Device, String> {
    let compiled = [
        ("cuda", cfg!(feature = "cuda")),
        ("flex", cfg!(feature = "flex")),
        ("ndarray", cfg!(feature = "ndarray")),
    ];
    let compiled: Vec<&str> =
        compiled.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
    if let Ok(name) = std::env::var("BURN_DEVICE")
        && !compiled.contains(&name.as_str())
    {
        return Err(format!("BURN_DEVICE={name}: this program was built with {compiled:?}"));
    }
    if compiled.is_empty() {
        return Err("this program was built without a backend: enable `flex`, `ndarray` or `cuda`".to_owned());
    }
    Ok(Device::default())
}

/// The devices of a training: that of [`device`], or these CUDA cards together.
///
/// # Errors
/// As [`device`], and for cards where the program was built without CUDA.
pub fn devices(cards: &[usize]) -> Result<Devices, String> {
    let first = device()?;
    if cards.is_empty() {
        return Ok(Devices::from(&first));
    }
    #[cfg(feature = "cuda")]
    {
        let mut cards = cards.iter().map(|&card| Device::cuda(card));
        let first = cards.next().unwrap_or(first);
        Ok(Devices { first, others: cards.collect(), reduction: derm_train::Reduction::AllReduce })
    }
    #[cfg(not(feature = "cuda"))]
    Err("--cards: this program was built without the feature `cuda`".to_owned())
}

/// The predictions of a role in a folder: `<role>.safetensors` where it is there, else `<role>.csv`.
///
/// # Errors
/// As `Predictions::load`.
pub fn load_predictions<R: Role>(folder: &Path) -> Result<Predictions<R>, PredictionsError> {
    let binary = folder.join(format!("{}.safetensors", R::ROLE));
    let path = if binary.is_file() { binary } else { folder.join(format!("{}.csv", R::ROLE)) };
    Predictions::load(path)
}

/// Prints the error and its sources, and ends with status 1.
pub fn finish<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                // A transparent error repeats its source's words.
                if !error.to_string().contains(&cause.to_string()) {
                    eprintln!("  because {cause}");
                }
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}
