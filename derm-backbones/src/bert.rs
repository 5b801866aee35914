use burn::module::{Initializer, Module};
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig,
};
use burn::tensor::{Bool, Device, Int, Tensor};
use derm_core::Taps;
use serde::{Deserialize, Serialize};

use crate::error::{check_count, check_heads, check_range};
use crate::layers::{Activation, Attention, ForwardInF32, Mlp, mean_of_kept};
use crate::{Error, LayerGroup, LayerGroups, Macs};

/// The deviation of all initial weights.
const INITIAL_STD: f64 = 0.02;
const EPSILON: f64 = 1e-12;

/// Whose parameter names and details a text encoder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BertFamily {
    /// Token types, a pooler, dropout behind attention and MLP; names such as `encoder.layer.0.attention.self.query`.
    Bert,
    /// No token types, no pooler, dropout behind the MLP only; names such as `transformer.layer.0.attention.q_lin`.
    DistilBert,
}

/// A BERT-like text encoder, as data. Published variants are constructors.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `family` | `bert` | names and details | |
/// | `vocabulary` | required | tokens | ≥ 1 |
/// | `positions` | 512 | longest text in tokens | ≥ 1 |
/// | `width` | required | width D of a token | ≥ 1, a multiple of `heads` |
/// | `layers` | required | blocks | ≥ 1 |
/// | `heads` | required | attention heads | ≥ 1 |
/// | `hidden` | required | width between the two layers of an MLP | ≥ 1 |
/// | `dropout` | 0.1 | dropout in training | [0, 1) |
/// | `attention_dropout` | 0.1 | dropout of attention weights in training | [0, 1) |
/// | `prefixed` | false | whether files put `bert.` or `distilbert.` before the keys | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BertConfig {
    /// Names and details.
    #[serde(default = "default_family")]
    pub family: BertFamily,
    /// Number of tokens in the vocabulary.
    pub vocabulary: usize,
    /// Longest text in tokens.
    #[serde(default = "default_positions")]
    pub positions: usize,
    /// Width D of a token.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width between the two layers of an MLP.
    pub hidden: usize,
    /// Dropout in training, in [0, 1).
    #[serde(default = "default_dropout")]
    pub dropout: f64,
    /// Dropout of attention weights in training, in [0, 1).
    #[serde(default = "default_dropout")]
    pub attention_dropout: f64,
    /// Whether files put the family's prefix before the keys, as those saved with a pre-training head do. Both
    /// forms are read; this one is written.
    #[serde(default)]
    pub prefixed: bool,
}

fn default_family() -> BertFamily {
    BertFamily::Bert
}

fn default_positions() -> usize {
    512
}

fn default_dropout() -> f64 {
    0.1
}

impl BertConfig {
    fn published(vocabulary: usize, width: usize, layers: usize, prefixed: bool) -> Self {
        Self {
            family: BertFamily::Bert,
            vocabulary,
            positions: default_positions(),
            width,
            layers,
            heads: 12,
            hidden: 4 * width,
            dropout: default_dropout(),
            attention_dropout: default_dropout(),
            prefixed,
        }
    }

    /// BERT-base, cased (28,996 tokens): `bert-base-cased` and the clinical models trained from it.
    pub fn bert_base_cased() -> Self {
        Self::published(28_996, 768, 12, true)
    }

    /// BERT-base, lower case (30,522 tokens): `bert-base-uncased`.
    pub fn bert_base_uncased() -> Self {
        Self::published(30_522, 768, 12, true)
    }

    /// DistilBERT-base, lower case: `distilbert-base-uncased`.
    pub fn distilbert_base_uncased() -> Self {
        Self { family: BertFamily::DistilBert, ..Self::published(30_522, 768, 6, true) }
    }

    /// `MiniLM` of 6 layers and width 384: `all-MiniLM-L6-v2`.
    pub fn minilm_l6_h384() -> Self {
        Self::published(30_522, 384, 6, false)
    }

    /// `MiniLM` of 12 layers and width 384: `all-MiniLM-L12-v2`.
    pub fn minilm_l12_h384() -> Self {
        Self::published(30_522, 384, 12, false)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] naming the parameter, [`Error::Heads`] where the heads do not divide the width.
    pub fn validate(&self) -> Result<(), Error> {
        let counts = [
            ("vocabulary", self.vocabulary),
            ("positions", self.positions),
            ("width", self.width),
            ("layers", self.layers),
            ("heads", self.heads),
            ("hidden", self.hidden),
        ];
        for (parameter, value) in counts {
            check_count(parameter, value, 1, "at least 1")?;
        }
        check_heads(self.width, self.heads)?;
        for (parameter, value) in [("dropout", self.dropout), ("attention_dropout", self.attention_dropout)] {
            check_range(parameter, value, "a number in [0, 1)", |v| (0.0..1.0).contains(&v))?;
        }
        Ok(())
    }

