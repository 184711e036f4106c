//! What connects containers with networks: the calls, and whole builds.

use std::fs;

use polyarch::backend::hcs::{ComputeSystem, Guid, HcnApi as _, HcsApi as _, HcsError, HcsResult};
use serde_json::{Value, json};

use super::{
    older,
    scene::{Scene, alone, document},
    whole::{build, calls, prepare},
};
use crate::support::layouts::{Ended, polyarch};

const QUERY: &str = r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#;
const ONE: Guid = Guid([0x1A; 16]);
const TWO: Guid = Guid([0x2B; 16]);
const IN_USE: Option<u32> = Some(0x803B_002C);
const NO_ENDPOINT: Option<u32> = Some(0x803B_0002);
const NO_NAMESPACE: Option<u32> = Some(0x8007_0490);

/// The code that a call was refused with.
fn code<T>(result: HcsResult<T>) -> Option<u32> {
    result.err().map(|error| error.code)
}

/// The network called `nat`.
fn nat(scene: &Scene) -> Guid {
    let ids: Vec<String> = serde_json::from_str(&scene.api.networks(QUERY).expect("a list")).expect("ids");
    let mut ids = ids.iter().map(|id| id.parse::<Guid>().expect("an id"));
    let is_nat = |id: &Guid| {
        let known = scene.api.network(*id, QUERY).expect("a network");
        let known: Value = serde_json::from_str(&known).expect("json");
        (&known["Name"], &known["Type"]) == (&"nat".into(), &"NAT".into())
    };
    ids.find(is_nat).expect("there is one")
}

fn endpoint(network: Guid) -> String {
    let version = json!({ "Major": 2, "Minor": 0 });
    json!({ "Name": "x", "HostComputeNetwork": network, "SchemaVersion": version }).to_string()
}

fn request(kind: &str, endpoint: Guid) -> String {
    let settings = json!({ "EndpointId": endpoint });
    json!({ "ResourceType": "Endpoint", "RequestType": kind, "Settings": settings }).to_string()
}

fn ended(system: Box<dyn ComputeSystem>) {
    system.terminate().expect("an end");
    drop(system);
}

#[test]
fn a_container_is_connected_by_a_namespace_that_stays_while_it_runs() {
    alone(
        concat!(module_path!(), "::a_container_is_connected_by_a_namespace_that_stays_while_it_runs"),
        |scene| {
            let api = &scene.api;
            let network = nat(scene);
            assert_eq!(code(api.modify_namespace(ONE, &request("Add", TWO))), NO_NAMESPACE);
            api.create_namespace(ONE, QUERY).expect("a namespace");
            assert_eq!(code(api.create_namespace(ONE, QUERY)), Some(0x8007_00B7), "it is there");
            assert_eq!(code(api.modify_namespace(ONE, &request("Add", TWO))), NO_ENDPOINT);
            assert_eq!(code(api.create_endpoint(ONE, TWO, &endpoint(ONE))), Some(0x803B_0001), "no network");
            assert_eq!(code(api.create_endpoint(network, TWO, "{}")), Some(0x803B_001B), "no settings");
            api.create_endpoint(network, TWO, &endpoint(network)).expect("an endpoint");
            api.modify_namespace(ONE, &request("Add", TWO)).expect("added");
            assert_eq!(code(api.delete_namespace(ONE)), IN_USE, "an endpoint is in it");
            assert_eq!(scene.left(), [format!("namespace {ONE}"), format!("endpoint {TWO}")]);

            let below = [scene.base("base")];
            let (layer, volume) = scene.prepared("scratch", &below);
            let mut connected = document(&volume, &below);
            connected["Container"]["Networking"] = json!({ "Namespace": TWO });
            assert_eq!(code(api.create_system("one", &connected.to_string())), NO_NAMESPACE);
            connected["Container"]["Networking"] = json!({ "Namespace": ONE });
            let system = api.create_system("one", &connected.to_string()).expect("a system");
            system.start().expect("a start");
            api.modify_namespace(ONE, &request("Remove", TWO)).expect("removed");
            assert_eq!(code(api.delete_namespace(ONE)), IN_USE, "a container has it");
            ended(system);
            api.delete_endpoint(TWO).expect("gone");
            api.delete_namespace(ONE).expect("gone");
            assert_eq!(code(api.delete_endpoint(TWO)), NO_ENDPOINT);
            assert_eq!(code(api.delete_namespace(ONE)), NO_NAMESPACE);
            scene.destroy(&layer);
        },
    );
}

