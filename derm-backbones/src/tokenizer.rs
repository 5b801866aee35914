use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use derm_core::{FileError, atomic};
use tokenizers::{PaddingParams, PaddingStrategy, TruncationParams};

use crate::error::check_count;
use crate::{Error, Tokens};

const MEMORY: &str = "memory";

/// Texts to the tokens of a text encoder, from the files that are published with it.
///
/// Texts are cut to `max_length` tokens, special ones included, and padded on the right to the longest of their
/// batch, whatever lengths the file names.
///
/// ```
/// use burn::tensor::Device;
/// use derm_backbones::TextTokenizer;
///
/// # let folder = tempfile::tempdir()?;
/// let vocabulary = folder.path().join("vocab.txt");
/// std::fs::write(&vocabulary, "[PAD]\n[UNK]\n[CLS]\n[SEP]\nitch\n##y\nmole\n")?;
/// let tokenizer = TextTokenizer::from_vocabulary(&vocabulary, true, 128)?;
/// let tokens = tokenizer.encode(&["Itchy mole", "mole"], &Device::default())?;
/// assert_eq!(tokens.ids.into_data().iter::<i64>().collect::<Vec<_>>(), [2, 4, 5, 6, 3, 2, 6, 3, 0, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    tokenizer: tokenizers::Tokenizer,
    max_length: usize,
}

