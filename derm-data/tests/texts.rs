//! Captions: drawn, read from a table, and on their way into batches.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use burn::tensor::Device;
use derm_core::{Interpolation, Normalization, sha256_hex};
use derm_data::readers::Source;
use derm_data::{
    Batch, Dataset, Error, HostBatch, Loader, LoaderConfig, Questionnaire, ReadPolicy, Resize, ResizeRule,
    SampleOrder, Sampler, Samples, StoredPixels, SyntheticConfig, TestView, TokenRows, UnreadablePolicy,
};

fn config(seed: u64) -> SyntheticConfig {
    SyntheticConfig { seed, num_lesions: 400, image_size: 16, ..SyntheticConfig::default() }
}

fn texts(dataset: &Dataset) -> Vec<Option<&str>> {
    dataset.records().iter().map(|record| record.text.as_deref()).collect()
}

#[test]
fn captions_are_seeded_and_some_are_missing() {
    let (first, again, other) =
        (config(1).generate().unwrap(), config(1).generate().unwrap(), config(2).generate().unwrap());
    assert_eq!(texts(&first), texts(&again));
    assert_ne!(texts(&first), texts(&other));
    let missing = texts(&first).iter().filter(|text| text.is_none()).count() as f64;
    let share = missing / first.records().len() as f64;
    assert!((0.10..0.20).contains(&share), "{share}");
    assert_eq!(first.summary().texts, first.records().len() - missing as usize);
    assert!(first.summary().to_string().contains("records with a text"));

    let none = SyntheticConfig { missing_captions: 1.0, ..config(1) }.generate().unwrap();
    assert!(texts(&none).iter().all(Option::is_none));
    assert!(!none.summary().to_string().contains("with a text"));
    // What is left out changes nothing else, pictures and other captions neither.
    let all = SyntheticConfig { missing_captions: 0.0, ..config(1) }.generate().unwrap();
    for ((some, all), record) in texts(&first).iter().zip(texts(&all)).zip(first.records()) {
        assert!(all.is_some() && (some.is_none() || *some == all), "{}", record.id);
    }
    assert_eq!(first.records()[0].answers, none.records()[0].answers);
}

/// The same captions on every machine.
#[test]
fn captions_are_the_same_everywhere() {
    let dataset = config(1).generate().unwrap();
    let all: Vec<String> = texts(&dataset).iter().map(|text| text.unwrap_or_default().to_owned()).collect();
    assert_eq!(
        sha256_hex(all.join("\n").as_bytes()),
        "fbb9a85e92605ab1155f6e4d7032723b329047b768ac1d20158742813c9c4de9",
        "{:?}",
        &all[..5]
    );
}

#[test]
fn photographs_of_a_lesion_are_told_in_other_words() {
    let dataset = SyntheticConfig { missing_captions: 0.0, ..config(3) }.generate().unwrap();
    let mut of_lesion: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in dataset.records() {
        of_lesion.entry(&record.lesion).or_default().push(record.text.as_deref().unwrap());
    }
    let pairs: Vec<&Vec<&str>> = of_lesion.values().filter(|captions| captions.len() > 1).collect();
    let differ = pairs.iter().filter(|captions| captions[0] != captions[1]).count();
    assert!(differ * 10 > pairs.len() * 9, "{differ} of {}", pairs.len());
}

/// Multinomial naive Bayes over words, with add-one smoothing and the training shares as prior.
fn naive_bayes(train: &[(&str, usize)], test: &[(&str, usize)]) -> f64 {
    let mut counts = vec![BTreeMap::<&str, f64>::new(); 7];
    let mut shares = [0.0; 7];
    for (text, class) in train {
        shares[*class] += 1.0;
        for word in text.split_whitespace() {
            *counts[*class].entry(word).or_default() += 1.0;
        }
    }
    let words = counts.iter().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>().len() as f64;
    let (mut right, mut seen) = ([0.0; 7], [0.0_f64; 7]);
    for (text, class) in test {
        let score = |of: usize| {
            let total: f64 = counts[of].values().sum();
            let word = |word| ((counts[of].get(word).copied().unwrap_or(0.0) + 1.0) / (total + words)).ln();
            text.split_whitespace().map(word).sum::<f64>()
        };
        let best = (0..7).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap();
        seen[*class] += 1.0;
        right[*class] += f64::from(u8::from(best == *class));
    }
    right.iter().zip(seen).map(|(right, seen)| right / seen).sum::<f64>() / 7.0
}

