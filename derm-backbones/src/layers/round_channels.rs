/// Channels are multiples of this.
const DIVISOR: usize = 8;

/// The multiple of 8 nearest to `channels`, at least 8, and the next one where rounding down would take more than
/// a tenth.
///
/// # Source
/// `_make_divisible` of torchvision and `make_divisible` of timm, both from TensorFlow's `MobileNet`.
pub(crate) fn round_channels(channels: f64) -> usize {
    let nearest = ((channels + DIVISOR as f64 / 2.0) as usize / DIVISOR * DIVISOR).max(DIVISOR);
    if (nearest as f64) < 0.9 * channels { nearest + DIVISOR } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::round_channels;

    /// Widths of timm's `mobilenetv2_050`, `mobilenetv2_140` and `efficientnet_b3`, and the edges.
    #[test]
    fn channels_are_those_of_the_published_networks() {
        for (channels, multiplier, expected) in [
            (32, 0.5, 16),
            (16, 0.5, 8),
            (24, 0.5, 16),
            (96, 0.5, 48),
            (32, 1.4, 48),
            (16, 1.4, 24),
            (24, 1.4, 32),
            (64, 1.4, 88),
            (160, 1.4, 224),
            (32, 1.2, 40),
            (16, 1.2, 24),
            (24, 1.2, 32),
            (80, 1.2, 96),
            (112, 1.2, 136),
            (192, 1.2, 232),
            (16, 0.35, 8),
            (16, 0.01, 8),
        ] {
            assert_eq!(round_channels(f64::from(channels) * multiplier), expected, "{channels} {multiplier}");
        }
    }
}
