//! Embedded ICC profiles: colours to sRGB.

use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;
use moxcms::{
    ColorProfile, DataColorSpace, Layout, RenderingIntent, Transform8BitExecutor, TransformOptions,
};

/// Profiles that are remembered. A dataset has a few cameras, each with one profile in every file.
const REMEMBERED: usize = 16;

/// Steps a channel of the grid of colours on which a profile is compared with sRGB.
const GRID: usize = 9;

/// What a profile does to pixels.
#[derive(Clone)]
enum Conversion {
    /// Nothing: it is sRGB within a grey level, it cannot be read, or it is of another colour space.
    None,
    Rgb(Arc<Transform8BitExecutor>),
    Grey(Arc<Transform8BitExecutor>),
}

struct Known {
    profile: Vec<u8>,
    grey: bool,
    conversion: Conversion,
}

/// The conversions of the profiles seen last.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// Brings the colours of a picture with this profile to sRGB; `grey` where the file has one channel of colour.
pub(super) fn to_srgb(profile: &[u8], grey: bool, image: &mut RgbImage) {
    match conversion(profile, grey) {
        Conversion::None => {}
        Conversion::Rgb(transform) => {
            let mut converted = vec![0; image.as_raw().len()];
            if transform.transform(image.as_raw(), &mut converted).is_ok() {
                image.copy_from_slice(&converted);
            }
        }
        Conversion::Grey(transform) => {
            let levels: Vec<u8> = image.as_raw().chunks_exact(3).map(|pixel| pixel[0]).collect();
            let mut converted = vec![0; image.as_raw().len()];
            if transform.transform(&levels, &mut converted).is_ok() {
                image.copy_from_slice(&converted);
            }
        }
    }
}

fn conversion(profile: &[u8], grey: bool) -> Conversion {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.iter().find(|known| known.grey == grey && known.profile == profile) {
        return found.conversion.clone();
    }
    let conversion = build(profile, grey).unwrap_or(Conversion::None);
    if known.len() == REMEMBERED {
        known.remove(0);
    }
    known.push(Known { profile: profile.to_vec(), grey, conversion: conversion.clone() });
    conversion
}

/// The conversion of a profile; `None` where there is none.
fn build(profile: &[u8], grey: bool) -> Option<Conversion> {
    let source = ColorProfile::new_from_slice(profile).ok()?;
    let target = ColorProfile::new_srgb();
    let options =
        TransformOptions { rendering_intent: RenderingIntent::Perceptual, ..TransformOptions::default() };
    let layout = match (source.color_space, grey) {
        (DataColorSpace::Rgb, false) => Layout::Rgb,
        (DataColorSpace::Gray, true) => Layout::Gray,
        _ => return None,
    };
    let transform = source.create_transform_8bit(layout, &target, Layout::Rgb, options).ok()?;
    let level = |step: usize| (step * 255 / (GRID - 1)) as u8;
    let (probe, plain): (Vec<u8>, Vec<u8>) = if grey {
        ((0..=255).collect(), (0..=255).flat_map(|level| [level; 3]).collect())
    } else {
        let colour = |at: usize| [level(at / GRID / GRID), level(at / GRID % GRID), level(at % GRID)];
        let colours: Vec<u8> = (0..GRID * GRID * GRID).flat_map(colour).collect();
        (colours.clone(), colours)
    };
    let mut converted = vec![0; plain.len()];
    transform.transform(&probe, &mut converted).ok()?;
    if converted.iter().zip(&plain).all(|(a, b)| a.abs_diff(*b) <= 1) {
        return None;
    }
    Some(if grey { Conversion::Grey(transform) } else { Conversion::Rgb(transform) })
}
