//! The live page in a real browser, on a server that is played and on a real one. `drive.py` says what the users of the page do.

use std::process::Command;

use crate::support::{
    bases,
    command::{Desk, ready},
    service::Server,
    tools::require,
};

#[test]
fn the_live_page_does_what_its_users_do() {
    if !["chromium", "chromedriver", "python3"].into_iter().all(require) {
        return;
    }
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/drive.py");
    let ended = Command::new("timeout")
        .args(["--kill-after=20", "900", "python3", "-B", program, "fake"])
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(said.contains("ok    a build is watched to its end"), "{said}");
}

#[test]
fn the_live_page_shows_real_builds() {
    if !["chromium", "chromedriver", "python3"].into_iter().all(require) || !ready() {
        return;
    }
    let Some(base) = bases::busybox() else { return };
    let desk = Desk::new();
    let server = Server::start(&desk, &[]);
    let registry = bases::serve();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/drive.py");
    let ended = Command::new("timeout")
        .args(["--kill-after=20", "300", "python3", "-B", program, "real", "--url", &server.url])
        .args(["--base", base, "--registry", &registry])
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(said.contains("ok    a build is watched to its end"), "{said}");
}
