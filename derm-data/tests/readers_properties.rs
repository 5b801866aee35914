//! Readers on bytes that no publisher wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;

use derm_data::readers::{
    Source, bcn20000, ddi, dermamnist, fitzpatrick17k, ham10000, isic2019, isic2020, pad_ufes_20, scin,
    uci_dermatology,
};
use derm_data::{Error, ImagePolicy, ReadPolicy};
use proptest::prelude::*;

/// Every table, with the reader that reads it.
fn tables() -> Vec<(Source, Vec<&'static str>)> {
    let csv = r#"{"csv": {"table": "t.csv", "label": {"column": "dx"}}}"#;
    vec![
        (Source::Ham10000, vec![ham10000::METADATA]),
        (Source::Isic2019, vec![isic2019::GROUND_TRUTH, isic2019::METADATA]),
        (Source::Isic2020, vec![isic2020::GROUND_TRUTH[0], isic2020::DUPLICATES]),
        (Source::PadUfes20, vec![pad_ufes_20::METADATA]),
        (Source::Scin, vec![scin::CASES[0], scin::LABELS[0]]),
        (Source::Fitzpatrick17k, vec![fitzpatrick17k::METADATA]),
        (Source::Ddi, vec![ddi::METADATA]),
        (Source::Derm7pt, vec!["meta.csv", "train_indexes.csv"]),
        (Source::Bcn20000, vec![bcn20000::METADATA]),
        (Source::Dermamnist, vec![dermamnist::FILES[0]]),
        (Source::UciDermatology, vec![uci_dermatology::DATA]),
        (serde_json::from_str(csv).unwrap(), vec!["t.csv"]),
    ]
}

const POLICIES: [ReadPolicy; 2] =
    [ReadPolicy::TABLE_ONLY, ReadPolicy { images: ImagePolicy::Without, ..ReadPolicy::SKIP }];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let root = tempfile::tempdir().unwrap();
        for (source, files) in tables() {
            for file in files {
                fs::write(root.path().join(file), &bytes).unwrap();
            }
            for policy in POLICIES {
                // No random bytes are a dataset.
                prop_assert!(source.read(root.path(), policy).is_err());
            }
        }
    }

    /// Rows of the letters that CSV, Python literals and numbers are made of, below a right header.
    #[test]
    fn random_rows_never_panic(rows in prop::collection::vec("[-0-9aeT.,'\"{}\\[\\]: \r\n\\\\é]{0,120}", 1..6)) {
        let root = tempfile::tempdir().unwrap();
        let body = rows.join("\n");
        HEADERS.with(|headers| {
            for (file, header) in headers {
                fs::write(root.path().join(file), format!("{header}\n{body}\n")).unwrap();
            }
        });
        for (source, _) in tables() {
            for policy in POLICIES {
                if let Ok(dataset) = source.read(root.path(), policy) {
                    prop_assert!(!dataset.records().is_empty());
                }
            }
        }
    }

    /// One damaged byte in a sound `.npz` is an error or does no harm.
    #[test]
    fn a_damaged_npz_never_panics(position in 0_usize..10_000, byte in any::<u8>()) {
        let root = tempfile::tempdir().unwrap();
        let mut bytes = NPZ.with(Clone::clone);
        let position = position % bytes.len();
        bytes[position] = byte;
        let path = root.path().join("x.npz");
        fs::write(&path, bytes).unwrap();
        if let Ok(dataset) = dermamnist::read(&path, ReadPolicy::STRICT) {
            prop_assert_eq!(dataset.records().len(), 3);
        }
    }
}

thread_local! {
    static NPZ: Vec<u8> = npz();
    static HEADERS: Vec<(&'static str, String)> = headers();
}

/// The header of every table: a reader names a column that is not there, until all are.
fn headers() -> Vec<(&'static str, String)> {
    let root = tempfile::tempdir().unwrap();
    let mut headers = Vec::new();
    for (source, files) in tables() {
        for file in files {
            let mut columns: Vec<String> = Vec::new();
            loop {
                fs::write(root.path().join(file), format!("{}\n", columns.join(","))).unwrap();
                match source.read(root.path(), ReadPolicy::TABLE_ONLY) {
                    Err(Error::Column { column, path, .. }) if path.ends_with(file) => {
                        assert!(!columns.contains(&column), "{column}");
                        columns.push(column);
                    }
                    _ => break,
                }
            }
            headers.push((file, columns.join(",")));
        }
    }
    headers
}

#[test]
fn headers_are_found() {
    let headers = headers();
    let columns = |file: &str| headers.iter().find(|(name, _)| *name == file).unwrap().1.split(',').count();
    assert_eq!([columns(pad_ufes_20::METADATA), columns(isic2019::METADATA), columns("t.csv")], [26, 5, 1]);
}

/// A `DermaMNIST` file with one image of 2 by 2 pixels a part.
fn npz() -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for part in ["train", "val", "test"] {
        for (name, shape, data) in [("images", "(1, 2, 2, 3)", &[7_u8; 12][..]), ("labels", "(1, 1)", &[3])] {
            let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
            writer
                .start_file(format!("{part}_{name}.npy"), zip::write::SimpleFileOptions::default())
                .unwrap();
            writer.write_all(b"\x93NUMPY\x01\x00").unwrap();
            writer.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
            writer.write_all(header.as_bytes()).unwrap();
            writer.write_all(data).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}
