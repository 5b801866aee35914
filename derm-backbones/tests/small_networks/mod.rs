//! Small networks of every architecture, for what holds for all of them.

use burn::tensor::{Device, Tensor, TensorData};
use derm_backbones::{
    BackboneConfig, BlockKind, ConvNextV2Config, EfficientNetConfig, MobileNetV2Config, MobileVitConfig,
    PointwiseLayers, ResNetConfig, SiglipConfig, Stem, VitConfig, VitPooling,
};
use derm_core::ImageInput;

/// A small network of every architecture and the image it is shown.
pub(crate) fn small_networks() -> Vec<(BackboneConfig, [usize; 2])> {
    let resnet = |block, stem| {
        BackboneConfig::Resnet(ResNetConfig { block, depths: vec![1, 2], widths: vec![6, 8], stem })
    };
    let efficientnet = EfficientNetConfig {
        width_multiplier: 0.2,
        depth_multiplier: 0.3,
        stochastic_depth: 0.0,
        ..EfficientNetConfig::b0()
    };
    let convnext_v2 = |pointwise_layers| {
        let (depths, widths) = (vec![1, 2], vec![6, 8]);
        BackboneConfig::Convnextv2(ConvNextV2Config {
            depths,
            widths,
            stochastic_depth: 0.0,
            pointwise_layers,
        })
    };
    let mobilevit = MobileVitConfig {
        widths: [4, 5, 6, 7, 8],
        expansion: 2,
        transformer_widths: [6, 4, 8],
        transformer_depths: [1, 2, 1],
        heads: 2,
        embedding: 9,
        dropout: 0.0,
    };
    let vit = |pooling| {
        BackboneConfig::Vit(VitConfig {
            input: ImageInput { size: 12, ..VitConfig::deit_tiny_patch16_224().input },
            patch_size: 4,
            width: 12,
            depth: 2,
            heads: 3,
            hidden: 20,
            pooling,
            ..VitConfig::deit_tiny_patch16_224()
        })
    };
    let siglip = SiglipConfig {
        input: ImageInput { size: 12, ..SiglipConfig::medsiglip_448().input },
        patch_size: 4,
        width: 12,
        depth: 2,
        heads: 3,
        hidden: 20,
        attention_dropout: 0.0,
    };
    vec![
        (resnet(BlockKind::Basic, Stem::Conv3x3), [9, 12]),
        (resnet(BlockKind::Bottleneck, Stem::Conv7x7), [33, 32]),
        (BackboneConfig::Mobilenetv2(MobileNetV2Config::new(0.1)), [33, 64]),
        (BackboneConfig::Efficientnet(efficientnet), [64, 33]),
        (convnext_v2(PointwiseLayers::Convolution), [16, 24]),
        (convnext_v2(PointwiseLayers::Linear), [32, 16]),
        (BackboneConfig::Mobilevit(mobilevit.clone()), [32, 64]),
        // maps of odd sides are resized to whole patches
        (BackboneConfig::Mobilevit(mobilevit), [40, 33]),
        (vit(VitPooling::ClassToken), [12, 12]),
        // another size than the config's: the table of positions is resampled
        (vit(VitPooling::Distilled), [8, 20]),
        (vit(VitPooling::Pooler), [12, 8]),
        (BackboneConfig::Siglip(siglip.clone()), [12, 12]),
        (BackboneConfig::Siglip(siglip), [16, 8]),
    ]
}

/// Images [batch, 3, height, width] of mean 0 and deviation 1. They do not come from the device's random generator,
/// of which there is one: other tests seed it and draw from it at the same time.
pub(crate) fn images(batch: usize, [height, width]: [usize; 2], device: &Device) -> Tensor<4> {
    let count = batch * 3 * height * width;
    // a multiplicative generator modulo the prime 2³¹ − 1
    let steps = std::iter::successors(Some(16_807_u64), |state| Some(state * 48_271 % 0x7fff_ffff));
    let scale = 12.0_f64.sqrt();
    let values = steps.take(count).map(|state| (state as f64 / f64::from(0x7fff_ffff_u32) - 0.5) * scale);
    Tensor::from_data(TensorData::new(values.collect::<Vec<f64>>(), [batch, 3, height, width]), device)
}
