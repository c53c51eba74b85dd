//! The hub against a small server on loopback.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(super) const ID: &str = "org/tiny";

/// What the server has and what it saw.
#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// The file whose body is cut in half, once.
    cut: Option<String>,
    /// Sent instead of the sha256.
    etag: Option<String>,
    /// The host that large files are redirected to, as the official hub does.
    elsewhere: Option<String>,
    /// Status for every request.
    refuse: Option<u16>,
    /// `PATH RANGE AUTHORIZATION` of each request.
    seen: Vec<String>,
    closing: bool,
}

/// Speaks as much of the hub's protocol as the client uses; ends with the test.
pub(super) struct Server {
    address: String,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let files = files.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect();
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().closing {
                    break;
                }
                answer(stream.unwrap(), &shared);
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    pub(super) fn options(&self, cache: &Path) -> HubOptions {
        let mut options = HubOptions::new(cache.to_path_buf());
        options.endpoint = format!("http://{}", self.address);
        options
    }

    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    pub(super) fn set_file(&self, name: &str, bytes: &[u8]) {
        self.set(|state| drop(state.files.insert(name.to_owned(), bytes.to_vec())));
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.lock().unwrap().closing = true;
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let Some(request) = lines.next() else { return };
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut range, mut token) = (String::new(), String::new());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "range" => range = value.to_owned(),
            "authorization" => token = value.to_owned(),
            _ => {}
        }
    }
    let mut state = state.lock().unwrap();
    state.seen.push(format!("{path} {range} {token}"));
    let (head, body) = respond(&mut state, &path, &range);
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    let _ = stream.shutdown(Shutdown::Both);
}

fn respond(state: &mut State, path: &str, range: &str) -> (String, Vec<u8>) {
    let error = |code: u16| (format!("HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n"), Vec::new());
    if let Some(code) = state.refuse {
        return error(code);
    }
    let asked = path.split("/resolve/").nth(1).and_then(|rest| rest.split_once('/'));
    let name = asked.map_or_else(|| path.trim_start_matches("/cdn/"), |asked| asked.1);
    let Some(bytes) = state.files.get(name) else { return error(404) };
    if let (Some(host), Some(_), SINGLE) = (&state.elsewhere, asked, name) {
        let head = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/cdn/{name}\r\nX-Linked-Etag: \"{}\"\r\n\
             ETag: \"other\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            hex(bytes)
        );
        return (head, Vec::new());
    }
    let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(bytes.len() - 1).min(bytes.len() - 1);
    let part = bytes[first..=last].to_vec();
    let etag = state.etag.clone().unwrap_or_else(|| hex(bytes));
    let head = format!(
        "HTTP/1.1 206 Partial\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{}\r\n\
         ETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        part.len(),
        bytes.len()
    );
    let cut = part.len() > 1 && state.cut.as_deref() == Some(name);
    if cut {
        state.cut = None;
        return (head, part[..part.len() / 2].to_vec());
    }
    (head, part)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts what it is told.
#[derive(Default)]
struct Counter {
    started: Vec<(String, u64)>,
    here: u64,
    finished: usize,
}

impl Progress for Counter {
    fn start(&mut self, file: &str, bytes: u64) {
        self.started.push((file.to_owned(), bytes));
        self.here = 0;
    }

    fn advance(&mut self, bytes: u64) {
        self.here += bytes;
    }

    fn finish(&mut self) {
        self.finished += 1;
    }
}

