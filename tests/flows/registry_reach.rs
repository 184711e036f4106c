//! Which registries a build of somebody else reaches.

use std::fs;

use polyarch::{
    BuildSpec, Error, Orchestrator, Output, Receipt,
    actors::{Fault, Fetching},
};

use crate::support::{registry::TestRegistry, tools::require};

#[tokio::test(flavor = "multi_thread")]
async fn a_build_of_somebody_else_asks_registries_of_this_machine_only_where_it_may() {
    if !require("docker-registry") {
        return;
    }
    let registry = TestRegistry::open();
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), "a").expect("written");
    let orchestrator = Orchestrator::builder().store(folder.path().join("store"));
    let orchestrator = orchestrator.start().await.expect("it starts");
    let build = async |base: &str, push: Option<&str>, private: &[&str]| -> Result<Receipt, Error> {
        let dockerfile = format!("FROM {base}\nCOPY file /\n");
        fs::write(folder.path().join("Dockerfile"), dockerfile).expect("written");
        let mut spec = BuildSpec::new(folder.path()).platforms(["linux/amd64".parse().expect("a platform")]);
        if let Some(name) = push {
            spec = spec.tag(name.parse().expect("a name")).output(Output::registry());
        }
        spec.fetching = Fetching::Public;
        spec.registry.private = private.iter().map(|&name| name.to_owned()).collect();
        orchestrator.build(spec).await
    };
    let address = registry.address.as_str();
    let (_, port) = address.split_once(':').expect("a port");
    let (app, local) = (format!("{address}/app:1"), format!("localhost:{port}/app:1"));

    for name in [&app, &local] {
        let refused = build("scratch", Some(name), &["registry.example.com"]).await.expect_err("refused");
        assert!(refused.to_string().contains("has no public address"), "{name}: {refused}");
    }
    build("scratch", Some(&app), &[address]).await.expect("published where it may be");
    for name in [&app, &local] {
        let refused = build(name, None, &[]).await.expect_err("refused");
        let told = refused.to_string();
        assert!(told.contains("has no public address"), "{name}: {told}");
        assert_eq!(refused.fault(), Fault::User, "{name}: {told}");
    }
    build(&app, None, &[address]).await.expect("built on what it may use");
}