#[test]
fn captions_tell_part_of_the_class() {
    let draw = |seed| SyntheticConfig { num_lesions: 1300, missing_captions: 0.0, ..config(seed) };
    let (train, test) = (draw(4).generate().unwrap(), draw(5).generate().unwrap());
    let rows = |dataset: &Dataset| -> Vec<(String, usize)> {
        let row = |record: &derm_data::Record| (record.text.clone().unwrap(), record.class.get());
        dataset.records().iter().map(row).collect()
    };
    let (train, test) = (rows(&train), rows(&test));
    let train: Vec<(&str, usize)> = train.iter().map(|(text, class)| (text.as_str(), *class)).collect();
    let test: Vec<(&str, usize)> = test.iter().map(|(text, class)| (text.as_str(), *class)).collect();
    // Chance is 1 in 7; a caption that named the class would give 1.
    let balanced = naive_bayes(&train, &test);
    println!("balanced accuracy of naive Bayes over words: {balanced:.3}");
    assert!((0.45..0.8).contains(&balanced), "{balanced}");
    let known: BTreeSet<&str> = derm_data::synthetic_caption_words().into_iter().collect();
    let vocabulary: BTreeSet<&str> = train.iter().flat_map(|(text, _)| text.split_whitespace()).collect();
    let without_dots = |word: &str| word.trim_end_matches('.').to_owned();
    assert!(vocabulary.iter().all(|word| known.contains(without_dots(word).as_str())));
    assert!((60..140).contains(&known.len()), "{}", known.len());
}

