use super::{Naming, Published, PublishedKeys, rewrite};
use crate::{Bert, BertFamily};

const BERT: &[(&str, &str)] = &[
    ("words", "embeddings.word_embeddings"),
    ("positions", "embeddings.position_embeddings"),
    ("token_types", "embeddings.token_type_embeddings"),
    ("norm", "embeddings.LayerNorm"),
    ("layers.*.attention.proj", "encoder.layer.*.attention.output.dense"),
    ("layers.*.norm1", "encoder.layer.*.attention.output.LayerNorm"),
    ("layers.*.mlp.fc1", "encoder.layer.*.intermediate.dense"),
    ("layers.*.mlp.fc2", "encoder.layer.*.output.dense"),
    ("layers.*.norm2", "encoder.layer.*.output.LayerNorm"),
    ("pooler", "pooler.dense"),
];

const DISTILBERT: &[(&str, &str)] = &[
    ("words", "embeddings.word_embeddings"),
    ("positions", "embeddings.position_embeddings"),
    ("norm", "embeddings.LayerNorm"),
    ("layers.*.attention.proj", "transformer.layer.*.attention.out_lin"),
    ("layers.*.norm1", "transformer.layer.*.sa_layer_norm"),
    ("layers.*.mlp.fc1", "transformer.layer.*.ffn.lin1"),
    ("layers.*.mlp.fc2", "transformer.layer.*.ffn.lin2"),
    ("layers.*.norm2", "transformer.layer.*.output_layer_norm"),
];

/// transformers' names. Queries, keys and values are one layer here and three there.
impl PublishedKeys for Bert {
    fn namings(&self) -> &'static [Naming] {
        &[Naming::HuggingFace]
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        let (rules, qkv, parts) = match self.config().family {
            BertFamily::Bert => (BERT, "encoder.layer.*.attention.self", ["query", "key", "value"]),
            BertFamily::DistilBert => {
                (DISTILBERT, "transformer.layer.*.attention", ["q_lin", "k_lin", "v_lin"])
            }
        };
        let prefix = self.published_prefix(naming);
        let fused = rewrite(path, &[("layers.*.attention.qkv", qkv)]);
        if fused == path {
            return Published::key(format!("{prefix}{}", rewrite(path, rules)));
        }
        let (layer, parameter) = fused.rsplit_once('.').unwrap_or((&fused, ""));
        Published::parts(parts.map(|part| format!("{prefix}{layer}.{part}.{parameter}")))
    }

    fn published_prefix(&self, _naming: Naming) -> &'static str {
        match (self.config().prefixed, self.config().family) {
            (false, _) => "",
            (true, BertFamily::Bert) => "bert.",
            (true, BertFamily::DistilBert) => "distilbert.",
        }
    }

    /// BERT's first files call the scale and the offset of a layer norm `gamma` and `beta`.
    fn renamed(&self, key: &str, _naming: Naming) -> Option<String> {
        let renamed = |old: &str, new: &str| key.strip_suffix(old).map(|layer| format!("{layer}{new}"));
        renamed("LayerNorm.gamma", "LayerNorm.weight").or_else(|| renamed("LayerNorm.beta", "LayerNorm.bias"))
    }

    /// The heads of pre-training, and a buffer that counts positions.
    fn left_out(&self, _naming: Naming) -> &'static [&'static str] {
        match self.config().family {
            BertFamily::Bert => &["cls.", "bert.embeddings.position_ids", "embeddings.position_ids"],
            BertFamily::DistilBert => &["vocab_transform.", "vocab_layer_norm.", "vocab_projector."],
        }
    }
}
