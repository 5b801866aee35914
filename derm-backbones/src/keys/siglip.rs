use super::{Naming, Published, PublishedKeys, rewrite};
use crate::{PositionTable, Siglip};

const HUGGING_FACE: &[(&str, &str)] = &[
    ("patch_embedding", "embeddings.patch_embedding"),
    ("position_embedding", "embeddings.position_embedding.weight"),
    ("blocks.*.norm1", "encoder.layers.*.layer_norm1"),
    ("blocks.*.attention.qkv", "encoder.layers.*.self_attn"),
    ("blocks.*.attention.proj", "encoder.layers.*.self_attn.out_proj"),
    ("blocks.*.norm2", "encoder.layers.*.layer_norm2"),
    ("blocks.*.mlp", "encoder.layers.*.mlp"),
    ("norm", "post_layernorm"),
    ("head.in_proj.weight", "head.attention.in_proj_weight"),
    ("head.in_proj.bias", "head.attention.in_proj_bias"),
    ("head.out_proj", "head.attention.out_proj"),
    ("head.norm", "head.layernorm"),
];

/// transformers' names. Queries, keys and values of a block are one layer here and three there.
impl PublishedKeys for Siglip {
    fn namings(&self) -> &'static [Naming] {
        &[Naming::HuggingFace]
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        let prefix = self.published_prefix(naming);
        let key = rewrite(path, HUGGING_FACE);
        match key.rsplit_once('.') {
            Some((layer, parameter)) if path.contains(".qkv.") => Published::parts(
                ["q_proj", "k_proj", "v_proj"].map(|part| format!("{prefix}{layer}.{part}.{parameter}")),
            ),
            _ => Published::key(format!("{prefix}{key}")),
        }
    }

    fn published_prefix(&self, _naming: Naming) -> &'static str {
        "vision_model."
    }

    /// The text tower and the temperature of a whole `SigLIP`, and a buffer that counts positions.
    fn left_out(&self, _naming: Naming) -> &'static [&'static str] {
        &[
            "text_model.",
            "logit_scale",
            "logit_bias",
            "vision_model.embeddings.position_ids",
            "embeddings.position_ids",
        ]
    }

    fn position_table(&self, path: &str) -> Option<PositionTable> {
        (path == "position_embedding").then(|| self.positions())
    }
}
