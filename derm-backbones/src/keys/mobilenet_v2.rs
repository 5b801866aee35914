use super::inverted_residual_trunk::{Place, place, timm};
use super::{Naming, Published, PublishedKeys, rewrite};
use crate::MobileNetV2;

/// torchvision's names and timm's.
impl PublishedKeys for MobileNetV2 {
    fn namings(&self) -> &'static [Naming] {
        &[Naming::Torchvision, Naming::Timm]
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        let key = if naming == Naming::Timm { timm(self.trunk(), path) } else { torchvision(self, path) };
        Published::key(key.unwrap_or_else(|| path.to_owned()))
    }

    fn published_head(&self, naming: Naming) -> &'static str {
        if naming == Naming::Timm { "classifier" } else { "classifier.1" }
    }
}

/// `features.N` counts the stem, the blocks of all stages, and the last convolution.
fn torchvision(network: &MobileNetV2, path: &str) -> Option<String> {
    let trunk = network.trunk();
    let (place, rest) = place(trunk, path)?;
    let (prefix, conv, norm) = match place {
        Place::Stem => ("features.0".to_owned(), "0", "1"),
        Place::Head => (format!("features.{}", trunk.num_blocks() - 1), "0", "1"),
        Place::Block { stage, block, part, expands } => {
            let index = 1 + trunk.blocks_before(stage) + block;
            let (conv, norm) = match (part, expands) {
                ("depthwise", true) => ("1.0", "1.1"),
                ("project", true) => ("2", "3"),
                ("project", false) => ("1", "2"),
                _ => ("0.0", "0.1"),
            };
            (format!("features.{index}.conv"), conv, norm)
        }
    };
    Some(format!("{prefix}.{}", rewrite(rest, &[("conv", conv), ("norm", norm)])))
}
