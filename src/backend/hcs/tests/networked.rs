//! What steps reach over the network, and what is left of what connects them.

use polyarch_actors::{BuildBackend as _, Fault, StepIsolation, StepNetwork};
use tokio_util::sync::CancellationToken;

use super::scene::{Built, Scene};
use crate::backend::hcs::{
    fault::code,
    guid::Guid,
    journal::{Journal, Made},
    network::{Change, HcnApi as _, change},
};

const DOCKERFILE: &str = "FROM base\nRUN write C:\\made.txt one\n";
const ISOLATIONS: [StepIsolation; 2] = [StepIsolation::Process, StepIsolation::HyperV];

/// The calls that connect a container of its own kernel, in their order.
const CALLS: [&str; 5] = [
    "HcnEnumerateNetworks",
    "HcnQueryNetworkProperties",
    "HcnCreateNamespace",
    "HcnCreateEndpoint",
    "HcnModifyNamespace",
];

async fn build(scene: &Scene, isolation: StepIsolation, dockerfile: &str) -> Built {
    let mut request = scene.request(dockerfile);
    request.steps.isolation = isolation;
    scene.build_in(&scene.backend(), request, CancellationToken::new()).await
}

/// How many things of each kind are there.
fn kinds(scene: &Scene) -> Vec<(&'static str, usize)> {
    let left = scene.windows.left();
    let count = |kind: &'static str| (kind, left.iter().filter(|line| line.starts_with(kind)).count());
    ["system", "namespace", "endpoint"].map(count).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_connected_with_nat_for_as_long_as_its_container_is_there() {
    for (isolation, namespaces, named) in
        [(StepIsolation::Process, 1, "namespace "), (StepIsolation::HyperV, 0, "endpoint ")]
    {
        let scene = Scene::new();
        scene.windows.hold("HcsStartComputeSystem");
        let look = async {
            let windows = scene.windows.clone();
            let held = tokio::task::spawn_blocking(move || windows.wait_for("HcsStartComputeSystem"));
            held.await.expect("a start");
            let there = (kinds(&scene), scene.windows.left(), scene.windows.documents());
            scene.windows.release();
            there
        };
        let (built, (kinds, left, documents)) = tokio::join!(build(&scene, isolation, DOCKERFILE), look);
        built.result.expect("an image");
        assert_eq!(kinds, [("system", 1), ("namespace", namespaces), ("endpoint", 1)], "{isolation:?}");
        let id = left.iter().find_map(|line| line.strip_prefix(named)).expect("an id");
        let expected = match isolation {
            StepIsolation::HyperV => format!(r#""EndpointList":["{id}"]"#),
            _ => format!(r#""Networking":{{"Namespace":"{id}"}}"#),
        };
        assert!(documents[0].contains(&expected), "{expected}: {documents:?}");
        scene.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_a_network_is_connected_with_nothing() {
    for isolation in ISOLATIONS {
        let scene = Scene::new();
        let dockerfile = "FROM base\nRUN --network=none write C:\\made.txt one\n";
        build(&scene, isolation, dockerfile).await.result.expect("an image");
        let mut request = scene.request("FROM base\nRUN write C:\\made.txt two\n");
        (request.steps.isolation, request.steps.network) = (isolation, StepNetwork::None);
        let built = scene.build_in(&scene.backend(), request, CancellationToken::new()).await;
        built.result.expect("an image");
        let calls = scene.windows.calls();
        assert!(!calls.iter().any(|call| call.starts_with("HcnCreate")), "{calls:?}");
        scene.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_of_type_nat_a_step_is_refused_before_any_layer_is_touched() {
    for (networks, reason) in [
        (vec![("Default Switch", "ICS")], "has no network of the type NAT"),
        (vec![("one", "NAT"), ("two", "NAT")], "(one, two), and none of them is called nat"),
    ] {
        let scene = Scene::new();
        scene.windows.has_networks(&networks);
        let error = scene.build(DOCKERFILE).await.result.expect_err(reason);
        let text = error.to_string();
        assert!(text.contains("Dockerfile:2: ") && text.contains(reason), "{text}");
        assert!(text.contains("New-HnsNetwork -Type NAT -Name nat"), "{text}");
        assert!(text.contains("--network=none"), "{text}");
        assert_eq!((error.fault(), error.retryable()), (Fault::Host, false));
        let calls = scene.windows.calls();
        assert!(!calls.iter().any(|call| call.starts_with("Backup")), "{calls:?}");
        let advice = scene.backend().probe().await.advice;
        assert!(advice.iter().any(|advice| advice.contains(reason)), "{advice:?}");
        let offline = "FROM base\nRUN --network=none write C:\\made.txt one\n";
        scene.build(offline).await.result.expect("an image");
        scene.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_of_another_name_is_taken_where_it_is_the_only_one() {
    let scene = Scene::new();
    scene.windows.has_networks(&[("containers", "NAT"), ("Default Switch", "ICS")]);
    scene.build(DOCKERFILE).await.result.expect("an image");
    let advice = scene.backend().probe().await.advice;
    assert!(!advice.iter().any(|advice| advice.contains("RUN")), "{advice:?}");
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_library_only_steps_without_a_network_are_run() {
    let scene = Scene::new();
    scene.windows.fails("HcnEnumerateNetworks", code::MODULE_NOT_FOUND, 0, usize::MAX);
    let error = scene.build(DOCKERFILE).await.result.expect_err("no library");
    let text = error.to_string();
    assert!(text.contains("libraries of Windows for containers are not there"), "{text}");
    assert!(text.contains("--network=none"), "{text}");
    let offline = "FROM base\nRUN --network=none write C:\\made.txt one\n";
    scene.build(offline).await.result.expect("an image");
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_of_the_machine_is_refused() {
    let scene = Scene::new();
    let error = scene.build("FROM base\nRUN --network=host echo x\n").await.result.expect_err("refused");
    assert!(error.to_string().contains("leave out --network=host"), "{error}");
    assert_eq!(error.fault(), Fault::User);
    let mut request = scene.request(DOCKERFILE);
    request.steps.network = StepNetwork::Host;
    let built = scene.build_in(&scene.backend(), request, CancellationToken::new()).await;
    let error = built.result.expect_err("refused");
    assert!(error.to_string().contains("leave out --network=host"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_windows_refuses_of_the_network_is_told_and_leaves_nothing() {
    for isolation in ISOLATIONS {
        let is_made = |call: &&&str| match isolation {
            StepIsolation::HyperV => !call.ends_with("Namespace"),
            _ => true,
        };
        for call in CALLS.iter().filter(is_made) {
            let scene = Scene::new();
            build(&scene, isolation, DOCKERFILE).await.result.expect("an image");
            let made = scene.windows.calls().iter().filter(|made| made == call).count();
            // When the step is looked at, and when it is run; the last change of a namespace undoes the one before.
            let last = if *call == "HcnModifyNamespace" { made - 2 } else { made - 1 };
            for (after, times) in [(0, usize::MAX), (last, 1)] {
                let scene = Scene::new();
                scene.windows.fails(call, code::NETWORK_SERVICE_STOPPED, after, times);
                let error = build(&scene, isolation, DOCKERFILE).await.result.expect_err(call);
                let text = error.to_string();
                assert!(text.contains(&format!("{call} failed with 0x803B0020")), "{call}: {text}");
                assert_eq!((error.fault(), error.retryable()), (Fault::Host, true), "{call}");
                scene.windows.mends();
                scene.backend().probe().await;
                scene.assert_clean();
                build(&scene, isolation, DOCKERFILE).await.result.expect(call);
                scene.assert_clean();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_still_holds_is_removed_a_little_later() {
    for call in ["HcnDeleteEndpoint", "HcnDeleteNamespace"] {
        let scene = Scene::new();
        scene.windows.fails(call, code::HAS_REFERENCES, 0, 4);
        scene.build(DOCKERFILE).await.result.expect("an image");
        assert_eq!(scene.windows.calls().iter().filter(|made| *made == call).count(), 5);
        scene.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_removed_costs_no_step_and_goes_at_the_end() {
    for (call, namespaces) in [("HcnDeleteEndpoint", 0), ("HcnDeleteNamespace", 1), ("HcnModifyNamespace", 1)]
    {
        let scene = Scene::new();
        let backend = scene.backend();
        let after = usize::from(call == "HcnModifyNamespace");
        scene.windows.fails(call, code::ACCESS_DENIED, after, 20);
        let built = scene.build_in(&backend, scene.request(DOCKERFILE), CancellationToken::new()).await;
        built.result.expect("an image");
        let endpoints = usize::from(call != "HcnDeleteNamespace");
        let expected = [("system", 0), ("namespace", namespaces), ("endpoint", endpoints)];
        assert_eq!(kinds(&scene), expected, "{call}");
        scene.windows.mends();
        backend.close().await;
        scene.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_has_noted_of_the_network_goes_whether_it_was_made_or_not() {
    let nat = Guid::of("nat");
    let (namespace, endpoint) = (Guid([1; 16]), Guid([2; 16]));
    let settings = r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#;
    let of_endpoint =
        format!(r#"{{"Name":"x","HostComputeNetwork":"{nat}",{}"#, settings.trim_start_matches('{'));
    for inside in [Some(namespace), None] {
        // How far it came: nothing, the namespace, the endpoint, and the endpoint in the namespace.
        for made in 0..4 {
            let scene = Scene::new();
            let store = scene.store.root();
            let journal = Journal::open(&store.join("backends/hcs/journal"), store).expect("a journal");
            if let Some(id) = inside {
                journal.note(&Made::Namespace { id }).expect("noted");
            }
            journal.note(&Made::Endpoint { id: endpoint, namespace: inside }).expect("noted");
            let api = &scene.windows;
            if made > 0 && inside.is_some() {
                api.create_namespace(namespace, settings).expect("a namespace");
            }
            if made > 1 {
                api.create_endpoint(nat, endpoint, &of_endpoint).expect("an endpoint");
            }
            if made > 2 && inside.is_some() {
                api.modify_namespace(namespace, &change(Change::Add, endpoint)).expect("added");
            }
            drop(journal);
            scene.backend().probe().await;
            scene.assert_clean();
        }
    }
}
