//! Windows images put together on Linux, and what registries and other tools say of them.

use std::{fs, path::Path, process::Command};

use polyarch::oci::Store;
use serde_json::{Value, json};

use crate::support::{
    bases::busybox,
    buildah::run,
    command::{Desk, raw_json, ready},
    registry::TestRegistry,
    windows::{Layout, VERSIONS, base},
};

/// A desk, a registry, and the name of a base in it.
struct Scene {
    desk: Desk,
    registry: TestRegistry,
    base: String,
}

impl Scene {
    fn new(foreign: bool) -> Self {
        let (desk, registry) = (Desk::new(), TestRegistry::open());
        let store = Store::open(desk.path("base")).expect("a store");
        let root = base(&store, foreign);
        let name = format!("{}/windows/nano:ltsc", registry.address);
        let names = store.lock_names().expect("a lock");
        names.set(&name.parse().expect("a name"), &root).expect("named");
        drop(names);
        desk.ok(["--store", "base", "push", &name]);
        Self { desk, registry, base: name }
    }

    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.registry.address)
    }

    fn has(&self, digest: &Value) -> bool {
        let hex = digest.as_str().expect("a digest").strip_prefix("sha256:").expect("a digest");
        self.desk.store().join("blobs/sha256").join(hex).exists()
    }
}

/// The images of an index as a registry has them, with their platforms.
fn platforms(index: &Value) -> Vec<Value> {
    index["manifests"].as_array().expect("entries").iter().map(|entry| entry["platform"].clone()).collect()
}

fn windows_manifest(name: &str) -> Value {
    let index = raw_json(name);
    let entries = index["manifests"].as_array().expect("entries");
    // The newest Windows comes last.
    let entry = entries.iter().rfind(|entry| entry["platform"]["os"] == "windows").expect("for Windows");
    let repository = name.rsplit_once(':').expect("a tag").0;
    raw_json(&format!("{repository}@{}", entry["digest"].as_str().expect("a digest")))
}

#[test]
fn one_command_builds_one_index_for_linux_and_windows() {
    if !ready() {
        return;
    }
    let Some(busybox) = busybox() else { return };
    let scene = Scene::new(false);
    let dockerfile = format!(
        "# escape=`\n\
         FROM --platform=$BUILDPLATFORM {busybox} AS build\n\
         ARG TARGETOS TARGETARCH\n\
         RUN mkdir /out && echo $TARGETOS/$TARGETARCH > /out/app.exe\n\
         FROM scratch AS linux\n\
         COPY --from=build /out/app.exe /app\n\
         ENTRYPOINT [\"/app\"]\n\
         FROM {} AS windows\n\
         WORKDIR C:\\app\n\
         COPY --from=build /out/app.exe C:/app/\n\
         ENTRYPOINT [\"C:\\\\app\\\\app.exe\"]\n\
         FROM $TARGETOS\n",
        scene.base
    );
    let context = scene.desk.context("app", dockerfile);
    let name = scene.name("app:1");
    let platforms_wanted = "linux/amd64,linux/arm64,windows/amd64";
    let args = ["build", "-t", &name, "--platform", platforms_wanted, "--push"];
    scene.desk.ok(args.iter().copied().chain(["-o", "type=oci,tar=false,dest=out", &context]));
    assert_eq!(
        platforms(&raw_json(&name)),
        [
            json!({"os": "linux", "architecture": "amd64"}),
            json!({"os": "linux", "architecture": "arm64"}),
            json!({"os": "windows", "architecture": "amd64", "os.version": VERSIONS[1], "os.features": ["win32k"]}),
        ]
    );
    assert_eq!(scene.desk.ok(["index", "lint", &name]), "");
    let folder = scene.desk.path("out");
    let layout = Layout(&folder);
    let made = layout.made();
    let app = made[1].last().expect("a file");
    assert_eq!((app.name.as_str(), app.text.as_str()), ("Files/app/app.exe", "windows/amd64\n"));
    let (_, config) = layout.windows();
    assert_eq!(config["os.version"], VERSIONS[1]);
    assert_eq!(config["os.features"], json!(["win32k"]));
    assert_eq!(config["config"]["Env"], json!(["Path=C:\\Windows"]), "Windows sets its own PATH");
    assert_eq!(config["config"]["Entrypoint"], json!(["C:\\app\\app.exe"]));
    // Another reader finds all of it.
    let source = format!("docker://{name}");
    let copy = format!("oci:{}:it", scene.desk.path("copy").display());
    run(Command::new("skopeo").args(["copy", "--quiet", "--all", "--src-tls-verify=false", &source, &copy]));
    let inspected = run(Command::new("skopeo").args([
        "inspect",
        "--tls-verify=false",
        "--override-os=windows",
        "--override-arch=amd64",
        &source,
    ]));
    let inspected: Value = serde_json::from_str(&inspected).expect("json");
    assert_eq!(
        (&inspected["Os"], inspected["Layers"].as_array().map(Vec::len)),
        (&json!("windows"), Some(4))
    );
    // The index names all that it needs, and the same inputs make the same one.
    let again = Desk::new();
    fs::create_dir(again.path("app")).expect("made");
    fs::copy(scene.desk.path("app/Dockerfile"), again.path("app/Dockerfile")).expect("copied");
    let digest = |desk: &Desk| {
        let args =
            ["build", "-q", "--platform", "windows/amd64", "--build-arg", "SOURCE_DATE_EPOCH=1", "app"];
        desk.ok(args)
    };
    assert_eq!(digest(&again), digest(&scene.desk));
}

