//! What definitions come to, as buildx's own tests show it.

mod definitions;
mod expressions;
mod places;
mod platform_overrides;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Definition, Surroundings};

const ENVIRONMENT: [(&str, &str); 6] = [
    ("FROM_ENV", "env"),
    ("COUNT", "3"),
    ("FLAG", "true"),
    ("LIST", "a, b"),
    ("MAP_JSON", r#"{"k": "v"}"#),
    ("TAG", "2"),
];

fn read(files: &[(&str, &str)]) -> Result<Definition, String> {
    let environment = |name: &str| {
        let found = ENVIRONMENT.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let files: Vec<(String, String)> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let surroundings = Surroundings {
        environment: &environment,
        builtins: BTreeMap::from([("BAKE_LOCAL_PLATFORM".to_owned(), "linux/amd64".to_owned())]),
        compose_defaults: BTreeMap::from([("DOTENV".to_owned(), "dotenv".to_owned())]),
    };
    Definition::read(&files, &surroundings).map_err(|error| error.to_string())
}

/// What is printed for some targets of files.
fn printed(files: &[(&str, &str)], wanted: &[&str], overrides: &[&str]) -> Result<Value, String> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let resolved =
        read(files)?.resolve(&owned(wanted), &owned(overrides)).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(resolved).expect("json"))
}

fn hcl(text: &str, wanted: &[&str], overrides: &[&str]) -> Value {
    printed(&[("docker-bake.hcl", text)], wanted, overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// The value of an expression, as the argument of a target.
fn value(expression: &str) -> Result<Value, String> {
    let text = format!("target \"t\" {{\n  args = {{ v = jsonencode({expression}) }}\n}}\n");
    let printed = printed(&[("x.hcl", &text)], &["t"], &[])?;
    let text = printed["target"]["t"]["args"]["v"].as_str().expect("a text").replace("$${", "${");
    Ok(serde_json::from_str(&text).expect("json"))
}
