use serde::{Deserialize, Serialize};

/// How pixel values between pixels are computed when an image is resized. Both kernels are widened by the
/// scale when shrinking (antialiased), as PIL and torchvision do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Triangle kernel; torchvision's default for the `ResNet` family.
    #[default]
    Bilinear,
    /// Cubic convolution kernel with a = −0.5, as PIL has it.
    Bicubic,
}

/// Per-channel standardisation of RGB pixels scaled to [0, 1]: `(x − mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Mean of R, G and B on the [0, 1] scale.
    pub mean: [f32; 3],
    /// Deviation of R, G and B on the [0, 1] scale; positive.
    pub std: [f32; 3],
}

impl Normalization {
    /// The statistics of `ImageNet`, which torchvision's and most of timm's weights expect.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
    /// One half for both, which maps to [−1, 1]: `SigLIP` and Inception.
    pub const HALF: Self = Self { mean: [0.5; 3], std: [0.5; 3] };
}

/// What a backbone expects of its image: side length, standardisation and how the image is brought there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageInput {
    /// Side of the square input in pixels.
    pub size: usize,
    /// Standardisation of the pixels.
    pub normalization: Normalization,
    /// Kernel of the resize.
    pub interpolation: Interpolation,
    /// Share of the shorter side that the centre crop keeps, in (0, 1]; 0.875 is 224 of 256.
    pub crop_pct: f32,
}
