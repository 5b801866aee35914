//! Texts of records as tokens, and the tokenizer that makes them.

use std::path::Path;

use derm_backbones::{Bert, BertConfig, Classifier, ClassifierInput, PublishedKeys, TextTokenizer, Tokens};
use derm_core::{Backbone, sha256_file, sha256_hex};
use derm_data::{Batch, BatchTokens, Dataset, TokenRows, synthetic_caption_words};
use derm_predict::Predictor;

use crate::recipe::TextRecipe;
use crate::{DatasetSource, Error, Recipe};

/// The tokenizer in a run folder and in a bundle.
pub(crate) const TOKENIZER: &str = "tokenizer.json";

/// A tokenizer with the SHA-256 of what it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Tokenizer {
    pub(crate) tokenizer: TextTokenizer,
    pub(crate) sha256: String,
}

impl Tokenizer {
    /// The tokenizer that the recipe names; none for a network that reads no text.
    pub(crate) fn of(recipe: &Recipe) -> Result<Option<Self>, Error> {
        let Some(text) = &recipe.model.text else { return Ok(None) };
        let read = match (&text.tokenizer, &recipe.dataset.source) {
            (Some(path), _) => {
                let tokenizer = TextTokenizer::from_file(path, text.max_length)?;
                Self { tokenizer, sha256: sha256_file(path)?.0 }
            }
            (None, DatasetSource::Synthetic) => Self::of_captions(text)?,
            (None, DatasetSource::Read(_)) => {
                let expected =
                    "the text encoder's tokenizer.json; only the synthetic captions have one of their own";
                return Err(Error::Value {
                    key: "model.text.tokenizer",
                    value: "absent".to_owned(),
                    expected,
                });
            }
        };
        check_size(&read.tokenizer, &text.encoder.bert())?;
        Ok(Some(read))
    }

    /// A tokenizer of the words of the synthetic captions.
    fn of_captions(text: &TextRecipe) -> Result<Self, Error> {
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        let words: Vec<&str> = special.into_iter().chain(synthetic_caption_words()).collect();
        let words = words.join("\n");
        let tokenizer = TextTokenizer::from_vocabulary_text(&words, true, text.max_length)?;
        Ok(Self { tokenizer, sha256: sha256_hex(words.as_bytes()) })
    }

    /// The one that a run left in its folder.
    pub(crate) fn of_run(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(TOKENIZER);
        let tokenizer = TextTokenizer::from_saved(&path)?;
        Ok(Self { tokenizer, sha256: sha256_file(&path)?.0 })
    }

    /// The one of a bundle, where its network reads texts.
    pub(crate) fn of_bundle<B: Backbone + PublishedKeys>(bundle: &Predictor<B>) -> Option<Self> {
        let sha256 = bundle.manifest().files.get(TOKENIZER).map(|file| file.sha256.clone());
        let tokenizer = bundle.tokenizer().cloned()?;
        Some(Self { tokenizer, sha256: sha256.unwrap_or_default() })
    }

    /// The texts of all records.
    pub(crate) fn rows(&self, dataset: &Dataset) -> Result<TokenRows, Error> {
        token_rows(&self.tokenizer, dataset)
    }
}

fn check_size(tokenizer: &TextTokenizer, encoder: &BertConfig) -> Result<(), Error> {
    let (tokens, vocabulary) = (tokenizer.vocabulary(), encoder.vocabulary);
    if tokens > vocabulary {
        return Err(Error::TokenizerVocabulary { tokens, vocabulary });
    }
    Ok(())
}

/// The texts of all records by a tokenizer; a record without one has the empty text.
pub(crate) fn token_rows(tokenizer: &TextTokenizer, dataset: &Dataset) -> Result<TokenRows, Error> {
    let records = dataset.records();
    if records.iter().all(|record| record.text.is_none()) {
        return Err(Error::NoText { dataset: dataset.name().to_owned() });
    }
    let ids = |text: Option<&str>| tokenizer.token_ids(text.unwrap_or_default());
    let rows = records.iter().map(|record| ids(record.text.as_deref())).collect::<Result<_, _>>()?;
    Ok(TokenRows::new(rows, ids(None)?, tokenizer.padding_id())?)
}

/// A batch as a classifier takes it.
pub(crate) fn input_of(batch: &Batch) -> ClassifierInput {
    ClassifierInput {
        images: batch.images.clone(),
        answers: batch.answers.clone(),
        text: batch.tokens.clone().map(tokens_of),
    }
}

/// The texts of a batch as a text encoder takes them.
pub(crate) fn tokens_of(tokens: BatchTokens) -> Tokens {
    Tokens { ids: tokens.ids, padding: tokens.padding, types: None }
}

/// That a network reads texts exactly where the recipe wants it.
pub(crate) fn check_reads<B: Backbone>(model: &Classifier<B>, recipe: &Recipe) -> Result<(), Error> {
    let wanted = recipe.model.text.as_ref().map(|text| text.encoder.bert());
    if model.text().map(Bert::config) == wanted.as_ref() { Ok(()) } else { Err(Error::TextEncoder) }
}