    /// The encoder with fresh weights: normal with deviation 0.02, biases 0, norms 1 and 0.
    ///
    /// # Errors
    /// As [`BertConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<Bert, Error> {
        self.validate()?;
        let embedding = |count| {
            let normal = Initializer::Normal { mean: 0.0, std: INITIAL_STD };
            EmbeddingConfig::new(count, self.width).with_initializer(normal).init(device)
        };
        let bert = self.family == BertFamily::Bert;
        let network = Bert {
            words: embedding(self.vocabulary),
            positions: embedding(self.positions),
            token_types: bert.then(|| embedding(2)),
            norm: norm(self.width, device),
            dropout: DropoutConfig::new(self.dropout).init(),
            layers: (0..self.layers).map(|_| Layer::new(self, device)).collect(),
            pooler: bert.then(|| LinearConfig::new(self.width, self.width).init(device)),
            config: self.clone(),
        };
        Ok(crate::layers::normal_linear_weights(network, INITIAL_STD))
    }
}

fn norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(EPSILON).init(device)
}

/// Texts as tokens. [`TextTokenizer`](crate::TextTokenizer) gives every text at least one, and an empty text its
/// special tokens. In a text that is padding alone all tokens look at all, so that hidden states are finite, and the
/// mean over no token is 0.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Token ids [B, T].
    pub ids: Tensor<2, Int>,
    /// Whether a place [B, T] is padding, which no token looks at and no pooling counts.
    pub padding: Tensor<2, Bool>,
    /// Token types [B, T], 0 for the first text of a pair and 1 for the second; none for all 0. `DistilBERT` has no
    /// token types and passes them over.
    pub types: Option<Tensor<2, Int>>,
}

impl Tokens {
    /// Texts of equal length, without padding: ids [B, T].
    pub fn new(ids: Tensor<2, Int>) -> Self {
        let padding = Tensor::zeros(ids.dims(), &ids.device());
        Self { ids, padding, types: None }
    }
}

/// How tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPooling {
    /// The mean over the tokens that are no padding, `MiniLM`'s sentence vector before its L2 normalisation; 0 for a
    /// text that is padding alone.
    #[default]
    Mean,
    /// The first token's.
    Cls,
}

/// What a text encoder gives.
#[derive(Debug, Clone)]
pub struct TextFeatures {
    /// Hidden states [B, T, D] of the last block. Those of padding mean nothing.
    pub last_hidden_state: Tensor<3>,
    /// `tanh(W · first token + b)` [B, D], where the network has a pooler.
    pub pooler: Option<Tensor<2>>,
    /// Name and hidden states [B, T, D] of each tapped place, in forward order.
    pub hidden_states: Vec<(String, Tensor<3>)>,
    padding: Tensor<2, Bool>,
}

impl TextFeatures {
    /// One vector [B, D] a text.
    pub fn pooled(&self, pooling: TextPooling) -> Tensor<2> {
        match pooling {
            TextPooling::Mean => mean_of_kept(self.last_hidden_state.clone(), &self.padding),
            TextPooling::Cls => self.last_hidden_state.clone().narrow(1, 0, 1).squeeze_dim(1),
        }
    }

    /// The hidden states [B, T, D] of the place `name`, if it was tapped.
    pub fn hidden_state(&self, name: &str) -> Option<&Tensor<3>> {
        self.hidden_states.iter().find(|(known, _)| known == name).map(|(_, hidden)| hidden)
    }

    /// Whether a place [B, T] is padding.
    pub fn padding(&self) -> &Tensor<2, Bool> {
        &self.padding
    }
}

/// BERT-like text encoder: word, position and type embeddings, then blocks with the norms behind their branches.
///
/// Taps: `embeddings`, `layers.0`, `layers.1`, …
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use derm_backbones::{BertConfig, TextPooling, Tokens};
/// use derm_core::Taps;
///
/// let device = Device::default();
/// let config = BertConfig {
///     vocabulary: 100, width: 16, layers: 2, heads: 4, hidden: 32, ..BertConfig::minilm_l6_h384()
/// };
/// let encoder = config.init(&device)?;
/// let ids = Tensor::<2, Int>::from_data([[2, 17, 3], [2, 5, 3]], &device);
/// let features = encoder.forward(&Tokens::new(ids), &Taps::none());
/// assert_eq!(features.pooled(TextPooling::Mean).dims(), [2, 16]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Source
/// Devlin et al. 2019; Sanh et al. 2019 (`DistilBERT`); Wang et al. 2020 (`MiniLM`); transformers'
/// `modeling_bert.py` and `modeling_distilbert.py`, whose outputs the tests compare with.
#[derive(Module, Debug)]
pub struct Bert {
    words: Embedding,
    positions: Embedding,
    token_types: Option<Embedding>,
    norm: LayerNorm,
    dropout: Dropout,
    layers: Vec<Layer>,
    pooler: Option<Linear>,
    #[module(skip)]
    config: BertConfig,
}