#[test]
fn layers_of_a_base_stay_in_their_registry_until_somebody_wants_them() {
    if !ready() {
        return;
    }
    let scene = Scene::new(false);
    let context = scene.desk.context("app", format!("FROM {}\nCOPY a.txt /app/\n", scene.base));
    let build = |arguments: &[&str]| {
        let all = ["build", "--platform", "windows/amd64"].into_iter().chain(arguments.iter().copied());
        scene.desk.ok(all.chain([context.as_str()]));
    };
    let (here, local) = (scene.name("app:1"), "app:kept");
    build(&["-t", local]);
    build(&["-t", &here, "--push"]);
    let manifest = windows_manifest(&here);
    let base_layers: Vec<&Value> =
        manifest["layers"].as_array().expect("layers")[..2].iter().map(|layer| &layer["digest"]).collect();
    assert!(base_layers.iter().all(|digest| !scene.has(digest)), "a layer was fetched for nothing");
    scene.desk.ok(["images"]);
    // What makes room knows that they are wanted.
    scene.desk.ok(["prune", "--all", "--force"]);
    let other = TestRegistry::open();
    let there = format!("{}/app:1", other.address);
    scene.desk.ok(["tag", local, &there]);
    scene.desk.ok(["push", &there]);
    assert_eq!(windows_manifest(&there), manifest);
    let copied = format!("docker://{there}");
    let layout = format!("oci:{}:it", scene.desk.path("copied").display());
    run(Command::new("skopeo").args([
        "copy",
        "--quiet",
        "--all",
        "--src-tls-verify=false",
        &copied,
        &layout,
    ]));
    // A layout has everything that may be in it.
    let fresh = Desk::new();
    fs::create_dir(fresh.path("app")).expect("made");
    for name in ["Dockerfile", "a.txt"] {
        fs::copy(scene.desk.path("app").join(name), fresh.path("app").join(name)).expect("copied");
    }
    fresh.ok(["build", "--platform", "windows/amd64", "-o", "type=oci,tar=false,dest=out", "app"]);
    let out = fresh.path("out");
    assert_eq!(Layout(&out).made().len(), 1);
    let (found, _) = Layout(&out).windows();
    assert!(
        found["layers"].as_array().expect("layers").iter().all(|layer| Layout(&out).blob(layer).is_some())
    );
}

