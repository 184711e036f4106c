//! Options whose value may be for some platforms alone: `PATTERN=VALUE` beside the plain value.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    io::{self, Read},
    path::{Path, PathBuf},
};

use polyarch_actors::{BackendId, Platform};

use super::{args::BuildArgs, options, report::Failure};
use crate::{
    PlatformValues, config,
    pattern::PlatformPattern,
    sources::is_http,
    spec::{BuildSpec, DockerfileInput},
};

/// What an option says, and the platforms it is for; all if there is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForPlatforms<T> {
    pattern: Option<PlatformPattern>,
    value: T,
}

impl<T> ForPlatforms<T> {
    fn plain(value: T) -> Self {
        Self { pattern: None, value }
    }

    /// Whether it is for this platform too.
    pub(super) fn is_for(&self, platform: &Platform) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(platform))
    }
}

impl<T: AsRef<OsStr>> ForPlatforms<T> {
    /// The option as it is written.
    pub(super) fn written(&self) -> String {
        let value = self.value.as_ref().display();
        match &self.pattern {
            Some(pattern) => format!("{pattern}={value}"),
            None => value.to_string(),
        }
    }
}

/// The text before the first `=` where it looks like platforms, and what follows.
fn head(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(head, _)| head.contains(['/', '*']))
}

/// Reads `[PATTERN=]VALUE`, where a value has neither `/` nor `*` before its first `=`: stages, backends, and
/// arguments, whose names have neither.
pub(super) fn word(text: &str) -> Result<ForPlatforms<String>, String> {
    let Some((head, value)) = head(text) else { return Ok(ForPlatforms::plain(text.to_owned())) };
    let pattern: PlatformPattern =
        head.parse().map_err(|error| format!("{head:?} before the = means no platforms: {error}"))?;
    if value.is_empty() {
        return Err(format!("nothing stands after {head}="));
    }
    Ok(ForPlatforms { pattern: Some(pattern), value: value.to_owned() })
}

/// Reads `[PATTERN=]FILE`. The name of a file can be anything: one that is there, addresses, and what does not begin
/// with platforms are plain.
pub(super) fn file(text: OsString) -> Result<ForPlatforms<PathBuf>, String> {
    if text.is_empty() {
        return Err("the name of a file is not empty".to_owned());
    }
    let is_plain = |text: &str| is_http(text) || Path::new(text).exists();
    let split = text.to_str().filter(|text| !is_plain(text)).and_then(head);
    let split = split.filter(|(_, value)| !value.is_empty());
    if let Some((Ok(pattern), value)) = split.map(|(head, value)| (head.parse(), value)) {
        return Ok(ForPlatforms { pattern: Some(pattern), value: value.into() });
    }
    Ok(ForPlatforms::plain(text.into()))
}

/// Reads `[PATTERN=]NAME=SOURCE`. The name of an image can be a context's, and has `/` in it: there are platforms only
/// where they are followed by a name of their own.
pub(super) fn context(text: &str) -> Result<ForPlatforms<String>, String> {
    let Some((head, rest)) = head(text) else { return Ok(ForPlatforms::plain(text.to_owned())) };
    let has_name = rest.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains("://"));
    match head.parse() {
        Ok(pattern) if has_name => Ok(ForPlatforms { pattern: Some(pattern), value: rest.to_owned() }),
        _ if head.contains('*') => Err("expected PATTERN=NAME=SOURCE".to_owned()),
        _ => Ok(ForPlatforms::plain(text.to_owned())),
    }
}

/// Puts what the arguments say into a spec, for all platforms and for some.
pub(super) fn fill(spec: &mut BuildSpec, args: &BuildArgs) -> Result<(), Failure> {
    let mut streamed = None;
    if let Some(path) = only("--file", &args.files)? {
        spec.dockerfile = dockerfile(path, &mut streamed)?;
    }
    spec.target = only("--target", &args.targets)?.cloned();
    for (pattern, path) in of_some(&args.files) {
        let dockerfile = Some(dockerfile(path, &mut streamed)?);
        spec.for_platforms.push(PlatformValues { dockerfile, ..PlatformValues::new(pattern) });
    }
    for (pattern, target) in of_some(&args.targets) {
        let target = Some(target.clone());
        spec.for_platforms.push(PlatformValues { target, ..PlatformValues::new(pattern) });
    }
    let plain: Vec<String> = of_all(&args.build_args).cloned().collect();
    spec.build_args = options::build_args(&plain).map_err(Failure::usage)?;
    for (pattern, pair) in of_some(&args.build_args) {
        let build_args = options::build_args(std::slice::from_ref(pair)).map_err(Failure::usage)?;
        spec.for_platforms.push(PlatformValues { build_args, ..PlatformValues::new(pattern) });
    }
    for context in of_all(&args.build_contexts) {
        let (name, context) = options::build_context(context).map_err(Failure::usage)?;
        spec.build_contexts.insert(name, context);
    }
    for (pattern, context) in of_some(&args.build_contexts) {
        let build_contexts = BTreeMap::from([options::build_context(context).map_err(Failure::usage)?]);
        spec.for_platforms.push(PlatformValues { build_contexts, ..PlatformValues::new(pattern) });
    }
    let (backend, for_platforms) = backends(&args.backends)?;
    spec.backend = backend;
    spec.for_platforms.extend(for_platforms);
    Ok(())
}

