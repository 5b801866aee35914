//! Pictures that are nearly the same: a lesion in two parts of a split under two names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use derm_core::{Interpolation, SplitRole};
use image::GrayImage;
use image_hasher::{HashAlg, HasherConfig};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::setting;
use crate::{Dataset, Error, ImageSource, Orientation, Resize, ResizeRule, RgbPixels, Split, decode_file};

/// Side of the hash: 16 × 16 bits. The usual 8 × 8 takes two round lesions for one.
const HASH_SIDE: usize = 16;
const HASH_BITS: u32 = (HASH_SIDE * HASH_SIDE) as u32;
/// Side of the thumbnail from which hash and correlation are made.
const THUMBNAIL: usize = 32;

/// When two pictures count as nearly the same.
///
/// | field | default | range |
/// |---|---|---|
/// | `max_distance` | 40 | differing bits of the perceptual hash, of 256 |
/// | `min_correlation` | 0.98 | Pearson's correlation of the grey 32 × 32 thumbnails, in [−1, 1] |
///
/// Both must hold. The hash is cheap and finds candidates, the correlation decides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NearDuplicateConfig {
    /// Largest Hamming distance of the hashes.
    pub max_distance: u32,
    /// Smallest correlation of the thumbnails.
    pub min_correlation: f64,
}

impl Default for NearDuplicateConfig {
    fn default() -> Self {
        Self { max_distance: 40, min_correlation: 0.98 }
    }
}

/// Two records with nearly the same picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NearDuplicate {
    /// Index of one record in the dataset.
    pub first: usize,
    /// Index of the other, larger than `first`.
    pub second: usize,
    /// Differing bits of the hashes, of 256, in the orientation in which they fit best.
    pub distance: u32,
    /// Correlation of the thumbnails in that orientation.
    pub correlation: f64,
}

/// The pairs of a dataset's records whose pictures are nearly the same: re-encoded, resized, brightened, mirrored or
/// turned by quarter turns. Another photograph of the same lesion, or a crop, is usually not among them.
///
/// # Source
/// Zauner: Implementation and benchmarking of perceptual image hash functions (2010): the DCT hash, low frequencies of
/// the grey picture against their median. Leaks of this kind in the field's data: Cassidy et al., Analysis of the ISIC
/// image datasets, Medical Image Analysis 75 (2022); Abhishek, Jain, Hamarneh, Scientific Data 12 (2025).
///
/// ```
/// use derm_data::{NearDuplicateConfig, NearDuplicates, SyntheticConfig};
/// let dataset = SyntheticConfig { num_lesions: 80, image_size: 32, ..SyntheticConfig::default() }.generate()?;
/// let near = NearDuplicates::find(&dataset, NearDuplicateConfig::default())?;
/// assert!(near.between_groups(&dataset).next().is_none(), "drawn lesions differ");
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NearDuplicates {
    pairs: Vec<NearDuplicate>,
}

/// What is known of one picture.
struct Print {
    /// Hashes in the eight orientations; the first is upright.
    hashes: [[u64; 4]; 8],
    /// The thumbnail, with mean 0 and norm 1; all 0 where the picture has one colour.
    thumbnail: Vec<f32>,
}

impl NearDuplicates {
    /// Looks at every picture and compares all pairs, on all cores: n pictures take n decodings, n² / 2 comparisons of
    /// eight hashes, and memory for n thumbnails (4.4 KB each) and the pairs that are found.
    ///
    /// # Errors
    /// [`Error::Setting`] for a threshold out of range; [`Error::NoImage`], [`Error::File`] or [`Error::Decode`] for a
    /// record whose picture cannot be read.
    pub fn find(dataset: &Dataset, config: NearDuplicateConfig) -> Result<Self, Error> {
        if config.max_distance > HASH_BITS {
            return Err(setting("max_distance", config.max_distance, "0 to 256 bits"));
        }
        if !(-1.0..=1.0).contains(&config.min_correlation) {
            return Err(setting("min_correlation", config.min_correlation, "-1 to 1"));
        }
        let prints: Vec<Result<Print, Error>> = dataset
            .records()
            .par_iter()
            .map(|record| match &record.image {
                ImageSource::File(path) => Print::new(&decode_file(path)?),
                ImageSource::Rgb(pixels) => Print::new(pixels),
                ImageSource::Absent => Err(Error::NoImage { id: record.id.clone() }),
            })
            .collect();
        let prints: Vec<Print> = prints.into_iter().collect::<Result<_, Error>>()?;
        let pairs = (0..prints.len()).into_par_iter().flat_map_iter(|first| {
            let prints = &prints;
            (first + 1..prints.len()).filter_map(move |second| {
                let (orientation, distance) = prints[first].closest(&prints[second]);
                if distance > config.max_distance {
                    return None;
                }
                let correlation = prints[first].correlation(&prints[second], orientation);
                (correlation >= config.min_correlation).then_some(NearDuplicate {
                    first,
                    second,
                    distance,
                    correlation,
                })
            })
        });
        Ok(Self { pairs: pairs.collect() })
    }

