use burn::module::Module;
use burn::tensor::{Device, Tensor};
use derm_core::{Backbone, BackboneSpec, Features, Taps};
use serde::{Deserialize, Serialize};

use crate::{
    Blocks, ConvNextV2, ConvNextV2Config, CountMacs, EfficientNet, EfficientNetConfig, Error, LayerGroup,
    LayerGroups, Macs, MobileNetV2, MobileNetV2Config, MobileVit, MobileVitConfig, PublishedKeys, ResNet,
    ResNetConfig, Siglip, SiglipConfig, Stem, Vit, VitConfig,
};

/// An image encoder that a file names: `resnet18`, or `resnet: {block: basic, depths: […], widths: […], stem: …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackboneConfig {
    /// torchvision's `ResNet`-18, 7×7 stem.
    Resnet18,
    /// torchvision's `ResNet`-34, 7×7 stem.
    Resnet34,
    /// torchvision's `ResNet`-50, 7×7 stem.
    Resnet50,
    /// torchvision's `ResNet`-101, 7×7 stem.
    Resnet101,
    /// `MedMNIST`'s `ResNet`-18 for small images, 3×3 stem.
    #[serde(rename = "resnet18_28")]
    Resnet18_28,
    /// `MedMNIST`'s `ResNet`-50 for small images, 3×3 stem.
    #[serde(rename = "resnet50_28")]
    Resnet50_28,
    /// A `ResNet` of free depths and widths.
    Resnet(ResNetConfig),
    /// `MobileNetV2` of width 0.5, timm.
    #[serde(rename = "mobilenetv2_050")]
    Mobilenetv2_050,
    /// `MobileNetV2`, torchvision and timm.
    #[serde(rename = "mobilenetv2_100", alias = "mobilenet_v2")]
    Mobilenetv2_100,
    /// `MobileNetV2` of width 1.4, timm.
    #[serde(rename = "mobilenetv2_140")]
    Mobilenetv2_140,
    /// A `MobileNetV2` of free width.
    Mobilenetv2(MobileNetV2Config),
    /// `EfficientNet`-B0, torchvision and timm.
    EfficientnetB0,
    /// `EfficientNet`-B1, torchvision and timm.
    EfficientnetB1,
    /// `EfficientNet`-B2, torchvision and timm.
    EfficientnetB2,
    /// `EfficientNet`-B3, torchvision and timm.
    EfficientnetB3,
    /// An `EfficientNet` of free width and depth.
    Efficientnet(EfficientNetConfig),
    /// `ConvNeXt` V2 atto.
    Convnextv2Atto,
    /// `ConvNeXt` V2 femto.
    Convnextv2Femto,
    /// `ConvNeXt` V2 pico.
    Convnextv2Pico,
    /// `ConvNeXt` V2 nano.
    Convnextv2Nano,
    /// `ConvNeXt` V2 tiny.
    Convnextv2Tiny,
    /// `ConvNeXt` V2 base.
    Convnextv2Base,
    /// A `ConvNeXt` V2 of free depths and widths.
    Convnextv2(ConvNextV2Config),
    /// `MobileViT`-XXS.
    MobilevitXxs,
    /// `MobileViT`-XS.
    MobilevitXs,
    /// `MobileViT`-S.
    MobilevitS,
    /// A `MobileViT` of free widths and depths.
    Mobilevit(MobileVitConfig),
    /// timm's `ViT`-tiny, patch 16, 224 pixels.
    #[serde(rename = "vit_tiny_patch16_224")]
    VitTinyPatch16_224,
    /// timm's `ViT`-small, patch 16, 224 pixels.
    #[serde(rename = "vit_small_patch16_224")]
    VitSmallPatch16_224,
    /// timm's `ViT`-base, patch 16, 224 pixels.
    #[serde(rename = "vit_base_patch16_224")]
    VitBasePatch16_224,
    /// torchvision's `ViT`-base, patch 16, 224 pixels.
    #[serde(rename = "vit_b_16")]
    VitB16,
    /// `ViT`-base with a pooler, as Hugging Face has it, patch 16, 224 pixels.
    #[serde(rename = "vit_base_patch16_224_in21k")]
    VitBasePatch16_224In21k,
    /// `DeiT`-tiny, patch 16, 224 pixels.
    #[serde(rename = "deit_tiny_patch16_224")]
    DeitTinyPatch16_224,
    /// `DeiT`-small, patch 16, 224 pixels.
    #[serde(rename = "deit_small_patch16_224")]
    DeitSmallPatch16_224,
    /// `DeiT`-base, patch 16, 224 pixels.
    #[serde(rename = "deit_base_patch16_224")]
    DeitBasePatch16_224,
    /// `DeiT`-tiny with a distillation token, patch 16, 224 pixels.
    #[serde(rename = "deit_tiny_distilled_patch16_224")]
    DeitTinyDistilledPatch16_224,
    /// `DeiT`-small with a distillation token, patch 16, 224 pixels.
    #[serde(rename = "deit_small_distilled_patch16_224")]
    DeitSmallDistilledPatch16_224,
    /// `DeiT`-base with a distillation token, patch 16, 224 pixels.
    #[serde(rename = "deit_base_distilled_patch16_224")]
    DeitBaseDistilledPatch16_224,
    /// A vision transformer of free sizes.
    Vit(VitConfig),
    /// `SigLIP`'s base vision tower, patch 16, 224 pixels.
    #[serde(rename = "siglip_base_patch16_224")]
    SiglipBasePatch16_224,
    /// `SigLIP`'s so400m vision tower, patch 14, 384 pixels.
    #[serde(rename = "siglip_so400m_patch14_384")]
    SiglipSo400mPatch14_384,
    /// `MedSigLIP`: the so400m vision tower at 448 pixels.
    #[serde(rename = "medsiglip_448")]
    Medsiglip448,
    /// A `SigLIP` vision tower of free sizes.
    Siglip(SiglipConfig),
}

