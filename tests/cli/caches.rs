//! Caches elsewhere: what one machine did, another one need not do.

use std::process::Command;

use crate::support::{
    buildah::run,
    machines::{BOTH, Machines, manifest_of, read_blob},
    registry::TestRegistry,
};

const ONE: &str = "linux/amd64";

#[test]
fn another_machine_runs_nothing_and_makes_the_same_image() {
    let Some(machines) = Machines::new(BOTH) else { return };
    let registry = TestRegistry::open();
    let reference = format!("{}/team/app:cache", registry.address);
    let image = format!("{}/team/app:1", registry.address);
    let (to, from) = (format!("type=registry,ref={reference}"), reference.clone());
    let (carrier, whole) = (format!("type=registry,ref={image}"), format!("{to}-max,mode=max"));
    let tag = ["-t", &image, "--push", "--cache-to", "type=inline", "--cache-to", &to];
    let more = ["--cache-to", "type=local,dest=min", "--cache-to", "type=local,dest=max,mode=max"];
    let first = machines.build("a", &[&tag[..], &more, &["--cache-to", &whole]].concat());
    assert_eq!(first.ran(), 3, "one compiles for both");
    let whole_name = format!("{from}-max");
    for (machine, cache) in [
        ("registry-min", from.as_str()),
        ("registry-max", &whole_name),
        ("local-min", "type=local,src=min"),
        ("local-max", "type=local,src=max"),
        ("inline", &carrier),
    ] {
        let arguments = ["--cache-from", cache, "--cache-to", "type=inline"];
        let second = machines.build(machine, &arguments);
        assert_eq!(second.warnings(), [""; 0], "{machine}");
        assert_eq!(second.ran(), 0, "{machine}: {:?}", second.steps(""));
        assert_eq!(second.steps("COPY").iter().filter(|(_, cached)| !cached).count(), 0, "{machine}");
        assert_eq!(second.digest, first.digest, "{machine}");
        assert!(!machines.has_the_large_layer(machine), "{machine} fetched what nobody looks into");
    }
    let again = machines.build("a", &["--cache-to", "type=inline"]);
    assert_eq!(again.digest, first.digest);
    run(Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false"])
        .arg(format!("docker://{from}")));
}

#[test]
fn with_min_what_is_not_there_is_done_once_somebody_looks_into_it() {
    let Some(machines) = Machines::new(BOTH) else { return };
    machines.build("a", &["--cache-to", "type=local,dest=min", "--cache-to", "type=local,dest=max,mode=max"]);
    machines.change("COPY --from=compile /out /out", "COPY --from=compile /out /other");
    let max = machines.build("b", &["--cache-from", "type=local,src=max"]);
    assert_eq!((max.ran(), max.warnings()), (0, vec![]));
    assert!(machines.has_the_large_layer("b"));
    let min = machines.build("c", &["--cache-from", "type=local,src=min"]);
    assert_eq!((min.ran(), min.warnings()), (1, vec![]), "{:?}", min.steps(""));
    let done: Vec<String> =
        min.steps("RUN").into_iter().filter(|(_, cached)| !cached).map(|(text, _)| text).collect();
    assert!(done[0].starts_with("RUN cat /a.txt"), "{done:?}");
}

#[test]
fn what_is_imported_counts_only_where_it_is_imported() {
    let Some(machines) = Machines::new(ONE) else { return };
    machines.build("a", &["--cache-to", "type=local,dest=max,mode=max"]);
    assert_eq!(machines.build("b", &["--cache-from", "type=local,src=max"]).ran(), 0);
    assert_eq!(machines.build("b", &[]).ran(), 2);
}

#[test]
fn a_cache_of_a_cache_is_as_good_and_fetches_nothing_for_itself() {
    let Some(machines) = Machines::new(ONE) else { return };
    let registry = TestRegistry::open();
    let to = format!("type=registry,ref={}/cache,mode=max", registry.address);
    let from = format!("type=registry,ref={}/cache", registry.address);
    let first = machines.build("a", &["--cache-to", &to]);
    let second = machines.build("b", &["--cache-from", &from, "--cache-to", &to]);
    assert_eq!((second.ran(), second.digest.clone()), (0, first.digest));
    assert!(!machines.has_the_large_layer("b"), "the layer is where the cache goes");
    let elsewhere = machines.build("b", &["--cache-from", &from, "--cache-to", "type=local,dest=d,mode=max"]);
    assert_eq!(elsewhere.ran(), 0);
    assert!(machines.has_the_large_layer("b"), "the layer is not there yet");
    machines.change("COPY --from=compile /out /out", "COPY --from=compile /out /other");
    assert_eq!(machines.build("c", &["--cache-from", "type=local,src=d"]).ran(), 0);
}