/// The backend for all platforms, and those for some. Where none is given for all, the environment's counts.
pub(super) fn backends(
    given: &[ForPlatforms<String>],
) -> Result<(Option<BackendId>, Vec<PlatformValues>), Failure> {
    let mut given = given.to_vec();
    if of_all(&given).next().is_none()
        && let Ok(text) = env::var(config::BACKEND_VARIABLE)
    {
        let wrong = |reason| Failure::usage(format!("{}: {reason}", config::BACKEND_VARIABLE));
        given.push(word(&text).map_err(wrong)?);
    }
    // An empty variable is as good as none.
    let all = only("--backend", &given)?.filter(|name| !name.is_empty());
    let of_some = of_some(&given).map(|(pattern, name)| {
        let backend = Some(BackendId::new(name));
        PlatformValues { backend, ..PlatformValues::new(pattern) }
    });
    Ok((all.map(|name| BackendId::new(name)), of_some.collect()))
}

fn of_all<T>(given: &[ForPlatforms<T>]) -> impl Iterator<Item = &T> {
    given.iter().filter(|one| one.pattern.is_none()).map(|one| &one.value)
}

fn of_some<T>(given: &[ForPlatforms<T>]) -> impl Iterator<Item = (PlatformPattern, &T)> {
    given.iter().filter_map(|one| Some((one.pattern.clone()?, &one.value)))
}

/// The value for all platforms, of which there can be one.
fn only<'g, T: AsRef<OsStr>>(option: &str, given: &'g [ForPlatforms<T>]) -> Result<Option<&'g T>, Failure> {
    let mut values = of_all(given);
    let first = values.next();
    match first.zip(values.next()) {
        Some((first, second)) => {
            let [first, second] = [first, second].map(|value| value.as_ref().display());
            let sentence = format!("{option} is given twice for all platforms: {first} and {second}");
            Err(Failure::usage(sentence)
                .hint(format!("say for which platforms one is: {option} 'linux/arm*=…'")))
        }
        None => Ok(first),
    }
}

/// Where a Dockerfile is. Standard input is read once, however many platforms it serves.
fn dockerfile(path: &Path, streamed: &mut Option<String>) -> Result<DockerfileInput, Failure> {
    if is_http(&path.to_string_lossy()) {
        return Ok(DockerfileInput::Url(path.to_string_lossy().into_owned()));
    }
    if path != Path::new("-") {
        return Ok(DockerfileInput::Path(path.to_owned()));
    }
    let text = if let Some(text) = streamed {
        text.clone()
    } else {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map_err(|error| {
            Failure::usage(format!("cannot read the Dockerfile from standard input: {error}"))
        })?;
        streamed.insert(text).clone()
    };
    Ok(DockerfileInput::Text { name: "Dockerfile".into(), text })
}

/// Whether a Dockerfile comes on standard input.
pub(super) fn is_streamed(files: &[ForPlatforms<PathBuf>]) -> bool {
    files.iter().any(|file| file.value == Path::new("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split<T>(read: Result<ForPlatforms<T>, String>) -> (String, T) {
        let read = read.expect("an option");
        (read.pattern.as_ref().map_or_else(String::new, ToString::to_string), read.value)
    }

    #[test]
    fn what_looks_like_platforms_before_the_first_equals_sign_are_platforms() {
        for (text, pattern, value) in [
            ("linux/arm*=small", "linux/arm*", "small"),
            ("*=a=b", "*", "a=b"),
            ("linux/arm64=KEY=a/b=c", "linux/arm64", "KEY=a/b=c"),
            ("KEY=linux/arm64=x", "", "KEY=linux/arm64=x"),
            ("KEY", "", "KEY"),
            ("a/b", "", "a/b"),
            ("", "", ""),
        ] {
            assert_eq!(split(word(text)), (pattern.to_owned(), value.to_owned()), "{text}");
            assert_eq!(word(text).expect("an option").written(), text);
        }
        for (text, reason) in [
            ("beos/x86=small", "unknown OS"),
            ("l*x/arm64=small", "invalid platform"),
            ("linux/arm64=", "nothing stands after linux/arm64="),
        ] {
            let error = word(text).expect_err(text);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn what_does_not_begin_with_platforms_is_the_name_of_a_file() {
        for (text, pattern, value) in [
            ("windows/*=d/Dockerfile", "windows/*", "d/Dockerfile"),
            ("windows/amd64=x=y", "windows/amd64", "x=y"),
            ("linux/*=-", "linux/*", "-"),
            ("./windows/*=x", "", "./windows/*=x"),
            ("a/b=x", "", "a/b=x"),
            ("linux/arm64=", "", "linux/arm64="),
            ("https://h/*?a=b", "", "https://h/*?a=b"),
        ] {
            assert_eq!(split(file(text.into())), (pattern.to_owned(), value.into()), "{text}");
        }
        assert!(file(OsString::new()).is_err());
    }

    #[test]
    fn contexts_may_be_called_as_images_are() {
        for (text, pattern, value) in [
            ("windows/*=base=docker-image://a", "windows/*", "base=docker-image://a"),
            ("linux/arm64=a/b=dir", "linux/arm64", "a/b=dir"),
            ("docker.io/library/alpine=docker-image://b", "", "docker.io/library/alpine=docker-image://b"),
            ("linux/arm64=https://h/x?a=b", "", "linux/arm64=https://h/x?a=b"),
            ("linux/arm64=dir", "", "linux/arm64=dir"),
            ("base=a=b", "", "base=a=b"),
        ] {
            assert_eq!(split(context(text)), (pattern.to_owned(), value.to_owned()), "{text}");
        }
        assert!(context("windows/*=dir").expect_err("no name").contains("expected PATTERN=NAME=SOURCE"));
    }
}
