use super::{Naming, Published, PublishedKeys, rewrite};
use crate::{ConvNextV2, PointwiseLayers};

const TIMM: &[(&str, &str)] = &[
    ("stem.conv", "stem.0"),
    ("stem.norm", "stem.1"),
    ("stages.*.downsample.norm", "stages.*.downsample.0"),
    ("stages.*.downsample.conv", "stages.*.downsample.1"),
    ("stages.*.blocks.*.fc1", "stages.*.blocks.*.mlp.fc1"),
    ("stages.*.blocks.*.grn", "stages.*.blocks.*.mlp.grn"),
    ("stages.*.blocks.*.fc2", "stages.*.blocks.*.mlp.fc2"),
    ("norm", "head.norm"),
];

const HUGGING_FACE: &[(&str, &str)] = &[
    ("stem.conv", "embeddings.patch_embeddings"),
    ("stem.norm", "embeddings.layernorm"),
    ("stages.*.downsample.norm", "encoder.stages.*.downsampling_layer.0"),
    ("stages.*.downsample.conv", "encoder.stages.*.downsampling_layer.1"),
    ("stages.*.blocks.*.conv_dw", "encoder.stages.*.layers.*.dwconv"),
    ("stages.*.blocks.*.norm", "encoder.stages.*.layers.*.layernorm"),
    ("stages.*.blocks.*.fc1", "encoder.stages.*.layers.*.pwconv1"),
    ("stages.*.blocks.*.grn", "encoder.stages.*.layers.*.grn"),
    ("stages.*.blocks.*.fc2", "encoder.stages.*.layers.*.pwconv2"),
    ("norm", "layernorm"),
];

const ORIGINAL: &[(&str, &str)] = &[
    ("stem.conv", "downsample_layers.0.0"),
    ("stem.norm", "downsample_layers.0.1"),
    ("stages.*.downsample.norm", "downsample_layers.*.0"),
    ("stages.*.downsample.conv", "downsample_layers.*.1"),
    ("stages.*.blocks.*.conv_dw", "stages.*.*.dwconv"),
    ("stages.*.blocks.*.norm", "stages.*.*.norm"),
    ("stages.*.blocks.*.fc1", "stages.*.*.pwconv1"),
    ("stages.*.blocks.*.grn.weight", "stages.*.*.grn.gamma"),
    ("stages.*.blocks.*.grn.bias", "stages.*.*.grn.beta"),
    ("stages.*.blocks.*.fc2", "stages.*.*.pwconv2"),
];

/// timm's names, transformers' and the authors'. They differ in the ranks of the pointwise layers and of GRN too.
impl PublishedKeys for ConvNextV2 {
    fn namings(&self) -> &'static [Naming] {
        &[Naming::Timm, Naming::HuggingFace, Naming::Original]
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        let rules = match naming {
            Naming::HuggingFace => HUGGING_FACE,
            Naming::Original => ORIGINAL,
            _ => TIMM,
        };
        let key = format!("{}{}", self.published_prefix(naming), rewrite(path, rules));
        let published = Published::key(key);
        if naming == Naming::Timm {
            let weight = path.ends_with("fc1.weight") || path.ends_with("fc2.weight");
            let convolution = self.pointwise_layers() == PointwiseLayers::Convolution;
            if weight && convolution { published.with_trailing_axes(2) } else { published }
        } else if path.contains(".grn.") {
            published.with_leading_axes(3)
        } else {
            published
        }
    }

    fn published_head(&self, naming: Naming) -> &'static str {
        match naming {
            Naming::HuggingFace => "classifier",
            Naming::Original => "head",
            _ => "head.fc",
        }
    }

    fn published_prefix(&self, naming: Naming) -> &'static str {
        if naming == Naming::HuggingFace { "convnextv2." } else { "" }
    }
}
