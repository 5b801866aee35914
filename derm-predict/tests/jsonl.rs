//! Requests and responses as lines of JSON, sane and otherwise.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod tiny_bundle;

use std::fs;
use std::io::{self, BufReader, Read};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burn::tensor::Device;
use derm_data::Answers;
use derm_predict::{Decision, JsonlOptions, JsonlSummary, Predictor, serve_jsonl};
use proptest::prelude::*;
use serde_json::{Value, json};
use tiny_bundle::{PNG, Tiny};

static PREDICTOR: LazyLock<Predictor> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("bundle");
    Tiny::new(true).write(&folder).unwrap();
    Predictor::load(&folder, &Device::default()).unwrap()
});

fn serve(input: &[u8], options: &JsonlOptions) -> (Vec<Value>, JsonlSummary) {
    let mut output = Vec::new();
    let summary = serve_jsonl(&*PREDICTOR, input, &mut output, options).unwrap();
    let text = String::from_utf8(output).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let responses: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(responses.len(), summary.decided + summary.failed);
    (responses, summary)
}

fn error(line: &str) -> (Value, String) {
    let (responses, summary) = serve(line.as_bytes(), &JsonlOptions::default());
    assert_eq!((responses.len(), summary.failed), (1, 1), "{line}");
    (responses[0]["id"].clone(), responses[0]["error"].as_str().unwrap().to_owned())
}

