//! A way out to public addresses alone, as a proxy on this machine for one fetch or one registry.
//!
//! Whatever is fetched or published for somebody else goes through it, by git and by this program alike: first addresses, redirects,
//! submodules and servers of tokens.
//! Each name is resolved once, here, and what is connected to is the address that was looked at, so that a name that means another
//! address a moment later changes nothing. Other programs of this machine that find it reach no more with it than without.
//!
//! Source: RFC 9110, section 9.3.6 (CONNECT); RFC 9112, section 3.2.2 (the form of requests to proxies).

mod here;
mod public;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use polyarch_actors::Fetching;
use reqwest::Url;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, lookup_host},
    task::{AbortHandle, JoinSet, spawn_blocking},
    time::timeout,
};

use self::{
    here::Here,
    public::{is_public, reached},
};

/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 64 << 10;
/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(30);

/// The proxy. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Fence {
    address: SocketAddr,
    refused: Refused,
    task: AbortHandle,
}

/// The first host that was not connected to because of its address.
type Refused = Arc<Mutex<Option<String>>>;
/// Whether something at these addresses is connected to.
type Allows = fn(&[IpAddr]) -> io::Result<bool>;

/// Whether all of these are addresses of the internet, and none of them is one of this machine or a neighbour's.
fn is_outside(addresses: &[IpAddr]) -> io::Result<bool> {
    let here = Here::look()?;
    Ok(addresses.iter().all(|address| is_public(*address) && !here.holds(reached(*address))))
}

impl Fence {
    /// What whatever is fetched has to go through, if anything. It needs a runtime of tokio.
    pub(crate) fn of(fetching: Fetching) -> io::Result<Option<Self>> {
        match fetching {
            Fetching::Own | Fetching::Anywhere => Ok(None),
            Fetching::Public => Self::with(is_outside).map(Some),
        }
    }

    fn with(allows: Allows) -> io::Result<Self> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (address, refused) = (listener.local_addr()?, Refused::default());
        let task = tokio::spawn(serve(listener, Arc::clone(&refused), allows)).abort_handle();
        Ok(Self { address, refused, task })
    }

    /// Its address, as programs are given that of a proxy.
    pub(crate) fn proxy(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first host that was not connected to because of its address.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, refused: Refused, allows: Allows) {
    // They end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let refused = Arc::clone(&refused);
        connections.spawn(async move {
            if let Err(error) = pass(stream, &refused, allows).await {
                tracing::debug!(%error, "a connection to a server that was fetched from ended early");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Passes one connection on.
async fn pass(mut client: TcpStream, refused: &Refused, allows: Allows) -> io::Result<()> {
    let (head, body) = read_head(&mut client).await?;
    let Some(request) = Request::read(&head) else {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
    };
    let mut server = match connect(&request.host, request.port, allows).await {
        Ok(Some(server)) => server,
        Ok(None) => {
            refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(request.host);
            // To whoever knows of no proxy, an answer would be that of the server.
            let answer = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n";
            return if request.forward.is_none() { client.write_all(answer).await } else { Ok(()) };
        }
        Err(error) => {
            tracing::debug!(%error, host = request.host, "a server cannot be reached");
            let answer = b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n";
            return client.write_all(answer).await;
        }
    };
    match request.forward {
        Some(head) => server.write_all(head.as_bytes()).await?,
        None => client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?,
    }
    server.write_all(&body).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// The head of a request, and what came behind it.
async fn read_head(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            let head = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
            return Ok((head, body));
        }
        if bytes.len() > LARGEST_HEAD || client.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What is asked of a proxy.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    host: String,
    port: u16,
    /// What the server is sent; nothing where the client is to speak with it by itself.
    forward: Option<String>,
}

impl Request {
    fn read(head: &str) -> Option<Self> {
        let (line, fields) = head.split_once("\r\n")?;
        let mut words = line.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if method == "CONNECT" {
            let url = Url::parse(&format!("https://{target}")).ok()?;
            let host = url.host_str()?.to_owned();
            return Some(Self { host, port: url.port_or_known_default()?, forward: None });
        }
        let url = Url::parse(target).ok().filter(|url| url.scheme() == "http")?;
        let host = url.host_str()?.to_owned();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        // One request a connection: the next one may be for another host.
        let is_own = |field: &&str| {
            let name = field.split(':').next().unwrap_or_default();
            name.eq_ignore_ascii_case("connection") || name.eq_ignore_ascii_case("proxy-connection")
        };
        let fields = fields.trim_end().split("\r\n").filter(|field| !field.is_empty() && !is_own(field));
        let fields = fields.fold(String::new(), |all, field| all + field + "\r\n");
        let forward =
            format!("{method} {}{query} {version}\r\n{fields}Connection: close\r\n\r\n", url.path());
        Some(Self { host, port: url.port_or_known_default()?, forward: Some(forward) })
    }
}

/// Connects to the first address of a host that answers; `None` where one of them must not be reached.
async fn connect(host: &str, port: u16, allows: Allows) -> io::Result<Option<TcpStream>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let looked: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    if !spawn_blocking(move || allows(&looked)).await.map_err(io::Error::other)?? {
        return Ok(None);
    }
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(Some(stream)),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests;
