//! Groups, targets, files and the command line.

use serde_json::json;

use super::{hcl, printed, read};

#[test]
fn what_is_inherited_is_replaced_or_added_to_as_in_buildx() {
    let text = r#"
        target "base" {
          args = { a = "1", b = "1" }
          tags = ["base"]
          platforms = ["linux/amd64"]
          cache-from = ["user/a", "user/b"]
          cache-to = ["user/a"]
          annotations = ["x=1"]
          ulimits = ["nofile=1:2"]
          output = ["type=registry"]
          labels = { l = "1" }
        }
        target "other" { args = { b = "2" }, no-cache-filter = ["s"] }
        target "app" {
          inherits = ["base", "other"]
          args = { c = "3" }
          platforms = ["linux/arm64"]
          cache-from = [{ type = "registry", ref = "user/b" }, ""]
          cache-to = ["type=inline"]
          annotations = ["x=1", "y=2"]
        }
    "#
    .replace(
        "{ args = { b = \"2\" }, no-cache-filter = [\"s\"] }",
        "{\n args = { b = \"2\" }\n no-cache-filter = [\"s\"]\n}",
    );
    assert_eq!(
        hcl(&text, &["app"], &[]),
        json!({
            "group": {"default": {"targets": ["app"]}},
            "target": {"app": {
                "annotations": ["x=1", "y=2"],
                "context": ".",
                "dockerfile": "Dockerfile",
                "args": {"a": "1", "b": "2", "c": "3"},
                "labels": {"l": "1"},
                "tags": ["base"],
                "cache-from": [{"type": "registry", "ref": "user/a"}, {"type": "registry", "ref": "user/b"}],
                "cache-to": [{"type": "inline"}],
                "platforms": ["linux/arm64"],
                "output": [{"type": "registry"}],
                "no-cache-filter": ["s"],
                "ulimits": ["nofile=1:2"],
            }}
        })
    );
}

#[test]
fn later_files_add_to_earlier_ones() {
    let files = [
        (
            "a.hcl",
            "group \"default\" { targets = [\"app\"] }\ntarget \"app\" {\n  tags = [\"a\"]\n  args = { x = \"1\" }\n}",
        ),
        (
            "b.json",
            r#"{"target": {"app": {"args": {"y": "${upper(\"b\")}"}, "dockerfile-inline": "FROM $${x}"}}, "extra": 1}"#,
        ),
        (
            "c.hcl",
            "group \"default\" { targets = [\"app\", \"more\"] }\ntarget \"more\" {}\ntarget \"app\" { tags = [\"c\"] }",
        ),
    ];
    let printed = printed(&files, &[], &[]).expect("targets");
    assert_eq!(printed["group"], json!({"default": {"targets": ["app", "more"]}}));
    assert_eq!(
        printed["target"]["app"],
        json!({
            "context": ".", "dockerfile": "Dockerfile", "dockerfile-inline": "FROM $${x}",
            "args": {"x": "1", "y": "B"}, "tags": ["c"],
        })
    );
}