#[test]
fn one_response_a_request_in_order_whatever_the_batch() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("lesion.png");
    fs::write(&file, PNG).unwrap();
    let bytes = STANDARD.encode(PNG);
    let lines = [
        json!({ "id": "a", "image": file, "answers": { "age": 61, "itch": true } }).to_string(),
        json!({ "id": 2, "image_base64": bytes, "answers": { "age": "61", "itch": "yes", "bleeding": null } })
            .to_string(),
        String::new(),
        "not JSON".to_owned(),
        json!({ "id": 2.5, "image": place.path().join("absent.png") }).to_string(),
        json!({ "image_base64": bytes, "subgroups": { "skin_type": "II" } }).to_string(),
    ];
    let input = lines.join("\n");
    let mut before: Option<Vec<Value>> = None;
    for batch in [0, 1, 2, 100] {
        let options = JsonlOptions { batch, ..JsonlOptions::default() };
        let (responses, summary) = serve(input.as_bytes(), &options);
        assert_eq!(summary, JsonlSummary { decided: 3, failed: 2 });
        let ids: Vec<&Value> = responses.iter().map(|response| &response["id"]).collect();
        assert_eq!(ids, [&json!("a"), &json!(2), &Value::Null, &json!(2.5), &Value::Null]);
        let decisions: Vec<Option<Decision>> = responses
            .iter()
            .map(|response| serde_json::from_value(response["decision"].clone()).unwrap())
            .collect();
        // The same picture and the same answers, said in other words.
        let answers = Answers::from([("age".into(), "61".into()), ("itch".into(), "yes".into())]);
        let expected = PREDICTOR.predict_bytes(PNG, "x", &answers).unwrap();
        if batch < 2 {
            assert_eq!(decisions[0].as_ref(), Some(&expected));
            assert_eq!(decisions[1].as_ref(), Some(&expected));
        }
        let missing = decisions[4].as_ref().unwrap().missing_answers.len();
        assert_eq!(missing, expected.missing_answers.len() + 2);
        assert!(responses[2]["error"].as_str().unwrap().starts_with("not JSON"));
        assert!(responses[3]["error"].as_str().unwrap().contains("absent.png"));
        let tiers = |responses: &[Value]| -> Vec<Value> {
            responses.iter().map(|response| response["decision"]["tier"].clone()).collect()
        };
        assert_eq!(before.as_deref().map_or_else(|| tiers(&responses), tiers), tiers(&responses));
        before = Some(responses);
    }
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    let bytes = STANDARD.encode(PNG);
    for (line, id, words) in [
        (r#"{"id": 1}"#.to_owned(), json!(1), "either `image` or `image_base64`"),
        (format!(r#"{{"id": 1, "image": "x", "image_base64": "{bytes}"}}"#), json!(1), "either"),
        (r#"{"id": 1, "imgae": "x"}"#.to_owned(), json!(1), "imgae"),
        (r#"{"id": [1], "image": "x"}"#.to_owned(), Value::Null, "neither a string nor a number"),
        (r#"{"id": 1, "image": 7}"#.to_owned(), json!(1), "string"),
        (r#"{"id": 1, "image_base64": "%%%"}"#.to_owned(), json!(1), "image_base64"),
        (r#"{"id": 1, "image_base64": ""}"#.to_owned(), json!(1), "it is empty"),
        (
            format!(r#"{{"id": 1, "image_base64": "{bytes}", "answers": {{"age": {{}}}}}}"#),
            json!(1),
            "`age`: a mapping",
        ),
        (
            format!(r#"{{"id": 1, "image_base64": "{bytes}", "answers": {{"age": [1]}}}}"#),
            json!(1),
            "`age`: a list",
        ),
        (format!(r#"{{"id": 1, "image_base64": "{bytes}", "answers": {{"age": -3}}}}"#), json!(1), "age"),
        (format!(r#"{{"id": 1, "image_base64": "{bytes}", "answers": {{"shoe": 3}}}}"#), json!(1), "shoe"),
        ("[1, 2]".to_owned(), Value::Null, "not a request"),
        ("\u{1}".to_owned(), Value::Null, "not JSON"),
    ] {
        let (got, text) = error(&line);
        assert_eq!(got, id, "{line}");
        assert!(text.contains(words), "{line}: {text}");
    }
}

#[test]
fn a_line_that_is_too_long_costs_itself_alone() {
    let bytes = STANDARD.encode(PNG);
    let short = format!(r#"{{"id": 1, "image_base64": "{bytes}"}}"#);
    let options = JsonlOptions { max_line_bytes: short.len() as u64, ..JsonlOptions::default() };
    let long = format!("{short} ");
    let (responses, summary) = serve(format!("{long}\n{short}\n{long}").as_bytes(), &options);
    assert_eq!(summary, JsonlSummary { decided: 1, failed: 2 });
    assert!(responses[0]["error"].as_str().unwrap().contains("longer than"));
    assert_eq!(responses[1]["id"], 1);
    assert!(responses[2]["error"].as_str().unwrap().contains("longer than"));
}

/// Breaks after its bytes.
struct Breaks<'a>(&'a [u8]);
impl Read for Breaks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::ConnectionReset.into()) } else { self.0.read(buffer) }
    }
}

#[test]
fn bytes_that_are_no_text_and_inputs_that_break_off() {
    let (responses, _) = serve(b"\xff\xfe\n{\"id\": 1", &JsonlOptions::default());
    assert_eq!(responses.len(), 2);

    let mut output = Vec::new();
    let broken =
        serve_jsonl(&*PREDICTOR, BufReader::new(Breaks(b"1\n2")), &mut output, &JsonlOptions::default());
    assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(String::from_utf8(output).unwrap().lines().count(), 1);
    // A place that cannot be written to.
    let mut full = [0_u8; 4];
    serve_jsonl(&*PREDICTOR, &b"1\n"[..], &mut full[..], &JsonlOptions::default()).unwrap_err();
}

/// JSON of any shape, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from(STANDARD.encode(PNG))),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                prop_oneof![
                    Just("id".to_owned()),
                    Just("image".to_owned()),
                    Just("image_base64".to_owned()),
                    Just("answers".to_owned()),
                    Just("age".to_owned()),
                    Just("subgroups".to_owned()),
                    ".{0,6}"
                ],
                inner,
                0..5
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_have_a_response_a_line(input in prop::collection::vec(any::<u8>(), 0..200), batch in 0_usize..4) {
        let lines = input.split(|&byte| byte == b'\n');
        let expected = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count();
        let (responses, _) = serve(&input, &JsonlOptions { batch, ..JsonlOptions::default() });
        prop_assert_eq!(responses.len(), expected);
    }

    #[test]
    fn any_json_has_a_response(value in any_json()) {
        let (responses, _) = serve(value.to_string().as_bytes(), &JsonlOptions::default());
        prop_assert_eq!(responses.len(), 1);
        let response = &responses[0];
        prop_assert!(response.get("decision").is_some() != response.get("error").is_some());
    }

    #[test]
    fn a_request_of_any_answers_has_a_response(answers in prop::collection::btree_map(".{0,8}", any_json(), 0..4)) {
        let line = json!({ "id": 1, "image_base64": STANDARD.encode(PNG), "answers": answers }).to_string();
        let (responses, _) = serve(line.as_bytes(), &JsonlOptions::default());
        prop_assert_eq!(&responses[0]["id"], &json!(1));
    }

    /// Pictures that were damaged: an error or a decision, never an end.
    #[test]
    fn damaged_pictures_have_an_answer(at in 0..PNG.len(), value in any::<u8>(), length in 0..=PNG.len()) {
        let mut bytes = PNG.to_vec();
        bytes[at] = value;
        let _ = PREDICTOR.predict_bytes(&bytes[..length], "upload", &Answers::new());
    }
}
