use polyarch_actors::StepNeed;

use super::*;

const WELL: &str = "distribution Debian\nkernel 5.15.153.1-microsoft-standard-WSL2\nmachine x86_64\nuser 0\n\
    buildah buildah version 1.28.2 (image-spec 1.1.0-rc2)\nformats yes\n\
    format enabled|interpreter /usr/bin/qemu-aarch64-static|flags: POCF|offset 0|magic 7f454c460201010000000000000000000200b700|mask ff|\n\
    driver overlay\nisolation oci\n";

fn refused(old: &str, new: &str) -> Unusable {
    assert!(WELL.contains(old));
    read(&WELL.replace(old, new)).expect_err("unusable")
}

#[test]
fn a_distribution_with_everything_is_as_good_as_linux() {
    let found = read(WELL).expect("usable");
    assert_eq!(found.distribution.as_deref(), Some("Debian"));
    let can = capabilities(Ok(&found), 3);
    let texts = |platforms: &[Platform]| platforms.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&can.native), ["linux/amd64", "linux/386"]);
    assert_eq!(texts(&can.emulated), ["linux/arm64"]);
    let what = "buildah 1.28.2 in Debian (overlay, oci isolation)";
    assert_eq!(can.availability, Availability::Usable(what.into()));
    assert_eq!(can.slots, 3);
    assert!(can.gives.contains(&StepNeed::NoNetwork) && !can.gives.contains(&StepNeed::MemoryLimit));
    let found = read(&format!("{WELL}limits yes\n")).expect("usable");
    let can = capabilities(Ok(&found), 3);
    assert!(can.gives.contains(&StepNeed::MemoryLimit) && can.gives.contains(&StepNeed::CpuLimit));
}

#[test]
fn what_is_missing_in_a_distribution_is_said_with_the_way_out() {
    for (old, new, reason, advice) in [
        (
            "5.15.153.1-microsoft-standard-WSL2",
            "4.4.0-19041-Microsoft",
            "WSL 1",
            "wsl --set-version Debian 2",
        ),
        ("distribution Debian", "distribution docker-desktop", "Docker's own", "POLYARCH_WSL_DISTRO"),
        ("buildah buildah", "else", "not installed in Debian", "apt-get install -y buildah"),
        ("1.28.2", "1.23.1", "at least 1.27.0", "newer release"),
        ("user 0", "user 1000", "not root", "root"),
        ("user 0", "user 0\nmissing unshare", "needs unshare", "util-linux"),
        ("driver overlay", "problem storage driver overlay: x", "overlay: x", "buildah info"),
        ("driver overlay", "unboxed unshare: denied", "unshare: denied", "namespaces"),
        ("machine x86_64", "machine vax", "vax", "another machine"),
    ] {
        let unusable = refused(old, new);
        assert!(unusable.reason.contains(reason), "{unusable:?}");
        assert!(unusable.advice.contains(advice), "{unusable:?}");
    }
}

#[test]
fn without_an_isolation_that_works_no_step_is_promised() {
    let found = read(&WELL.replace("isolation oci", "problem isolation oci: no")).expect("usable");
    let can = capabilities(Ok(&found), 1);
    assert!(can.native.is_empty() && can.emulated.is_empty());
    assert_eq!(can.assembles, [ImageOs::Linux]);
    assert!(can.advice.iter().any(|advice| advice.contains("isolation oci: no")), "{can:?}");
}
