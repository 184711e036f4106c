//! Build definitions: reading, resolving and printing.

use std::collections::BTreeMap;

use polyarch::bake::{Definition, Surroundings};

/// Reads the input as HCL, JSON, compose and as a file whose name says nothing.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = |name: &str| (name.len() % 3 == 1).then(|| "1".to_owned());
    let surroundings = Surroundings {
        environment: &environment,
        builtins: BTreeMap::new(),
        compose_defaults: BTreeMap::new(),
    };
    for name in ["x.hcl", "x.json", "x.yaml", "x"] {
        let read = Definition::read(&[(name.to_owned(), text.to_owned())], &surroundings);
        match read {
            Ok(definition) => check_definition(&definition, &surroundings),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn check_definition(definition: &Definition, surroundings: &Surroundings<'_>) {
    let overrides = ["*.args.x=y", "*.tags+=z", "*.push=true"].map(str::to_owned);
    let overrides = if definition.targets.is_empty() { &[][..] } else { &overrides };
    let Ok(resolved) = definition.resolve(&["*".to_owned()], overrides) else { return };
    let printed = serde_json::to_string(&resolved).expect("json");
    // What is printed is a definition of the same targets.
    let again = Definition::read(&[("again.json".to_owned(), printed.clone())], surroundings);
    let again = again.unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(again.targets.len(), resolved.targets.len(), "{printed}");
    for target in &again.targets {
        let before =
            resolved.targets.get(&target.name).unwrap_or_else(|| panic!("{}: {printed}", target.name));
        assert_eq!((&target.args, &target.tags), (&before.args, &before.tags), "{printed}");
    }
}
