use serde_json::json;

use super::{hcl, printed, read};

const TEXT: &str = r#"
    target "base" {
      platform-overrides = {
        "windows/*" = { dockerfile = "Dockerfile.windows", args = { SHELL = "$${x}", A = "1" } }
        "linux/arm*" = { target = "small", backend = "buildah" }
      }
    }
    target "app" {
      inherits = ["base"]
      platforms = ["linux/amd64", "windows/amd64"]
      platform-overrides = {
        "windows/*" = { args = { A = "2" }, contexts = { tools = "target:tools" } }
      }
    }
    target "tools" {}
"#;

#[test]
fn what_some_platforms_have_is_inherited_value_by_value_and_printed() {
    let all = hcl(TEXT, &["app", "base"], &[]);
    let windows = json!({
        "args": {"A": "2", "SHELL": "$${x}"},
        "contexts": {"tools": "target:tools"},
        "dockerfile": "Dockerfile.windows",
    });
    // What is about platforms that the target does not have is no mistake, and does not count.
    assert_eq!(all["target"]["app"]["platform-overrides"], json!({ "windows/*": windows }));
    let arm = json!({"backend": "buildah", "target": "small"});
    assert_eq!(all["target"]["base"]["platform-overrides"]["linux/arm*"], arm);
    assert!(all["target"]["tools"].is_object(), "a target that some platforms need comes along");
    let none = hcl(TEXT, &["app"], &["*.platform=linux/amd64"]);
    assert_eq!(none["target"]["app"].get("platform-overrides"), None);
    assert_eq!(none["target"].get("tools"), None);
    // What is printed can be read again.
    let text = hcl(TEXT, &["app"], &[]).to_string();
    assert_eq!(
        printed(&[("x.json", &text)], &["app"], &[]).expect("read")["target"]["app"],
        all["target"]["app"]
    );
}

#[test]
fn the_command_line_changes_what_some_platforms_have() {
    let set = [
        "app.platform-overrides.windows/*.dockerfile=W",
        "app.platform-overrides.linux/amd64.args.a.dockerfile=b=c",
        "app.platform-overrides.linux/amd64.contexts.tools=dir",
        "app.platform-overrides.windows(10.0.20348.1)/amd64.target=old",
    ];
    let all = hcl(TEXT, &["app"], &set);
    let overrides = &all["target"]["app"]["platform-overrides"];
    assert_eq!(overrides["windows/*"]["dockerfile"], "W");
    assert_eq!(
        overrides["linux/amd64"],
        json!({"args": {"a.dockerfile": "b=c"}, "contexts": {"tools": "dir"}})
    );
    for (set, reason) in [
        ("app.platform-overrides=x", "expected app.platform-overrides.NAME=VALUE"),
        ("app.platform-overrides.linux=x", "expected PATTERN.KEY=VALUE"),
        ("app.platform-overrides.beos/*.target=x", "unknown OS: beos"),
        ("app.platform-overrides.linux/*.targe=x", "(did you mean \"target\"?)"),
        ("app.platform-overrides.linux/*.args=x", "expected linux/*.args.NAME=VALUE"),
    ] {
        let error = printed(&[("x.hcl", TEXT)], &["app"], &[set]).expect_err(set);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_compose_file_has_it_as_an_extension() {
    let text = "services:\n  app:\n    build:\n      context: .\n      x-bake:\n        platform-overrides:\n          \"linux/arm*\":\n            dockerfile: D\n";
    let all = printed(&[("compose.yaml", text)], &["app"], &[]).expect("read");
    assert_eq!(all["target"]["app"]["platform-overrides"], json!({"linux/arm*": {"dockerfile": "D"}}));
}

#[test]
fn what_cannot_be_said_of_some_platforms_is_refused_with_its_place() {
    for (value, reason) in [
        ("{ \"beos/*\" = {} }", "unknown OS: beos"),
        (
            "{ \"linux/*\" = { dockerfil = \"x\" } }",
            "linux/*: dockerfil: there is no attribute of some platforms",
        ),
        ("{ \"linux/*\" = \"x\" }", "linux/*: expected a map, not a string"),
        ("{ \"linux/*\" = { tags = [] } }", "there is no attribute of some platforms \"tags\""),
        ("[]", "expected a map, not a list"),
    ] {
        let text = format!("target \"a\" {{\n  platform-overrides = {value}\n}}");
        let error = read(&[("x.hcl", &text)]).expect_err(value);
        assert!(error.starts_with("x.hcl:2:3: target a: platform-overrides: "), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}
