use polyarch_actors::{BuildId, ContextSource, DockerfileSource, SecretRef, SecretSource, SshRef};

use super::*;

fn request() -> BuildRequest {
    let dockerfile = DockerfileSource::new("Dockerfile", "FROM scratch\n");
    let context = ContextSource::Directory("C:\\work".into());
    BuildRequest::new(BuildId::generate(), "linux/arm64".parse().expect("platform"), dockerfile, context)
}

fn build(request: &BuildRequest) -> Result<Vec<String>, BuildError> {
    let found = Found::for_tests("linux/amd64".parse().expect("platform"));
    let place = Place { folder: "/root/work", id: "abc", found: &found };
    let pinned = BTreeMap::from([("a:1".to_owned(), "0123".to_owned())]);
    place.build(&Build { request, isolation: "oci", pinned: &pinned })
}

#[test]
fn everything_is_in_the_work_folder_and_nothing_of_this_machine_is_named() {
    let mut request = request();
    let more = NamedContext::Directory("C:\\more".into());
    request.build_contexts = BTreeMap::from([("more".to_owned(), more)]);
    request.secrets = vec![SecretRef { id: "s".into(), source: SecretSource::Env("TOKEN".into()) }];
    request.ssh = vec![SshRef { id: "default".into(), paths: vec!["C:\\key".into()] }];
    let words = build(&request).expect("words");
    assert_eq!(words[..3], ["buildah", "--root=/root/work/root", "--runroot=/root/work/run"]);
    for word in [
        "--platform=linux/arm64",
        "--cgroup-parent=/polyarch-abc",
        "BUILDPLATFORM=linux/amd64",
        "id=s,src=/root/work/secrets/0",
        "default=/root/work/keys/0-0",
        "more=/root/work/contexts/0",
        "a:1=container-image://0123",
    ] {
        assert!(words.iter().any(|found| found == word), "{word} in {words:?}");
    }
    assert_eq!(words.last().map(String::as_str), Some("/root/work/context"));
    assert!(!words.iter().any(|word| word.contains("C:") || word.contains("TOKEN")), "{words:?}");
}

#[test]
fn of_all_variables_only_the_proxies_of_the_request_are_set() {
    let mut request = request();
    let given = [("HTTPS_PROXY", "http://proxy:1"), ("PATH", "/evil")];
    request.build_args = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let words = build(&request).expect("words");
    assert_eq!(words[..3], ["env", "HTTPS_PROXY=http://proxy:1", "buildah"]);
}

#[test]
fn ids_that_buildah_would_take_apart_are_refused() {
    let mut request = request();
    request.secrets = vec![SecretRef { id: "a,b".into(), source: SecretSource::Env("TOKEN".into()) }];
    assert!(matches!(build(&request), Err(BuildError::Invalid { .. })));
}
