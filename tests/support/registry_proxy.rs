//! Stands between a client and a registry, keeps a list of what was asked, and fails where a test wants it to.
//!
//! It speaks just enough HTTP/1.1: one request a connection.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What happens to a request instead of the usual.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The registry is not asked; this is the answer: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection ends when so many bytes of the request's body have come; a shorter one goes through.
    Break(usize),
    /// Nothing more is read or sent, for as long as the proxy lives.
    Stall,
    /// The registry is asked without the query, so that a mount becomes a plain upload.
    WithoutQuery,
    /// The answer ends when so many of its bytes have gone to the client.
    CutAnswer(usize),
    /// The connection is reset when so many bytes of the request's body have come, or before any of it is read.
    Reset(usize),
    /// The registry does what is asked, and nobody is told.
    LoseAnswer,
    /// One bit of the answer's body is another, in this byte, or in its last where it is shorter.
    Flip(usize),
    /// A header of the answer, if it is there, has another last letter, before a query.
    Garble(&'static str),
}

/// What is asked for.
pub(crate) struct Asked<'r> {
    pub(crate) method: &'r str,
    /// With the query.
    pub(crate) path: &'r str,
    /// The length of the request's body in bytes.
    pub(crate) length: u64,
}

/// Says what happens to a request.
pub(crate) type Chooser = Box<dyn FnMut(&Asked<'_>) -> Option<Fault> + Send>;

struct Rule {
    method: &'static str,
    path: String,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    chooser: Option<Chooser>,
    requests: Vec<String>,
}

/// A running proxy.
pub(crate) struct Proxy {
    /// Host and port, as in an image name.
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// A proxy before the registry at `upstream`.
    pub(crate) fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, upstream) = (state.clone(), upstream.to_owned());
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (state, upstream) = (shared.clone(), upstream.clone());
                std::thread::spawn(move || {
                    let _ = serve(client, &upstream, &state);
                });
            }
        });
        Self { address, state }
    }

    /// Fails the next `times` requests of this method whose path and query contain `path`.
    pub(crate) fn add(&self, method: &'static str, path: &str, times: usize, fault: Fault) {
        let rule = Rule { method, path: path.to_owned(), times, fault };
        self.state.lock().expect("the state").rules.push(rule);
    }

    /// Asks `chooser` about every request for which there is no rule.
    pub(crate) fn choose(&self, chooser: impl FnMut(&Asked<'_>) -> Option<Fault> + Send + 'static) {
        self.state.lock().expect("the state").chooser = Some(Box::new(chooser));
    }

    /// What was asked so far: methods, paths and queries.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().expect("the state").requests.clone()
    }

    /// How many requests contain `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.requests().iter().filter(|request| request.contains(text)).count()
    }
}

fn serve(mut client: TcpStream, upstream: &str, state: &Mutex<State>) -> io::Result<()> {
    let Some((head, rest)) = read_head(&mut client)? else { return Ok(()) };
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let length: u64 = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    let fault = {
        let mut state = state.lock().expect("the state");
        state.requests.push(format!("{method} {path}"));
        let rule = state
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && rule.method == method && path.contains(&rule.path))
            .filter(|rule| !matches!(rule.fault, Fault::Break(bytes) if length < bytes as u64));
        let ruled = rule.map(|rule| {
            rule.times -= 1;
            rule.fault.clone()
        });
        let asked = Asked { method, path, length };
        ruled.or_else(|| state.chooser.as_mut().and_then(|choose| choose(&asked)))
    };
    let mut limit = u64::MAX;
    let mut change = None;
    let mut head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    match fault {
        Some(Fault::Answer(status, headers, body)) => {
            let mut answer =
                format!("HTTP/1.1 {status} Fault\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                let _ = write!(answer, "{name}: {value}\r\n");
            }
            client.write_all(format!("{answer}\r\n{body}").as_bytes())?;
            // What was not read would reset the connection and the answer with it.
            client.set_read_timeout(Some(Duration::from_secs(2)))?;
            io::copy(&mut client.take(length.saturating_sub(rest.len() as u64)), &mut io::sink())?;
            return Ok(());
        }
        Some(Fault::Break(bytes)) => {
            let missing = bytes.saturating_sub(rest.len());
            io::copy(&mut client.take(missing as u64), &mut io::sink())?;
            return Ok(());
        }
        Some(Fault::Stall) => loop {
            std::thread::park();
        },
        Some(Fault::WithoutQuery) => {
            head = head.replacen(path, path.split('?').next().unwrap_or_default(), 1);
        }
        Some(Fault::Reset(bytes)) => {
            let missing = bytes.saturating_sub(rest.len());
            io::copy(&mut (&client).take(missing as u64), &mut io::sink())?;
            // What has come and is not read makes the end of a connection a reset.
            client.set_read_timeout(Some(Duration::from_secs(2)))?;
            let _ = client.peek(&mut [0]);
            return Ok(());
        }
        Some(Fault::CutAnswer(bytes)) => limit = bytes as u64,
        Some(fault @ (Fault::LoseAnswer | Fault::Flip(_) | Fault::Garble(_))) => change = Some(fault),
        None => {}
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(head.as_bytes())?;
    server.write_all(&rest)?;
    let mut body = client.try_clone()?.take(length.saturating_sub(rest.len() as u64));
    let mut to_server = server.try_clone()?;
    std::thread::spawn(move || io::copy(&mut body, &mut to_server));
    match change {
        Some(change) => {
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            if let Some(answer) = changed(answer, change) {
                client.write_all(&answer)?;
            }
        }
        None => _ = io::copy(&mut server.take(limit), &mut client)?,
    }
    client.shutdown(Shutdown::Both)
}

/// The answer as the client gets it, if it does.
fn changed(mut answer: Vec<u8>, change: Fault) -> Option<Vec<u8>> {
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
    match change {
        Fault::LoseAnswer => return None,
        Fault::Flip(place) if body < answer.len() => {
            let place = body + place.min(answer.len() - body - 1);
            answer[place] ^= 1;
        }
        Fault::Garble(name) => {
            let head = String::from_utf8_lossy(&answer[..body]).into_owned();
            let lines = head.split("\r\n").map(|line| match line.split_once(": ") {
                Some((found, value)) if found.eq_ignore_ascii_case(name) => {
                    format!("{found}: {}", garbled(value))
                }
                _ => line.to_owned(),
            });
            let head = lines.collect::<Vec<_>>().join("\r\n");
            answer.splice(..body, head.into_bytes());
        }
        _ => {}
    }
    Some(answer)
}

/// A digest, or the path of an upload, that is another one.
fn garbled(value: &str) -> String {
    let (path, query) = value.split_at(value.find('?').unwrap_or(value.len()));
    let last = if path.ends_with('0') { "1" } else { "0" };
    format!("{}{last}{query}", &path[..path.len() - 1])
}

/// The head of a request and what came of its body; `None` for what is no HTTP, such as the start of TLS.
fn read_head(client: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let read = client.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        if read > 0 && bytes[0] == 0x16 {
            // As a registry without TLS answers it.
            client.write_all(
                b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n",
            )?;
            return Ok(None);
        }
        if read == 0 {
            return Ok(None);
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), rest)));
        }
    }
}
