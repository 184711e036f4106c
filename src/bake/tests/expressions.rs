//! Expressions, functions and variables, and what no text may do to their reader.

use proptest::prelude::*;
use serde_json::json;

use super::{hcl, printed, read, value};

#[test]
fn functions_and_operators_give_what_hcl_gives() {
    for (expression, expected) in [
        ("1 + 2 * 3", json!(7)),
        ("7 / 2", json!(3.5)),
        ("-7 % 3", json!(-1)),
        ("\"1\" == 1", json!(false)),
        ("\"2\" + 1", json!(3)),
        ("!true || 1 < 2 && 3 >= 3", json!(true)),
        ("true ? \"a\" : \"b\"", json!("a")),
        ("\"a${1 + 1}b\"", json!("a2b")),
        ("\"$${x}\"", json!("${x}")),
        ("\"%{ if true }y%{ else }n%{ endif }\"", json!("y")),
        ("\"%{ for x in [1, 2] ~} ${x},%{ endfor }\"", json!("1,2,")),
        ("[for x in [1, 2, 3]: x * 2 if x > 1]", json!([4, 6])),
        ("{for k, v in {a = 1}: v => k}", json!({"1": "a"})),
        ("{for x in [\"a\", \"b\", \"a\"]: x => 1...}", json!({"a": [1, 1], "b": [1]})),
        ("[{a = 1}, {a = 2}][*].a", json!([1, 2])),
        ("{a = [1, 2]}.a[1]", json!(2)),
        ("upper(\"aé\")", json!("AÉ")),
        ("title(\"hello world\")", json!("Hello World")),
        ("trim(\"xxayx\", \"xy\")", json!("a")),
        ("trimspace(\" a \")", json!("a")),
        ("trimprefix(\"v1\", \"v\")", json!("1")),
        ("trimsuffix(\"a.git\", \".git\")", json!("a")),
        ("replace(\"a/b/c\", \"/\", \"-\")", json!("a-b-c")),
        ("regex_replace(\"v1.2\", \"^v([0-9]+)\", \"x$1\")", json!("x1.2")),
        ("regex(\"[0-9]+\", \"v12\")", json!("12")),
        ("regex(\"(a)(b)\", \"ab\")", json!(["a", "b"])),
        ("regexall(\"[0-9]\", \"1a2\")", json!(["1", "2"])),
        ("split(\",\", \"a,b\")", json!(["a", "b"])),
        ("join(\"-\", [\"a\", \"b\"], [\"c\"])", json!("a-b-c")),
        ("substr(\"hello\", 1, 3)", json!("ell")),
        ("substr(\"hello\", -3, -1)", json!("llo")),
        ("format(\"%s-%03d-%.2f-%q-%v\", \"a\", 7, 1.5, \"q\", [1])", json!("a-007-1.50-\"q\"-[1]")),
        ("format(\"%5s|%-5s|%x|%t|%%\", \"a\", \"b\", 255, true)", json!("    a|b    |ff|true|%")),
        ("format(\"%e\", 1234.5)", json!("1.234500e+03")),
        ("formatlist(\"%s:%s\", [\"a\", \"b\"], \"1\")", json!(["a:1", "b:1"])),
        ("concat([1], [2, 3])", json!([1, 2, 3])),
        ("contains([\"a\"], \"a\")", json!(true)),
        ("distinct([1, 1, 2])", json!([1, 2])),
        ("compact([\"\", \"a\"])", json!(["a"])),
        ("flatten([[1, [2]], 3])", json!([1, 2, 3])),
        ("length({a = 1})", json!(1)),
        ("lookup({a = 1}, \"b\", 2)", json!(2)),
        ("merge({a = 1, b = 1}, {b = 2})", json!({"a": 1, "b": 2})),
        ("keys({b = 1, a = 2})", json!(["a", "b"])),
        ("values({b = 1, a = 2})", json!([2, 1])),
        ("zipmap([\"a\"], [1])", json!({"a": 1})),
        ("coalesce(null, \"b\")", json!("b")),
        ("range(3)", json!([0, 1, 2])),
        ("range(1, 4, 2)", json!([1, 3])),
        ("slice([1, 2, 3], 1, 2)", json!([2])),
        ("element([1, 2], 3)", json!(2)),
        ("chunklist([1, 2, 3], 2)", json!([[1, 2], [3]])),
        ("setproduct([1, 2], [\"a\"])", json!([[1, "a"], [2, "a"]])),
        ("setsubtract([1, 2], [2])", json!([1])),
        ("sort([\"b\", \"a\"])", json!(["a", "b"])),
        ("indexof([\"a\", \"b\"], \"b\")", json!(1)),
        ("max([1, 5]...)", json!(5)),
        ("min(2, 1)", json!(1)),
        ("parseint(\"ff\", 16)", json!(255)),
        ("pow(2, 10)", json!(1024)),
        ("notequal(1, 2)", json!(true)),
        ("basename(\"a/b/c.txt\")", json!("c.txt")),
        ("dirname(\"/a/../b/c\")", json!("/b")),
        ("dirname(\"x\")", json!(".")),
        ("sanitize(\"a.b/c\")", json!("a_b_c")),
        ("indent(2, \"a\\nb\")", json!("a\n  b")),
        ("base64decode(base64encode(\"x\"))", json!("x")),
        ("sha256(\"\")", json!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ("urlencode(\"a b&c\")", json!("a+b%26c")),
        ("jsondecode(\"{\\\"a\\\": [1]}\").a[0]", json!(1)),
        (
            "formatdate(\"EEE, DD MMM YYYY hh:mm:ss ZZZ\", \"2024-02-29T23:05:09Z\")",
            json!("Thu, 29 Feb 2024 23:05:09 UTC"),
        ),
        (
            "formatdate(\"YY-M-D H:mmaa 'at' Z\", \"1999-12-31T13:04:00+02:00\")",
            json!("99-12-31 1:04pm at +02:00"),
        ),
        ("timeadd(\"2024-02-28T23:30:00Z\", \"24h30m\")", json!("2024-03-01T00:00:00Z")),
        ("strlen(\"aé\")", json!(2)),
        ("try(nothing.a, \"other\")", json!("other")),
        ("can(nothing)", json!(false)),
        ("convert(\"1\", number)", json!(1)),
        ("<<EOT\na\n  b\nEOT\n", json!("a\n  b\n")),
    ] {
        assert_eq!(value(expression).as_ref(), Ok(&expected), "{expression}");
    }
}

#[test]
fn an_expression_that_means_nothing_says_where_and_why() {
    for (expression, reason) in [
        ("uper(\"a\")", "x.hcl:2:27: there is no function \"uper\" (did you mean \"upper\"?)"),
        ("FROM_EVN", "there is no variable \"FROM_EVN\""),
        ("upper()", "upper(): expected 1 argument, got 0"),
        ("1 / 0", "nothing is divided by zero"),
        ("\"a\" + 1", "\"a\" is no number"),
        ("\"a${null}\"", "expected a string, not null"),
        ("[1][3]", "there is no element 3 in a list of 1"),
        ("{a = 1}.b", "there is no \"b\" in the map"),
        ("regex(\"(\", \"a\")", "is no regular expression"),
        ("format(\"%d\", \"a\")", "\"a\" is no number"),
        ("format(\"%s\")", "more verbs than values"),
        ("setproduct(range(1000), range(1000), range(1000))", "too many combinations"),
        ("formatlist(\"%4000s%4000s\", range(1024), 1)", "too long"),
        ("range(2000)", "too long"),
        ("format(\"%99999s\", 1)", "at most 4096 wide"),
        ("target.none.tags", "there is no target \"none\""),
        ("[for x in range(1000): [for y in range(1000): range(1000)]]", "too large"),
    ] {
        let error = value(expression).expect_err(expression);
        assert!(error.contains(reason), "{expression}: {error}");
    }
}

#[test]
fn variables_are_what_the_environment_says_in_their_type() {
    let text = r#"
        variable "FROM_ENV" { default = "file" }
        variable "ELSE" { default = "${FROM_ENV}!" }
        variable "COUNT" { default = 1 }
        variable "FLAG" { default = false }
        variable "LIST" { type = list(string) }
        variable "MAP" { type = map(string) }
        variable "NONE" {}
        plain = "p-${ELSE}"
        target "default" {
          args = {
            a = ELSE, b = COUNT + 1, c = FLAG ? "yes" : "no", d = join("+", LIST), e = MAP["k"], f = NONE, g = plain,
            h = BAKE_LOCAL_PLATFORM, gone = null
          }
        }
    "#;
    assert_eq!(
        hcl(text, &[], &[])["target"]["default"]["args"],
        json!({"a": "env!", "b": "4", "c": "yes", "d": "a+b", "e": "v", "f": "", "g": "p-env!", "h": "linux/amd64"})
    );
    for (text, reason) in [
        ("variable \"COUNT\" { default = [] }", "needs a type"),
        ("variable \"FROM_ENV\" { default = 1 }", "\"env\" is no number"),
        (
            "variable \"A\" { default = B }\nvariable \"B\" { default = A }",
            "variables need each other: A -> B -> A",
        ),
        ("variable \"A\" { default = A }", "A -> A"),
        (
            "variable \"A\" {\n  default = \"\"\n  validation {\n    condition = A != \"\"\n    error_message = \"say A\"\n  }\n}",
            "x.hcl:4:5: the variable A is not valid: say A",
        ),
        (
            "function \"f\" {\n  params = [x]\n  result = f(x)\n}\ny = f(1)",
            "functions need each other: f() -> f()",
        ),
    ] {
        let error = read(&[("x.hcl", text)]).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn functions_of_files_take_what_they_declare() {
    let text = r#"
        variable "TAG" { default = "1" }
        function "tag" {
          params = [name]
          result = ["${name}:${TAG}"]
        }
        function "all" {
          params = []
          variadic_params = names
          result = join(",", names)
        }
        target "default" { tags = tag(all("a", "b")) }
    "#;
    assert_eq!(hcl(text, &[], &[])["target"]["default"]["tags"], json!(["a,b:2"]));
}

proptest! {
    #[test]
    fn no_text_panics_the_reader(text in "[ -~\\n]{0,200}", name in "(x.hcl|x.json|x.yaml|x)") {
        let _ = printed(&[(&name, &text)], &["*"], &[]);
    }

    #[test]
    fn no_expression_panics_the_reader(
        words in proptest::collection::vec("([a-z]{1,9}\\()|[\\[\\](){},?:.*+]|[0-9]{1,12}|\"[a-z$%{}~ ]{0,6}\"|(for x in )|( if )|(null)|(!)", 0..24),
    ) {
        let _ = value(&words.concat());
    }
}

#[test]
fn a_definition_that_goes_too_deep_is_refused() {
    let chain = |length: usize| {
        let variable = |number: usize| format!("variable \"V{number}\" {{ default = V{} }}\n", number + 1);
        let chain: String = (0..length).map(variable).collect();
        read(&[("x.hcl", &format!("{chain}variable \"V{length}\" {{ default = 1 }}\n"))]).map(|_| ())
    };
    assert_eq!(chain(300), Ok(()));
    assert!(chain(3000).expect_err("too deep").contains("too large"));
    let double = |number: usize| format!("v{} = \"${{v{number}}}${{v{number}}}\"\n", number + 1);
    let bomb: String = (0..60).map(double).collect();
    let error = read(&[("x.hcl", &format!("v0 = \"x\"\n{bomb}"))]).expect_err("too large");
    assert!(error.contains("too large"), "{error}");
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(120), "]".repeat(120));
    assert!(read(&[("x.json", &deep)]).is_ok());
    let targets = |number: usize| {
        format!("target \"t{number}\" {{ contexts = {{ x = \"target:t{}\" }} }}\n", number + 1)
    };
    let targets: String = (0..2000).map(targets).collect();
    let text = format!("{targets}target \"t2000\" {{}}\n");
    assert!(printed(&[("x.hcl", &text)], &["t0"], &[]).is_ok());
}

#[test]
fn the_readme_lists_every_function_and_no_other() {
    let readme = include_str!("../../../README.md");
    let row = readme.lines().find(|line| line.starts_with("| functions |")).expect("a row");
    let mut listed: Vec<&str> = row.split('`').nth(1).expect("names").split(' ').collect();
    let mut known: Vec<&str> = crate::bake::functions::names().collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}