#[test]
fn the_result_is_a_valid_artifact_with_the_layers_of_its_mode() {
    let Some(machines) = Machines::new(ONE) else { return };
    machines.build("a", &["--cache-to", "type=local,dest=min", "--cache-to", "type=local,dest=max,mode=max"]);
    let [min, max] = ["min", "max"].map(|name| manifest_of(&machines.desk.path(name)));
    for manifest in [&min, &max] {
        assert_eq!(manifest["artifactType"], "application/vnd.polyarch.cache.v1+json");
        assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    }
    // RUN, COPY and WORKDIR of the image; with max COPY and RUN of the other stage too.
    assert_eq!(min["layers"].as_array().map(Vec::len), Some(3));
    assert_eq!(max["layers"].as_array().map(Vec::len), Some(5));
    let config = min["config"]["digest"].as_str().expect("a digest");
    let document = read_blob(&machines.desk.path("min"), config);
    // Five steps, and when the image was made.
    assert_eq!(document["steps"].as_object().map(serde_json::Map::len), Some(6));
}

#[test]
fn without_a_cache_the_imported_one_is_not_looked_at_and_one_is_written() {
    let Some(machines) = Machines::new(ONE) else { return };
    machines.build("a", &["--cache-to", "type=local,dest=one,mode=max"]);
    let anew =
        ["--no-cache", "--cache-from", "type=local,src=one", "--cache-to", "type=local,dest=two,mode=max"];
    let built = machines.build("b", &anew);
    assert_eq!(built.ran(), 2);
    assert!(built.events.iter().all(|event| event["event"] != "cache-imported"));
    let second = machines.build("c", &["--cache-from", "type=local,src=two"]);
    assert_eq!((second.ran(), second.digest), (0, built.digest));
}

#[test]
fn the_stages_that_are_named_are_done_again() {
    let Some(machines) = Machines::new(BOTH) else { return };
    machines.build("a", &["--cache-to", "type=local,dest=max,mode=max"]);
    let done = |arguments: &[&str]| {
        let steps = machines.build("a", arguments).steps("RUN");
        let done = steps.into_iter().filter(|(_, cached)| !cached).map(|(text, _)| text);
        done.map(|text| if text.contains("a.txt") { "compile" } else { "last" }).collect::<Vec<_>>()
    };
    assert_eq!(done(&["--no-cache-filter", "compile", "--target", "compile"]), ["compile"]);
    assert_eq!(done(&["--no-cache-filter", "COMPILE"]), ["compile"], "once for both platforms");
    assert_eq!(done(&["--no-cache-filter", "1"]), ["last", "last"]);
    let both = ["--no-cache-filter", "compile,1", "--cache-from", "type=local,src=max"];
    assert_eq!(done(&both).len(), 3);
    assert_eq!(done(&[]), [""; 0]);
    let wrong = machines.try_build("a", &["--no-cache-filter", "complie"]);
    let errors = wrong.stderr.lines().filter(|line| line.starts_with("error: ")).collect::<String>();
    assert!(wrong.code == Some(3) && errors.contains("complie") && errors.contains("compile"), "{errors}");
}

#[test]
fn buildah_says_that_it_cannot_and_is_not_chosen() {
    let Some(machines) = Machines::new(ONE) else { return };
    let to = ["--cache-to", "type=local,dest=d"];
    for arguments in [&to[..], &["--cache-from", "localhost:1/cache"], &["--no-cache-filter", "compile"]] {
        let forced = machines.try_build("a", &[arguments, &["--backend", "buildah"]].concat());
        let reason =
            if arguments[0] == "--no-cache-filter" { "steps of single stages" } else { "keeps no steps" };
        forced.fails(5, &["buildah", reason]);
    }
    let routed = machines.build("a", &[&to[..], &["--backend", ""]].concat()).events;
    let routed: Vec<_> = routed.iter().filter(|event| event["event"] == "routed").collect();
    assert!(!routed.is_empty() && routed.iter().all(|event| event["backend"] == "sandbox"), "{routed:?}");
}