#[test]
fn a_matrix_is_as_many_targets_as_it_has_combinations() {
    let text = r#"
        target "app" {
          name = "app-${item.tgt}-${replace(version, ".", "-")}"
          matrix = {
            item = [{ tgt = "lint" }, { tgt = "build" }]
            version = ["1.0", "2.0"]
          }
          target = item.tgt
          args = { VERSION = version }
        }
        target "plain" { tags = target.app-lint-1-0.args.VERSION == "1.0" ? [target.other.context] : [] }
        target "other" { context = "dir" }
    "#;
    let all = hcl(text, &["app", "plain"], &[]);
    let names: Vec<&String> = all["target"].as_object().expect("targets").keys().collect();
    assert_eq!(names, ["app-build-1-0", "app-build-2-0", "app-lint-1-0", "app-lint-2-0", "plain"]);
    assert_eq!(all["group"]["app"]["targets"].as_array().map(Vec::len), Some(4));
    assert_eq!(all["target"]["app-lint-2-0"]["args"]["VERSION"], "2.0");
    assert_eq!(all["target"]["plain"]["tags"], json!(["dir"]));
    let lint = hcl(text, &["app-lint-*"], &["app-*-1-0.args.MORE=x"]);
    assert_eq!(lint["group"], json!({"default": {"targets": ["app-lint-1-0", "app-lint-2-0"]}}));
    assert_eq!(lint["target"]["app-lint-1-0"]["args"], json!({"VERSION": "1.0", "MORE": "x"}));
    for (text, reason) in [
        ("target \"a\" { matrix = { x = [1, 2] } }", "the name \"a\" comes twice"),
        ("target \"a\" { name = \"b\" }", "a name needs a matrix"),
        ("target \"a\" { matrix = [1] }", "expected a map, not a list"),
        ("target \"a\" {\n  name = \"a b\"\n  matrix = { x = [1] }\n}", "only letters, digits, _ and -"),
        ("group \"a\" { matrix = {} }", "there is no attribute \"matrix\""),
    ] {
        let error = read(&[("x.hcl", text)]).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn targets_that_others_need_come_along_without_names() {
    let text = r#"
        target "base" { tags = ["base"] }
        target "app" { contexts = { base = "target:base", gone = "" } }
    "#;
    let printed = hcl(text, &["app"], &["app.tags=a", "app.tags+=b"]);
    assert_eq!(printed["target"]["app"]["contexts"], json!({"base": "target:base"}));
    assert_eq!(printed["target"]["base"]["output"], json!([{"type": "cacheonly"}]));
    assert_eq!(printed["group"], json!({"default": {"targets": ["app"]}}));
    let circle =
        "target \"a\" { contexts = { x = \"target:b\" } }\ntarget \"b\" { contexts = { x = \"target:a\" } }";
    let error = super::printed(&[("x.hcl", circle)], &["a"], &[]).expect_err("a circle");
    assert!(error.contains("targets need each other: a -> b -> a"), "{error}");
    let error = super::printed(&[("x.hcl", text)], &["ap"], &[]).expect_err("unknown");
    assert!(error.contains("there is no target \"ap\" (did you mean \"app\"?)"), "{error}");
}

#[test]
fn the_command_line_changes_targets_as_it_does_in_buildx() {
    let text =
        "target \"app\" {\n tags = [\"a\"]\n platforms = [\"linux/amd64\"]\n output = [\"type=image\"]\n}";
    let app = |overrides: &[&str]| hcl(text, &["app"], overrides)["target"]["app"].clone();
    assert_eq!(app(&["app.tags=b", "app.tags=c"])["tags"], json!(["b", "c"]));
    assert_eq!(app(&["*.tags+=b"])["tags"], json!(["a", "b"]));
    assert_eq!(app(&["app.platform=linux/arm64"])["platforms"], json!(["linux/arm64"]));
    assert_eq!(app(&["app.args.X=a=b"])["args"], json!({"X": "a=b"}));
    assert_eq!(app(&["app.no-cache=true", "app.pull=0"])["no-cache"], json!(true));
    assert_eq!(app(&["app.push=true"])["output"], json!([{"type": "image", "push": "true"}]));
    assert_eq!(app(&["app.output=type=registry", "app.push=false"]).get("output"), None);
    assert_eq!(app(&["app.secrets=id=x,src=y"])["secret"], json!([{"id": "x", "src": "y"}]));
    assert_eq!(app(&["app.contexts.c=target:app2"; 0]).get("contexts"), None);
    for (change, reason) in [
        ("app=x", "expected TARGET.KEY=VALUE"),
        ("app.args=x", "expected app.args.NAME=VALUE"),
        ("app.tag=x", "there is no key for --set \"tag\" (did you mean \"tags\"?)"),
        ("ap.tags=x", "there is no target \"ap\""),
        ("app.no-cache=maybe", "expected a bool"),
        ("app.load=maybe", "expected a bool"),
    ] {
        let error = printed(&[("x.hcl", text)], &["app"], &[change]).expect_err(change);
        assert!(error.contains(reason), "{change}: {error}");
    }
}

#[test]
fn services_of_compose_are_targets() {
    let compose = r#"
x-common: &common
  args:
    A: "${FROM_ENV}"
services:
  db:
    image: postgres
  web.app:
    image: user/web:${TAG:-1}
    build:
      context: ./web
      <<: *common
      additional_contexts: [base=service:db.x]
      secrets: [token]
      ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}
      extra_hosts: ["a:1.2.3.4"]
      shm_size: 1g
      x-bake:
        platforms: [linux/amd64]
        tags: "x y"
  api:
    build: ./api
secrets:
  token: {environment: TOKEN}
"#;
    let over = "services: {api: {build: {args: [FROM_ENV, B=b, C]}, image: api}}";
    let printed = printed(&[("compose.yaml", compose), ("o.yml", over)], &[], &["web_app.contexts.base=dir"]);
    let printed = printed.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(printed["group"], json!({"default": {"targets": ["api", "web_app"]}}));
    assert_eq!(
        printed["target"],
        json!({
            "api": {
                "context": "./api", "dockerfile": "Dockerfile", "args": {"B": "b", "FROM_ENV": "env"}, "tags": ["api"],
            },
            "web_app": {
                "context": "./web", "contexts": {"base": "dir"}, "dockerfile": "Dockerfile", "args": {"A": "env"},
                "tags": ["x", "y"], "secret": [{"id": "token", "env": "TOKEN"}], "platforms": ["linux/amd64"],
                "shm-size": "1g", "ulimits": ["nofile=1:2", "nproc=3:3"], "extra-hosts": {"a": "1.2.3.4"},
            },
        })
    );
    for (text, reason) in [
        ("services: [", "compose.yaml:1"),
        ("a: b", "there are no services"),
        ("services: {a: {build: {colour: red}}}", "service a: colour: this is not supported"),
        ("services: {a: {build: {secrets: [x]}}}", "there is no secret \"x\""),
        ("services: {a: {build: \"${X:?say X}\"}}", "say X"),
    ] {
        let error = read(&[("compose.yaml", text)]).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_file_that_cannot_be_read_says_where() {
    for (file, text, reason) in [
        ("x.hcl", "target \"a\" {\n  tags = [\n}\n", "x.hcl:3:1: "),
        ("x.json", "{\n \"target\": }", "x.json:2:12: "),
        ("x.json", "[]", "x.json:1:1: the file: expected a map"),
        ("x.hcl", "target \"a\" { tag = [] }", "there is no attribute \"tag\" (did you mean \"tags\"?)"),
        ("x.hcl", "targets \"a\" {}", "there is no block \"targets\" (did you mean \"target\"?)"),
        ("x.hcl", "target {}", "it has no name"),
        ("x.hcl", "target \"a\" \"b\" {}", "expected one name"),
        (
            "x.hcl",
            "target \"a\" {\n  tags = \"x\"\n}",
            "x.hcl:2:3: target a: tags: expected a list, not a string",
        ),
        ("x.hcl", "target \"a\" {\n  args {}\n}", "there is no block \"args\" in a target (write args = …)"),
        ("x.hcl", "target \"a\" { policy = [{}] }", "policies are not supported"),
        ("x.json", r#"{"target": {"a": {"tags": ["${x"]}}}"#, "x.json:1:28: tags: \"${x\": "),
    ] {
        let error = read(&[(file, text)]).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
    }
}