#[test]
fn a_table_has_a_column_of_texts() {
    let root = tempfile::tempdir().unwrap();
    fs::write(
        root.path().join("t.csv"),
        "id,dx,history\n1,a,\"itches, since May\"\n2,b,\n3,b,  dark spot \n",
    )
    .unwrap();
    let source = |text: &str| -> Source {
        let csv =
            format!(r#"{{"csv": {{"table": "t.csv", "id": "id", "label": {{"column": "dx"}}{text}}}}}"#);
        serde_json::from_str(&csv).unwrap()
    };
    let read = |text: &str| source(text).read(root.path(), ReadPolicy::STRICT);
    let dataset = read(r#", "text": "history""#).unwrap();
    assert_eq!(texts(&dataset), [Some("itches, since May"), None, Some("dark spot")]);
    assert_eq!(texts(&read("").unwrap()), [None; 3]);
    let error = read(r#", "text": "histroy""#).unwrap_err();
    assert!(matches!(&error, Error::Column { column, .. } if column == "histroy"), "{error}");
}

/// Samples whose record i has i % 5 + 1 tokens, each of them i + 10.
fn with_tokens() -> (Dataset, Samples) {
    let config = SyntheticConfig { num_lesions: 56, image_size: 16, ..SyntheticConfig::default() };
    let mut dataset = config.generate().unwrap();
    let resize = Resize::new(16, ResizeRule::Squash, Interpolation::Bilinear).unwrap();
    let cache =
        dataset.load_pixels(resize, StoredPixels::Resized, UnreadablePolicy::Fail, usize::MAX).unwrap();
    let samples =
        Samples::new(&dataset, Arc::new(cache), Normalization::HALF, Questionnaire::Ignore).unwrap();
    let rows = (0..dataset.records().len()).map(|index| vec![index as u32 + 10; index % 5 + 1]).collect();
    let samples = samples.with_tokens(TokenRows::new(rows, vec![1, 2], 0).unwrap()).unwrap();
    (dataset, samples)
}

#[test]
fn a_batch_holds_the_tokens_of_its_records() {
    let (_, samples) = with_tokens();
    let batch = samples.batch(&[1, 0, 3], TestView::Identity).unwrap();
    let tokens = batch.tokens.clone().unwrap();
    assert_eq!((tokens.length, &tokens.ids[..]), (4, &[11, 11, 0, 0, 10, 0, 0, 0, 13, 13, 13, 13][..]));
    let (t, f) = (true, false);
    assert_eq!(tokens.padding, [f, f, t, t, f, t, t, t, f, f, f, f]);
    let device = Device::default();
    let moved = Batch::to_device(batch, &device).unwrap().tokens.unwrap();
    assert_eq!(moved.ids.dims(), [3, 4]);
    let ids: Vec<i32> = moved.ids.into_data().iter::<i32>().collect();
    assert_eq!(ids, tokens.ids);
    assert_eq!(moved.padding.into_data().iter::<bool>().collect::<Vec<_>>(), tokens.padding);
    let rows = samples.tokens().unwrap();
    assert_eq!((rows.longest(), rows.padded(&[0], 5).length), (5, 5));
}

#[test]
fn hidden_texts_follow_from_seed_epoch_and_record() {
    let (dataset, samples) = with_tokens();
    let indices: Vec<usize> = (0..dataset.records().len()).collect();
    let hidden = |share: f64, epoch: u64, workers: usize| -> Vec<HostBatch> {
        let classes = dataset.classes(&indices).unwrap();
        let sampler = Sampler::new(indices.clone(), &classes, SampleOrder::Shuffled, 3).unwrap();
        let config = LoaderConfig { batch_size: 7, workers, ..LoaderConfig::default() };
        let loader = Loader::new(samples.clone(), sampler, None, config).unwrap();
        let loader = loader.with_text_dropout(share).unwrap();
        let seen = loader.epoch(epoch).collect::<Result<Vec<_>, _>>().unwrap();
        let shown = loader.with_view(TestView::Identity).unwrap().epoch(epoch).next().unwrap().unwrap();
        let first = shown.tokens.as_ref().unwrap().ids[0];
        assert_eq!(first as usize, shown.indices[0] + 10, "measured with its text");
        seen
    };
    // The records whose text is there.
    let shown = |batches: &[HostBatch]| -> BTreeSet<usize> {
        let rows = batches.iter().flat_map(|batch| {
            let tokens = batch.tokens.as_ref().unwrap();
            let first = tokens.ids.chunks_exact(tokens.length).map(|row| row[0]);
            batch.indices.iter().zip(first).filter(|(_, first)| *first >= 10).map(|(index, _)| *index)
        });
        rows.collect()
    };
    assert_eq!(shown(&hidden(0.0, 0, 0)).len(), indices.len());
    assert_eq!(shown(&hidden(1.0, 0, 0)).len(), 0);
    let half = hidden(0.5, 0, 0);
    let share = shown(&half).len() as f64 / indices.len() as f64;
    assert!((0.35..0.65).contains(&share), "{share}");
    assert!(half == hidden(0.5, 0, 3));
    assert_ne!(shown(&half), shown(&hidden(0.5, 1, 0)));
    let loader = |share| {
        let sampler =
            Sampler::new(indices.clone(), &dataset.classes(&indices).unwrap(), SampleOrder::Sequential, 0);
        Loader::new(samples.clone(), sampler.unwrap(), None, LoaderConfig::default())
            .unwrap()
            .with_text_dropout(share)
    };
    for share in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(loader(share), Err(Error::Setting { .. })), "{share}");
    }
}

#[test]
fn impossible_tokens_are_refused() {
    let (_, samples) = with_tokens();
    let one = TokenRows::new(vec![vec![5]], vec![1], 0).unwrap();
    assert!(matches!(samples.with_tokens(one), Err(Error::Setting { .. })));
    for (rows, empty, padding) in [
        (vec![vec![]], vec![1], 0),
        (vec![vec![5]], vec![], 0),
        (vec![vec![u32::MAX]], vec![1], 0),
        (vec![vec![5]], vec![1], u32::MAX),
    ] {
        assert!(matches!(TokenRows::new(rows, empty, padding), Err(Error::Setting { .. })));
    }
}
