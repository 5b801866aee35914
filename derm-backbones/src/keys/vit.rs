use super::{Naming, Published, PublishedKeys, rewrite};
use crate::{PositionTable, Vit, VitPooling};

const TIMM: &[(&str, &str)] = &[
    ("class_token", "cls_token"),
    ("distillation_token", "dist_token"),
    ("position_embedding", "pos_embed"),
    ("patch_embedding", "patch_embed.proj"),
    ("blocks.*.attention", "blocks.*.attn"),
];

const TORCHVISION: &[(&str, &str)] = &[
    ("patch_embedding", "conv_proj"),
    ("position_embedding", "encoder.pos_embedding"),
    ("blocks.*.norm1", "encoder.layers.*.ln_1"),
    ("blocks.*.attention.qkv", "encoder.layers.*.self_attention.in_proj"),
    ("blocks.*.attention.proj", "encoder.layers.*.self_attention.out_proj"),
    ("blocks.*.norm2", "encoder.layers.*.ln_2"),
    ("blocks.*.mlp.fc1", "encoder.layers.*.mlp.0"),
    ("blocks.*.mlp.fc2", "encoder.layers.*.mlp.3"),
    ("norm", "encoder.ln"),
];

const HUGGING_FACE: &[(&str, &str)] = &[
    ("class_token", "embeddings.cls_token"),
    ("distillation_token", "embeddings.distillation_token"),
    ("position_embedding", "embeddings.position_embeddings"),
    ("patch_embedding", "embeddings.patch_embeddings.projection"),
    ("blocks.*.norm1", "encoder.layer.*.layernorm_before"),
    ("blocks.*.attention.qkv", "encoder.layer.*.attention.attention"),
    ("blocks.*.attention.proj", "encoder.layer.*.attention.output.dense"),
    ("blocks.*.norm2", "encoder.layer.*.layernorm_after"),
    ("blocks.*.mlp.fc1", "encoder.layer.*.intermediate.dense"),
    ("blocks.*.mlp.fc2", "encoder.layer.*.output.dense"),
    ("norm", "layernorm"),
    ("pooler", "pooler.dense"),
];

/// timm's, torchvision's and transformers' names. torchvision has no distilled network, and only transformers has
/// a pooler.
impl PublishedKeys for Vit {
    fn namings(&self) -> &'static [Naming] {
        match self.pooling() {
            VitPooling::ClassToken => &[Naming::Timm, Naming::Torchvision, Naming::HuggingFace],
            VitPooling::Distilled => &[Naming::Timm, Naming::HuggingFace],
            VitPooling::Pooler => &[Naming::HuggingFace],
        }
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        match naming {
            Naming::Torchvision => {
                let key = rewrite(path, TORCHVISION);
                let key = key.replacen("encoder.layers.", "encoder.layers.encoder_layer_", 1);
                Published::key(key.replacen("in_proj.", "in_proj_", 1))
            }
            Naming::HuggingFace => {
                let prefix = self.published_prefix(naming);
                let key = rewrite(path, HUGGING_FACE);
                match key.rsplit_once('.') {
                    Some((layer, parameter)) if path.contains(".qkv.") => Published::parts(
                        ["query", "key", "value"].map(|part| format!("{prefix}{layer}.{part}.{parameter}")),
                    ),
                    _ => Published::key(format!("{prefix}{key}")),
                }
            }
            _ => Published::key(rewrite(path, TIMM)),
        }
    }

    fn published_head(&self, naming: Naming) -> &'static str {
        match (naming, self.pooling()) {
            (Naming::Torchvision, _) => "heads.head",
            (Naming::HuggingFace, VitPooling::Distilled) => "cls_classifier",
            (Naming::HuggingFace, _) => "classifier",
            _ => "head",
        }
    }

    fn published_distillation_head(&self, naming: Naming) -> &'static str {
        if naming == Naming::HuggingFace { "distillation_classifier" } else { "head_dist" }
    }

    /// transformers puts the encoder of a classifier under a prefix; a file of the bare model, which has the
    /// pooler, has none.
    fn published_prefix(&self, naming: Naming) -> &'static str {
        match (naming, self.pooling()) {
            (Naming::HuggingFace, VitPooling::ClassToken) => "vit.",
            (Naming::HuggingFace, VitPooling::Distilled) => "deit.",
            _ => "",
        }
    }

    /// The pooler of transformers' bare model, where the class token itself is wanted.
    fn left_out(&self, naming: Naming) -> &'static [&'static str] {
        match (naming, self.pooling()) {
            (Naming::HuggingFace, VitPooling::ClassToken | VitPooling::Distilled) => {
                &["pooler.", "vit.pooler.", "deit.pooler."]
            }
            _ => &[],
        }
    }

    fn position_table(&self, path: &str) -> Option<PositionTable> {
        (path == "position_embedding").then(|| self.positions())
    }
}
