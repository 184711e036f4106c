//! Images of Windows that are built in containers of Windows, looked at, and run.

use std::{env, path::PathBuf, process::Command};

use polyarch_actors::StepIsolation;

use super::desk::{Desk, Layout, containers, endpoints, nanoserver, said};

/// Two steps, of which the second sees what the first has done, and takes some of it away.
const STEPS: &str = "USER ContainerAdministrator\n\
    ENV PLACE=C:\\made\n\
    RUN mkdir %PLACE%&& echo first-step>%PLACE%\\one.txt\n\
    RUN type C:\\made\\one.txt&& echo second-step>C:\\made\\two.txt&& del C:\\made\\one.txt\n\
    CMD [\"cmd\", \"/S\", \"/C\", \"type C:\\\\made\\\\two.txt& if exist C:\\\\made\\\\one.txt echo first-step is there\"]\n";

#[test]
#[ignore = "needs Windows with the feature Containers, and an administrator"]
fn containers_of_windows_are_usable() {
    let report = Desk::new().backend("hcs");
    let text = report.to_string();
    assert!(text.contains("containers of Windows 10.0."), "{report:#}");
    assert!(text.contains("windows"), "{report:#}");
}

#[test]
#[ignore = "needs Windows with the feature Containers, an administrator, and a network"]
fn steps_that_share_the_kernel_make_an_image_that_runs() {
    builds_and_runs(StepIsolation::Process, "process");
}

#[test]
#[ignore = "needs Windows with the features Containers and Hyper-V, an administrator, and a network"]
fn steps_in_a_virtual_machine_make_an_image_that_runs() {
    builds_and_runs(StepIsolation::HyperV, "hyperv");
}

fn builds_and_runs(isolation: StepIsolation, word: &str) {
    let desk = Desk::new();
    desk.context(&format!("# escape=`\nFROM {}\n{STEPS}", nanoserver(isolation)));
    let (isolated, archive) = (format!("--isolation={word}"), "type=docker,dest=out.tar");
    let name = format!("polyarch-real:{word}");
    let platform = "windows/amd64";
    let said = desk.build(&["--backend=hcs", "--platform", platform, &isolated, "-t", &name, "-o", archive]);
    assert!(
        said.lines().any(|line| line.trim_end().ends_with("first-step")),
        "what the first step wrote: {said}"
    );
    assert_eq!(containers(), "");

    let (config, layers) = Layout(desk.path("out")).last(2);
    assert_eq!(config["os"], "windows");
    assert!(config["os.version"].as_str().is_some_and(|version| version.starts_with("10.0.")), "{config}");
    let has = |layer: usize, name: &str| layers[layer].iter().any(|member| member == name);
    assert!(has(0, "Files/made/one.txt") && !has(0, "Files/made/two.txt"), "{layers:?}");
    assert!(has(1, "Files/made/two.txt") && has(1, "Files/made/.wh.one.txt"), "{layers:?}");
    runs(&desk, &name, &isolated);
}

#[test]
#[ignore = "needs Windows with the feature Containers and the network nat, an administrator, and a network"]
fn steps_that_share_the_kernel_reach_the_network_unless_they_are_told_not_to() {
    reaches(StepIsolation::Process, "--isolation=process");
}

#[test]
#[ignore = "needs Windows with the features Containers and Hyper-V and the network nat, an administrator, and a network"]
fn steps_in_a_virtual_machine_reach_the_network_unless_they_are_told_not_to() {
    reaches(StepIsolation::HyperV, "--isolation=hyperv");
}

fn reaches(isolation: StepIsolation, flag: &str) {
    let desk = Desk::new();
    let ask = "curl.exe --silent --show-error --max-time 60 --output NUL https://mcr.microsoft.com/v2/";
    desk.context(&format!(
        "# escape=`\nFROM {}\nRUN {ask}&& echo it-answers\nRUN --network=none {ask}|| echo nobody-answers\n",
        nanoserver(isolation)
    ));
    let said = desk.build(&["--backend=hcs", "--platform", "windows/amd64", flag]);
    for words in ["it-answers", "nobody-answers"] {
        assert_eq!(said.lines().filter(|line| line.trim_end().ends_with(words)).count(), 1, "{said}");
    }
    assert_eq!(endpoints(), "");
}

/// Runs the image with docker or containerd. Without both, that it was looked at is all.
fn runs(desk: &Desk, name: &str, isolated: &str) {
    let archive = desk.path("out.tar");
    let program = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        output.status.success().then(|| said(&output))
    };
    let archive = archive.to_str().expect("text");
    let ran = if program("docker", &["version", "--format", "{{.Server.Os}}"])
        .is_some_and(|os| os.trim() == "windows")
    {
        program("docker", &["load", "-i", archive]).expect("docker takes the image");
        let ran = program("docker", &["run", "--rm", isolated, name]);
        program("docker", &["rmi", name]);
        ran
    } else if program("ctr", &["version"]).is_some() {
        program("ctr", &["images", "import", archive]).expect("containerd takes the image");
        let image = format!("docker.io/library/{name}");
        let ran = program("ctr", &["run", "--rm", &image, "polyarch-real"]);
        program("ctr", &["images", "rm", &image]);
        ran
    } else {
        return;
    };
    assert_eq!(ran.as_deref().map(str::trim), Some("second-step"), "what the image says when it runs");
}

#[test]
#[ignore = "needs Windows with the feature Containers, an administrator, and a network"]
fn windows_takes_layers_that_were_made_without_it() {
    let desk = Desk::new();
    // A layout that was made on Linux, else one that the same engine makes here, which asks Windows for nothing.
    let layout = env::var_os("POLYARCH_TEST_LAYOUT").map_or_else(|| made_here(&desk), PathBuf::from);
    desk.context(
        "# escape=`\nFROM made\nUSER ContainerAdministrator\n\
         RUN type C:\\App\\sub\\a.txt&& type C:\\app\\SUB\\B.TXT&& if exist C:\\App\\gone.txt exit 7\n",
    );
    let made = format!("made=oci-layout://{}", layout.display());
    let said = desk.build(&["--backend=hcs", "--platform", "windows/amd64", "--build-context", &made]);
    assert_eq!(said.lines().filter(|line| line.trim_end().ends_with("hello")).count(), 2, "{said}");
    assert_eq!(containers(), "");
}

fn made_here(desk: &Desk) -> PathBuf {
    let base = nanoserver(StepIsolation::Default);
    desk.context(&format!(
        "# escape=`\nFROM {base}\nWORKDIR C:\\App\nCOPY a.txt sub\\\nCOPY a.txt c:/APP/sub/b.txt\n"
    ));
    let output = "type=oci,tar=false,dest=made";
    desk.ok(["build", "--backend=sandbox", "--platform", "windows/amd64", "-o", output, "app"]);
    desk.path("made")
}
