//! The reader refuses what it must refuse: a harness that passes everything would hide every defect.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use derm_golden::{Case, GoldenFile, Got};

const CASE: &str = r#"{
    "name": "mean/a", "op": "mean", "reference": "by hand",
    "params": { "scale": 2.0 },
    "inputs": { "dataset": "a", "offset": { "shape": [1], "data": [1] } },
    "expected": { "value": 5.0, "grad": { "x": { "shape": [2], "data": [1.0, null] } } },
    "tolerance": { "rtol": 0.0, "atol": 1e-3 }
}"#;

fn file(cases: &[&str]) -> GoldenFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.json");
    let mut text = String::from(r#"{"schema": 1, "generator": {}, "datasets": {"#);
    write!(
        text,
        r#""a": {{ "x": {{ "shape": [2], "data": [1.5, 2.5] }} }} }}, "cases": [{}]}}"#,
        cases.join(",")
    )
    .unwrap();
    std::fs::write(&path, text).unwrap();
    GoldenFile::read(&path)
}

fn refused(elsewhere: &[&str], check: impl Fn(&Case) -> bool) -> String {
    let file = file(&[CASE]);
    let payload = catch_unwind(AssertUnwindSafe(|| file.run(elsewhere, check))).unwrap_err();
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| (*payload.downcast_ref::<&str>().unwrap()).into())
}

fn read_all(case: &Case) -> f64 {
    let x = case.input("x").floats();
    case.number("scale") * (x[0] + x[1]) / 2.0 + case.input("offset").indices()[0] as f64
}

fn right(case: &Case) -> [(&'static str, Got); 2] {
    [("value", read_all(case).into()), ("grad.x", vec![Some(1.0), None].into())]
}

#[test]
fn a_right_result_passes() {
    file(&[CASE]).run(&[], |case| {
        case.check(right(case));
        true
    });
}

#[test]
fn a_result_beyond_the_tolerance_fails() {
    let message = refused(&[], |case| {
        case.check([("value", (read_all(case) + 2e-3).into()), right(case)[1].clone()]);
        true
    });
    assert!(message.contains("mean/a: `value`[0] is"), "{message}");
}

#[test]
fn a_number_where_the_value_is_undefined_fails_and_the_reverse() {
    for wrong in [vec![Some(1.0), Some(0.0)], vec![None, None]] {
        let message = refused(&[], |case| {
            case.check([right(case)[0].clone(), ("grad.x", wrong.clone().into())]);
            true
        });
        assert!(message.contains("`grad.x`"), "{message}");
    }
}

#[test]
fn counts_have_no_tolerance_and_matrices_have_a_shape() {
    let case = CASE.replace(r#""rtol": 0.0, "atol": 1e-3"#, r#""rtol": 0.5, "atol": 1.0"#);
    let run = |value: Got, grad: Got| {
        let file = file(&[&case]);
        catch_unwind(AssertUnwindSafe(|| {
            file.run(&[], |case| {
                read_all(case);
                case.check([("value", value.clone()), ("grad.x", grad.clone())]);
                true
            });
        }))
    };
    let grad = || Got::from(vec![Some(1.0), None]);
    assert!(run(6.0.into(), grad()).is_ok());
    assert!(run(6_usize.into(), grad()).is_err());
    assert!(run(5_usize.into(), grad()).is_ok());
    let transposed = CASE
        .replace(r#"{ "shape": [2], "data": [1.0, null] }"#, r#"{ "shape": [2, 1], "data": [1.0, 1.0] }"#);
    for (shape, passes) in [((2, 1), true), ((1, 2), false)] {
        let file = file(&[&transposed]);
        let result = catch_unwind(AssertUnwindSafe(|| {
            file.run(&[], |case| {
                case.check([
                    ("value", read_all(case).into()),
                    ("grad.x", ndarray::Array2::ones(shape).into()),
                ]);
                true
            });
        }));
        assert_eq!(result.is_ok(), passes, "{shape:?}");
    }
}

#[test]
fn nan_fails() {
    let message = refused(&[], |case| {
        read_all(case);
        case.check([("value", f64::NAN.into()), right(case)[1].clone()]);
        true
    });
    assert!(message.contains("NaN"), "{message}");
}

#[test]
fn a_param_or_an_input_that_was_ignored_fails() {
    let got = || [("value", Got::from(5.0)), ("grad.x", vec![Some(1.0), None].into())];
    let message = refused(&[], |case| {
        case.number("scale");
        case.check(got());
        true
    });
    assert!(message.contains("not read: [\"offset\"]"), "{message}");
    let message = refused(&[], |case| {
        case.input("offset");
        case.check(got());
        true
    });
    assert!(message.contains("not read: [\"scale\"]"), "{message}");
}

#[test]
fn an_expected_entry_that_was_left_out_or_invented_fails() {
    let message = refused(&[], |case| {
        case.check([right(case)[0].clone()]);
        true
    });
    assert!(message.contains("nothing for `grad.x`"), "{message}");
    let message = refused(&[], |case| {
        case.check(right(case).into_iter().chain([("more", Got::from(1.0))]));
        true
    });
    assert!(message.contains("`more` is not expected"), "{message}");
}

#[test]
fn an_unknown_op_fails_unless_another_crate_runs_it() {
    assert!(refused(&[], |_| false).contains("unknown op \"mean\""));
    // and then nothing ran at all
    assert!(refused(&["mean"], |_| false).contains("no case ran"));
}

#[test]
fn a_case_that_was_not_compared_fails() {
    assert!(refused(&[], |_| true).contains("nothing was compared"));
}

#[test]
fn a_missing_or_empty_file_fails() {
    assert!(catch_unwind(|| file(&[])).is_err());
    let folder = tempfile::tempdir().unwrap();
    assert!(catch_unwind(|| GoldenFile::read(&folder.path().join("none.json"))).is_err());
}