impl BackboneConfig {
    /// The architecture's config that this one names.
    fn any(&self) -> AnyConfig {
        match self {
            Self::Resnet18 => ResNetConfig::resnet18(Stem::Conv7x7).into(),
            Self::Resnet34 => ResNetConfig::resnet34(Stem::Conv7x7).into(),
            Self::Resnet50 => ResNetConfig::resnet50(Stem::Conv7x7).into(),
            Self::Resnet101 => ResNetConfig::resnet101(Stem::Conv7x7).into(),
            Self::Resnet18_28 => ResNetConfig::resnet18(Stem::Conv3x3).into(),
            Self::Resnet50_28 => ResNetConfig::resnet50(Stem::Conv3x3).into(),
            Self::Resnet(config) => config.clone().into(),
            Self::Mobilenetv2_050 => MobileNetV2Config::new(0.5).into(),
            Self::Mobilenetv2_100 => MobileNetV2Config::new(1.0).into(),
            Self::Mobilenetv2_140 => MobileNetV2Config::new(1.4).into(),
            Self::Mobilenetv2(config) => config.clone().into(),
            Self::EfficientnetB0 => EfficientNetConfig::b0().into(),
            Self::EfficientnetB1 => EfficientNetConfig::b1().into(),
            Self::EfficientnetB2 => EfficientNetConfig::b2().into(),
            Self::EfficientnetB3 => EfficientNetConfig::b3().into(),
            Self::Efficientnet(config) => config.clone().into(),
            Self::Convnextv2Atto => ConvNextV2Config::atto().into(),
            Self::Convnextv2Femto => ConvNextV2Config::femto().into(),
            Self::Convnextv2Pico => ConvNextV2Config::pico().into(),
            Self::Convnextv2Nano => ConvNextV2Config::nano().into(),
            Self::Convnextv2Tiny => ConvNextV2Config::tiny().into(),
            Self::Convnextv2Base => ConvNextV2Config::base().into(),
            Self::Convnextv2(config) => config.clone().into(),
            Self::MobilevitXxs => MobileVitConfig::xxs().into(),
            Self::MobilevitXs => MobileVitConfig::xs().into(),
            Self::MobilevitS => MobileVitConfig::s().into(),
            Self::Mobilevit(config) => config.clone().into(),
            Self::VitTinyPatch16_224 => VitConfig::vit_tiny_patch16_224().into(),
            Self::VitSmallPatch16_224 => VitConfig::vit_small_patch16_224().into(),
            Self::VitBasePatch16_224 => VitConfig::vit_base_patch16_224().into(),
            Self::VitB16 => VitConfig::vit_b_16().into(),
            Self::VitBasePatch16_224In21k => VitConfig::vit_base_patch16_224_in21k().into(),
            Self::DeitTinyPatch16_224 => VitConfig::deit_tiny_patch16_224().into(),
            Self::DeitSmallPatch16_224 => VitConfig::deit_small_patch16_224().into(),
            Self::DeitBasePatch16_224 => VitConfig::deit_base_patch16_224().into(),
            Self::DeitTinyDistilledPatch16_224 => VitConfig::deit_tiny_patch16_224().distilled().into(),
            Self::DeitSmallDistilledPatch16_224 => VitConfig::deit_small_patch16_224().distilled().into(),
            Self::DeitBaseDistilledPatch16_224 => VitConfig::deit_base_patch16_224().distilled().into(),
            Self::Vit(config) => config.clone().into(),
            Self::SiglipBasePatch16_224 => SiglipConfig::siglip_base_patch16_224().into(),
            Self::SiglipSo400mPatch14_384 => SiglipConfig::siglip_so400m_patch14_384().into(),
            Self::Medsiglip448 => SiglipConfig::medsiglip_448().into(),
            Self::Siglip(config) => config.clone().into(),
        }
    }

