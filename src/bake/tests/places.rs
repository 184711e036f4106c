use super::printed;

/// Makes sure that an error begins with the place and has the words.
fn fails(file: &str, text: &str, place: &str, words: &str) {
    let printed = printed(&[(file, text)], &["a"], &[]);
    let error = printed.expect_err(text);
    assert!(error.starts_with(&format!("{file}:{place}: ")), "{place} {words}: {error}\n{text}");
    assert!(error.contains(words), "{place} {words}: {error}\n{text}");
}

#[test]
fn every_kind_of_error_in_hcl_has_its_line_and_its_column() {
    for (text, place, words) in [
        ("target \"a\" {\n  tags = [\n}", "3:1", "expected"),
        ("target \"a\" {\n  tags = [TAG]\n}", "2:11", "there is no variable \"TAG\""),
        ("target \"a\" {\n  tags = [up(\"x\")]\n}", "2:11", "there is no function \"up\""),
        ("target \"a\" {\n  tags = [upper()]\n}", "2:11", "upper()"),
        ("target \"a\" {\n  tags = [\"x\",\n    \"y-${1 + true}\"]\n}", "3:10", "expected a number"),
        ("target \"a\" {\n  args = {\n    x = <<E\n${upper()}\nE\n  }\n}", "4:3", "upper()"),
        ("target \"a\" {\n  tags = [\n   \"%{ for x in 1 }%{ endfor }\"]\n}", "3:4", "a for"),
        ("target \"a\" {\n  tags = [\n   \"x%{ if y }%{ endif }\"]\n}", "3:12", "there is no variable"),
        ("target \"a\" {\n  tags = [for x in\n   [1]: x.y]\n}", "3:9", "has no elements"),
        ("target \"a\" {\n  args = {\n   (x) = 1 }\n}", "3:5", "there is no variable"),
        ("target \"a\" {\n  tags = [\n   [1][2]]\n}", "3:4", "there is no element"),
        ("target \"a\" {\n  tags = [1 ?\n   1 : 2]\n}", "2:11", "a condition"),
        ("target \"a\" {\n  tags = target.b.c\n}", "2:10", "there is no target"),
        ("target \"a\" {\n  tag = []\n}", "2:3", "there is no attribute \"tag\""),
        ("target \"a\" {\n  tags = \"x\"\n}", "2:3", "target a: tags: expected a list"),
        ("target \"a\" {\n  args {}\n}", "2:3", "there is no block \"args\""),
        ("\n targe \"a\" {}", "2:2", "there is no block \"targe\""),
        ("target \"a\" \"b\" {}", "1:1", "expected one name"),
        ("\ntarget {}", "2:1", "it has no name"),
        ("\ntarget \"a b\" {}", "2:1", "only letters"),
        ("x = y\ny = x", "2:5", "variables need each other"),
        ("target \"a\" {\n  inherits = [\"b\"]\n}", "2:3", "there is no target \"b\""),
        ("target \"a\" {\n  contexts = { x = \"target:b\" }\n}", "2:3", "there is no target \"b\""),
        (
            "target \"a\" {\n  platform-overrides = { \"linux/*\" = { contexts = { x = \"target:b\" } } }\n}",
            "2:3",
            "there is no target \"b\"",
        ),
        ("group \"a\" {\n  targets = [\"b\"]\n}", "2:3", "there is no target \"b\""),
        ("group \"a\" {\n  target = [\"b\"]\n}", "2:3", "there is no attribute \"target\""),
        (
            "target \"a\" {\n  contexts = { x = \"target:b\" }\n}\ntarget \"b\" {\n  contexts = { x = \"target:a\" }\n}",
            "2:3",
            "targets need each other",
        ),
        (
            "target \"a\" {\n platforms = [\"linux/amd64\", \"linux/arm64\"]\n contexts = { x = \"target:b\" }\n}\ntarget \"b\" { platforms = [\"linux/amd64\", \"linux/386\"] }",
            "3:2",
            "target b is not built for linux/arm64",
        ),
        ("target \"a\" {\n  matrix = { x = 1 }\n}", "2:3", "expected a list"),
        ("target \"a\" {\n  matrix = { x = [1] }\n  name = []\n}", "3:3", "expected a string"),
        ("target \"a\" {\n  name = \"b\"\n}", "2:3", "a name needs a matrix"),
        ("variable \"COUNT\" {\n  default = []\n}", "1:1", "needs a type"),
        ("variable \"X\" {\n  type = strin\n}", "2:3", "the variable X"),
        (
            "variable \"X\" {\n  default = \"\"\n  validation {\n    condition = X != \"\"\n    error_message = \"give it\"\n  }\n}",
            "4:5",
            "give it",
        ),
        (
            "variable \"X\" {\n  validation {\n    error_message = \"give it\"\n  }\n}",
            "2:3",
            "there is no condition",
        ),
        (
            "function \"f\" {\n  result = 1\n}\ntarget \"a\" { tags = [f()] }",
            "1:1",
            "the function has no params",
        ),
        (
            "function \"f\" {\n  params = [x]\n  result = x.y\n}\ntarget \"a\" { tags = [f({})] }",
            "3:12",
            "there is no \"y\" in the map",
        ),
    ] {
        fails("x.hcl", text, place, words);
    }
}

