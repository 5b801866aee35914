//! A contact sheet of the synthetic dataset, one class a row, for a person to look at.
#![allow(clippy::unwrap_used, missing_docs)]

use derm_core::ClassIndex;
use derm_data::{ImageSource, SyntheticConfig};
use image::{Rgb, RgbImage};

const COLUMNS: usize = 10;

#[test]
#[ignore = "writes a picture: needs DERM_CONTACT_SHEET (the PNG's path) and reads DERM_CONTACT_SIZE (pixels, 48)"]
fn contact_sheet() {
    let path = std::env::var("DERM_CONTACT_SHEET").unwrap();
    let size: usize = std::env::var("DERM_CONTACT_SIZE").map_or(48, |size| size.parse().unwrap());
    let scale = (192 / size).max(1);
    let config = SyntheticConfig { image_size: size, max_views: 1, seed: 5, ..SyntheticConfig::default() };
    let dataset = config.generate().unwrap();
    let tile = size * scale;
    let classes = dataset.labels().num_classes();
    let mut sheet = RgbImage::new((COLUMNS * tile) as u32, (classes * tile) as u32);
    for class in 0..classes {
        let of_class = dataset.records().iter().filter(|record| record.class == ClassIndex::new(class));
        for (column, record) in of_class.take(COLUMNS).enumerate() {
            let ImageSource::Rgb(pixels) = &record.image else {
                unreachable!("synthetic images are in memory")
            };
            for y in 0..tile {
                for x in 0..tile {
                    let at = ((y / scale) * size + x / scale) * 3;
                    let b = &pixels.as_bytes()[at..at + 3];
                    sheet.put_pixel(
                        (column * tile + x) as u32,
                        (class * tile + y) as u32,
                        Rgb([b[0], b[1], b[2]]),
                    );
                }
            }
        }
    }
    sheet.save(path).unwrap();
}
