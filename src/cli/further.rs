//! The command by which a person sees more of a failed step.

use std::{fmt::Display, path::Path};

use polyarch_actors::{BuildError, SecretSource};

use super::{args::BuildArgs, for_platforms::ForPlatforms};
use crate::Error;

/// A sentence with the command that builds the failed platform alone and shows all its output.
pub(super) fn further_command(error: &Error, args: &BuildArgs, store: Option<&Path>) -> Option<String> {
    let Error::Build(failed) = error else { return None };
    if !matches!(failed.error, BuildError::StepFailed { .. }) {
        return None;
    }
    let mut command = "polyarch build --progress plain".to_owned();
    let mut add = |flag: &str, value: &dyn Display| {
        for word in [flag, &value.to_string()] {
            if !word.is_empty() {
                command.push(' ');
                command.push_str(&shell_word(word));
            }
        }
    };
    add("--platform", &failed.platform);
    if let Some(store) = store {
        add("--store", &store.display());
    }
    // What is for other platforms alone would be refused.
    let is_for_it = |option: &&ForPlatforms<String>| option.is_for(&failed.platform);
    let files = args.files.iter().filter(|file| file.is_for(&failed.platform));
    files.for_each(|file| add("-f", &file.written()));
    for (flag, options) in [
        ("--target", &args.targets),
        ("--build-arg", &args.build_args),
        ("--build-context", &args.build_contexts),
    ] {
        options.iter().filter(is_for_it).for_each(|option| add(flag, &option.written()));
    }
    for secret in &args.secrets {
        let id = &secret.0.id;
        match &secret.0.source {
            SecretSource::File(path) => add("--secret", &format!("id={id},src={}", path.display())),
            SecretSource::Env(variable) => add("--secret", &format!("id={id},env={variable}")),
        }
    }
    for ssh in &args.ssh {
        let paths: Vec<String> = ssh.0.paths.iter().map(|path| path.display().to_string()).collect();
        let equals = if paths.is_empty() { "" } else { "=" };
        add("--ssh", &format!("{}{equals}{}", ssh.0.id, paths.join(",")));
    }
    args.steps.words().iter().for_each(|(flag, value)| add(flag, value));
    add("", &args.context);
    Some(format!("to see all that this platform prints: {command}"))
}

/// A word as a shell reads it back.
fn shell_word(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "%+,-./:=@_".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use polyarch_actors::{BuildId, Outcome};

    use super::{
        super::args::{Arguments, Command},
        *,
    };
    use crate::FailedBuild;

    #[test]
    fn the_command_has_what_is_for_the_failed_platform_and_nothing_for_others() {
        let words = [
            "polyarch",
            "build",
            "--platform=linux/amd64,linux/arm64",
            "-f=D",
            "-f=*/arm64=E F",
            "-f=*/amd64=G",
            "--target=*/amd64=x",
            "--build-arg=linux/arm*=A=1",
            "--build-arg=B=2",
            "--build-context=*/arm64=c=d",
            ".",
        ];
        let arguments = Arguments::try_parse_from(words).expect("arguments");
        let Command::Build(args) = arguments.command else { panic!("another command") };
        let error = BuildError::StepFailed { instruction: "RUN x".into(), exit_code: 1, output: Vec::new() };
        let outcome = Outcome { build: BuildId::generate(), platforms: Vec::new() };
        let platform = "linux/arm64".parse().expect("a platform");
        let failed = Error::Build(Box::new(FailedBuild { platform, error, snippet: None, outcome }));
        assert_eq!(
            further_command(&failed, &args, None).as_deref(),
            Some(
                "to see all that this platform prints: polyarch build --progress plain --platform linux/arm64 -f D \
                 -f '*/arm64=E F' --build-arg 'linux/arm*=A=1' --build-arg B=2 --build-context '*/arm64=c=d' ."
            )
        );
    }

    #[test]
    fn a_shell_reads_every_word_back() {
        for (word, written) in [
            ("linux/arm/v7", "linux/arm/v7"),
            ("", "''"),
            ("my app", "'my app'"),
            ("it's", r"'it'\''s'"),
            ("$HOME;ls", "'$HOME;ls'"),
        ] {
            assert_eq!(shell_word(word), written);
        }
    }
}
