//! The documents as they are written and read.

use super::documents::{Change, Network, change, endpoint, ids, namespace, query};
use crate::backend::hcs::guid::Guid;

const ONE: Guid = Guid([0x11; 16]);

#[test]
fn windows_is_told_of_namespaces_and_endpoints_in_the_schema_2_0() {
    let version = r#""SchemaVersion":{"Major":2,"Minor":0}"#;
    assert_eq!(query(), format!("{{{version}}}"));
    assert_eq!(namespace(), format!("{{{version}}}"));
    let network = r#""HostComputeNetwork":"11111111-1111-1111-1111-111111111111""#;
    assert_eq!(endpoint(ONE, "polyarch-x"), format!(r#"{{"Name":"polyarch-x",{network},{version}}}"#));
    for (asked, word) in [(Change::Add, "Add"), (Change::Remove, "Remove")] {
        let settings = r#""Settings":{"EndpointId":"11111111-1111-1111-1111-111111111111"}"#;
        let expected = format!(r#"{{"ResourceType":"Endpoint","RequestType":"{word}",{settings}}}"#);
        assert_eq!(change(asked, ONE), expected);
    }
}

#[test]
fn a_list_of_networks_may_be_empty_in_three_ways() {
    for document in ["", "null", "[]"] {
        assert_eq!(ids(document).expect(document), Vec::new());
    }
    let list = r#"["11111111-1111-1111-1111-111111111111","{22222222-2222-2222-2222-222222222222}"]"#;
    assert_eq!(ids(list).expect("two"), [ONE, Guid([0x22; 16])]);
    assert!(ids(r#"["nat"]"#).is_err());
}

#[test]
fn of_a_network_is_read_what_matters_whatever_else_is_said() {
    let document = r#"{"ID":"11111111-1111-1111-1111-111111111111","Name":"nat","Type":"NAT","Policies":[],
        "Ipams":[{"Type":"Static","Subnets":[{"IpAddressPrefix":"172.30.0.0/20"}]}],"Flags":0,"Health":{"Extra":{}}}"#;
    let found: Network = serde_json::from_str(document).expect("a network");
    assert_eq!(found, Network { id: ONE, name: "nat".into(), kind: "NAT".into() });
}
