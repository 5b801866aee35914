//! A full report of an invented run: every figure, every table, names that try to break out of the page.

use derm_calibration::{AbstainConfig, CalibrationRecord, RiskCoverage, TemperatureConfig, Tier};
use derm_core::{
    Calibration, LabelMap, PredictionColumns, PredictionMetadata, Predictions, Role, ScoreKind, Scores, Test,
    Validation, View,
};
use derm_metrics::{Binning, Evaluation, EvaluationConfig, ReliabilityTable};
use derm_report::{
    Figure, GalleryItem, LearningCurve, Report, Section, class_table, confusion_heat_map, learning_curves,
    metric_table, policy_notes, recall_comparison, reliability_diagram, risk_coverage_plot, tier_coverage,
    tier_summary,
};
use ndarray::Array2;

pub const HOSTILE: &str = "<script>alert('x')</script> & \"nevus\"";

pub fn labels() -> LabelMap {
    LabelMap::new([
        "melanoma",
        "melanocytic nevus",
        "basal cell",
        "keratosis",
        "vascular",
        "dermatofibroma",
        HOSTILE,
    ])
    .unwrap()
}

/// Rows of a long-tailed problem; `skill` says how often the model is right.
pub fn predictions<R: Role>(rows: usize, skill: u64, seed: u64) -> Predictions<R> {
    let mut state = seed;
    let mut draw = move || {
        // SplitMix64, enough for a picture.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 11
    };
    let mut targets = Vec::new();
    let mut values = Vec::new();
    for _ in 0..rows {
        let target = [1, 1, 1, 1, 1, 1, 0, 0, 2, 3, 3, 4, 5, 6, 1, 1][(draw() % 16) as usize];
        let strength = 1.0 + (draw() % 500) as f32 / 80.0;
        let right = draw() % 100 < skill + (strength * 4.0) as u64;
        let said = if right { target } else { (target + 1 + (draw() % 3) as usize) % 7 };
        values.extend((0..7).map(|class| {
            let noise = (draw() % 200) as f32 / 100.0;
            if class == said {
                strength + noise
            } else if class == target {
                0.6 * strength + noise
            } else {
                noise
            }
        }));
        targets.push(target);
    }
    let name = |row: usize| format!("image_{row:05}");
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: labels(),
        split_hash: "5d41402abc4b2a76b9719d911017c592".into(),
    };
    let columns = PredictionColumns {
        ids: (0..rows).map(name).collect(),
        groups: (0..rows).map(name).collect(),
        cases: (0..rows).map(name).collect(),
        targets,
        ..PredictionColumns::default()
    };
    let values = Array2::from_shape_vec((rows, 7), values).unwrap();
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

pub struct Run {
    pub record: CalibrationRecord,
    pub test: Predictions<Test>,
    pub student: Evaluation,
    pub teacher: Evaluation,
}

pub fn run() -> Run {
    let record = CalibrationRecord::fit(
        &predictions::<Validation>(400, 66, 1),
        &predictions::<Calibration>(500, 66, 2),
        &TemperatureConfig::default(),
        &AbstainConfig::default(),
    )
    .unwrap();
    let config = EvaluationConfig { replicates: 200, ..EvaluationConfig::default() };
    let test = predictions::<Test>(900, 66, 3);
    let calibrated = record.calibrator.calibrate(&test).unwrap();
    let student = Evaluation::new(&test, &calibrated, &config).unwrap();
    let of_teacher = predictions::<Test>(900, 72, 3);
    let teacher = Evaluation::new(&of_teacher, &of_teacher.probabilities(), &config).unwrap();
    Run { record, test, student, teacher }
}

