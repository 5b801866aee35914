//! Requests and decisions as lines of JSON, for callers in other languages.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use derm_data::Answers;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Decision, Picture, Request, Serve};

/// How lines are served.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `batch` | 1 | requests that go through the network at once, at least 1 (0 counts as 1). More is faster for a file of requests; a caller who waits for an answer before it sends the next request needs 1 |
/// | `max_line_bytes` | 96 MiB | longest line; the rest of a longer one is passed over |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonlOptions {
    /// Requests at once.
    pub batch: usize,
    /// Longest line in bytes.
    pub max_line_bytes: u64,
}

impl Default for JsonlOptions {
    fn default() -> Self {
        // A picture of 64 MiB in base64, and its answers.
        Self { batch: 1, max_line_bytes: 96 << 20 }
    }
}

/// What was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JsonlSummary {
    /// Requests with a decision.
    pub decided: usize,
    /// Requests with an error.
    pub failed: usize,
}

/// A request as a line has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestLine {
    #[serde(default)]
    id: Value,
    image: Option<String>,
    image_base64: Option<String>,
    #[serde(default)]
    answers: BTreeMap<String, Value>,
    text: Option<String>,
    #[serde(default)]
    subgroups: BTreeMap<String, String>,
}

/// A response as a line has it.
#[derive(Serialize)]
struct ResponseLine<'a> {
    id: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'a Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// A request that could be read.
struct Ready {
    id: String,
    picture: OwnedPicture,
    answers: Answers,
    text: Option<String>,
    subgroups: BTreeMap<String, String>,
}

impl Ready {
    fn request(&self) -> Request<'_> {
        let picture = match &self.picture {
            OwnedPicture::File(path) => Picture::File(Path::new(path)),
            OwnedPicture::Bytes(bytes) => Picture::Bytes { bytes, name: "image_base64" },
        };
        let (answers, text) = (&self.answers, self.text.as_deref());
        Request { id: &self.id, picture, answers, text, subgroups: Some(&self.subgroups) }
    }
}

enum OwnedPicture {
    File(String),
    Bytes(Vec<u8>),
}

/// Reads one request a line until the input ends, and writes one response a line in the same order.
///
/// A request: `{"id": …, "image": PATH or "image_base64": BYTES, "answers": {NAME: ANSWER, …}, "text": TEXT,
/// "subgroups": {NAME: VALUE, …}}`. The id is a string or a number and comes back as it is; an answer is a string, a number, true or false, a
/// list of strings where several may be given, or null for none; answers, text and subgroups may be absent.
///
/// A response: `{"id": …, "decision": …}` with a [`Decision`], or `{"id": …, "error": "…"}`. Nothing that a line holds ends
/// the serving: what is no request has an error, with the id null where none could be read. A blank line is passed over.
///
/// # Errors
/// Where the input cannot be read or the output not be written.
pub fn serve_jsonl(
    server: &(impl Serve + ?Sized),
    mut reader: impl BufRead,
    mut writer: impl Write,
    options: &JsonlOptions,
) -> io::Result<JsonlSummary> {
    let mut summary = JsonlSummary::default();
    let mut pending: Vec<(Value, Result<Ready, String>)> = Vec::new();
    loop {
        let line = read_line(&mut reader, options.max_line_bytes)?;
        let ended = line.is_none();
        if let Some(line) = line {
            let request = match line {
                Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(bytes) => parse(&bytes),
                Err(reason) => (Value::Null, Err(reason)),
            };
            pending.push(request);
        }
        if pending.len() >= options.batch.max(1) || ended {
            answer(server, &pending, &mut writer, &mut summary)?;
            pending.clear();
        }
        if ended {
            return Ok(summary);
        }
    }
}

/// The next line without its end: none where the input has ended, an error in words where it is too long.
fn read_line(reader: &mut impl BufRead, longest: u64) -> io::Result<Option<Result<Vec<u8>, String>>> {
    let mut line = Vec::new();
    if reader.by_ref().take(longest.saturating_add(1)).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 > longest {
        skip_line(reader)?;
        return Ok(Some(Err(format!("the line is longer than {longest} bytes"))));
    }
    Ok(Some(Ok(line)))
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let (length, done) = end.map_or((buffer.len(), buffer.is_empty()), |end| (end + 1, true));
        reader.consume(length);
        if done {
            return Ok(());
        }
    }
}

/// The id and the request of a line.
fn parse(line: &[u8]) -> (Value, Result<Ready, String>) {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return (Value::Null, Err(format!("not JSON: {error}"))),
    };
    let id = match value.get("id") {
        None | Some(Value::Null) => Value::Null,
        Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
        Some(_) => return (Value::Null, Err("`id` is neither a string nor a number".to_owned())),
    };
    let request = serde_json::from_value(value).map_err(|error| format!("not a request: {error}"));
    (id, request.and_then(ready))
}

fn ready(line: RequestLine) -> Result<Ready, String> {
    let picture = match (line.image, line.image_base64) {
        (Some(path), None) => OwnedPicture::File(path),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text).map_err(|error| format!("`image_base64`: {error}"))?;
            OwnedPicture::Bytes(bytes)
        }
        _ => return Err("expected either `image` or `image_base64`".to_owned()),
    };
    let mut answers = Answers::new();
    for (name, value) in line.answers {
        if let Some(answer) = answer_text(&value).map_err(|reason| format!("answer `{name}`: {reason}"))? {
            answers.insert(name, answer);
        }
    }
    let id = line.id.as_str().map_or_else(|| line.id.to_string(), str::to_owned);
    Ok(Ready { id, picture, answers, text: line.text, subgroups: line.subgroups })
}

/// An answer as questionnaires read it; none for null.
fn answer_text(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(yes) => Ok(Some(if *yes { "yes" } else { "no" }.to_owned())),
        Value::Array(several) => {
            let texts = several.iter().map(Value::as_str).collect::<Option<Vec<&str>>>();
            texts.map(|texts| Some(texts.join("|"))).ok_or("a list of something else than strings")
        }
        Value::Object(_) => Err("a mapping"),
    }
}

/// Answers the requests and writes their responses.
fn answer(
    server: &(impl Serve + ?Sized),
    pending: &[(Value, Result<Ready, String>)],
    writer: &mut impl Write,
    summary: &mut JsonlSummary,
) -> io::Result<()> {
    let requests: Vec<Request<'_>> =
        pending.iter().filter_map(|(_, ready)| ready.as_ref().ok()).map(Ready::request).collect();
    let mut decisions = server.predict_batch(&requests).into_iter();
    for (id, ready) in pending {
        let decision = match ready {
            Err(reason) => Err(reason.clone()),
            Ok(_) => match decisions.next() {
                Some(decision) => decision.map_err(|error| error.to_string()),
                None => Err("no decision was made".to_owned()),
            },
        };
        let response = match &decision {
            Ok(decision) => ResponseLine { id, decision: Some(decision), error: None },
            Err(error) => ResponseLine { id, decision: None, error: Some(error) },
        };
        let counted = if decision.is_ok() { &mut summary.decided } else { &mut summary.failed };
        *counted += 1;
        serde_json::to_writer(&mut *writer, &response).map_err(io::Error::from)?;
        writer.write_all(b"\n")?;
    }
    writer.flush()
}
