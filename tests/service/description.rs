//! The description of the API says what there is.

use std::collections::BTreeSet;

use polyarch::service::document;
use serde_json::Value;

use super::scene::Scene;

/// The paths of the API, as its users know them.
const PATHS: [&str; 15] = [
    "/",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/page/{file}",
    "/readyz",
    "/v1/backends",
    "/v1/builds",
    "/v1/builds/{id}",
    "/v1/builds/{id}/cancel",
    "/v1/builds/{id}/events",
    "/v1/builds/{id}/log",
    "/v1/builds/{id}/receipt",
    "/v1/contexts",
    "/v1/queue",
];

#[tokio::test]
async fn every_route_is_described_and_every_description_leads_somewhere() {
    let scene = Scene::set().await;
    let told = scene.get("/openapi.json").await.json();
    assert_eq!(told, serde_json::to_value(document()).expect("json"));
    assert!(told["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths: BTreeSet<&str> =
        told["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    assert_eq!(paths, BTreeSet::from(PATHS));
    let id = scene.build().await;
    for (path, item) in told["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            assert!(
                operation["operationId"].is_string() && operation["summary"].is_string(),
                "{method} {path}"
            );
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            let is_open = operation["security"].is_null();
            assert_eq!(is_open, !path.starts_with("/v1/"), "{method} {path}");
            let real = path.replace("{id}", &id).replace("{file}", "page.js");
            if path.ends_with("/events") {
                continue;
            }
            let method = method.to_ascii_uppercase().parse().expect("a method");
            let answer = super::scene::answered(scene.ask(method, &real)).await;
            assert_ne!(answer.status, 405, "{path}");
            assert!(answer.status != 404 || path.ends_with("/receipt"), "{path}");
        }
    }
}

#[test]
fn every_reference_of_the_description_means_something() {
    let told = serde_json::to_value(document()).expect("json");
    let (mut waiting, mut found) = (vec![&told], 0);
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("a place in the document");
                    assert!(told.pointer(pointer).is_some(), "{reference} is nothing");
                    found += 1;
                }
                waiting.extend(fields.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(found > 10, "only {found} references");
    let request = &told["components"]["schemas"]["BuildRequest"];
    assert_eq!(request["additionalProperties"], false, "what is unknown is refused");
    assert_eq!(request["required"], serde_json::json!(["context"]));
}