fn weights() -> Vec<u8> {
    (0..10_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn model(weights: &[u8]) -> Server {
    Server::start(&[("config.json", b"{}"), ("tokenizer.json", b"{\"a\":1}"), (SINGLE, weights)])
}

#[test]
fn a_model_is_downloaded_once_and_then_found_without_the_network() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    let options = server.options(cache.path());
    let mut counter = Counter::default();
    let folder = resolve(ID, &options, &mut counter).unwrap();
    assert_eq!(fs::read(folder.join(SINGLE)).unwrap(), weights());
    assert_eq!(fs::read(folder.join("config.json")).unwrap(), b"{}");
    assert!(!folder.join("vocab.txt").exists(), "an optional file that the hub does not have");
    assert_eq!(counter.finished, 3);
    assert_eq!(counter.here, 40_000);
    assert!(counter.started.contains(&(SINGLE.to_owned(), 40_000)));
    let main = cache.path().join("models--org--tiny/refs/main");
    assert_eq!(fs::read_to_string(main).unwrap(), COMMIT);

    assert!(!server.seen().is_empty());
    assert_eq!(resolve(ID, &options, &mut ()).unwrap(), folder);
    assert_eq!(server.seen(), [""; 0], "a complete model asks nothing");
    let offline = HubOptions { offline: true, ..options };
    assert_eq!(resolve(ID, &offline, &mut ()).unwrap(), folder);
    assert_eq!(resolve(&format!("{ID}@{COMMIT}"), &offline, &mut ()).unwrap(), folder);
}

#[test]
fn all_files_are_of_the_commit_that_the_first_one_named() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    resolve(ID, &server.options(cache.path()), &mut ()).unwrap();
    let (first, rest): (Vec<String>, Vec<String>) = server
        .seen()
        .into_iter()
        .partition(|request| request.starts_with("/org/tiny/resolve/main/config.json"));
    assert!(!first.is_empty());
    assert!(
        rest.iter().all(|request| request.starts_with(&format!("/org/tiny/resolve/{COMMIT}/"))),
        "{rest:?}"
    );
}

#[test]
fn a_cut_connection_is_taken_up_where_it_broke() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    server.set(|state| state.cut = Some(SINGLE.to_owned()));
    let folder = resolve(ID, &server.options(cache.path()), &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(SINGLE)).unwrap(), weights());
    let ranges: Vec<String> = server.seen().into_iter().filter(|request| request.contains(SINGLE)).collect();
    assert!(ranges.iter().any(|request| request.contains("bytes=20000-")), "{ranges:?}");
}

#[test]
fn large_files_come_from_where_the_hub_redirects_to() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    server.set(|state| {
        state.elsewhere = Some(server.address.clone());
        state.cut = Some(SINGLE.to_owned());
    });
    let folder = resolve(ID, &server.options(cache.path()), &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(SINGLE)).unwrap(), weights());
    assert!(cache.path().join("models--org--tiny/blobs").join(hex(&weights())).is_file());
    assert!(server.seen().iter().any(|request| request.starts_with("/cdn/model.safetensors bytes=20000-")));
}

#[test]
fn a_part_left_by_an_earlier_process_is_used() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    let blobs = cache.path().join("models--org--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.part", hex(&weights()))), &weights()[..12_345]).unwrap();
    let folder = resolve(ID, &server.options(cache.path()), &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(SINGLE)).unwrap(), weights());
    assert!(server.seen().iter().any(|request| request.contains("bytes=12345-")));
}

#[test]
fn a_damaged_part_is_found_by_its_hash_and_dropped() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    let blobs = cache.path().join("models--org--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.part", hex(&weights()))), [7; 100]).unwrap();
    let options = server.options(cache.path());
    let message = resolve(ID, &options, &mut ()).unwrap_err().to_string();
    assert!(message.contains("sha256") && message.contains(SINGLE), "{message}");
    let folder = resolve(ID, &options, &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(SINGLE)).unwrap(), weights());
}

#[test]
fn the_token_is_sent_and_a_refusal_names_it() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    let mut options = server.options(cache.path());
    options.token = Some("secret".into());
    resolve(ID, &options, &mut ()).unwrap();
    assert!(server.seen().iter().all(|request| request.ends_with("Bearer secret")));
    server.set(|state| state.refuse = Some(403));
    let message = resolve("org/gated", &options, &mut ()).unwrap_err().to_string();
    assert!(message.contains("HF_TOKEN") && !message.contains("secret"), "{message}");
}

