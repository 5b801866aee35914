use std::path::PathBuf;

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
        parameter: String,
        /// The value given.
        value: f64,
    },
    /// A number of a schedule that is out of its range.
    #[error("{parameter} is {value}; expected {expected}")]
    Schedule {
        /// The parameter's name.
        parameter: String,
        /// The value given.
        value: f64,
        /// The allowed range in words.
        expected: &'static str,
    },
    /// Weights that are all zero for a part of training: the student would learn nothing then.
    #[error("every weight is 0 around progress {progress}; expected at least one above 0 at any time")]
    NoWeight {
        /// A point within that part, in [0, 1].
        progress: f64,
    },
    /// What is wrong with a term.
    #[error("{term}: {source}")]
    Term {
        /// The term, by its place in the config.
        term: String,
        /// What is wrong.
        source: Box<Self>,
    },
    /// A parameter of a loss.
    #[error(transparent)]
    Loss(#[from] derm_losses::Error),
    /// A layer that the network does not have.
    #[error("`layers` names one that the {network} does not have: {source}")]
    Layer {
        /// Which of the two.
        network: Network,
        /// The layer, and those that there are.
        source: TapError,
    },
    /// An empty list of layers.
    #[error("`layers` is empty; expected `auto`, `pooled` or at least one pair of layers")]
    NoLayers,
    /// Layers whose weights leave no sum: one negative, infinite or not a number, or all zero.
    #[error("`layers`: {source}")]
    LayerWeights {
        /// What is wrong with them.
        source: derm_losses::Error,
    },
    /// The same pair of layers twice.
    #[error("`layers` holds the pair `{student}` and `{teacher}` twice")]
    DuplicateLayers {
        /// The student's layer.
        student: String,
        /// The teacher's layer.
        teacher: String,
    },
    /// Networks without two layers of one stride, so that none pair up by themselves.
    #[error(
        "no layer of the student (strides {student:?}) has the stride of one of the teacher ({teacher:?}); \
         name the pairs in `layers`"
    )]
    NoCommonStride {
        /// The student's strides.
        student: Vec<usize>,
        /// The teacher's strides.
        teacher: Vec<usize>,
    },
    /// Attention transfer between pooled features, which have no map.
    #[error("`layers` names the pooled features: attention transfer compares maps, expected stages")]
    PooledAttention,
    /// Features of different widths without a projector between them.
    #[error(
        "the student's `{student}` is {student_width} wide, the teacher's `{teacher}` {teacher_width}: expected one \
         width, or a `projector`"
    )]
    Widths {
        /// The student's layer.
        student: String,
        /// Its width.
        student_width: usize,
        /// The teacher's layer.
        teacher: String,
        /// Its width.
        teacher_width: usize,
    },
    /// A cache of teacher outputs that cannot be read or written, was changed, or is of something else.
    #[error("cache {}: {reason}", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// Logits of a teacher that nobody can learn from.
    #[error("the teacher's logits: {reason}")]
    TeacherLogits {
        /// What was expected and what came.
        reason: String,
    },
}
