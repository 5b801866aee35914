use super::inverted_residual_trunk::{Place, place, timm};
use super::{Naming, Published, PublishedKeys, rewrite};
use crate::EfficientNet;

/// torchvision's names and timm's. Both publish the linear layers of squeeze-excitation as 1×1 convolutions.
impl PublishedKeys for EfficientNet {
    fn namings(&self) -> &'static [Naming] {
        &[Naming::Torchvision, Naming::Timm]
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        let key = if naming == Naming::Timm { timm(self.trunk(), path) } else { torchvision(self, path) };
        let published = Published::key(key.unwrap_or_else(|| path.to_owned()));
        if path.contains("squeeze_excitation") && path.ends_with("weight") {
            published.with_trailing_axes(2)
        } else {
            published
        }
    }

    fn published_head(&self, naming: Naming) -> &'static str {
        if naming == Naming::Timm { "classifier" } else { "classifier.1" }
    }
}

/// `features.N.M` counts the stem, the stages with their blocks, and the last convolution.
fn torchvision(network: &EfficientNet, path: &str) -> Option<String> {
    let trunk = network.trunk();
    let (place, rest) = place(trunk, path)?;
    let prefix = match place {
        Place::Stem => "features.0".to_owned(),
        Place::Head => format!("features.{}", trunk.num_stages() + 1),
        Place::Block { stage, block, part, expands } => {
            let part = match part {
                "expand" => 0,
                "depthwise" => usize::from(expands),
                "squeeze_excitation" => 1 + usize::from(expands),
                _ => 2 + usize::from(expands),
            };
            format!("features.{}.{block}.block.{part}", stage + 1)
        }
    };
    let rules = [("conv", "0"), ("norm", "1"), ("reduce", "fc1"), ("expand", "fc2")];
    Some(format!("{prefix}.{}", rewrite(rest, &rules)))
}
