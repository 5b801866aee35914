//! Facts of published networks that the parity kit has no files of: names, sizes, channels, parameters. Counts are
//! those of timm 1.0.31 and torchvision 0.29 without a head.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::tensor::Device;
use derm_backbones::{
    AnyBackbone, BackboneConfig, Blocks, EfficientNetConfig, MobileNetV2Config, count_parameters,
};
use derm_core::{Backbone, Interpolation};

fn named(name: &str) -> BackboneConfig {
    serde_json::from_str(&format!("\"{name}\"")).unwrap()
}

fn network(name: &str) -> AnyBackbone {
    named(name).init(&Device::default()).unwrap()
}

#[test]
fn parameters_and_names_are_the_published_ones() {
    for (name, trainable, buffers, embedding) in [
        ("mobilenetv2_050", 687_680, 18_544, 1280),
        ("mobilenetv2_100", 2_223_872, 34_112, 1280),
        ("mobilenetv2_140", 4_315_776, 47_936, 1792),
        ("efficientnet_b0", 4_007_548, 42_016, 1280),
        ("efficientnet_b1", 6_513_184, 62_048, 1280),
        ("efficientnet_b2", 7_700_994, 67_568, 1408),
        ("efficientnet_b3", 10_696_232, 87_296, 1536),
        ("convnextv2_atto", 3_387_400, 0, 320),
        ("convnextv2_femto", 4_848_240, 0, 384),
        ("convnextv2_pico", 8_553_280, 0, 512),
        ("convnextv2_nano", 14_982_800, 0, 640),
        ("mobilevit_xxs", 951_024, 4_112, 320),
        ("mobilevit_xs", 1_932_848, 8_448, 384),
        ("mobilevit_s", 4_937_632, 12_256, 640),
    ] {
        let network = network(name);
        let count = count_parameters(&network);
        assert_eq!((count.trainable, count.buffers), (trainable, buffers), "{name}");
        assert_eq!(network.spec().architecture, name);
        assert_eq!(network.spec().embedding, embedding, "{name}");
    }
    assert_eq!(named("mobilenet_v2"), named("mobilenetv2_100"));
}

/// Channels of stem, stages and last convolution, and the number of blocks between, in torchvision.
#[test]
fn efficientnet_scales_to_the_known_tables() {
    for (name, channels, blocks) in [
        ("efficientnet_b0", [32, 16, 24, 40, 80, 112, 192, 320, 1280], 16),
        ("efficientnet_b1", [32, 16, 24, 40, 80, 112, 192, 320, 1280], 23),
        ("efficientnet_b2", [32, 16, 24, 48, 88, 120, 208, 352, 1408], 23),
        ("efficientnet_b3", [40, 24, 32, 48, 96, 136, 232, 384, 1536], 26),
    ] {
        let network = network(name);
        let got: Vec<usize> = network.spec().stages.iter().map(|stage| stage.channels).collect();
        assert_eq!(got, channels, "{name}");
        assert_eq!(network.num_blocks(), blocks + 2, "{name}");
    }
}

/// torchvision's `IMAGENET1K_V1` transforms and timm's `default_cfg`: crop and resize in pixels.
#[test]
fn inputs_are_those_of_the_weights() {
    for (name, size, resize, interpolation) in [
        ("mobilenetv2_100", 224, 256, Interpolation::Bilinear),
        ("efficientnet_b0", 224, 256, Interpolation::Bicubic),
        ("efficientnet_b1", 240, 256, Interpolation::Bicubic),
        ("efficientnet_b2", 288, 288, Interpolation::Bicubic),
        ("efficientnet_b3", 300, 320, Interpolation::Bicubic),
        ("convnextv2_tiny", 224, 256, Interpolation::Bicubic),
        ("mobilevit_s", 256, 284, Interpolation::Bicubic),
    ] {
        let input = named(name).spec().unwrap().input;
        assert_eq!((input.size, input.interpolation), (size, interpolation), "{name}");
        assert_eq!((size as f32 / input.crop_pct) as u32, resize, "{name}");
    }
    let mobilevit = named("mobilevit_xs").spec().unwrap().input.normalization;
    assert_eq!((mobilevit.mean, mobilevit.std), ([0.0; 3], [1.0; 3]));
}

#[test]
fn free_networks_are_named_by_what_is_free() {
    let free = EfficientNetConfig { depth_multiplier: 0.5, ..EfficientNetConfig::b0() };
    assert_eq!(free.architecture(), "efficientnet_1_0.5");
    assert_eq!(free.published_dropout(), None);
    assert_eq!(EfficientNetConfig::b2().published_dropout(), Some(0.3));
    assert_eq!(MobileNetV2Config::new(0.35).architecture(), "mobilenetv2_035");
}
