//! A dataset that is drawn, not photographed.
//!
//! No floating-point library function whose result depends on the platform decides a pixel: only `+ − × ÷`, square
//! root, floor and comparisons, which IEEE 754 fixes to the last bit, and integer hashing.

mod caption;
mod case;
mod config;
mod diagnosis;
mod lesion;
mod noise;
mod outline;
mod person;
mod questionnaire;
mod skin;
mod structures;
mod tint;
mod view;

pub use caption::synthetic_caption_words;
pub use config::SyntheticConfig;
pub(crate) use config::age_band;