impl Bert {
    /// What it was built from.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Tokens → hidden states, and those that `taps` asks for.
    ///
    /// # Panics
    /// When a text is longer than the positions of the config. An id outside of the vocabulary panics on a CPU; a GPU
    /// may read anything, so check [`TextTokenizer::vocabulary`](crate::TextTokenizer::vocabulary) once.
    pub fn forward(&self, tokens: &Tokens, taps: &Taps) -> TextFeatures {
        let [_, length] = tokens.ids.dims();
        let device = tokens.ids.device();
        let positions = Tensor::<1, Int>::arange(0..length as i64, &device).unsqueeze::<2>();
        let mut hidden = self.words.forward(tokens.ids.clone()) + self.positions.forward(positions);
        if let Some(token_types) = &self.token_types {
            let types = tokens.types.clone().unwrap_or_else(|| tokens.ids.zeros_like());
            hidden = hidden + token_types.forward(types);
        }
        let mut hidden = self.dropout.forward(self.norm.forward_in_f32(hidden));
        let mut hidden_states = Vec::new();
        let mut tap = |name: String, hidden: &Tensor<3>| {
            if taps.contains(&name) {
                hidden_states.push((name, hidden.clone()));
            }
        };
        tap("embeddings".to_owned(), &hidden);
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(hidden, &tokens.padding);
            tap(format!("layers.{index}"), &hidden);
        }
        let first: Tensor<2> = hidden.clone().narrow(1, 0, 1).squeeze_dim(1);
        let pooler = self.pooler.as_ref().map(|pooler| pooler.forward(first).tanh());
        TextFeatures { last_hidden_state: hidden, pooler, hidden_states, padding: tokens.padding.clone() }
    }

    /// Multiply-accumulates of one text of `tokens` tokens, the pooler among them.
    pub fn macs(&self, tokens: usize) -> Macs {
        let pooler =
            self.pooler.as_ref().map_or(0, |pooler| pooler.weight.lazy_shape().num_elements() as u64);
        let layers = self.layers.iter().map(|layer| layer.macs(tokens));
        layers.fold(Macs { conv_and_linear: pooler, attention: 0 }, |sum, macs| sum + macs)
    }
}

/// `embeddings`, the blocks `layers.N`, and the pooler where there is one.
impl LayerGroups for Bert {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let embeddings =
            LayerGroup::new("embeddings", ["words", "positions", "token_types", "norm", "dropout"]);
        let layers = (0..self.layers.len()).map(|index| {
            let name = format!("layers.{index}");
            LayerGroup::new(name.clone(), [name])
        });
        let pooler = self.pooler.as_ref().map(|_| LayerGroup::new("pooler", ["pooler"]));
        std::iter::once(embeddings).chain(layers).chain(pooler).collect()
    }
}

/// `x ← norm₁(x + attention x)`, `x ← norm₂(x + dropout(mlp x))`.
#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    norm1: LayerNorm,
    mlp: Mlp,
    dropout: Dropout,
    norm2: LayerNorm,
}

impl Layer {
    fn new(config: &BertConfig, device: &Device) -> Self {
        let behind_attention = match config.family {
            BertFamily::Bert => config.dropout,
            BertFamily::DistilBert => 0.0,
        };
        let (width, heads) = (config.width, config.heads);
        Self {
            attention: Attention::new(width, heads, config.attention_dropout, behind_attention, device),
            norm1: norm(width, device),
            mlp: Mlp::new(width, config.hidden, Activation::Gelu, 0.0, device),
            dropout: DropoutConfig::new(config.dropout).init(),
            norm2: norm(width, device),
        }
    }

    fn forward(&self, hidden: Tensor<3>, padding: &Tensor<2, Bool>) -> Tensor<3> {
        let branch = self.attention.forward(hidden.clone(), Some(padding));
        let hidden = self.norm1.forward_in_f32(hidden + branch);
        let branch = self.dropout.forward(self.mlp.forward(hidden.clone()));
        self.norm2.forward_in_f32(hidden + branch)
    }

    fn macs(&self, tokens: usize) -> Macs {
        self.attention.macs(tokens) + Macs { conv_and_linear: self.mlp.macs(tokens), attention: 0 }
    }
}