#[test]
fn shards_are_fetched_and_an_incomplete_model_is_completed() {
    let index = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    let files: [(&str, &[u8]); 3] =
        [("config.json", b"{}"), (INDEX, index), ("model-1.safetensors", b"first")];
    let (server, cache) = (Server::start(&files), tempfile::tempdir().unwrap());
    let options = server.options(cache.path());
    let message = resolve(ID, &options, &mut ()).unwrap_err().to_string();
    assert!(message.contains("model-2.safetensors"), "{message}");
    let offline = HubOptions { offline: true, ..options.clone() };
    assert!(resolve(ID, &offline, &mut ()).unwrap_err().to_string().contains("a part of it"));

    server.set(|state| drop(state.files.insert("model-2.safetensors".into(), b"second".to_vec())));
    server.seen();
    let folder = resolve(ID, &options, &mut ()).unwrap();
    assert_eq!(fs::read(folder.join("model-2.safetensors")).unwrap(), b"second");
    assert!(
        server.seen().iter().all(|request| request.contains("model")),
        "nothing known is asked for again"
    );
}

#[test]
fn what_is_in_the_cache_will_do_when_the_hub_is_down() {
    let cache = tempfile::tempdir().unwrap();
    let root = cache.path().join("models--org--tiny");
    let folder = root.join("snapshots").join(COMMIT);
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(root.join("refs")).unwrap();
    fs::write(root.join("refs/main"), COMMIT).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join(SINGLE), "x").unwrap();
    let server = Server::start(&[]);
    server.set(|state| state.refuse = Some(403));
    assert_eq!(resolve(ID, &server.options(cache.path()), &mut ()).unwrap(), folder);
    assert!(!server.seen().is_empty(), "the optional files were asked for");
}

#[test]
fn a_model_without_safetensors_and_a_model_that_is_not_there_are_told_apart() {
    let (server, cache) = (Server::start(&[("config.json", b"{}")]), tempfile::tempdir().unwrap());
    let options = server.options(cache.path());
    assert!(resolve(ID, &options, &mut ()).unwrap_err().to_string().contains("neither model.safetensors"));
    server.set(|state| state.files.clear());
    assert!(resolve("org/other", &options, &mut ()).unwrap_err().to_string().contains("check the spelling"));
}

#[test]
fn offline_and_absent_says_where_it_looked_and_asks_nothing() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    let options = HubOptions { offline: true, ..server.options(cache.path()) };
    let message = resolve(ID, &options, &mut ()).unwrap_err().to_string();
    for part in ["HF_HUB_OFFLINE", "HF_HUB_CACHE", "models--org--tiny"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(server.seen(), [""; 0]);
}

#[test]
fn an_etag_or_commit_can_not_lead_out_of_the_cache() {
    let (server, cache) = (model(&weights()), tempfile::tempdir().unwrap());
    server.set(|state| state.etag = Some("../../../escaped".into()));
    let message = resolve(ID, &server.options(cache.path()), &mut ()).unwrap_err().to_string();
    assert!(message.contains("letters and digits"), "{message}");
    let root = cache.path().join("models--org--tiny");
    fs::create_dir_all(root.join("refs")).unwrap();
    fs::create_dir_all(cache.path().join("outside")).unwrap();
    fs::write(root.join("refs/main"), "../../outside").unwrap();
    let offline = HubOptions { offline: true, ..HubOptions::new(cache.path().to_path_buf()) };
    assert!(resolve(ID, &offline, &mut ()).unwrap_err().to_string().contains("it is not in the hub cache"));
}

#[test]
fn a_folder_is_itself_and_a_wrong_name_says_both() {
    let folder = tempfile::tempdir().unwrap();
    let options = HubOptions { offline: true, ..HubOptions::new(folder.path().to_path_buf()) };
    assert_eq!(resolve(folder.path().to_str().unwrap(), &options, &mut ()).unwrap(), folder.path());
    let message = resolve("../no/such", &options, &mut ()).unwrap_err().to_string();
    assert!(message.contains("no such folder") && message.contains("hub id"), "{message}");
    let file = folder.path().join(SINGLE);
    fs::write(&file, "").unwrap();
    assert!(
        resolve(file.to_str().unwrap(), &options, &mut ()).unwrap_err().to_string().contains("is a file")
    );
    let file = folder.path().join("model.gguf");
    fs::write(&file, "").unwrap();
    assert_eq!(resolve(file.to_str().unwrap(), &options, &mut ()).unwrap(), file);
}
