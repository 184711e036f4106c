//! What a killed build leaves in a real Windows.

use polyarch::backend::hcs::{Dlls, HcsApi as _};
use polyarch_actors::StepIsolation;

use super::desk::{Desk, containers, endpoints, nanoserver, wait};

/// A step that never ends by itself and needs no program but the shell.
const ENDLESS: &str = "RUN for /L %i in (0,0,1) do @rem\n";

#[test]
#[ignore = "needs Windows with the feature Containers, an administrator, and a network"]
fn what_a_killed_build_leaves_in_a_shared_kernel_goes_with_the_next_start() {
    killed(StepIsolation::Process, "--isolation=process");
}

#[test]
#[ignore = "needs Windows with the features Containers and Hyper-V, an administrator, and a network"]
fn what_a_killed_build_leaves_in_a_virtual_machine_goes_with_the_next_start() {
    killed(StepIsolation::HyperV, "--isolation=hyperv");
}

fn killed(isolation: StepIsolation, flag: &str) {
    let desk = Desk::new();
    desk.context(&format!("# escape=`\nFROM {}\n{ENDLESS}", nanoserver(isolation)));
    let api = Dlls::new();
    let mut build = desk.begin(&["--backend=hcs", "--platform", "windows/amd64", flag]);
    let runs = || !api.systems("polyarch").expect("the containers of polyarch").is_empty();
    wait("a container", &mut build, runs);
    assert_ne!(desk.in_store("backends/hcs/scratch").len(), 0, "a step has a disk of its own");
    build.kill().and_then(|()| build.wait()).expect("it is killed");

    // Looking whether Windows can be used removes what is left there.
    desk.backend("hcs");
    assert_eq!(api.systems("polyarch"), Ok(Vec::new()));
    assert_eq!(containers(), "");
    assert_eq!(endpoints(), "");
    for folder in ["backends/hcs/scratch", "backends/hcs/tmp"] {
        assert_eq!(desk.in_store(folder), Vec::<std::path::PathBuf>::new());
    }
    let journals = desk.in_store("backends/hcs/journal");
    assert!(journals.iter().all(|path| !path.is_dir()), "{journals:?}");
}
