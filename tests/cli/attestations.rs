//! What is said about images in the index that they are in, from the command line to other tools.
//!
//! `POLYARCH_UPDATE_GOLDEN=1 cargo test --test main -- attestations` writes the golden file anew.

use std::{fs, path::Path, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use polyarch::oci::Store;
use polyarch_actors::Platform;
use serde_json::{Value, json};

use crate::support::{
    bases::busybox,
    buildah::run,
    command::{BACKENDS, Desk, platforms, raw_json, ready},
    git::GitServer,
    images::{Layer, Tar, image},
    registry::TestRegistry,
    tools::require,
    web::Web,
};

const BOTH: &str = "linux/amd64,linux/arm64";
const SLSA: &str = "https://slsa.dev/provenance/v1";
const SPDX: &str = "https://spdx.dev/Document";
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/attestations.json");
/// What must be nowhere in what is written.
const CANARY: &str = "CANARY-9f3c";

/// A layout in a folder.
struct Layout(std::path::PathBuf);

impl Layout {
    fn blob(&self, digest: &Value) -> Vec<u8> {
        let hex = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
        fs::read(self.0.join("blobs/sha256").join(hex)).expect("a blob")
    }

    fn document(&self, digest: &Value) -> Value {
        serde_json::from_slice(&self.blob(digest)).expect("json")
    }

    fn index(&self) -> Value {
        let root: Value =
            serde_json::from_slice(&fs::read(self.0.join("index.json")).expect("read")).expect("json");
        self.document(&root["manifests"][0]["digest"])
    }

    /// The statements of one kind, in the order of the index.
    fn statements(&self, kind: &str) -> Vec<Value> {
        let index = self.index();
        let entries = index["manifests"].as_array().expect("entries").iter();
        let said = entries.filter(|entry| entry["annotations"]["vnd.docker.reference.type"].is_string());
        let layers = said
            .flat_map(|entry| self.document(&entry["digest"])["layers"].as_array().cloned().expect("layers"));
        let wanted = layers.filter(|layer| layer["annotations"]["in-toto.io/predicate-type"] == kind);
        wanted.map(|layer| self.document(&layer["digest"])).collect()
    }

    /// The only predicate of one kind.
    fn predicate(&self, kind: &str) -> Value {
        let statements = self.statements(kind);
        assert_eq!(statements.len(), 1, "{kind}");
        statements[0]["predicate"].clone()
    }
}

/// Builds into a layout.
fn layout(desk: &Desk, name: &str, arguments: &[&str]) -> Layout {
    let output = format!("type=oci,dest={name},tar=false");
    desk.ok(["build", "-o", &output].iter().chain(arguments));
    Layout(desk.path(name))
}

/// A context with the files of packages of several kinds.
fn with_packages(desk: &Desk) -> String {
    let context = desk.context(
        "app",
        "FROM scratch AS files\nCOPY root /\nFROM files\nARG WORD=nothing\nCOPY a.txt /\nCOPY lock /app/yarn.lock\n\
         COPY --from=files /etc/os-release /b\nCOPY more /\n",
    );
    let status = "Package: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.88.1-10+deb12u5\n\n\
                  Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n";
    let lock = r#"{"packages":{"":{"name":"app"},"node_modules/@a/b":{"version":"1.0.0"}}}"#;
    for (path, text) in [
        ("root/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
        ("root/var/lib/dpkg/status", status),
        ("root/var/lib/rpm/Packages", "an old database"),
        ("root/app/package-lock.json", lock),
        ("lock", "\"left@^1\":\n  version \"1.0.0\"\n"),
        ("more/app/Cargo.lock", "[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\n"),
    ] {
        let path = desk.path("app").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    context
}

/// A document in which each digest is a number, in the order in which they are seen, and nothing of this machine stands.
fn comparable(document: &Value, seen: &mut Vec<String>) -> Value {
    let host = Platform::host_linux().to_string();
    let mut text = String::new();
    let whole = document
        .to_string()
        .replace(&format!("\"builderPlatform\":\"{host}\""), "\"builderPlatform\":\"HOST\"");
    let whole = whole.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let mut rest = whole.as_str();
    while let Some(length) = rest.find(|letter: char| !letter.is_ascii_hexdigit()) {
        let (word, behind) = rest.split_at(length);
        if word.len() == 64 {
            let number = seen.iter().position(|known| known == word).unwrap_or_else(|| {
                seen.push(word.to_owned());
                seen.len() - 1
            });
            text.extend(["DIGEST-", &number.to_string()]);
        } else {
            text.push_str(word);
        }
        let letter = behind.chars().next().map_or(0, char::len_utf8);
        text.push_str(&behind[..letter]);
        rest = &behind[letter..];
    }
    // Sizes depend on how layers are compressed.
    let mut document: Value = serde_json::from_str(&format!("{text}{rest}")).expect("json");
    forget_sizes(&mut document);
    document
}

fn forget_sizes(document: &mut Value) {
    match document {
        Value::Array(values) => values.iter_mut().for_each(forget_sizes),
        Value::Object(fields) => {
            fields.remove("size");
            fields.values_mut().for_each(forget_sizes);
        }
        _ => {}
    }
}

#[test]
fn what_is_said_has_its_golden_form() {
    let desk = Desk::new();
    let context = with_packages(&desk);
    let epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000", "--build-arg", "WORD=word", "--label", "a=b"];
    let build = |name: &str, provenance: &str| {
        let options =
            ["--platform", "linux/amd64", "--provenance", provenance, "--sbom=true", "-t", "team/app:1"];
        layout(&desk, name, &[&epoch[..], &options, &[&context]].concat())
    };
    let (max, min) =
        (build("max", "mode=max"), build("min", "mode=min,builder-id=https://ci/1,reproducible=true"));
    let index = max.index();
    let entry = &index["manifests"][1];
    let manifest = max.document(&entry["digest"]);
    let documents = [
        ("index", index.clone()),
        ("manifest", manifest.clone()),
        ("config", max.document(&manifest["config"]["digest"])),
        ("max", max.statements(SLSA)[0].clone()),
        ("min", min.statements(SLSA)[0].clone()),
        ("packages", max.statements(SPDX)[0].clone()),
    ];
    let mut seen = Vec::new();
    let documents: serde_json::Map<String, Value> = documents
        .iter()
        .map(|(name, document)| ((*name).to_owned(), comparable(document, &mut seen)))
        .collect();
    let text = format!("{:#}\n", Value::Object(documents));
    if std::env::var_os("POLYARCH_UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &text).expect("written");
    }
    assert_eq!(
        text,
        fs::read_to_string(GOLDEN).expect("a golden file"),
        "attestations have another form now"
    );
}

#[test]
fn equal_builds_say_the_same_unless_they_say_when() {
    let desk = Desk::new();
    let context = with_packages(&desk);
    let digest = |store: &str, arguments: &[&str]| {
        let build = ["--store", store, "build", "-q", "--platform", BOTH, "--sbom=true"];
        desk.ok(build.iter().chain(arguments).chain(&[context.as_str()]))
    };
    let dated = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000", "--provenance=mode=max"];
    assert_eq!(digest("one", &dated), digest("two", &dated));
    // The image of one store keeps the time of its first build.
    let promised = ["--provenance=mode=max,reproducible=true"];
    assert_eq!(digest("one", &promised), digest("one", &promised));
    let plain = ["--provenance=true"];
    assert_ne!(digest("one", &plain), digest("one", &plain));
    assert_eq!(digest("one", &[]), digest("one", &["--provenance=false"]));
}

#[test]
fn other_tools_take_images_with_attestations() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let name = |tag: &str| format!("{}/team/app:{tag}", registry.address);
    let context = with_packages(&desk);
    let asked = ["--provenance=mode=max", "--sbom=true", "--push"];
    for (tag, platform) in [("amd64", "linux/amd64"), ("arm64", "linux/arm64")] {
        let build = ["build", "-t", &name(tag), "--platform", platform, &context];
        desk.ok(build.iter().chain(&asked));
        assert_eq!(platforms(&raw_json(&name(tag))), [platform, "unknown/unknown"]);
    }
    // Nothing of it is here any more when the indexes are put together.
    let third = Desk::new();
    third.ok(["index", "create", "-t", &name("1"), &name("amd64"), &name("arm64")]);
    let index = raw_json(&name("1"));
    let mut all = platforms(&index);
    all.sort();
    assert_eq!(all, ["linux/amd64", "linux/arm64", "unknown/unknown", "unknown/unknown"]);
    let entries = index["manifests"].as_array().expect("entries");
    for image in entries.iter().filter(|entry| entry["platform"]["os"] == "linux") {
        let about = |entry: &&Value| entry["annotations"]["vnd.docker.reference.digest"] == image["digest"];
        assert_eq!(entries.iter().filter(about).count(), 1);
    }
    third.ok(["index", "lint", &name("1")]);
    let inspected = third.ok(["index", "inspect", &name("1")]);
    assert_eq!(inspected.matches("attestation of").count(), 2, "{inspected}");
    let copy = format!("oci:{}:1", third.path("copy").display());
    run(Command::new("skopeo")
        .args(["copy", "--quiet", "--all", "--preserve-digests", "--src-tls-verify=false"])
        .args([&format!("docker://{}", name("1")), &copy]));
    assert_eq!(Layout(third.path("copy")).statements(SLSA).len(), 2);
    let files = third.unpack(&format!("docker://{}", name("1")), "amd64");
    assert!(files.join("a.txt").is_file());
    // An image with statements is a base like any other.
    let child = third.context("child", format!("FROM {}\nCOPY a.txt /c.txt\n", name("1")));
    let child = layout(&third, "child-out", &["--platform", "linux/arm64", "--provenance=mode=min", &child]);
    let found = &child.predicate(SLSA)["buildDefinition"]["resolvedDependencies"];
    let base = entries.iter().find(|entry| entry["platform"]["architecture"] == "arm64").expect("arm64");
    let hex = base["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
    assert_eq!(found[0]["digest"]["sha256"], hex);
}

#[test]
fn every_backend_says_which_images_it_took() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {base}\nCOPY --from={base} /bin/busybox /b\n"));
    let found = BACKENDS.map(|backend| {
        let arguments =
            ["--backend", backend, "--platform", "linux/arm64", "--provenance=mode=min", &context];
        layout(&desk, backend, &arguments).predicate(SLSA)["buildDefinition"]["resolvedDependencies"].clone()
    });
    let index = raw_json(base);
    let entries = index["manifests"].as_array().expect("entries");
    let arm64 = entries.iter().find(|entry| entry["platform"]["architecture"] == "arm64").expect("arm64");
    let hex = arm64["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
    let (name, tag) = base.rsplit_once(':').expect("a tag");
    let expected = json!([{
        "uri": format!("pkg:docker/{name}@{tag}?platform=linux%2Farm64"),
        "digest": {"sha256": hex},
    }]);
    assert_eq!(found, [expected.clone(), expected]);
}

#[test]
fn what_a_build_takes_from_elsewhere_is_listed_with_its_digest() {
    let Some(server) = GitServer::start().filter(|_| require("sha256sum")) else { return };
    let (desk, web) = (Desk::new(), Web::start());
    let file = web.put("file.txt", "from the web\n");
    let text = format!("FROM scratch\nADD {file} /file\nADD {} /v1\nCOPY version /\n", server.url("app#v1"));
    let dockerfile = web.put("Dockerfile", &text);
    let context = server.url("app#main");
    let predicate = |name: &str, arguments: &[&str]| layout(&desk, name, arguments).predicate(SLSA);
    let fetched = ["--backend", "sandbox", "--provenance=mode=min", "-f", &dockerfile, &context];
    let all = predicate("all", &fetched);
    let definition = &all["buildDefinition"];
    let sha256 = |text: &str| polyarch::oci::digest_of(text.as_bytes()).hex().to_owned();
    assert_eq!(
        definition["resolvedDependencies"],
        json!([
            {"uri": context, "digest": {"sha1": server.commit("main")}},
            {"uri": server.url("app#v1"), "digest": {"sha1": server.commit("v1")}},
            {"uri": dockerfile, "digest": {"sha256": sha256(&text)}},
            {"uri": file, "digest": {"sha256": sha256("from the web\n")}},
        ])
    );
    let source = &definition["externalParameters"]["configSource"];
    assert_eq!((&source["uri"], &source["digest"]["sha256"]), (&json!(dockerfile), &json!(sha256(&text))));
    assert_eq!(definition["externalParameters"]["request"]["args"]["context"], context.as_str());
    // A Dockerfile of this machine is not said to be from the repository.
    let local = desk.path("local").display().to_string();
    fs::write(&local, "FROM scratch\nCOPY version /\n").expect("written");
    let mine = predicate("mine", &["--provenance=mode=min", "-f", &local, &context]);
    let external = &mine["buildDefinition"]["externalParameters"];
    assert_eq!(external["configSource"], json!({"path": "local"}));
    assert_eq!(external["request"]["locals"], json!([{"name": "dockerfile"}]));
    let complete = |predicate: &Value| predicate["runDetails"]["metadata"]["buildkit_completeness"].clone();
    assert_eq!(complete(&all), json!({"request": true, "resolvedDependencies": true}));
    // Files of this machine have no digest that anybody could look up.
    let folder = desk.context("extra", "");
    let named = format!("extra={folder}");
    let arguments = [&["--build-context", &named, "--build-arg", "A=b"][..], &fetched].concat();
    let with_folder = predicate("some", &arguments);
    assert_eq!(complete(&with_folder), json!({"request": false, "resolvedDependencies": false}));
}

#[test]
fn no_secret_is_in_anything_that_is_written() {
    let Some(server) = GitServer::start().filter(|_| require("grep")) else { return };
    let desk = Desk::new();
    let web = Web::start();
    let file = web.put("file.txt", "x\n");
    let guarded = file.replace("http://", &format!("http://user:{CANARY}@"));
    let queried = format!("{file}?token={CANARY}");
    fs::write(desk.path("secret"), CANARY).expect("written");
    fs::write(desk.path("key"), CANARY).expect("written");
    let text = format!(
        "# http://user:{CANARY}@127.0.0.1/\nFROM scratch\nARG ADDRESS\nADD $ADDRESS /file\nADD {} /v1\nCOPY a.txt /\n",
        server.url("app#v1")
    );
    let context = desk.context("app", text);
    let proxy = format!("HTTP_PROXY=http://user:{CANARY}@127.0.0.1:9/");
    let named = format!("named={guarded}");
    let queried_name = format!("queried={queried}");
    let (id, ssh) = (["--secret", "id=one,src=secret"], ["--ssh", "default=key"]);
    let environment = ["--secret", "id=two,env=TWO"];
    let address = format!("ADDRESS={file}");
    let common = [
        &["--backend", "sandbox", "--sbom=true", "--platform", "linux/amd64"][..],
        &["--build-context", &named, "--build-context", &queried_name, "--build-arg", &proxy],
        &["--build-arg", &address],
        &id,
        &ssh,
        &environment,
    ]
    .concat();
    // One that the Dockerfile declares would be in the history of the image, as it is with BuildKit.
    let token = format!("TOKEN={CANARY}");
    let min = [&common[..], &["--provenance=mode=min", "--build-arg", &token, &context]].concat();
    let max = [&common[..], &["--provenance=mode=max", &context]].concat();
    for (name, arguments) in [("min", min), ("max", max)] {
        let layout_output = format!("type=oci,dest={name},tar=false");
        let files_output = format!("{name}-files");
        let receipt = format!("{name}.json");
        let outputs = ["build", "-o", &layout_output, "-o", &files_output, "--receipt", &receipt];
        let mut command = desk.command(outputs.iter().chain(&arguments));
        let ended = crate::support::command::Ended::of(command.env("TWO", CANARY));
        ended.success();
        for place in [name, &files_output, &receipt, "store/blobs"] {
            let found =
                Command::new("grep").args(["-rlaF", CANARY]).arg(desk.path(place)).output().expect("grep");
            assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{name}");
        }
        assert!(Path::new(&desk.path(&files_output)).join("provenance.json").is_file());
        let predicate = Layout(desk.path(name)).predicate(SLSA);
        assert_eq!(predicate["runDetails"]["metadata"]["buildkit_completeness"]["request"], name == "max");
        // The text of the Dockerfile is encoded, so the search does not see into it.
        let sources = &predicate["runDetails"]["metadata"]["buildkit_metadata"]["source"]["infos"];
        let text = sources[0]["data"].as_str().map(|data| BASE64_STANDARD.decode(data).expect("base64"));
        let text = text.map(|text| String::from_utf8(text).expect("text"));
        assert_eq!(text.is_some(), name == "max");
        assert!(text.is_none_or(|text| text.contains("# http://127.0.0.1/") && !text.contains(CANARY)));
    }
    let predicate = Layout(desk.path("max")).predicate(SLSA);
    let arguments = &predicate["buildDefinition"]["externalParameters"]["request"]["args"];
    assert_eq!(arguments["build-arg:HTTP_PROXY"], "http://127.0.0.1:9/");
    assert_eq!(arguments["context:named"], file.as_str());
    assert_eq!(arguments["context:queried"], file.as_str());
}

#[test]
fn files_have_statements_beside_them_and_docker_archives_say_that_they_have_none() {
    let desk = Desk::new();
    let context = with_packages(&desk);
    let build = ["build", "--platform", "linux/amd64", "--provenance=mode=min", "--sbom=true"];
    desk.ok(build.iter().chain(&["-o", "files", "-o", "type=tar,dest=files.tar", &context]));
    let statement = |path: &str| -> Value {
        serde_json::from_slice(&fs::read(desk.path(path)).expect("read")).expect("json")
    };
    let packages = statement("files/sbom.spdx.json");
    assert_eq!(packages["predicateType"], SPDX);
    let subject = |name: &str| {
        let subjects = packages["subject"].as_array().expect("subjects").iter();
        subjects.filter(|subject| subject["name"] == name).map(|it| it["digest"]["sha256"].clone()).next()
    };
    assert_eq!(subject("a.txt"), Some(polyarch::oci::digest_of(b"hello\n").hex().into()));
    assert_eq!(statement("files/provenance.json")["predicateType"], SLSA);
    let listed = run(Command::new("tar").arg("-tf").arg(desk.path("files.tar")));
    assert!(listed.lines().any(|name| name == "provenance.json"), "{listed}");
    desk.ok(build.iter().chain(&["--platform", "linux/arm64", "-o", "both", &context]));
    assert!(desk.path("both/linux_arm64/provenance.json").is_file());
    let inline = ["build", "--provenance=mode=min,inline-only=true", "-o", "inline", &context];
    desk.ok(inline);
    assert!(!desk.path("inline/provenance.json").exists() && desk.path("inline/a.txt").exists());
    let ended = desk.run(build.iter().chain(&["-o", "type=docker,dest=image.tar", &context]));
    ended.says("an output of type docker holds no attestations");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn a_statement_replaces_no_file_that_a_link_of_the_image_leads_to() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt link/ /\n");
    let outside = desk.path("outside");
    fs::write(&outside, "mine\n").expect("written");
    fs::create_dir(desk.path("app/link")).expect("made");
    std::os::unix::fs::symlink(&outside, desk.path("app/link/provenance.json")).expect("linked");
    desk.ok(["build", "--provenance=mode=min", "-o", "files", &context]);
    assert_eq!(fs::read_to_string(&outside).expect("read"), "mine\n");
    assert!(fs::symlink_metadata(desk.path("files/provenance.json")).expect("there").is_file());
}

#[test]
fn bake_takes_attestations_from_targets_flags_and_set() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let file = format!(
        "target \"default\" {{\n context = \"{context}\"\n output = [\"type=oci,dest=out,tar=false\"]\n \
         attest = [\"type=provenance,mode=min\", {{ type = \"sbom\" }}]\n}}\n"
    );
    fs::write(desk.path("docker-bake.hcl"), file).expect("written");
    for (arguments, provenance, packages) in [
        (&[][..], Some("min"), true),
        (&["--provenance=mode=max", "--sbom=false"], Some("max"), false),
        (&["--set", "*.attest=type=provenance,disabled=true"], None, true),
        (&["--set", "default.attest=type=provenance,mode=max"], Some("max"), true),
    ] {
        let _ = fs::remove_dir_all(desk.path("out"));
        desk.ok(["bake"].iter().chain(arguments));
        let layout = Layout(desk.path("out"));
        let said = layout.statements(SLSA);
        let mode = said.first().map(|said| {
            let steps = &said["predicate"]["buildDefinition"]["internalParameters"]["buildConfig"];
            if steps.is_object() { "max" } else { "min" }
        });
        assert_eq!((mode, !layout.statements(SPDX).is_empty()), (provenance, packages), "{arguments:?}");
    }
}

#[test]
fn packages_are_those_of_the_finished_image_and_a_database_without_end_is_not_read() {
    let desk = Desk::new();
    let store = Store::open(desk.path("base")).expect("a store");
    let lock = |name: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1\"\n");
    let below = Tar::new()
        .file("lib/apk/db/installed", "P:old\nV:1\nA:x86_64\n")
        .file("gone/Cargo.lock", &lock("gone"))
        .file("hidden/Cargo.lock", &lock("hidden"))
        .file("stays/Cargo.lock", &lock("stays"));
    let above = Tar::new()
        .file("lib/apk/db/installed", "P:new\nV:2\nA:x86_64\n")
        .file("gone/.wh.Cargo.lock", "")
        .file("hidden/.wh..wh..opq", "")
        .link("link/Cargo.lock", "/stays/Cargo.lock")
        .file("var/lib/dpkg/status", &"\0".repeat(33 << 20));
    let root = image(&store, &[Layer::of(&below.end()), Layer::of(&above.end())]);
    let context = desk.context("app", "FROM base\nCOPY a.txt /\n");
    let base = format!("base=oci-layout://{}@{}", store.root().display(), root.digest);
    let names = store.lock_names().expect("a lock");
    names.set(&"base".parse().expect("a name"), &root).expect("named");
    let ended = desk.run([
        "build",
        "--sbom=true",
        "-o",
        "type=oci,dest=out,tar=false",
        "--build-context",
        &base,
        &context,
    ]);
    ended.says("/var/lib/dpkg/status was not read: it has 34603008 bytes");
    let packages = Layout(desk.path("out")).predicate(SPDX)["packages"].clone();
    let names = packages.as_array().expect("a list").iter().skip(1).map(|it| it["name"].as_str());
    let mut names: Vec<&str> = names.flatten().collect();
    names.sort_unstable();
    assert_eq!(names, ["new", "stays"]);
}

#[test]
fn a_database_that_is_not_read_is_told_and_written_down() {
    let desk = Desk::new();
    let context = with_packages(&desk);
    let ended = desk.run(["build", "--sbom=true", "-o", "type=oci,dest=out,tar=false", &context]);
    ended.says("The packages of rpm's database /var/lib/rpm/Packages are not listed");
    let packages = Layout(desk.path("out")).predicate(SPDX);
    assert!(packages["comment"].as_str().expect("a comment").contains("/var/lib/rpm/Packages"));
}