    /// The same network with stochastic depth of this rate in training, in [0, 1), under the name of its free sizes.
    ///
    /// ```
    /// use derm_backbones::BackboneConfig;
    ///
    /// let config = BackboneConfig::Convnextv2Base.with_stochastic_depth(0.2)?;
    /// assert!(matches!(config, BackboneConfig::Convnextv2(config) if config.stochastic_depth == 0.2));
    /// assert!(BackboneConfig::Resnet18.with_stochastic_depth(0.2).is_err());
    /// # Ok::<(), derm_backbones::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoStochasticDepth`] for an architecture without it; a rate out of range, as the architecture's config.
    pub fn with_stochastic_depth(&self, rate: f64) -> Result<Self, Error> {
        let config = match self.any() {
            AnyConfig::ConvNextV2(config) => {
                Self::Convnextv2(ConvNextV2Config { stochastic_depth: rate, ..config })
            }
            AnyConfig::EfficientNet(config) => {
                Self::Efficientnet(EfficientNetConfig { stochastic_depth: rate, ..config })
            }
            AnyConfig::Vit(config) => Self::Vit(VitConfig { drop_path: rate, ..config }),
            other => return Err(Error::NoStochasticDepth { architecture: other.spec()?.architecture }),
        };
        config.validate()?;
        Ok(config)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// As the architecture's config.
    pub fn validate(&self) -> Result<(), Error> {
        self.any().validate()
    }

    /// The encoder's description, without building it.
    ///
    /// # Errors
    /// As [`BackboneConfig::validate`].
    pub fn spec(&self) -> Result<BackboneSpec, Error> {
        self.any().spec()
    }

    /// The encoder with fresh weights.
    ///
    /// # Errors
    /// As [`BackboneConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<AnyBackbone, Error> {
        self.any().init(device)
    }
}