#[test]
fn a_target_that_is_the_base_of_another_brings_what_stayed_in_its_registry() {
    if !ready() {
        return;
    }
    let scene = Scene::new(false);
    scene.desk.context("one", format!("FROM {}\nCOPY a.txt /one/\n", scene.base));
    scene.desk.context("two", "FROM one\nCOPY a.txt C:/windows/two/\n");
    let platforms = json!(["windows/amd64"]);
    let bake = json!({"target": {
        "one": {"context": "one", "platforms": platforms},
        "two": {
            "context": "two", "platforms": platforms, "contexts": {"one": "target:one"},
            "output": ["type=oci,tar=false,dest=out"],
        },
    }});
    fs::write(scene.desk.path("docker-bake.json"), bake.to_string()).expect("written");
    scene.desk.ok(["bake", "two"]);
    let out = scene.desk.path("out");
    let names = |layer: usize| -> Vec<String> {
        Layout(&out).made()[layer].iter().map(|member| member.name.clone()).collect()
    };
    assert_eq!(names(0)[2..], ["Files/one/", "Files/one/a.txt"]);
    assert_eq!(names(1)[2..], ["Files/Windows/", "Files/Windows/two/", "Files/Windows/two/a.txt"]);
}

#[test]
fn layers_that_no_registry_may_keep_are_named_as_the_base_names_them() {
    if !ready() {
        return;
    }
    let scene = Scene::new(true);
    let context = scene.desk.context("app", format!("FROM {}\nCOPY a.txt /app/\n", scene.base));
    let name = scene.name("app:1");
    let args = ["build", "-t", &name, "--platform", "windows/amd64", "--push"];
    scene.desk.ok(args.iter().copied().chain(["-o", "type=oci,tar=false,dest=out", &context]));
    let out = scene.desk.path("out");
    let (manifest, _) = Layout(&out).windows();
    let of_base = windows_manifest(&scene.base);
    assert_eq!(manifest["layers"][0]["urls"], json!(["https://example.com/windows"]));
    assert_eq!(
        manifest["layers"].as_array().expect("layers")[..2],
        of_base["layers"].as_array().expect("layers")[..2]
    );
    assert_eq!(windows_manifest(&name), manifest);
    assert!(Layout(&out).blob(&manifest["layers"][0]).is_none(), "it is where its URL says");
    assert!(Layout(&out).blob(&manifest["layers"][1]).is_some());
    let findings = scene.desk.ok(["index", "lint", "oci-layout://out"]);
    assert!(findings.contains("foreign-layers") && findings.lines().count() == 1, "{findings}");
    // The layout is a base itself, and can be copied on.
    scene.desk.context("next", "FROM app\nCOPY a.txt /next/\n");
    let of_layout = "app=oci-layout://out";
    let args = [
        "build",
        "--platform",
        "windows/amd64",
        "--build-context",
        of_layout,
        "-o",
        "type=oci,dest=next.tar",
    ];
    scene.desk.ok(args.iter().copied().chain(["next"]));
    scene.desk.ok(["index", "copy", "oci-layout://out", &scene.name("copy:1")]);
    assert_eq!(windows_manifest(&scene.name("copy:1")), manifest);
    // Who has to see it is told that it is not to be had.
    scene.desk.context("look", "FROM app\nCOPY a.txt C:/Windows/\n");
    let args = ["build", "--platform", "windows/amd64", "--build-context", of_layout, "look"];
    scene.desk.run(args).fails(7, &["look/Dockerfile:2", "555555555555", "was not found"]);
    let elsewhere = ["--store", "elsewhere"].into_iter().chain(args);
    scene.desk.run(elsewhere).fails(6, &["is not in it, and a step looks into it", &"5".repeat(64)]);
}

#[test]
fn what_looks_into_a_base_brings_its_layers_and_says_what_cannot_be_had() {
    if !ready() {
        return;
    }
    for foreign in [false, true] {
        let scene = Scene::new(foreign);
        let context = scene.desk.context("app", format!("FROM {}\nCOPY a.txt /app/\n", scene.base));
        let output = "type=oci,tar=false,dest=out,compression=zstd,force-compression=true";
        let args = ["build", "--platform", "windows/amd64", "--sbom=true", "-o", output, &context];
        let ended = scene.desk.run(args);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let (manifest, _) = Layout(&scene.desk.path("out")).windows();
        let of_zstd = |layer: &Value| layer["mediaType"].as_str().is_some_and(|kind| kind.ends_with("+zstd"));
        let layers = manifest["layers"].as_array().expect("layers");
        let as_it_was: Vec<_> = layers.iter().filter(|layer| !of_zstd(layer)).collect();
        assert_eq!(as_it_was.len(), usize::from(foreign), "{manifest:#}");
        let gap = "1 layers of the base are only where their URLs say";
        assert_eq!(ended.stderr.contains(gap), foreign, "{}", ended.stderr);
    }
}

