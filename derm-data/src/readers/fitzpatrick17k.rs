//! Fitzpatrick17k: 16,577 clinical photographs of 114 skin conditions, with the Fitzpatrick type of the skin.
//!
//! # Source
//! Groh et al.: Evaluating deep neural networks trained on clinical images in dermatology with the Fitzpatrick 17k
//! dataset, CVPR Workshops (2021). The publishers give links and no images.

use std::path::Path;

use derm_core::LabelMap;

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, Reading, subgroups};
use super::table::Table;
use crate::{Dataset, Error, FeatureSchema, Record};

/// The 114 conditions in alphabetical order, spelt as published. The label mappings `fitzpatrick17k_to_nine` and
/// `fitzpatrick17k_to_three` make the publishers' coarser divisions of them.
#[rustfmt::skip]
pub const LABELS: [&str; 114] = [
    "acanthosis nigricans", "acne", "acne vulgaris",
    "acquired autoimmune bullous diseaseherpes gestationis", "acrodermatitis enteropathica",
    "actinic keratosis", "allergic contact dermatitis", "aplasia cutis", "basal cell carcinoma",
    "basal cell carcinoma morpheiform", "becker nevus", "behcets disease", "calcinosis cutis", "cheilitis",
    "congenital nevus", "dariers disease", "dermatofibroma", "dermatomyositis",
    "disseminated actinic porokeratosis", "drug eruption", "drug induced pigmentary changes",
    "dyshidrotic eczema", "eczema", "ehlers danlos syndrome", "epidermal nevus", "epidermolysis bullosa",
    "erythema annulare centrifigum", "erythema elevatum diutinum", "erythema multiforme",
    "erythema nodosum", "factitial dermatitis", "fixed eruptions", "folliculitis", "fordyce spots",
    "granuloma annulare", "granuloma pyogenic", "hailey hailey disease", "halo nevus", "hidradenitis",
    "ichthyosis vulgaris", "incontinentia pigmenti", "juvenile xanthogranuloma", "kaposi sarcoma", "keloid",
    "keratosis pilaris", "langerhans cell histiocytosis", "lentigo maligna", "lichen amyloidosis",
    "lichen planus", "lichen simplex", "livedo reticularis", "lupus erythematosus", "lupus subacute",
    "lyme disease", "lymphangioma", "malignant melanoma", "melanoma", "milia", "mucinosis", "mucous cyst",
    "mycosis fungoides", "myiasis", "naevus comedonicus", "necrobiosis lipoidica", "nematode infection",
    "neurodermatitis", "neurofibromatosis", "neurotic excoriations", "neutrophilic dermatoses",
    "nevocytic nevus", "nevus sebaceous of jadassohn", "papilomatosis confluentes and reticulate",
    "paronychia", "pediculosis lids", "perioral dermatitis", "photodermatoses", "pilar cyst",
    "pilomatricoma", "pityriasis lichenoides chronica", "pityriasis rosea", "pityriasis rubra pilaris",
    "porokeratosis actinic", "porokeratosis of mibelli", "porphyria", "port wine stain",
    "prurigo nodularis", "psoriasis", "pustular psoriasis", "pyogenic granuloma", "rhinophyma", "rosacea",
    "sarcoidosis", "scabies", "scleroderma", "scleromyxedema", "seborrheic dermatitis",
    "seborrheic keratosis", "solid cystic basal cell carcinoma", "squamous cell carcinoma", "stasis edema",
    "stevens johnson syndrome", "striae", "sun damaged skin", "superficial spreading melanoma ssm",
    "syringoma", "telangiectases", "tick bite", "tuberous sclerosis", "tungiasis", "urticaria",
    "urticaria pigmentosa", "vitiligo", "xanthomas", "xeroderma pigmentosum",];

/// Name of the table.
pub const METADATA: &str = "fitzpatrick17k.csv";

/// Images have the name of their MD5 hash; the scripts around write them to `data/finalfitz17k/`.
const IMAGE_FOLDERS: [&str; 4] = ["images", "data", "data/finalfitz17k", ""];

const COLUMNS: [&str; 7] = [
    "md5hash",
    "fitzpatrick_scale",
    "fitzpatrick_centaur",
    "label",
    "nine_partition_label",
    "three_partition_label",
    "qc",
];

/// A type of skin; −1 is unknown.
const SKIN_TYPES: [&str; 7] = ["-1", "1", "2", "3", "4", "5", "6"];

/// What a dermatologist said of the 504 images that were looked at again, by the first letter, and whether the image
/// stays.
const QUALITY: [(&str, bool); 6] =
    [("", true), ("1", true), ("2", true), ("3", false), ("4", false), ("5", true)];

/// Reads `fitzpatrick17k.csv` and finds the images (`<md5hash>.jpg`) in `images/`, `data/`, `data/finalfitz17k/` or
/// beside the table.
///
/// There are no answers. Subgroup columns are `fitzpatrick_scale` and `fitzpatrick_centaur` (`1` to `6`, `unknown` for
/// −1), `nine_partition`, `three_partition` and `qc`. Each image is a group of its own, since neither patients nor
/// lesions are known; the dataset does hold copies and several pictures of some lesions (Abhishek, Jain, Hamarneh:
/// Investigating the quality of `DermaMNIST` and Fitzpatrick17k dermatological image datasets, arXiv:2401.14497), which
/// only a search for near duplicates finds.
///
/// Left out are the images that the publishers' own check (`qc`) found wrongly labelled (`3 Wrongly labelled`) or no
/// dermatological picture (`4 Other`); the check covered 504 images only.
///
/// # Errors
/// As [`ham10000::read`](super::ham10000::read).
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let table = Table::read(&root.join(METADATA), &COLUMNS)?;
    let images = ImageIndex::find(root, &IMAGE_FOLDERS, policy.images)?;
    let labels = LabelMap::new(LABELS)?;
    let mut intake = Intake::new("Fitzpatrick17k", labels, FeatureSchema::empty(), policy);
    intake.read_rows(&table, "md5hash", |intake, row| {
        let id = row.filled("md5hash", "an MD5 hash")?;
        let class = intake.class(row, "label")?;
        let skin_type = |column| match row.one_of(column, &SKIN_TYPES) {
            Ok("-1") => Ok(""),
            other => other,
        };
        let quality = row.cell("qc");
        let kind = quality.split(' ').next().unwrap_or_default();
        match QUALITY.iter().find(|(known, _)| *known == kind) {
            Some((_, true)) => {}
            Some((_, false)) => return Ok(Reading::LeftOut(format!("its quality check says {quality:?}"))),
            None => return Err(row.wrong("qc", "nothing, or a text that starts with 1 to 5")),
        }
        let subgroups = subgroups(&[
            ("fitzpatrick_scale", skin_type("fitzpatrick_scale")?),
            ("fitzpatrick_centaur", skin_type("fitzpatrick_centaur")?),
            ("nine_partition", row.cell("nine_partition_label")),
            ("three_partition", row.cell("three_partition_label")),
            ("qc", if quality.is_empty() { "not checked" } else { quality }),
        ]);
        Ok(Record { subgroups, ..Record::new(id, images.named(row, id)?, class) }.into())
    })?;
    intake.finish()
}
