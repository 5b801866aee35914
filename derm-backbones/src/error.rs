use std::fmt;
use std::path::PathBuf;

use derm_core::{FileError, ImageInput};

use crate::BertConfig;

/// A tensor whose shape in the file is not the module's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The published key.
    pub key: String,
    /// The module's shape, as published.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
}

impl fmt::Display for ShapeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {:?} (expected {:?})", self.key, self.found, self.expected)
    }
}

/// Beyond every width, depth, vocabulary and class count; products of two of them do not overflow.
pub(crate) const LARGEST: usize = 1 << 20;

/// Beyond every number of stages; a stride that doubles with each stays a number.
const MOST_SIZES: usize = 16;

/// How many keys of each kind a message shows.
const SHOWN: usize = 8;

/// The first entries of a list that may be as long as a network.
struct First<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for First<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.iter().take(SHOWN).map(ToString::to_string).collect();
        let more = if self.0.len() > SHOWN { ", …" } else { "" };
        write!(f, "[{}{more}]", shown.join(", "))
    }
}

/// What this crate refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number outside its range, or not a number.
    #[error("{parameter} is {value}; expected {expected}")]
    OutOfRange {
        /// The parameter's name.
        parameter: &'static str,
        /// The value given.
        value: f64,
        /// The allowed range in words.
        expected: &'static str,
    },
    /// A list of sizes that is empty or too long, or holds a 0 or a size beyond any network.
    #[error("{parameter} is {value:?}; expected 1 to {MOST_SIZES} entries, each from 1 to {LARGEST}")]
    Sizes {
        /// The parameter's name.
        parameter: &'static str,
        /// The list given.
        value: Vec<usize>,
    },
    /// A network whose stages have other numbers of depths than of widths.
    #[error("depths {depths:?} and widths {widths:?} differ in length; expected one of each a stage")]
    Stages {
        /// Blocks a stage.
        depths: Vec<usize>,
        /// Channels a stage.
        widths: Vec<usize>,
    },
    /// Attention heads that do not share the width evenly.
    #[error("heads is {heads}, which does not divide the width {width}")]
    Heads {
        /// Width of a token.
        width: usize,
        /// Number of heads.
        heads: usize,
    },
    /// A tokenizer file that is none, or a text that it cannot take.
    #[error("tokenizer of {origin}: {reason}")]
    Tokenizer {
        /// The file, or `memory`.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A number that does not divide the width that it cuts.
    #[error("{parameter} is {value}, which does not divide the width {width}")]
    Indivisible {
        /// The parameter's name.
        parameter: &'static str,
        /// The value given.
        value: usize,
        /// What it should divide.
        width: usize,
    },
    /// Answers whose columns do not add up to the encoded width, or an answer without columns.
    #[error(
        "questionnaire.answers have {columns} columns and questionnaire.inputs is {inputs}; expected the same, and at \
         least one column an answer, two for an optional one"
    )]
    AnswerColumns {
        /// Width of the encoded answers.
        inputs: usize,
        /// Columns of all answers.
        columns: usize,
    },
    /// A task whose name is taken, empty or not one word of letters, digits and underscores.
    #[error("the task name `{name}` is taken or not one word of letters, digits and underscores")]
    Task {
        /// The name given.
        name: String,
    },
    /// A text encoder that is not the one that the head's config says.
    #[error("the text encoder given is {given:?}; the head's config says {expected:?}")]
    TextEncoder {
        /// The config's; none for a head without text.
        expected: Option<Box<BertConfig>>,
        /// That of the encoder given.
        given: Box<BertConfig>,
    },
    /// A fusion with nothing beside the image.
    #[error("a fusion needs answers or text beside the image")]
    NothingToFuse,
    /// Stochastic depth for an architecture that drops no branches.
    #[error("{architecture} has no stochastic depth: expected a ConvNeXt V2, an EfficientNet or a ViT")]
    NoStochasticDepth {
        /// The architecture.
        architecture: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Bytes that are no safetensors file: truncated, or something else.
    #[error("{origin} is not a complete safetensors file: {reason}")]
    NotSafetensors {
        /// The file, or `memory`.
        origin: String,
        /// What the reader found.
        reason: String,
    },
    /// A file that is no weights file at all, or a folder without one.
    #[error("{origin} is no weights file: {reason}")]
    NotWeights {
        /// The file or folder.
        origin: String,
        /// What was found.
        reason: String,
    },
    /// A file of `torch.save` that is truncated, broken, or holds no tensors.
    #[error("{origin} is not a complete PyTorch checkpoint: {reason}")]
    NotPytorch {
        /// The file.
        origin: String,
        /// What the reader found.
        reason: String,
    },
    /// A pickle that names something other than tensors and plain values: reading it in Python would import and
    /// may call it. It was refused without running anything.
    #[error(
        "{origin} holds code: its pickle names `{name}`, which is no part of a table of weights; nothing was run"
    )]
    PickledCode {
        /// The file.
        origin: String,
        /// Module and name, as Python would import them.
        name: String,
    },
    /// A file that is not the known one.
    #[error("{} has the SHA-256 {found}; expected {expected}", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest that is known, or its first digits.
        expected: String,
        /// The file's digest.
        found: String,
    },
    /// Weights whose publisher asks for consent to terms before they can be fetched.
    #[error(
        "{name} is given out only after consent to its terms; fetch {url} with an account and load the file"
    )]
    Gated {
        /// The weights' name.
        name: String,
        /// Where they lie.
        url: String,
    },
    /// An address that nothing is fetched from.
    #[error("{url} is refused: {reason}")]
    Url {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// A server's answer that is not the file.
    #[error("{url} answered with status {status}")]
    Http {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A download that failed or broke off. What was received stays, and the next attempt goes on from there.
    #[error("fetching {url} failed after {received} bytes: {reason}")]
    Transfer {
        /// The address.
        url: String,
        /// Bytes that are there.
        received: u64,
        /// What happened.
        reason: String,
    },
    /// A shard index that cannot be read.
    #[error("{origin} is no shard index: {reason}")]
    ShardIndex {
        /// The index file.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A key that a shard index places in a shard which does not hold it.
    #[error("{origin} places `{key}` in {shard}, which lacks it")]
    ShardLacks {
        /// The index file.
        origin: String,
        /// The key.
        key: String,
        /// The shard's file name.
        shard: String,
    },
    /// A key that two shards hold.
    #[error("{origin}: `{key}` stands in two shards, {first} and {second}")]
    ShardDuplicate {
        /// The index file.
        origin: String,
        /// The key.
        key: String,
        /// One shard's file name.
        first: String,
        /// The other's.
        second: String,
    },
    /// A checkpoint that is not this network's: keys that it lacks, keys that the network has no place for, and
    /// tensors of another shape. Nothing was loaded. The message shows the first of each.
    #[error(
        "{origin} does not fit the network: {} missing {}, {} unused {}, {} of another shape {}",
        missing.len(), First(missing), unused.len(), First(unused), reshaped.len(), First(reshaped)
    )]
    Keys {
        /// The file, or `memory`.
        origin: String,
        /// Keys of the network that the file lacks.
        missing: Vec<String>,
        /// Keys of the file that the network lacks.
        unused: Vec<String>,
        /// Tensors of another shape.
        reshaped: Vec<ShapeMismatch>,
    },
    /// A tensor of a type that is no float.
    #[error("{origin}: `{key}` has the type {dtype}; expected F64, F32, F16 or BF16")]
    Dtype {
        /// The file, or `memory`.
        origin: String,
        /// The published key.
        key: String,
        /// The type found.
        dtype: String,
    },
    /// A weight that is not a finite number.
    #[error("{origin}: `{key}` holds {value} at element {index}; expected finite numbers")]
    NotFinite {
        /// The file, or `memory`.
        origin: String,
        /// The published key.
        key: String,
        /// Row-major index of the element.
        index: usize,
        /// The value.
        value: f32,
    },
    /// Two parameters of a module that its key map sends to one key.
    #[error("the parameters `{first}` and `{second}` map to one published key `{key}`")]
    DuplicateKey {
        /// The published key.
        key: String,
        /// One parameter.
        first: String,
        /// The other one.
        second: String,
    },
    /// A module whose batch norms are folded, which has no published form any more.
    #[error("`{path}` is folded into a convolution; save the module before `fold_batch_norm`")]
    Folded {
        /// The path of the folded bias in the module.
        path: String,
    },
    /// A layer group that the network does not have.
    #[error("no layer group `{name}`; the network has {known:?}")]
    NoGroup {
        /// The name given.
        name: String,
        /// The network's groups, from the image to the head.
        known: Vec<String>,
    },
    /// A parameter that lies in no layer group, or in several.
    #[error("the parameter `{path}` lies in the layer groups {groups:?}; expected exactly one")]
    Ungrouped {
        /// The parameter's path in the module.
        path: String,
        /// The groups that hold it.
        groups: Vec<String>,
    },
    /// A parameter that is no float tensor, which a checkpoint of this kind does not hold.
    #[error("the parameter `{path}` is not a float tensor; only float parameters have published weights")]
    Parameter {
        /// The parameter's path in the module.
        path: String,
    },
}

