//! Downloads from a server of this test's own; nothing here reaches a network.
#![cfg(feature = "download")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;

use derm_backbones::download::{Progress, RemoteFile, fetch, fetch_weights};
use derm_backbones::{Error, known_weights};
use derm_core::sha256_hex;

/// What the server answers to one request.
enum Answer {
    /// 200 with the whole file and this tag; the connection ends after so many bytes of it.
    Whole { tag: Option<&'static str>, cut: Option<usize> },
    /// As a server with ranges: 206 with the rest if the tag is the file's, otherwise 200.
    Range { tag: &'static str },
    /// A status without a file.
    Status(u16),
    /// This text as it is.
    Raw(&'static str),
}

fn content() -> Vec<u8> {
    (0..1_000_003_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Answers as many requests as there are answers, and then gives the headers that were asked with.
fn server(answers: Vec<Answer>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/weights.pth", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        answers.into_iter().map(|answer| respond(listener.accept().unwrap().0, &answer)).collect()
    });
    (url, thread)
}

fn respond(stream: TcpStream, answer: &Answer) -> String {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while !request.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut request).unwrap() > 0);
    }
    let header = |name: &str| {
        let line = request.lines().find(|line| line.to_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let whole = content();
    let tag_line = |tag: Option<&str>| tag.map_or_else(String::new, |tag| format!("etag: {tag}\r\n"));
    let (head, body) = match answer {
        Answer::Whole { tag, cut } => {
            let head = format!("200 OK\r\n{}content-length: {}", tag_line(*tag), whole.len());
            (head, whole[..cut.unwrap_or(whole.len())].to_vec())
        }
        Answer::Range { tag } => match header("range") {
            Some(range) if header("if-range").as_deref() == Some(tag) => {
                let start: usize =
                    range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
                let (last, all) = (whole.len() - 1, whole.len());
                let head = format!(
                    "206 Partial Content\r\n{}content-range: bytes {start}-{last}/{all}\r\ncontent-length: {}",
                    tag_line(Some(tag)),
                    all - start
                );
                (head, whole[start..].to_vec())
            }
            _ => {
                let head = format!("200 OK\r\n{}content-length: {}", tag_line(Some(tag)), whole.len());
                (head, whole)
            }
        },
        Answer::Status(status) => (format!("{status} Something\r\ncontent-length: 0"), Vec::new()),
        Answer::Raw(text) => ((*text).to_owned(), Vec::new()),
    };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").unwrap();
    // the client may have hung up
    let _ = stream.write_all(&body);
    request.to_lowercase()
}

fn file(url: &str, sha256: Option<String>) -> RemoteFile {
    RemoteFile { url: url.to_owned(), file_name: "weights.pth".to_owned(), sha256 }
}

fn digest() -> String {
    sha256_hex(&content())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_arrives_whole_and_is_taken_from_the_folder_the_next_time() {
    let (url, server) = server(vec![Answer::Whole { tag: None, cut: None }]);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("made/on/the/way");
    let mut seen: Vec<Progress> = Vec::new();
    let path = fetch(&file(&url, Some(digest())), &folder, |progress| seen.push(progress)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content());
    assert_eq!(names(&folder), ["weights.pth"]);
    let all = content().len() as u64;
    assert_eq!(seen.first(), Some(&Progress { received: 0, total: Some(all) }));
    assert_eq!(seen.last(), Some(&Progress { received: all, total: Some(all) }));
    assert!(seen.windows(2).all(|pair| pair[0].received < pair[1].received));
    server.join().unwrap();
    // the server is gone: the second call does not ask
    assert_eq!(fetch(&file(&url, Some(digest())), &folder, |_| panic!("asked")).unwrap(), path);
    let prefix = Some(digest()[..8].to_owned());
    assert_eq!(fetch(&file(&url, prefix), &folder, |_| panic!("asked")).unwrap(), path);
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    const CUT: usize = 600_000;
    let tag = "\"one\"";
    let (url, server) = server(vec![Answer::Whole { tag: Some(tag), cut: Some(CUT) }, Answer::Range { tag }]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&file(&url, Some(digest())), &folder, |_| {}).unwrap_err();
    let Error::Transfer { received, .. } = error else { panic!("{error}") };
    assert_eq!(received, CUT as u64);
    assert_eq!(names(folder.path()), ["weights.pth.part", "weights.pth.part.tag"]);
    let mut first = None;
    let path =
        fetch(&file(&url, Some(digest())), &folder, |progress| _ = first.get_or_insert(progress)).unwrap();
    assert_eq!(first, Some(Progress { received, total: Some(content().len() as u64) }));
    assert_eq!(std::fs::read(path).unwrap(), content());
    assert_eq!(names(folder.path()), ["weights.pth"]);
    let requests = server.join().unwrap();
    assert!(!requests[0].contains("range:"));
    assert!(requests[1].contains("range: bytes=600000-") && requests[1].contains("if-range: \"one\""));
}

#[test]
fn a_file_that_changed_or_cannot_be_resumed_starts_again() {
    // another tag, no tag at all, a weak tag, a server that knows no ranges
    let cases = [
        (Some("\"one\""), Answer::Range { tag: "\"two\"" }),
        (None, Answer::Range { tag: "\"one\"" }),
        (Some("W/\"one\""), Answer::Range { tag: "W/\"one\"" }),
        (Some("\"one\""), Answer::Whole { tag: None, cut: None }),
    ];
    for (tag, second) in cases {
        let (url, server) = server(vec![Answer::Whole { tag, cut: Some(1000) }, second]);
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            fetch(&file(&url, Some(digest())), &folder, |_| {}),
            Err(Error::Transfer { received: 1000, .. })
        ));
        let path = fetch(&file(&url, Some(digest())), &folder, |_| {}).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), content());
        assert_eq!(names(folder.path()), ["weights.pth"]);
        server.join().unwrap();
    }
}

