//! Base images for all tests of the command line, in one registry that they only read.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use super::buildah::{Registry, run};

/// A busybox for amd64 and arm64; `None` where it cannot be had.
pub(crate) fn busybox() -> Option<&'static str> {
    static BUSYBOX: OnceLock<Option<String>> = OnceLock::new();
    BUSYBOX.get_or_init(prepare).as_deref()
}

fn prepare() -> Option<String> {
    let scratch = Registry::start();
    let made = scratch.busybox(&["amd64", "arm64"])?;
    let address = serve();
    let copy = |tag: &str| {
        let from = format!("docker://{}/busybox:{tag}", scratch.address);
        let to = format!("docker://{address}/busybox:{tag}");
        run(Command::new("skopeo")
            .args(["copy", "--quiet", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args([from, to]));
    };
    ["amd64", "arm64", "latest"].into_iter().for_each(copy);
    Some(made.replace(&scratch.address, &address))
}

/// Starts a registry that keeps everything in memory, and ends when this process does.
pub(crate) fn serve() -> String {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let address = format!("127.0.0.1:{}", free.port());
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{inmemory: {{}}}}\nhttp: {{addr: {address}}}\n"
    );
    // The registry ends with the thread that started it; that of a test would be too short.
    thread::spawn(move || {
        let mut registry = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve", "/dev/stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a registry");
        registry.stdin.take().expect("stdin").write_all(config.as_bytes()).expect("configured");
        registry.wait()
    });
    let begun = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the registry did not start");
        thread::sleep(Duration::from_millis(20));
    }
    address
}