    /// All pairs, by index.
    pub fn pairs(&self) -> &[NearDuplicate] {
        &self.pairs
    }

    /// The pairs whose records belong to two groups: one lesion under two names, or one picture published twice.
    pub fn between_groups<'a>(&'a self, dataset: &'a Dataset) -> impl Iterator<Item = NearDuplicate> + 'a {
        let group = |index: usize| dataset.records().get(index).map(crate::Record::group);
        self.pairs.iter().copied().filter(move |pair| group(pair.first) != group(pair.second))
    }

    /// The pairs that a split puts into two parts.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`] where the pairs are of other data, [`Error::SplitMismatch`] where the split is.
    pub fn across(&self, dataset: &Dataset, split: &Split) -> Result<NearDuplicateReport, Error> {
        let roles = split.roles_by_id();
        let mut crossings = Vec::new();
        for pair in &self.pairs {
            let side =
                |index: usize| {
                    let record = dataset.record(index)?;
                    let role = roles.get(record.id.as_str()).copied().ok_or_else(|| {
                        Error::SplitMismatch { id: record.id.clone(), present: "dataset", absent: "split" }
                    })?;
                    let class = dataset.labels().names()[record.class.get()].clone();
                    Ok::<_, Error>(CrossingSide { id: record.id.clone(), role, class })
                };
            let (first, second) = (side(pair.first)?, side(pair.second)?);
            if first.role != second.role {
                let (distance, correlation) = (pair.distance, pair.correlation);
                crossings.push(Crossing { first, second, distance, correlation });
            }
        }
        Ok(NearDuplicateReport { pairs: self.pairs.len(), crossings })
    }

    /// Makes one group of the groups that share a picture, so that a split made afterwards keeps them together and
    /// intervals count them once: their records get one patient, named as the alphabetically first of the groups. Gives
    /// the number of groups that went into others.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`] where the pairs are of other data; as [`Dataset::new`].
    pub fn merge_groups(&self, dataset: &Dataset) -> Result<(Dataset, usize), Error> {
        let mut parent: BTreeMap<String, String> = BTreeMap::new();
        for pair in &self.pairs {
            let first = root(&parent, dataset.record(pair.first)?.group());
            let second = root(&parent, dataset.record(pair.second)?.group());
            let (low, high) = if first <= second { (first, second) } else { (second, first) };
            if low != high {
                parent.insert(high, low);
            }
        }
        let mut records = dataset.records().to_vec();
        let merged: BTreeSet<String> = parent.values().map(|group| root(&parent, group)).collect();
        for record in &mut records {
            let group = root(&parent, record.group());
            if group != record.group() || merged.contains(&group) {
                record.patient = Some(group);
            }
        }
        let (labels, schema) = (dataset.labels().clone(), dataset.schema().clone());
        let merged = Dataset::new(dataset.name(), labels, records, schema, dataset.skipped().to_vec())?;
        let merged = merged.with_tasks(dataset.tasks().clone())?;
        Ok((merged, parent.len()))
    }
}

/// The group that a group went into in the end.
fn root(parent: &BTreeMap<String, String>, group: &str) -> String {
    let mut at = group;
    while let Some(up) = parent.get(at) {
        at = up;
    }
    at.to_owned()
}