pub fn figures(run: &Run) -> Vec<Figure> {
    let names = labels().names().to_vec();
    let before = ReliabilityTable::top_label(
        &run.test.probabilities(),
        run.test.targets(),
        Binning::Uniform { n_bins: 15 },
    )
    .unwrap();
    let calibrated = run.record.calibrator.calibrate(&run.test).unwrap();
    let curve = RiskCoverage::top_label(&calibrated, run.test.targets()).unwrap();
    let other = predictions::<Test>(900, 72, 3);
    let teacher = RiskCoverage::top_label(&other.probabilities(), other.targets()).unwrap();
    let tiers = run.record.evaluate(&run.test, 0.05).unwrap();
    let decay =
        |from: f64, to: f64| (0..12).map(|epoch| to + (from - to) * 0.75_f64.powi(epoch)).collect::<Vec<_>>();
    let curves = ["teacher", "student"].map(|name| LearningCurve {
        name: name.into(),
        training_loss: decay(1.9, if name == "teacher" { 0.2 } else { 0.35 }),
        validation_loss: decay(1.95, if name == "teacher" { 0.62 } else { 0.7 }),
        balanced_accuracy: decay(0.18, if name == "teacher" { 0.71 } else { 0.66 }),
    });
    let mut figures = vec![
        reliability_diagram(&[("before scaling", &before), ("after scaling", &run.student.reliability)])
            .unwrap(),
        confusion_heat_map(&run.student.confusion, &names).unwrap(),
        recall_comparison(&[("teacher", &run.teacher), ("student", &run.student)]).unwrap(),
        risk_coverage_plot(&[("teacher", &teacher), ("student", &curve)], Some(0.1)).unwrap(),
        tier_coverage(&tiers).unwrap(),
    ];
    figures.extend(learning_curves(&curves).unwrap());
    figures
}

pub fn report(run: &Run) -> Report {
    let tiers = run.record.evaluate(&run.test, 0.05).unwrap();
    let [reliability, confusion, recall, risk, coverage, loss, accuracy] =
        <[Figure; 7]>::try_from(figures(run)).unwrap();
    let calibrated = run.record.calibrator.calibrate(&run.test).unwrap();
    let items = (0..6).map(|row| GalleryItem {
        image: png(48, row),
        caption: run.test.ids()[row].clone(),
        truth: run.test.labels().names()[run.test.targets()[row]].clone(),
        ranking: calibrated
            .ranking(row)
            .into_iter()
            .take(3)
            .map(|class| (run.test.labels().names()[class].clone(), calibrated.view()[[row, class]]))
            .collect(),
        tier: Tier::ALL[row % 3],
    });
    let mut decisions = Section::new("Decisions").table(tier_summary(&run.record.abstain, &tiers));
    for note in policy_notes(&run.record.abstain) {
        decisions = decisions.note(note);
    }
    Report::new("Sample run")
        .lead("Student distilled from a teacher; invented numbers.")
        .section(Section::new("Results").table(
            metric_table(&[("teacher", &run.teacher), ("student, calibrated", &run.student)]).unwrap(),
        ))
        .section(Section::new("Classes").figures([recall, confusion]).table(class_table(&run.student)))
        .section(Section::new("Confidence").text("Temperature 1.62.").figures([reliability, risk]))
        .section(decisions.figure(coverage))
        .section(Section::new("Sample images").gallery(items))
        .section(Section::new("Training").figures([loss, accuracy]))
        .section(
            Section::new("Run")
                .facts([("seed", "7"), ("split", "5d41402abc4b2a76b9719d911017c592"), (HOSTILE, HOSTILE)])
                .skipped(&[("ISIC_0001.jpg".into(), HOSTILE.into())]),
        )
}

/// A grey-brown square with a spot, as an uncompressed PNG.
pub fn png(side: usize, seed: usize) -> Vec<u8> {
    let mut raw = Vec::new();
    for y in 0..side {
        raw.push(0);
        for x in 0..side {
            let (dx, dy) = (x as f64 - side as f64 / 2.0, y as f64 - side as f64 / 2.0);
            let inside = dx * dx + (1.0 + seed as f64 / 6.0) * dy * dy < (side * side) as f64 / 12.0;
            raw.extend(if inside { [110 - 8 * seed as u8, 66, 52] } else { [226, 184, 160] });
        }
    }
    let mut stream = vec![0x78, 0x01, 1];
    stream.extend((raw.len() as u16).to_le_bytes());
    stream.extend((!(raw.len() as u16)).to_le_bytes());
    stream.extend(&raw);
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in &raw {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    stream.extend((b << 16 | a).to_be_bytes());
    let mut header = Vec::new();
    header.extend((side as u32).to_be_bytes());
    header.extend((side as u32).to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, body) in [(b"IHDR", header), (b"IDAT", stream), (b"IEND", vec![])] {
        file.extend((body.len() as u32).to_be_bytes());
        let mut chunk = kind.to_vec();
        chunk.extend(body);
        let crc = !chunk.iter().fold(!0_u32, |mut crc, byte| {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            }
            crc
        });
        file.extend(chunk);
        file.extend(crc.to_be_bytes());
    }
    file
}
