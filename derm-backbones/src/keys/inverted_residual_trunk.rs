use super::rewrite;
use crate::layers::InvertedResidualTrunk;

/// Where a parameter of a trunk lies.
pub(super) enum Place<'a> {
    Stem,
    /// A block: its stage, its number in the stage, the part, and whether the block begins with a 1×1 convolution.
    Block {
        stage: usize,
        block: usize,
        part: &'a str,
        expands: bool,
    },
    Head,
}

/// The place of the parameter at this path in the network, and what follows it: `conv.weight`, `norm.bias`, …
pub(super) fn place<'a>(trunk: &InvertedResidualTrunk, path: &'a str) -> Option<(Place<'a>, &'a str)> {
    let path = path.strip_prefix("trunk.")?;
    if let Some(rest) = path.strip_prefix("stem.") {
        return Some((Place::Stem, rest));
    }
    if let Some(rest) = path.strip_prefix("head.") {
        return Some((Place::Head, rest));
    }
    let mut segments = path.strip_prefix("stages.")?.splitn(4, '.');
    let stage = segments.next()?.parse().ok()?;
    let block = segments.next()?.parse().ok()?;
    let part = segments.next()?;
    let place = Place::Block { stage, block, part, expands: trunk.expands(stage, block) };
    Some((place, segments.next()?))
}

/// timm's names, which `MobileNetV2` and `EfficientNet` share. Where a block does not begin with a 1×1 convolution,
/// the same names mean other layers.
pub(super) fn timm(trunk: &InvertedResidualTrunk, path: &str) -> Option<String> {
    let (place, rest) = place(trunk, path)?;
    let (prefix, conv, norm) = match place {
        Place::Stem => (String::new(), "conv_stem", "bn1"),
        Place::Head => (String::new(), "conv_head", "bn2"),
        Place::Block { stage, block, part, expands } => {
            let (conv, norm) = match (part, expands) {
                ("expand", _) => ("conv_pw", "bn1"),
                ("depthwise", true) => ("conv_dw", "bn2"),
                ("depthwise", false) => ("conv_dw", "bn1"),
                ("project", true) => ("conv_pwl", "bn3"),
                ("project", false) => ("conv_pw", "bn2"),
                _ => ("", ""),
            };
            (format!("blocks.{stage}.{block}."), conv, norm)
        }
    };
    let rules = [("conv", conv), ("norm", norm), ("reduce", "se.conv_reduce"), ("expand", "se.conv_expand")];
    Some(format!("{prefix}{}", rewrite(rest, &rules)))
}