#[test]
fn a_virtual_machine_is_connected_by_an_endpoint_that_stays_while_it_runs() {
    alone(
        concat!(module_path!(), "::a_virtual_machine_is_connected_by_an_endpoint_that_stays_while_it_runs"),
        |scene| {
            let (layer, below) = older::scratch(scene);
            let mut connected = older::document(&layer, &below);
            connected["EndpointList"] = json!([TWO]);
            let api = &scene.api;
            assert_eq!(code(api.create_system("one", &connected.to_string())), NO_ENDPOINT);
            let network = nat(scene);
            api.create_endpoint(network, TWO, &endpoint(network)).expect("an endpoint");
            let system = api.create_system("one", &connected.to_string()).expect("a system");
            system.start().expect("a start");
            assert_eq!(code(api.delete_endpoint(TWO)), IN_USE);
            ended(system);
            api.delete_endpoint(TWO).expect("gone");
            api.destroy_layer(&layer).expect("a destroyed layer");
        },
    );
}

#[test]
fn each_call_about_networks_that_fails_says_which_it_was_and_why() {
    alone(
        concat!(module_path!(), "::each_call_about_networks_that_fails_says_which_it_was_and_why"),
        |scene| {
            let api = &scene.api;
            let network = nat(scene);
            api.create_namespace(ONE, QUERY).expect("a namespace");
            let added = request("Add", TWO);
            let settings = endpoint(network);
            let make: [(&str, &dyn Fn() -> Option<HcsError>); 9] = [
                ("HcnEnumerateNetworks", &|| api.networks(QUERY).err()),
                ("HcnOpenNetwork", &|| api.network(network, QUERY).err()),
                ("HcnQueryNetworkProperties", &|| api.network(network, QUERY).err()),
                ("HcnCreateNamespace", &|| api.create_namespace(TWO, QUERY).err()),
                ("HcnOpenNamespace", &|| api.modify_namespace(ONE, &added).err()),
                ("HcnModifyNamespace", &|| api.modify_namespace(ONE, &added).err()),
                ("HcnDeleteNamespace", &|| api.delete_namespace(ONE).err()),
                ("HcnCreateEndpoint", &|| api.create_endpoint(network, TWO, &settings).err()),
                ("HcnDeleteEndpoint", &|| api.delete_endpoint(TWO).err()),
            ];
            for (call, act) in make {
                scene.fail(call, "* 0x803B0020 the reason for this");
                let error = act().unwrap_or_else(|| panic!("{call} did not fail"));
                assert_eq!((error.call, error.code), (call, 0x803B_0020));
                assert_eq!(error.detail.as_deref(), Some("the reason for this"));
                scene.fail(call, "");
            }
            api.delete_namespace(ONE).expect("gone");
        },
    );
}

#[test]
fn each_step_with_a_network_has_an_endpoint_of_its_own() {
    alone(concat!(module_path!(), "::each_step_with_a_network_has_an_endpoint_of_its_own"), |scene| {
        prepare(scene, "FROM base\nRUN echo one\nRUN --network=none echo two\nRUN echo three\n");
        build(scene).ok();
        assert_eq!((calls(scene, "HcnCreateEndpoint"), calls(scene, "HcnCreateNamespace")), (2, 2));
        let text = fs::read_to_string(scene.state.join("calls.txt")).expect("the calls");
        let created = text.lines().filter(|line| line.starts_with("HcsCreateComputeSystem "));
        let connected: Vec<bool> =
            created.map(|line| line.contains(r#""Networking":{"Namespace":"#)).collect();
        assert_eq!(connected, [true, false, true]);
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}

#[test]
fn a_machine_without_a_nat_network_says_how_to_make_one() {
    alone(concat!(module_path!(), "::a_machine_without_a_nat_network_says_how_to_make_one"), |scene| {
        scene.left();
        let line = "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444 ICS Default Switch\n";
        fs::write(scene.state.join("networks.txt"), line).expect("written");
        prepare(scene, "FROM base\nRUN echo one\n");
        let Ended { code, said } = build(scene);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("Dockerfile:2: ") && said.contains("no network of the type NAT"), "{said}");
        assert!(said.contains("New-HnsNetwork -Type NAT -Name nat"), "{said}");
        assert_eq!(calls(scene, "BackupWrite"), 0, "{said}");
        let mut backends = polyarch(&scene.folder);
        backends.args(["backends", "--store", "store"]);
        let said = Ended::from(backends.output().expect("the program")).ok();
        assert!(said.contains("New-HnsNetwork -Type NAT -Name nat"), "{said}");
        let offline = "FROM base\nRUN --network=none echo one\n";
        fs::write(scene.folder.join("context/Dockerfile"), offline).expect("written");
        build(scene).ok();
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}
