/// What a file may have otherwise than the module; the default allows nothing.
///
/// | field | default | purpose |
/// |---|---|---|
/// | `head` | [`HeadLoading::Strict`] | what happens to heads |
/// | `resize_positions` | `false` | a table of position embeddings of another square grid is resampled |
/// | `allow_missing` | none | keys that the file may lack |
/// | `allow_unused` | none | keys of the file that may have no place |
/// | `prefix` | none | where the weights lie in the file, if the rules should not search |
///
/// ```
/// use derm_backbones::weights::{HeadLoading, LoadOptions};
///
/// // fine-tuning: ImageNet's 1000 classes in the file, 7 and a questionnaire in the module
/// let options = LoadOptions {
///     head: HeadLoading::Replace,
///     allow_missing: vec!["questionnaire.".to_owned()],
///     ..LoadOptions::default()
/// };
/// assert_ne!(options, LoadOptions::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// What happens to heads.
    pub head: HeadLoading,
    /// Resamples tables of position embeddings that stand in the file for another square grid of patches, as the
    /// original library does it.
    pub resize_positions: bool,
    /// Beginnings of published keys that the file may lack; these parameters stay as they are.
    pub allow_missing: Vec<String>,
    /// Beginnings of keys in the file that may have no place in the module.
    pub allow_unused: Vec<String>,
    /// The beginning of the keys in the file, nested entries joined by dots (`teacher.backbone.`, `state_dict_ema.`),
    /// instead of searching for it.
    pub prefix: Option<String>,
}

/// What happens to the head of a file and that of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadLoading {
    /// The file has the module's head, and no head where the module has none.
    #[default]
    Strict,
    /// A head that fits is loaded. Where the file has another class count or no head, the module's heads stay as
    /// they are, all of them.
    Replace,
    /// The module's heads stay as they are, whatever the file has. A bare encoder takes a classifier's file so.
    Skip,
}