#[test]
fn the_build_of_windows_that_is_asked_for_is_taken_and_the_newest_otherwise() {
    if !ready() {
        return;
    }
    let scene = Scene::new(false);
    let context = scene
        .desk
        .context("app", format!("FROM {}\nARG TARGETOSVERSION\nLABEL v=$TARGETOSVERSION\n", scene.base));
    let (both, newest) = (scene.name("app:both"), scene.name("app:newest"));
    let versions = "windows(10.0.20348)/amd64,windows(10.0.17763.6414)/amd64";
    scene.desk.ok(["build", "-t", &both, "--platform", versions, "--push", &context]);
    let found = |name: &str| -> Vec<String> {
        let versions = platforms(&raw_json(name)).into_iter().map(|platform| platform["os.version"].clone());
        versions.map(|version| version.as_str().expect("a version").to_owned()).collect()
    };
    assert_eq!(found(&both), [VERSIONS[1], VERSIONS[0]]);
    assert_eq!(scene.desk.ok(["index", "lint", &both]), "");
    scene.desk.ok(["build", "-t", &newest, "--platform", "windows/amd64", "--push", &context]);
    assert_eq!(found(&newest), [VERSIONS[1]]);
    let ended = scene.desk.run(["build", "--platform", "windows(10.0.26100)/amd64", &context]);
    ended.fails(6, &["windows(10.0.26100)/amd64", VERSIONS[0], VERSIONS[1]]);
}

#[test]
fn a_run_for_windows_is_refused_before_anything_is_fetched() {
    let desk = Desk::new();
    // Whoever asked this registry would have to wait and fail otherwise.
    let context = desk.context("app", "FROM 127.0.0.1:1/windows\nCOPY a.txt /\nRUN dir\nRUN echo\n");
    let ended =
        desk.run(["build", "--platform", "linux/amd64,windows/amd64", "--build-arg", "X=1", &context]);
    ended.fails(5, &["windows/amd64"]);
    for text in ["app/Dockerfile:3", "RUN dir", "FROM --platform=$BUILDPLATFORM", "polyarch index create"] {
        ended.says(text);
    }
    assert!(!ended.stderr.contains("127.0.0.1:1/windows: "), "{}", ended.stderr);
    let explained = desk.run(["build", "--explain", "--platform", "windows/amd64", &context]);
    assert_eq!(explained.code, Some(5));
    let context = desk.context("plain", "FROM scratch\nCOPY a.txt /\n");
    let explained = desk.ok(["build", "--explain", "--platform", "windows/amd64", &context]);
    assert!(explained.starts_with("windows/amd64: sandbox"), "{explained}");
}

#[test]
fn triggers_of_a_base_that_run_something_are_refused() {
    let desk = Desk::new();
    let store = Store::open(desk.path("base")).expect("a store");
    let context = desk.context("base-of", "FROM scratch\nCOPY a.txt /\nONBUILD RUN dir\n");
    desk.ok(["build", "--platform", "windows/amd64", "-o", "type=oci,tar=false,dest=made", &context]);
    drop(store);
    desk.context("app", "FROM base\n");
    let base = "base=oci-layout://made";
    let ended = desk.run(["build", "--platform", "windows/amd64", "--build-context", base, "app"]);
    ended.fails(3, &["app/Dockerfile:1", "ONBUILD RUN dir of the base", "needs a machine with that system"]);
}

