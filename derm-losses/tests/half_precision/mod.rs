//! The half-precision types of a device.
use burn::tensor::{Device, FloatDType};

/// f16 and bf16, where the device has them: ndarray has neither, and nothing else may lack both in silence.
pub(crate) fn half_precisions(device: &Device) -> Vec<FloatDType> {
    let halves: Vec<FloatDType> = [FloatDType::F16, FloatDType::BF16]
        .into_iter()
        .filter(|&dtype| device.supports_dtype(dtype))
        .collect();
    assert!(
        !halves.is_empty() || format!("{device:?}").contains("NdArray"),
        "{device:?} has no half precision"
    );
    halves
}
