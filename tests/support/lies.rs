//! A registry that says and delivers what a test tells it to, whatever that is.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use polyarch::oci::digest_of;
use serde_json::{Value, json};

use super::{
    images::Layer,
    registry::{OCI_INDEX, OCI_MANIFEST},
};

/// What a server answers.
#[derive(Clone)]
pub(crate) struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    /// Whether the body is said again and again until nobody reads it.
    endless: bool,
}

impl Answer {
    /// An honest one.
    pub(crate) fn of(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let headers = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        Self { status: "200 OK", headers, body, endless: false }
    }

    /// One whose length is said to be another.
    pub(crate) fn with_length(kind: &str, body: impl Into<Vec<u8>>, length: u64) -> Self {
        let headers = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n");
        Self { headers, ..Self::of(kind, body) }
    }

    /// One that never ends, of a body said again and again.
    pub(crate) fn endless(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = format!("Content-Type: {kind}\r\n");
        Self { headers, endless: true, ..Self::of(kind, body) }
    }

    /// One that sends whoever asks elsewhere.
    pub(crate) fn elsewhere(address: &str) -> Self {
        let headers = format!("Location: {address}\r\nContent-Length: 0\r\n");
        Self { status: "307 Elsewhere", headers, body: Vec::new(), endless: false }
    }

    /// That there is no such thing.
    pub(crate) fn missing() -> Self {
        Self { status: "404 Not Found", ..Self::of("application/json", "{}") }
    }

    /// The same with another header.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers = format!("{}{name}: {value}\r\n", self.headers);
        self
    }

    /// The same as what a registry says to whom it denies something.
    pub(crate) fn failing(self) -> Self {
        Self { status: "403 No", ..self }
    }

    /// One that wants a password first.
    fn asking() -> Self {
        let headers = "WWW-Authenticate: Basic realm=\"r\"\r\nContent-Length: 0\r\n".to_owned();
        Self { status: "401 Who", headers, body: Vec::new(), endless: false }
    }
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    /// Whether only who sends credentials is answered.
    is_closed: bool,
    /// The heads of all requests.
    asked: Vec<String>,
}

/// A running server, which ends with the tests.
pub(crate) struct Liar {
    /// Host and port, as in an image name.
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Liar {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || answer(stream, &state));
            }
        });
        Self { address, state }
    }

    /// Answers nobody without credentials from now on.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
    }

    /// What is answered to a request for `path`.
    pub(crate) fn put(&self, path: &str, answer: Answer) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers.insert(path.to_owned(), answer);
    }

    /// The heads of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// Puts the parts of an image there, and returns its manifest, which is not there yet. All of it is honest.
    pub(crate) fn image(&self, name: &str, layers: &[Layer], change: impl FnOnce(&mut Value)) -> Value {
        let blob = |bytes: &[u8], kind: &str| {
            let digest = digest_of(bytes);
            self.put(&format!("/v2/{name}/blobs/{digest}"), Answer::of("application/octet-stream", bytes));
            let media_type = format!("application/vnd.oci.image.{kind}");
            json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
        };
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
        let mut config = json!({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs});
        change(&mut config);
        let layers: Vec<Value> = layers.iter().map(|layer| blob(&layer.blob, "layer.v1.tar+gzip")).collect();
        let config = blob(config.to_string().as_bytes(), "config.v1+json");
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})
    }

    /// Puts a manifest there as the image `name`, and returns how an index names it.
    pub(crate) fn manifest(&self, name: &str, manifest: &Value) -> Value {
        self.document(name, OCI_MANIFEST, manifest.to_string().into_bytes())
    }

    /// Puts an index there as the image `name`, and returns how another one names it.
    pub(crate) fn index(&self, name: &str, entries: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
        self.document(name, OCI_INDEX, index.to_string().into_bytes())
    }

    /// Puts any document there as the image `name`.
    pub(crate) fn document(&self, name: &str, kind: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (digest_of(&bytes), bytes.len());
        let answer = Answer::of(kind, bytes);
        self.put(&format!("/v2/{name}/manifests/{digest}"), answer.clone());
        self.put(&format!("/v2/{name}/manifests/latest"), answer);
        let platform = json!({"os": "linux", "architecture": "amd64"});
        json!({"mediaType": kind, "digest": digest, "size": size, "platform": platform})
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut first = [0];
    // Whoever begins with TLS is not answered, and comes back without.
    if !matches!(stream.peek(&mut first), Ok(1)) || first[0] == 0x16 {
        return;
    }
    let reader = BufReader::new(stream.try_clone().expect("a stream"));
    let head: Vec<String> =
        reader.take(64 << 10).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let known = head.iter().any(|line| line.to_ascii_lowercase().starts_with("authorization:"));
    let found = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.push(head.join("\n"));
        if state.is_closed && !known { Some(Answer::asking()) } else { state.answers.get(&path).cloned() }
    };
    let is_greeting = path == "/v2/";
    let otherwise = || if is_greeting { Answer::of("application/json", "{}") } else { Answer::missing() };
    let found = found.unwrap_or_else(otherwise);
    let text = format!("HTTP/1.1 {}\r\nConnection: close\r\n{}\r\n", found.status, found.headers);
    let mut sent = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(&found.body));
    while found.endless && sent.is_ok() {
        sent = stream.write_all(&found.body);
    }
}