#[test]
fn every_kind_of_error_in_json_has_its_line_and_its_column() {
    for (text, place, words) in [
        ("{\"target\":\n  {\"a\" 1}}", "2:8", "expected `:`"),
        ("\n []", "2:2", "expected a map, not a list"),
        ("{\"target\":\n 1}", "2:2", "expected a map"),
        ("{\"target\": {\"a\":\n 1}}", "2:2", "expected a map"),
        ("{\"target\": {\n \"a b\": {}}}", "2:2", "only letters"),
        ("{\"target\": {\"a\": {\n \"tag\": []}}}", "2:2", "there is no attribute \"tag\""),
        ("{\"target\": {\"a\": {\n \"tags\": \"x\"}}}", "2:2", "expected a list"),
        ("{\"target\": {\"a\": [{}, {\n \"tags\": \"x\"}]}}", "2:2", "expected a list"),
        ("{\"target\": {\"a\": {\n \"tags\": [\"${TAG}\"]}}}", "2:10", "there is no variable \"TAG\""),
        ("{\"target\": {\"a\": {\"tags\": [\n \"x\", \"${\"]}}}", "2:7", "${"),
        ("{\"target\": {\"a\": {\"args\": {\n \"${\": 1}}}}", "2:2", "${"),
        ("{\"target\": {\"a\": {\n \"inherits\": [\"b\"]}}}", "2:2", "there is no target \"b\""),
        ("{\"group\": {\"a\": {\n \"targets\": [\"b\"]}}}", "2:2", "there is no target \"b\""),
        ("{\"target\": {\"a\": {\n \"contexts\": {\"x\": \"target:a\"}}}}", "2:2", "targets need each other"),
        ("{\"variable\": {\n \"COUNT\": {\"default\": []}}}", "2:2", "needs a type"),
        (
            "{\"variable\": {\"X\": {\"validation\": [\n {\"error_message\": \"x\"}]}}}",
            "2:2",
            "there is no condition",
        ),
        ("{\n \"x\": \"${x}\"}", "2:7", "variables need each other"),
    ] {
        fails("x.json", text, place, words);
    }
}

#[test]
fn every_kind_of_error_in_compose_files_has_its_line_and_its_column() {
    let of_build = |keys: &str| format!("services:\n  a:\n    build:\n{keys}");
    for (text, place, words) in [
        ("services:\n  a: [\n".to_owned(), "2:6", "unclosed bracket"),
        ("\nx: y\n".to_owned(), "2:1", "there are no services"),
        ("services:\n  - a\n".to_owned(), "1:1", "expected a map"),
        ("services:\n  \"a b\":\n    build: .\n".to_owned(), "2:3", "only letters"),
        ("services:\n  a:\n    build:\n      - x\n".to_owned(), "3:5", "expected a map"),
        (of_build("      context: .\n      isolatio: x\n"), "5:7", "this is not supported"),
        (of_build("      context: ${X:?is needed}\n"), "4:7", "the variable X is needed"),
        (of_build("      tags:\n        - x\n        - $\n"), "6:11", "a $ stands alone"),
        (of_build("      tags: x\n"), "4:7", "expected a list"),
        (of_build("      args:\n        - [x]\n"), "5:11", "expected a string"),
        (of_build("      secrets: [x]\n"), "4:7", "there is no secret \"x\""),
        (of_build("      x-bake:\n        nothing: x\n"), "5:9", "there is no \"nothing\" in x-bake"),
        (of_build("      x-bake: x\n"), "4:7", "expected a map"),
        (of_build("      x-bake:\n        platform-overrides: { beos/x: {} }\n"), "5:9", "unknown OS"),
        (of_build("      additional_contexts:\n        x: service:b\n"), "4:7", "there is no target \"b\""),
        ("services:\n  a:\n    image: [x]\n    build: .\n".to_owned(), "3:5", "expected a string"),
    ] {
        fails("x.yaml", &text, place, words);
    }
}

#[test]
fn an_error_is_in_the_file_that_says_so_last() {
    let one = ("one.yaml", "services:\n  a:\n    build:\n      context: .\n      tags: [x]\n");
    let two = ("two.yaml", "services:\n  a:\n    build:\n\n      tags: x\n");
    let error = printed(&[one, two], &["a"], &[]).expect_err("wrong");
    assert!(error.starts_with("two.yaml:5:7: service a: tags: "), "{error}");
    let three = ("three.hcl", "target \"a\" {\n  inherits = [\"b\"]\n}");
    let error = printed(&[one, three], &["a"], &[]).expect_err("wrong");
    assert!(error.starts_with("three.hcl:2:3: there is no target \"b\""), "{error}");
    // What the command line says is in no file.
    let error = printed(&[one], &["a"], &["a.pull=maybe"]).expect_err("wrong");
    assert!(error.starts_with("--set a.pull: "), "{error}");
    let error = printed(&[one], &["b"], &[]).expect_err("wrong");
    assert!(error.starts_with("there is no target \"b\""), "{error}");
}
