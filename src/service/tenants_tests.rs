//! Files of tenants, right and wrong.

use super::{super::token::Token, *};

fn parse(text: &str) -> Result<Tenants, String> {
    Tenants::parse(text, Path::new("tenants.toml")).map_err(|error| error.to_string())
}

#[test]
fn a_file_says_what_each_tenant_may_use() {
    let token = Token::generate().expect("a token");
    let root = if cfg!(windows) { "C:/srv" } else { "/srv" };
    let text = format!(
        "[tenant.web]\nweight = 3\nmax_running = 2\nmax_waiting = 0\nmax_memory = \"4g\"\nmax_cpus = 2\nmax_time = \"1h30m\"\ntokens = [\"{}\"]\n\
         paths = [\"{root}/src\"]\nauthfile = \"{root}/auth.json\"\n\
         private_registries = [\"registry.corp:5000\", \"docker.io\"]\n\
         [tenant.web.secrets]\nnpm = {{ env = \"NPM\" }}\ngit = {{ file = \"{root}/git\" }}\n[tenant.b]\n\
         network = false\n",
        token.hash()
    );
    let tenants = parse(&text).expect("tenants");
    let names: Vec<&str> = tenants.all().iter().map(|tenant| tenant.name.as_str()).collect();
    assert_eq!(names, ["b", "web"]);
    assert_eq!(tenants.all().iter().map(|tenant| tenant.network).collect::<Vec<_>>(), [false, true]);
    let web = tenants.of_token(token.as_str()).expect("its tenant");
    assert_eq!((web.weight, web.max_running, web.max_waiting), (3, Some(2), Some(0)));
    let most = BuildResources { memory: Some(4 << 30), millicpus: Some(2000), ..BuildResources::default() };
    assert_eq!((web.most, web.max_time), (most, Some(Duration::from_mins(90))));
    assert!(web.private_registries.iter().eq(["docker.io", "registry.corp:5000"]));
    assert_eq!(web.secret("npm").map(|secret| secret.source), Some(SecretSource::Env("NPM".into())));
    assert_eq!(web.secret("ssh"), None);
    for wrong in ["", "web", &token.hash().to_string(), &format!("{} ", token.as_str())] {
        assert_eq!(tenants.of_token(wrong), None, "{wrong}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let hash = format!("sha256:{}", "0".repeat(64));
    let twice = format!("[tenant.a]\ntokens=[\"{hash}\"]\n[tenant.b]\ntokens=[\"{hash}\"]");
    for (text, words) in [
        ("", "tenant: there is none"),
        ("[tenant.a]\nweight = \"x\"", "line 2: expected u32"),
        ("[tenant.a]\ntokens = \"polyarch_abc\"", "line 2: expected a sequence"),
        ("[tenant.a]\ntokens = [polyarch_abc]", "line 2: "),
        ("[tenant.a]\nsecrets = { npm = \"polyarch_abc, expected x\" }", "line 2: expected "),
        ("[tenant.a]\nmax_time = \"0s\"", "tenant.a.max_time: nothing would ever be built"),
        ("[tenant.a]\nmax_time = \"soon\"", "tenant.a.max_time: "),
        ("[tenant.a]\nwheight = 1", "unknown field `wheight`"),
        ("[tenants.a]", "unknown field `tenants`"),
        ("[tenant.a]\nweight = 0", "tenant.a.weight: it is a number from 1 to 1000"),
        ("[tenant.a]\nmax_running = 0", "tenant.a.max_running: nothing would ever run"),
        ("[tenant.A]", "tenant.A: invalid tenant"),
        ("[tenant.\"../x\"]", "invalid tenant"),
        ("[tenant.a]\nmax_memory = \"4k\"", "tenant.a.max_memory: the least is 6m"),
        ("[tenant.a]\nmax_memory = 4096", "line 2"),
        ("[tenant.a]\nmax_cpus = 0", "tenant.a.max_cpus: it is a number from 0.01"),
        ("[tenant.a]\nmax_pids = 0", "tenant.a.max_pids: it is a number from 1"),
        ("[tenant.a]\npaths = [\"/srv\", \"src\"]", "tenant.a.paths["),
        (
            "[tenant.a]\nprivate_registries = [\"corp\"]",
            "tenant.a.private_registries: \"corp\" is no registry",
        ),
        ("[tenant.a]\nprivate_registries = [\"r.example/app\"]", "\"r.example/app\" is no registry"),
        ("[tenant.a]\nauthfile = \"auth.json\"", "tenant.a.authfile: it is not an absolute path"),
        (
            "[tenant.a]\nsecrets = { x = { file = \"x\" } }",
            "tenant.a.secrets.x.file: it is not an absolute path",
        ),
        ("[tenant.a]\nsecrets = { x = { env = \"\" } }", "tenant.a.secrets.x.env: the name is empty"),
        ("[tenant.a]\nsecrets = { x = { value = \"polyarch_abc\" } }", "line 2: expected "),
        ("[tenant.a]\ntokens = [\"polyarch_abc\"]", "tenant.a.tokens[0]: expected sha256:"),
        (&twice, "tenant.b.tokens[0]: the same token is there before"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
        assert!(!error.contains("polyarch_abc"), "a token is not said again: {error}");
    }
}