impl Print {
    fn new(pixels: &RgbPixels) -> Result<Self, Error> {
        let grey = thumbnail(pixels)?;
        let hasher = HasherConfig::with_bytes_type::<[u8; HASH_SIDE * HASH_SIDE / 8]>()
            .hash_size(HASH_SIDE as u32, HASH_SIDE as u32)
            .hash_alg(HashAlg::Median)
            .preproc_dct()
            .to_hasher();
        let hash = |orientation: Orientation| {
            let turned = turn(&grey, orientation);
            let picture = GrayImage::from_raw(THUMBNAIL as u32, THUMBNAIL as u32, turned).unwrap_or_default();
            let mut words = [0u64; 4];
            for (word, bytes) in words.iter_mut().zip(hasher.hash_image(&picture).as_bytes().chunks(8)) {
                *word = bytes.iter().fold(0, |word, &byte| (word << 8) | u64::from(byte));
            }
            words
        };
        let mean = grey.iter().map(|&v| f32::from(v)).sum::<f32>() / grey.len() as f32;
        let centred: Vec<f32> = grey.iter().map(|&v| f32::from(v) - mean).collect();
        let norm = centred.iter().map(|v| v * v).sum::<f32>().sqrt();
        let thumbnail = centred.into_iter().map(|v| if norm > 0.0 { v / norm } else { 0.0 }).collect();
        Ok(Self { hashes: Orientation::ALL.map(hash), thumbnail })
    }

    /// The orientation in which the other picture's hash is closest to this one's upright, and the distance.
    fn closest(&self, other: &Self) -> (Orientation, u32) {
        let distance = |hash: &[u64; 4]| {
            hash.iter().zip(&self.hashes[0]).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>()
        };
        let mut best = (Orientation::UPRIGHT, u32::MAX);
        for (orientation, hash) in Orientation::ALL.into_iter().zip(&other.hashes) {
            let distance = distance(hash);
            if distance < best.1 {
                best = (orientation, distance);
            }
        }
        best
    }

    fn correlation(&self, other: &Self, orientation: Orientation) -> f64 {
        let turned = turn(&other.thumbnail, orientation);
        self.thumbnail.iter().zip(&turned).map(|(a, b)| f64::from(a * b)).sum()
    }
}

/// A square of [`THUMBNAIL`] numbers a side, turned.
fn turn<T: Copy>(square: &[T], orientation: Orientation) -> Vec<T> {
    let source = |place: usize| {
        let (row, column) = orientation.source(place / THUMBNAIL, place % THUMBNAIL, THUMBNAIL);
        square[row * THUMBNAIL + column]
    };
    (0..square.len()).map(source).collect()
}

/// The grey picture (ITU-R 601 luma) of [`THUMBNAIL`] pixels a side.
fn thumbnail(pixels: &RgbPixels) -> Result<Vec<u8>, Error> {
    let small = Resize::new(THUMBNAIL, ResizeRule::Squash, Interpolation::Bilinear)?.apply(pixels)?;
    let grey = |pixel: [u8; 3]| {
        let [red, green, blue] = pixel.map(u32::from);
        ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
    };
    Ok(small.iter().map(grey).collect())
}

/// One picture of a pair that a split puts into two parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CrossingSide {
    /// The record.
    pub id: String,
    /// Its part.
    pub role: SplitRole,
    /// Its class. Nearly the same picture under two classes is a labelling error besides.
    pub class: String,
}

/// A pair that a split puts into two parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Crossing {
    /// One picture.
    pub first: CrossingSide,
    /// The other.
    pub second: CrossingSide,
    /// Differing bits of the hashes, of 256.
    pub distance: u32,
    /// Correlation of the thumbnails.
    pub correlation: f64,
}

/// Near-duplicates across the parts of a split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NearDuplicateReport {
    /// Pairs of the whole dataset, within a part or not.
    pub pairs: usize,
    /// Those across parts.
    pub crossings: Vec<Crossing>,
}

impl fmt::Display for NearDuplicateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pairs of nearly equal pictures, {} across parts", self.pairs, self.crossings.len())?;
        for Crossing { first, second, distance, correlation } in &self.crossings {
            write!(
                f,
                "\n{} ({}, {}) and {} ({}, {}): {distance} of {HASH_BITS} bits differ, correlation {correlation:.4}",
                first.id, first.role, first.class, second.id, second.role, second.class,
            )?;
        }
        Ok(())
    }
}