/// Checks that `value` lies in the range that `allowed` accepts; NaN never does.
pub(crate) fn check_range(
    parameter: &'static str,
    value: f64,
    expected: &'static str,
    allowed: impl Fn(f64) -> bool,
) -> Result<(), Error> {
    if value.is_finite() && allowed(value) {
        Ok(())
    } else {
        Err(Error::OutOfRange { parameter, value, expected })
    }
}

/// Checks a count that must be at least `least`, and no larger than any network's.
pub(crate) fn check_count(
    parameter: &'static str,
    value: usize,
    least: usize,
    expected: &'static str,
) -> Result<(), Error> {
    let out_of_range = |expected| Err(Error::OutOfRange { parameter, value: value as f64, expected });
    match value {
        value if value < least => out_of_range(expected),
        value if value > LARGEST => out_of_range("at most 1048576"),
        _ => Ok(()),
    }
}

/// Checks that a list has entries, not too many, and each is a size.
pub(crate) fn check_sizes(parameter: &'static str, value: &[usize]) -> Result<(), Error> {
    let sizes = value.iter().all(|size| (1..=LARGEST).contains(size));
    if sizes && (1..=MOST_SIZES).contains(&value.len()) {
        Ok(())
    } else {
        Err(Error::Sizes { parameter, value: value.to_vec() })
    }
}

