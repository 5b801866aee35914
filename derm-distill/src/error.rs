use derm_core::TapError;

/// One of the two networks of a distillation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The network that learns.
    Student,
    /// The network that it learns from.
    Teacher,
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Student => "student",
            Self::Teacher => "teacher",
        })
    }
}

/// What a distillation objective refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A weight that is negative, infinite (also as f32) or not a number.
    #[error("{parameter} is {value}; expected a finite number >= 0")]
    Weight {
        /// The parameter's name.
        parameter: &'static str,
        /// The value given.
        value: f64,
    },
    /// Weights that are all zero: the student would learn nothing.
    #[error("hard_weight, kd_weight and attention.weight are all 0; expected at least one above 0")]
    NoWeight,
    /// A parameter of a loss.
    #[error(transparent)]
    Loss(#[from] derm_losses::Error),
    /// A layer that the network does not have.
    #[error("attention.layers names a layer that the {network} does not have")]
    Layer {
        /// Which of the two.
        network: Network,
        /// The layer, and those that there are.
        source: TapError,
    },
    /// An empty list of layers.
    #[error("attention.layers is empty; expected `auto` or at least one pair of layers")]
    NoLayers,
    /// Layers whose weights leave no sum: one negative, infinite or not a number, or all zero.
    #[error("attention.layers: {source}")]
    LayerWeights {
        /// What is wrong with them.
        source: derm_losses::Error,
    },
    /// The same pair of layers twice.
    #[error("attention.layers holds the pair `{student}` and `{teacher}` twice")]
    DuplicateLayers {
        /// The student's layer.
        student: String,
        /// The teacher's layer.
        teacher: String,
    },
    /// Networks without two layers of one stride, so that none pair up by themselves.
    #[error(
        "no layer of the student (strides {student:?}) has the stride of one of the teacher ({teacher:?}); \
         name the pairs in attention.layers"
    )]
    NoCommonStride {
        /// The student's strides.
        student: Vec<usize>,
        /// The teacher's strides.
        teacher: Vec<usize>,
    },
}
