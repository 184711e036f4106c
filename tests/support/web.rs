//! A web server on a loopback port that has the files of a folder.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use polyarch::oci::digest_of;

/// When every file was modified, as the server says it: 784111777 seconds since 1970.
pub(crate) const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// The user and password for what is secret, as an address has them.
pub(crate) const LOGIN: &str = "me:pass";
/// The same as a header has them.
const LOGIN_HEADER: &str = "authorization: basic bWU6cGFzcw==";
/// A token that is as good.
pub(crate) const TOKEN: &str = "t0ken";

/// A server that ends with the tests. Files whose path begins with `busy-` are refused once with 503,
/// `secret-` with 401 unless [`LOGIN`] or [`TOKEN`] asks, and `slow-` ones never come to an end.
pub(crate) struct Web {
    folder: tempfile::TempDir,
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (root, log) = (folder.path().to_owned(), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, log) = (root.clone(), log.clone());
                thread::spawn(move || answer(stream, &root, &log));
            }
        });
        Self { folder, address, asked }
    }

    /// The file at a path of the server.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file there and returns its address.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).expect("written");
        self.url(name)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// What was asked for since the last call, with the status of each answer.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn answer(stream: TcpStream, root: &Path, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let target = request.split(' ').nth(1).unwrap_or_default();
    let name = target.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
    let mut asked = log.lock().unwrap_or_else(PoisonError::into_inner);
    let again = asked.iter().any(|before| before.ends_with(&name));
    let content = fs::read(root.join(&name));
    let etag = format!("\"{}\"", digest_of(content.as_deref().unwrap_or_default()).hex());
    let known = headers.iter().any(|header| {
        header.to_ascii_lowercase().starts_with("if-none-match:") && header.contains(etag.as_str())
    });
    let token = format!("authorization: bearer {TOKEN}");
    let is_ours = |header: &String| [LOGIN_HEADER, &token].iter().any(|one| header.eq_ignore_ascii_case(one));
    let known_to_us = headers.iter().any(is_ours);
    let (status, body) = match content {
        _ if name.starts_with("secret-") && !known_to_us => ("401 Unauthorized", Vec::new()),
        _ if name.starts_with("busy-") && !again => ("503 Busy", Vec::new()),
        Ok(_) if known => ("304 Not Modified", Vec::new()),
        Ok(content) => ("200 OK", content),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    asked.push(format!("{} {name}", status.split(' ').next().unwrap_or_default()));
    drop(asked);
    let slow = name.starts_with("slow-");
    let length = if slow { 1 << 30 } else { body.len() };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: {etag}\r\nLast-Modified: {MODIFIED}\r\n\
         Retry-After: 0\r\nConnection: close\r\n\r\n"
    );
    let mut stream = stream;
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    while slow && stream.write_all(&[b'x'; 1000]).is_ok() {
        thread::sleep(Duration::from_millis(10));
    }
}