/// Checks the image that a network expects.
pub(crate) fn check_input(input: &ImageInput) -> Result<(), Error> {
    check_count("input.size", input.size, 1, "at least 1")?;
    for mean in input.normalization.mean {
        check_range("input.normalization.mean", f64::from(mean), "finite numbers", |_| true)?;
    }
    for std in input.normalization.std {
        check_range("input.normalization.std", f64::from(std), "positive numbers", |v| v > 0.0)?;
    }
    let crop_pct = f64::from(input.crop_pct);
    check_range("input.crop_pct", crop_pct, "a number in (0, 1]", |v| v > 0.0 && v <= 1.0)
}

/// Checks depths and widths of stages, one of each a stage.
pub(crate) fn check_stages(depths: &[usize], widths: &[usize]) -> Result<(), Error> {
    check_sizes("depths", depths)?;
    check_sizes("widths", widths)?;
    if depths.len() == widths.len() {
        Ok(())
    } else {
        Err(Error::Stages { depths: depths.to_vec(), widths: widths.to_vec() })
    }
}

/// Checks that heads, at least 1, share a width evenly.
pub(crate) fn check_heads(width: usize, heads: usize) -> Result<(), Error> {
    if width.is_multiple_of(heads) { Ok(()) } else { Err(Error::Heads { width, heads }) }
}

/// Checks a dropout probability.
pub(crate) fn check_dropout(value: f64) -> Result<(), Error> {
    check_range("dropout", value, "a number in [0, 1)", |v| (0.0..1.0).contains(&v))
}

/// Checks a factor of widths or depths.
pub(crate) fn check_multiplier(parameter: &'static str, value: f64) -> Result<(), Error> {
    check_range(parameter, value, "a number in (0, 8]", |v| v > 0.0 && v <= 8.0)
}

/// Checks the rate of stochastic depth.
pub(crate) fn check_stochastic_depth(value: f64) -> Result<(), Error> {
    check_range("stochastic_depth", value, "a number in [0, 1)", |v| (0.0..1.0).contains(&v))
}
