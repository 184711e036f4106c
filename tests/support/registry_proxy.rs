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
}

struct Rule {
    method: &'static str,
    path: String,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
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
        rule.map(|rule| {
            rule.times -= 1;
            rule.fault.clone()
        })
    };
    let mut limit = u64::MAX;
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
        Some(Fault::CutAnswer(bytes)) => limit = bytes as u64,
        None => {}
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(head.as_bytes())?;
    server.write_all(&rest)?;
    let mut body = client.try_clone()?.take(length.saturating_sub(rest.len() as u64));
    let mut to_server = server.try_clone()?;
    std::thread::spawn(move || io::copy(&mut body, &mut to_server));
    io::copy(&mut server.take(limit), &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// The head of a request and what came of its body; `None` for what is no HTTP, such as the start of TLS.
fn read_head(client: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let read = client.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        if read == 0 || bytes[0] == 0x16 {
            return Ok(None);
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), rest)));
        }
    }
}