impl TextTokenizer {
    /// The tokenizer of a `tokenizer.json`, with texts of at most `max_length` tokens.
    ///
    /// # Errors
    /// [`Error::File`], and as [`TextTokenizer::from_json`].
    pub fn from_file(path: impl AsRef<Path>, max_length: usize) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(FileError::at(path, "read"))?;
        Self::read(&bytes, &path.display().to_string(), max_length)
    }

    /// The tokenizer of the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for something else than a tokenizer or one without padding token,
    /// [`Error::OutOfRange`] for a `max_length` below 3 (two special tokens and one of the text).
    pub fn from_json(json: &[u8], max_length: usize) -> Result<Self, Error> {
        Self::read(json, MEMORY, max_length)
    }

    fn read(json: &[u8], origin: &str, max_length: usize) -> Result<Self, Error> {
        let tokenizer = tokenizers::Tokenizer::from_bytes(json).map_err(|error| refused(origin, &*error))?;
        let padding = tokenizer.get_padding().map(|padding| (padding.pad_token.clone(), padding.pad_id));
        let padding = padding.or_else(|| {
            let token =
                ["[PAD]", "<pad>"].into_iter().find(|token| tokenizer.token_to_id(token).is_some())?;
            tokenizer.token_to_id(token).map(|id| (token.to_owned(), id))
        });
        match padding {
            None => Err(refused(origin, "it names no padding token")),
            Some(padding) => Self::new(tokenizer, padding, max_length, origin),
        }
    }

    /// What [`TextTokenizer::save`] wrote: the length is the one that the file names.
    ///
    /// # Errors
    /// As [`TextTokenizer::from_file`], and [`Error::Tokenizer`] for a file that names no length.
    pub fn from_saved(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let bytes = std::fs::read(path).map_err(FileError::at(path, "read"))?;
        let tokenizer =
            tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| refused(&origin, &*error))?;
        match tokenizer.get_truncation() {
            Some(truncation) => Self::read(&bytes, &origin, truncation.max_length),
            None => Err(refused(&origin, "it names no length to which texts are cut")),
        }
    }

    /// BERT's word pieces from a `vocab.txt`, one token a line, with `[PAD]`, `[UNK]`, `[CLS]` and `[SEP]` among
    /// them. `lowercase` also strips accents, as the uncased models want it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Tokenizer`] naming a token that is missing or stands twice, and
    /// [`Error::OutOfRange`] as [`TextTokenizer::from_json`].
    pub fn from_vocabulary(
        path: impl AsRef<Path>,
        lowercase: bool,
        max_length: usize,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
        Self::of_vocabulary(&text, &origin, lowercase, max_length)
    }

    /// The same from the content of a `vocab.txt`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] and [`Error::OutOfRange`] as [`TextTokenizer::from_vocabulary`].
    pub fn from_vocabulary_text(text: &str, lowercase: bool, max_length: usize) -> Result<Self, Error> {
        Self::of_vocabulary(text, MEMORY, lowercase, max_length)
    }

    fn of_vocabulary(text: &str, origin: &str, lowercase: bool, max_length: usize) -> Result<Self, Error> {
        let mut vocabulary = BTreeMap::new();
        for (line, token) in text.lines().enumerate() {
            if let Some(before) = vocabulary.insert(token.to_owned(), line as u32) {
                let reason = format!("`{token}` stands in lines {} and {}", before + 1, line + 1);
                return Err(refused(origin, &reason));
            }
        }
        let id = |token: &str| {
            let found = vocabulary.get(token).map(|id| (token.to_owned(), *id));
            found.ok_or_else(|| refused(origin, &format!("it has no line `{token}`")))
        };
        let [padding, _, cls, sep] = [id("[PAD]")?, id("[UNK]")?, id("[CLS]")?, id("[SEP]")?];
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].into_iter().filter_map(|token| {
            let id = vocabulary.get(token)?;
            Some(serde_json::json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            }))
        });
        // the file that transformers would write for this vocabulary
        let json = serde_json::json!({
            "version": "1.0",
            "added_tokens": special.collect::<Vec<_>>(),
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": lowercase,
            },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": { "type": "BertProcessing", "sep": sep, "cls": cls },
            "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocabulary,
            },
        });
        let tokenizer = tokenizers::Tokenizer::from_bytes(json.to_string().as_bytes());
        Self::new(tokenizer.map_err(|error| refused(origin, &*error))?, padding, max_length, origin)
    }

    fn new(
        mut tokenizer: tokenizers::Tokenizer,
        (pad_token, pad_id): (String, u32),
        max_length: usize,
        origin: &str,
    ) -> Result<Self, Error> {
        check_count("max_length", max_length, 3, "at least 3")?;
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| refused(origin, &*error))?;
        tokenizer.with_padding(Some(PaddingParams {
            strategy: PaddingStrategy::BatchLongest,
            pad_token,
            pad_id,
            ..PaddingParams::default()
        }));
        Ok(Self { tokenizer, max_length })
    }

    /// The token ids of one text, cut to [`TextTokenizer::max_length`], without padding.
    ///
    /// # Errors
    /// As [`TextTokenizer::encode`].
    pub fn token_ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.tokenizer.encode(text, true).map_err(|error| refused(MEMORY, &*error))?;
        if encoding.get_ids().is_empty() {
            return Err(refused(MEMORY, "a text has no tokens"));
        }
        Ok(encoding.get_ids().to_vec())
    }

    /// The id of padding.
    pub fn padding_id(&self) -> u32 {
        self.tokenizer.get_padding().map_or(0, |padding| padding.pad_id)
    }

    /// Most tokens of a text.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// One more than the largest token id; an encoder's [`BertConfig::vocabulary`](crate::BertConfig::vocabulary)
    /// must not be smaller.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1)
    }

    /// Texts → tokens [B, T], T the length of the longest one.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for an empty batch, and for a text without tokens, which only a tokenizer that adds no
    /// special ones makes of an empty text.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], device: &Device) -> Result<Tokens, Error> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let encodings = self.tokenizer.encode_batch(texts, true).map_err(|error| refused(MEMORY, &*error))?;
        if encodings.is_empty() {
            return Err(refused(MEMORY, "a batch without texts"));
        }
        if let Some(text) = encodings.iter().position(|e| !e.get_attention_mask().contains(&1)) {
            return Err(refused(MEMORY, &format!("text {text} has no tokens")));
        }
        let length = encodings.first().map_or(0, |encoding| encoding.get_ids().len());
        let shape = [encodings.len(), length];
        let integers = |of: fn(&tokenizers::Encoding) -> &[u32]| {
            let values: Vec<i32> = encodings.iter().flat_map(|e| of(e).iter().map(|id| *id as i32)).collect();
            Tensor::<2, Int>::from_data(TensorData::new(values, shape), device)
        };
        let padding: Vec<bool> =
            encodings.iter().flat_map(|e| e.get_attention_mask().iter().map(|kept| *kept == 0)).collect();
        Ok(Tokens {
            ids: integers(tokenizers::Encoding::get_ids),
            padding: Tensor::<2, Bool>::from_data(TensorData::new(padding, shape), device),
            types: Some(integers(tokenizers::Encoding::get_type_ids)),
        })
    }

    /// Writes a `tokenizer.json` that gives the same tokens; the file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::Tokenizer`] where it has no such form.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let json = self.tokenizer.to_string(false).map_err(|error| refused(MEMORY, &*error))?;
        atomic::write_file(path, |file| std::io::Write::write_all(file, json.as_bytes()))?;
        Ok(())
    }
}

fn refused(origin: &str, reason: &(impl ToString + ?Sized)) -> Error {
    Error::Tokenizer { origin: origin.to_owned(), reason: reason.to_string() }
}