/// Declares [`AnyBackbone`] and passes everything on to the network inside, from the architecture's config on.
macro_rules! any_backbone {
    ($($(#[$doc:meta])* $variant:ident($config:ident)),+ $(,)?) => {
        /// The config of some architecture.
        enum AnyConfig {
            $($variant($config)),+
        }

        $(impl From<$config> for AnyConfig {
            fn from(config: $config) -> Self {
                Self::$variant(config)
            }
        })+

        impl AnyConfig {
            fn validate(&self) -> Result<(), Error> {
                match self {
                    $(Self::$variant(config) => config.validate()),+
                }
            }

            fn spec(&self) -> Result<BackboneSpec, Error> {
                match self {
                    $(Self::$variant(config) => config.spec()),+
                }
            }

            fn init(&self, device: &Device) -> Result<AnyBackbone, Error> {
                match self {
                    $(Self::$variant(config) => config.init(device).map(AnyBackbone::$variant)),+
                }
            }
        }

        /// An image encoder whose architecture a file named. Code that knows its network holds the network itself:
        /// everything that takes one is generic over [`Backbone`].
        #[derive(Module, Debug)]
        #[expect(clippy::large_enum_variant, reason = "a program holds one or two")]
        pub enum AnyBackbone {
            $($(#[$doc])* $variant($variant)),+
        }

        impl AnyBackbone {
            /// The network's key map.
            pub(crate) fn keys(&self) -> &dyn PublishedKeys {
                match self {
                    $(Self::$variant(network) => network),+
                }
            }
        }

        impl Backbone for AnyBackbone {
            fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
                match self {
                    $(Self::$variant(network) => network.forward_features(images, taps)),+
                }
            }

            fn spec(&self) -> &BackboneSpec {
                match self {
                    $(Self::$variant(network) => network.spec()),+
                }
            }

            fn fold_batch_norm(self) -> Self {
                match self {
                    $(Self::$variant(network) => Self::$variant(network.fold_batch_norm())),+
                }
            }

            fn fold_for_export(self) -> Self {
                match self {
                    $(Self::$variant(network) => Self::$variant(network.fold_for_export())),+
                }
            }
        }

        impl Blocks for AnyBackbone {
            fn num_blocks(&self) -> usize {
                match self {
                    $(Self::$variant(network) => network.num_blocks()),+
                }
            }

            fn block(&self, index: usize, state: Tensor<4>) -> Tensor<4> {
                match self {
                    $(Self::$variant(network) => network.block(index, state)),+
                }
            }

            fn stage_block(&self, stage: usize) -> usize {
                match self {
                    $(Self::$variant(network) => network.stage_block(stage)),+
                }
            }

            fn stage_map(&self, state: Tensor<4>, image: [usize; 2]) -> Tensor<4> {
                match self {
                    $(Self::$variant(network) => network.stage_map(state, image)),+
                }
            }

            fn attention_block(&self, attention: usize) -> usize {
                match self {
                    $(Self::$variant(network) => network.attention_block(attention)),+
                }
            }

            fn attention(&self, index: usize, state: Tensor<4>) -> Option<Tensor<4>> {
                match self {
                    $(Self::$variant(network) => network.attention(index, state)),+
                }
            }

            fn pool(&self, state: Tensor<4>) -> Features {
                match self {
                    $(Self::$variant(network) => network.pool(state)),+
                }
            }
        }

        impl CountMacs for AnyBackbone {
            fn macs(&self, image: [usize; 2]) -> Macs {
                match self {
                    $(Self::$variant(network) => network.macs(image)),+
                }
            }
        }

        impl LayerGroups for AnyBackbone {
            fn layer_groups(&self) -> Vec<LayerGroup> {
                match self {
                    $(Self::$variant(network) => network.layer_groups()),+
                }
            }
        }
    };
}

any_backbone! {
    /// [`ResNet`].
    ResNet(ResNetConfig),
    /// [`MobileNetV2`].
    MobileNetV2(MobileNetV2Config),
    /// [`EfficientNet`].
    EfficientNet(EfficientNetConfig),
    /// [`ConvNextV2`].
    ConvNextV2(ConvNextV2Config),
    /// [`MobileVit`].
    MobileVit(MobileVitConfig),
    /// [`Vit`].
    Vit(VitConfig),
    /// [`Siglip`].
    Siglip(SiglipConfig),
}