#[test]
fn the_config_of_an_image_from_nothing_is_for_windows() {
    let desk = Desk::new();
    let context = desk.context(
        "app",
        "# escape=`\nFROM scratch\nENV A=C:\\x PATH=C:\\bin\nCMD app.exe \"a b\"\nSHELL [\"powershell\", \"-command\"]\n\
         ENTRYPOINT Write-Host\nUSER ContainerUser\nEXPOSE 80\nVOLUME C:\\data\nSTOPSIGNAL 3\nLABEL a=b\n\
         HEALTHCHECK CMD exit 0\nCOPY a.txt C:\\\n",
    );
    desk.ok([
        "build",
        "--platform",
        "windows(10.0.20348.1)/amd64",
        "-o",
        "type=oci,tar=false,dest=out",
        &context,
    ]);
    let out = desk.path("out");
    let (_, config) = Layout(&out).windows();
    assert_eq!(config["os.version"], "10.0.20348.1");
    let runtime = &config["config"];
    assert_eq!(runtime["Env"], json!(["PATH=C:\\bin", "A=C:\\x"]));
    assert_eq!(runtime["Cmd"], json!(["cmd", "/S", "/C", "app.exe \"a b\""]));
    assert_eq!(runtime["Entrypoint"], json!(["powershell", "-command", "Write-Host"]));
    assert_eq!(runtime["User"], "ContainerUser");
    assert_eq!(runtime["Volumes"], json!({"C:\\data": {}}));
    assert_eq!(runtime["ExposedPorts"], json!({"80/tcp": {}}));
    assert_eq!(runtime["Healthcheck"]["Test"], json!(["CMD-SHELL", "exit 0"]));
    assert_eq!(runtime["WorkingDir"], "/");
}

#[test]
fn the_same_files_from_nothing_are_other_layers_for_linux_and_for_windows() {
    for _ in 0..4 {
        // Both begin at the same moment, with nothing in the store.
        let desk = Desk::new();
        let dockerfile = "FROM scratch AS a\nCOPY a.txt /a.txt\nFROM scratch\nCOPY --from=a /a.txt /b.txt\n";
        let context = desk.context("app", dockerfile);
        let platform = "linux/amd64,windows/amd64";
        desk.ok(["build", "--platform", platform, "-o", "type=oci,tar=false,dest=out", &context]);
        let out = desk.path("out");
        let layout = Layout(&out);
        let index = layout.index();
        let names = |at: usize| -> Vec<String> {
            let manifest = layout.document(&index["manifests"][at]);
            let blob = layout.blob(&manifest["layers"][0]).expect("a layer");
            let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(blob.as_slice()));
            let members = archive.entries().expect("members");
            let name = |member: std::io::Result<tar::Entry<'_, _>>| {
                member.expect("a member").path().expect("a path").display().to_string()
            };
            members.map(name).collect()
        };
        assert_eq!(names(0), ["b.txt"]);
        assert_eq!(names(1), ["Files/", "Hives/", "Files/b.txt"]);
    }
}

/// The files of a folder, by their paths.
fn files(folder: &Path) -> String {
    run(Command::new("find").arg(".").args(["-type", "f", "-printf", "%P "]).current_dir(folder))
}

#[test]
fn files_of_a_windows_image_come_out_as_files() {
    let desk = Desk::new();
    let store = Store::open(desk.path("base")).expect("a store");
    let root = base(&store, false);
    let context = desk.context("app", "FROM base\nCOPY a.txt /app/\n");
    let base = format!("base=oci-layout://{}@{}", store.root().display(), root.digest);
    desk.ok(["build", "--platform", "windows/amd64", "--build-context", &base, "-o", "out", &context]);
    let mut found: Vec<String> = files(&desk.path("out")).split(' ').map(str::to_owned).collect();
    found.sort();
    assert_eq!(found, ["", "License.txt", "Windows/System32/net.exe", "Windows/net.exe", "app/a.txt"]);
    let both = format!("windows({})/amd64,windows({})/amd64", VERSIONS[0], VERSIONS[1]);
    desk.ok(["build", "--platform", &both, "--build-context", &base, "-o", "both", &context]);
    for version in VERSIONS {
        let text = fs::read_to_string(desk.path(&format!("both/windows_amd64_{version}/License.txt")));
        assert_eq!(text.expect("a file"), format!("Windows {version}"));
    }
}
