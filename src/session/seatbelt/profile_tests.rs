use proptest::prelude::*;

use super::{
    super::evaluator::{Evaluator, Expression, Target, parse},
    *,
};

const ROOTFS: &str = "/Users/anna/Library/Caches/polyarch/root";
const TMP: &str = "/private/var/folders/zz/polyarch-1";
const HOME: &str = "/Users/anna";

fn profile(network: bool) -> Profile {
    Profile::new(Path::new(ROOTFS), Path::new(TMP), Path::new(HOME), network).expect("a profile")
}

fn evaluator(profile: &Profile) -> Evaluator {
    let parameters = profile.parameters();
    let parameters: Vec<String> = parameters.iter().map(|text| text.to_string_lossy().into_owned()).collect();
    Evaluator::new(&profile.text(), &parameters)
}

/// Everything that can be done to a file.
const READS: [&str; 3] = ["file-read-data", "file-read-metadata", "file-read-xattr"];
const WRITES: [&str; 4] = ["file-write-create", "file-write-data", "file-write-unlink", "file-write-mode"];

#[test]
fn profiles_are_as_they_were() {
    for (network, golden) in
        [(false, include_str!("golden/offline.sb")), (true, include_str!("golden/network.sb"))]
    {
        let profile = profile(network);
        let parameters = profile.parameters();
        let parameters = parameters.iter().map(|text| format!("; -D {}\n", text.display()));
        let text = parameters.collect::<String>() + &profile.text();
        if std::env::var_os("POLYARCH_UPDATE_GOLDEN").is_some() {
            let name = if network { "network" } else { "offline" };
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/session/seatbelt/golden");
            std::fs::write(folder.join(name).with_extension("sb"), &text).expect("written");
        } else {
            assert_eq!(text, golden);
        }
    }
}

#[test]
fn a_program_has_its_own_places_and_no_file_of_anybody_else() {
    for network in [false, true] {
        let profile = evaluator(&profile(network));
        let inside = [ROOTFS, TMP].map(|place| [place.to_owned(), format!("{place}/a/b")]).concat();
        for (path, operation) in
            inside.iter().flat_map(|path| READS.iter().chain(&WRITES).map(move |operation| (path, operation)))
        {
            assert!(profile.allows(operation, Target::Path(path)), "{operation} {path}");
        }
        for path in [
            HOME,
            "/Users/anna/.ssh/id_ed25519",
            "/Users/bert/file",
            "/Volumes/disk/file",
            "/private/tmp/of-another",
            "/private/var/folders/zz/of-another",
            "/Library/Keychains/System.keychain",
            // Siblings that begin alike.
            "/Users/anna/Library/Caches/polyarch/root2/file",
            "/Users/anna/Library/Caches/polyarch/roo",
            "/private/var/folders/zz/polyarch-12/file",
        ] {
            for operation in READS.iter().chain(&WRITES).chain(&["process-exec"]) {
                let looks = *operation == "file-read-metadata" && path == HOME;
                assert_eq!(profile.allows(operation, Target::Path(path)), looks, "{operation} {path}");
            }
        }
    }
}

#[test]
fn the_system_is_read_and_not_written() {
    let profile = evaluator(&profile(true));
    for path in [
        "/private/etc/hosts",
        "/usr/lib/libSystem.dylib",
        "/System/Library/x",
        "/bin/sh",
        "/Usersx",
        "/usr/local",
    ] {
        assert!(READS.iter().all(|operation| profile.allows(operation, Target::Path(path))), "{path}");
        assert!(!WRITES.iter().any(|operation| profile.allows(operation, Target::Path(path))), "{path}");
    }
    assert!(profile.allows("process-exec", Target::Path("/bin/sh")));
    for path in ["/dev/null", "/dev/tty"] {
        assert!(profile.allows("file-write-data", Target::Path(path)));
    }
    assert!(!profile.allows("file-write-data", Target::Path("/dev/disk0")));
}

#[test]
fn the_way_to_its_places_can_be_looked_at_and_not_listed() {
    let profile = evaluator(&profile(false));
    for path in ["/", "/Users", "/Users/anna/Library/Caches/polyarch", "/private/var/folders/zz"] {
        assert!(profile.allows("file-read-metadata", Target::Path(path)), "{path}");
        assert!(path == "/" || !profile.allows("file-read-data", Target::Path(path)), "{path}");
    }
    assert!(!profile.allows("file-read-metadata", Target::Path("/Users/anna/Library/Mail")));
}

#[test]
fn the_network_is_there_only_for_those_who_asked() {
    let reach = ["network-outbound", "network-inbound", "network-bind", "system-socket"];
    for network in [false, true] {
        let profile = evaluator(&profile(network));
        for operation in reach {
            assert_eq!(profile.allows(operation, Target::Nothing), network, "{operation}");
        }
        let resolver = Target::Path("/private/var/run/mDNSResponder");
        assert_eq!(profile.allows("network-outbound", resolver), network);
        for service in NETWORK_SERVICES {
            assert_eq!(profile.allows("mach-lookup", Target::Service(service)), network, "{service}");
        }
    }
}

#[test]
fn only_the_services_that_are_named_can_be_asked() {
    for network in [false, true] {
        let profile = evaluator(&profile(network));
        for service in SERVICES {
            assert!(profile.allows("mach-lookup", Target::Service(service)));
        }
        for service in
            ["com.apple.pasteboard.1", "com.apple.securityd.xpc", "com.apple.tccd", "com.apple.system"]
        {
            assert!(!profile.allows("mach-lookup", Target::Service(service)), "{service}");
        }
        assert!(profile.allows("signal", Target::Process { same_sandbox: true }));
        assert!(!profile.allows("signal", Target::Process { same_sandbox: false }));
        for operation in
            ["iokit-open", "mach-priv-task-port", "system-privilege", "file-mount", "appleevent-send"]
        {
            assert!(!profile.allows(operation, Target::Nothing), "{operation}");
        }
        assert!(profile.allows("process-fork", Target::Nothing));
    }
}

#[test]
fn what_is_no_place_gets_no_rule() {
    let good = Path::new("/a");
    for path in ["", "a", "/", "/a/", "/a/../b", "/./a", "//a", "/a\0b"] {
        let path = Path::new(path);
        let error = Err(ProfileError::NotAPlace { path: path.to_owned() });
        assert_eq!(Profile::new(path, good, good, false), error, "{path:?}");
        assert_eq!(Profile::new(good, path, good, false), error);
        assert_eq!(Profile::new(good, good, path, false), error);
    }
}

proptest! {
    #[test]
    fn every_text_is_one_string(text in "\\PC*") {
        prop_assert_eq!(parse(&quoted(&text)), [Expression::Text(text)]);
    }

    #[test]
    fn no_path_changes_the_rules(name in "[^/\0]{1,12}") {
        prop_assume!(name != "." && name != "..");
        let root = format!("/Users/x/{name}");
        let hostile = Profile::new(Path::new(&root), Path::new(TMP), Path::new(HOME), false).expect("a profile");
        let plain = Profile::new(Path::new("/Users/x/a"), Path::new(TMP), Path::new(HOME), false).expect("a profile");
        prop_assert_eq!(hostile.text(), plain.text());
        let profile = evaluator(&hostile);
        let inside = format!("{root}/file");
        prop_assert!(profile.allows("file-write-data", Target::Path(&inside)));
        prop_assert!(!profile.allows("file-write-data", Target::Path("/Users/x")));
    }
}
