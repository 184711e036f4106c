//! What this Windows refuses of networks: each rule is broken once.

use super::{codes::ALREADY_EXISTS, world::FakeWindows};
use crate::backend::hcs::{
    api::HcsResult,
    fault::code,
    guid::Guid,
    network::{Change, HcnApi as _, change},
};

const VERSION: &str = r#""SchemaVersion":{"Major":2,"Minor":0}"#;
const ONE: Guid = Guid([1; 16]);
const TWO: Guid = Guid([2; 16]);

fn refused_with<T>(result: HcsResult<T>) -> Option<u32> {
    result.err().map(|error| error.code)
}

fn plain() -> String {
    format!("{{{VERSION}}}")
}

fn endpoint(network: Guid) -> String {
    format!(r#"{{"Name":"x","HostComputeNetwork":"{network}",{VERSION}}}"#)
}

#[test]
fn networks_are_listed_and_described() {
    let windows = FakeWindows::new("10.0.20348.1");
    let nat = Guid::of("nat");
    assert!(windows.networks(&plain()).expect("a list").contains(&nat.to_string()));
    let known = windows.network(nat, &plain()).expect("a network");
    assert!(known.contains(r#""Name":"nat""#) && known.contains(r#""Type":"NAT""#), "{known}");
    assert_eq!(refused_with(windows.network(ONE, &plain())), Some(code::NETWORK_NOT_FOUND));
    for query in ["", "{}", r#"{"SchemaVersion":{"Major":2,"Minor":0},"More":1}"#] {
        assert_eq!(refused_with(windows.networks(query)), Some(code::NETWORK_JSON), "{query}");
    }
    let newer = r#"{"SchemaVersion":{"Major":2,"Minor":9}}"#;
    assert_eq!(refused_with(windows.networks(newer)), Some(code::REQUEST_UNSUPPORTED));
}

#[test]
fn an_endpoint_needs_its_network_and_goes_once() {
    let windows = FakeWindows::new("10.0.20348.1");
    let nat = Guid::of("nat");
    let create = |network, settings: &str| refused_with(windows.create_endpoint(network, ONE, settings));
    assert_eq!(create(TWO, &endpoint(TWO)), Some(code::NETWORK_NOT_FOUND));
    assert_eq!(create(nat, &endpoint(TWO)), Some(code::INVALID_ENDPOINT));
    assert_eq!(create(nat, &plain()), Some(code::NETWORK_JSON));
    assert_eq!(create(nat, &endpoint(nat)), None);
    assert_eq!(create(nat, &endpoint(nat)), Some(ALREADY_EXISTS));
    assert_eq!(refused_with(windows.delete_endpoint(ONE)), None);
    assert_eq!(refused_with(windows.delete_endpoint(ONE)), Some(code::ENDPOINT_NOT_FOUND));
}

#[test]
fn nothing_goes_that_something_is_in() {
    let windows = FakeWindows::new("10.0.20348.1");
    let nat = Guid::of("nat");
    let (add, remove) = (change(Change::Add, TWO), change(Change::Remove, TWO));
    let modify = |request: &str| refused_with(windows.modify_namespace(ONE, request));
    assert_eq!(modify(&add), Some(code::ELEMENT_NOT_FOUND));
    windows.create_namespace(ONE, &plain()).expect("a namespace");
    assert_eq!(refused_with(windows.create_namespace(ONE, &plain())), Some(ALREADY_EXISTS));
    assert_eq!(modify(&add), Some(code::ENDPOINT_NOT_FOUND));
    windows.create_endpoint(nat, TWO, &endpoint(nat)).expect("an endpoint");
    assert_eq!(modify(&remove), Some(code::ENDPOINT_NOT_FOUND));
    assert_eq!(modify(&add), None);
    assert_eq!(modify(&add), Some(code::ENDPOINT_HAS_NAMESPACE));
    assert_eq!(modify("{}"), Some(code::NETWORK_JSON));
    assert_eq!(refused_with(windows.delete_endpoint(TWO)), Some(code::HAS_REFERENCES));
    assert_eq!(refused_with(windows.delete_namespace(ONE)), Some(code::HAS_REFERENCES));
    assert_eq!(modify(&remove), None);
    assert_eq!(refused_with(windows.delete_namespace(ONE)), None);
    assert_eq!(refused_with(windows.delete_namespace(ONE)), Some(code::ELEMENT_NOT_FOUND));
    windows.delete_endpoint(TWO).expect("gone");
    assert_eq!(windows.left(), Vec::<String>::new());
}