#[test]
fn a_part_that_is_too_long_starts_again() {
    let tag = "\"one\"";
    let (url, server) = server(vec![
        Answer::Whole { tag: Some(tag), cut: Some(1000) },
        Answer::Status(416),
        Answer::Whole { tag: Some(tag), cut: None },
    ]);
    let folder = tempfile::tempdir().unwrap();
    assert!(fetch(&file(&url, Some(digest())), &folder, |_| {}).is_err());
    let path = fetch(&file(&url, Some(digest())), &folder, |_| {}).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    server.join().unwrap();
}

#[test]
fn another_file_is_refused_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    for expected in [sha256_hex(b"another"), "00000000".to_owned()] {
        let (url, server) = server(vec![Answer::Whole { tag: Some("\"one\""), cut: None }]);
        let error = fetch(&file(&url, Some(expected.clone())), &folder, |_| {}).unwrap_err();
        let Error::Digest { expected: wanted, found, .. } = error else { panic!("{error}") };
        assert_eq!((wanted, found), (expected, digest()));
        assert_eq!(names(folder.path()), [""; 0]);
        server.join().unwrap();
    }
    // a wrong file at its place is replaced
    std::fs::write(folder.path().join("weights.pth"), "old").unwrap();
    let (url, server) = server(vec![Answer::Whole { tag: None, cut: None }]);
    let path = fetch(&file(&url, Some(digest())), &folder, |_| {}).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    server.join().unwrap();
}

#[test]
fn answers_without_the_file_are_typed() {
    let folder = tempfile::tempdir().unwrap();
    for status in [404, 401, 500, 206] {
        let (url, server) = server(vec![Answer::Status(status)]);
        let error = fetch(&file(&url, None), &folder, |_| {}).unwrap_err();
        assert!(matches!(error, Error::Http { status: found, .. } if found == status), "{error}");
        assert!(error.to_string().contains(&url));
        server.join().unwrap();
    }
    // a redirect away from this machine is not followed
    let away = "302 Found\r\nlocation: http://192.0.2.1/weights.pth\r\ncontent-length: 0";
    let (url, server) = server(vec![Answer::Raw(away)]);
    let error = fetch(&file(&url, None), &folder, |_| {}).unwrap_err();
    assert!(matches!(error, Error::Http { status: 302, .. } | Error::Transfer { .. }), "{error}");
    server.join().unwrap();
    // nobody answers
    let error = fetch(&file(&url, None), &folder, |_| {}).unwrap_err();
    assert!(matches!(error, Error::Transfer { received: 0, .. }), "{error}");
    assert!(!folder.path().join("weights.pth").exists());
}

#[test]
fn only_https_and_plain_file_names_are_fetched() {
    let folder = tempfile::tempdir().unwrap();
    for url in
        ["http://example.org/weights.pth", "ftp://127.0.0.1/a", "weights.pth", "file:///etc/passwd", ""]
    {
        let error = fetch(&file(url, None), &folder, |_| {}).unwrap_err();
        assert!(matches!(error, Error::Url { .. }), "{url}: {error}");
    }
    for file_name in ["../weights.pth", "a/b.pth", "", ".."] {
        let remote = RemoteFile { file_name: file_name.to_owned(), ..file("https://example.org/a", None) };
        let error = fetch(&remote, &folder, |_| {}).unwrap_err();
        assert!(matches!(error, Error::Url { .. }), "{file_name}: {error}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn one_file_is_not_fetched_twice_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (url, server) = server(vec![Answer::Whole { tag: None, cut: None }]);
    let remote = file(&url, Some(digest()));
    fetch(&remote, &folder, |_| {
        let error = fetch(&remote, &folder, |_| panic!("received")).unwrap_err();
        assert!(matches!(&error, Error::File(file) if file.path.ends_with("weights.pth.part")), "{error}");
    })
    .unwrap();
    server.join().unwrap();
}

#[test]
fn known_weights_are_called_by_their_names() {
    let weights = known_weights("resnet18.tv_imagenet1k_v1").unwrap();
    let remote = RemoteFile::from(weights);
    assert_eq!(remote.file_name, "resnet18.tv_imagenet1k_v1.pth");
    assert_eq!(remote.sha256.as_deref(), Some("f37072fd"));
    let hub = RemoteFile::from(known_weights("deit_tiny_patch16_224.fb_in1k").unwrap());
    assert_eq!(hub.file_name, "deit_tiny_patch16_224.fb_in1k.safetensors");
    assert_eq!(
        hub.url,
        "https://huggingface.co/timm/deit_tiny_patch16_224.fb_in1k/resolve/main/model.safetensors"
    );
    let gated = known_weights("medsiglip_448.google").unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(fetch_weights(gated, &folder, |_| {}), Err(Error::Gated { .. })));
}
