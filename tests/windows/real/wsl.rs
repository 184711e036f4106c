//! Images for Linux that are built in a real distribution of WSL.

use std::{env, process::Command, thread, time::Duration};

use super::desk::{Desk, Layout, said, wait};

/// Where builds are in the distribution.
const PLACE: &str = "/root/.cache/polyarch-builds";
/// Until when what belonged to a killed build is to be gone.
const GRACE: Duration = Duration::from_secs(30);

/// What a program in the distribution prints.
fn inside(words: &[&str]) -> String {
    let mut command = Command::new("wsl.exe");
    if let Some(distribution) = env::var_os("POLYARCH_WSL_DISTRO") {
        command.arg("-d").arg(distribution);
    }
    let output = command.args(["-u", "root", "--exec"]).args(words).output().expect("wsl.exe");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What of builds is in the distribution.
fn left() -> String {
    inside(&["find", PLACE, "-mindepth", "1", "-maxdepth", "1"])
}

#[test]
#[ignore = "needs Windows, a distribution of WSL 2 with buildah, and a network"]
fn an_image_for_linux_is_built_in_the_distribution_which_keeps_nothing() {
    let desk = Desk::new();
    let report = desk.backend("buildah-wsl");
    assert!(report.to_string().contains("buildah 1."), "{report:#}");
    desk.context(
        "FROM docker.io/library/busybox\nRUN echo first-step > /one\nCOPY a.txt /\nRUN cat /one /a.txt\n",
    );
    let said = desk.build(&["--backend=buildah-wsl", "--platform", "linux/amd64"]);
    for word in ["first-step", "hello"] {
        assert!(said.lines().any(|line| line.trim_end().ends_with(word)), "{word}: {said}");
    }
    let (config, _) = Layout(desk.path("out")).last(0);
    assert_eq!((&config["os"], &config["architecture"]), (&"linux".into(), &"amd64".into()));
    assert_eq!(left(), "");
}

#[test]
#[ignore = "needs Windows, a distribution of WSL 2 with buildah, and a network"]
fn a_killed_build_leaves_nothing_in_the_distribution() {
    let desk = Desk::new();
    desk.context("FROM docker.io/library/busybox\nRUN sleep 5991\n");
    let mut build = desk.begin(&["--backend=buildah-wsl", "--platform", "linux/amd64"]);
    let sleeps = || inside(&["pgrep", "-x", "-f", "sleep 5991"]);
    wait("a step", &mut build, || !sleeps().is_empty());
    assert_ne!(left(), "");
    build.kill().and_then(|()| build.wait()).expect("it is killed");
    thread::sleep(GRACE);
    assert_eq!((left(), sleeps()), (String::new(), String::new()));
}

#[test]
#[ignore = "needs Windows, a distribution of WSL 2 with buildah, and a network"]
fn a_failed_step_is_told_with_its_exit_code() {
    let desk = Desk::new();
    desk.context("FROM docker.io/library/busybox\nRUN echo before && exit 7\n");
    let build = ["build", "--progress", "plain", "--backend=buildah-wsl", "--platform", "linux/amd64", "app"];
    let output = desk.command(build).output().expect("the command");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("before") && said.contains('7'), "{said}");
    assert_eq!(left(), "");
}
