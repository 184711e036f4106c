//! What a Dockerfile says, instruction by instruction. Variables stay as they are written.

use std::time::Duration;

use super::{error::Span, lexer::Directives};

/// A parsed Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The name that errors give it.
    pub file: String,
    /// The parser directives at its head.
    pub directives: Directives,
    /// The ARG declarations before the first FROM.
    pub global_args: Vec<ArgDeclaration>,
    /// The stages in order; there is at least one.
    pub stages: Vec<Stage>,
}

/// A FROM instruction with everything up to the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name after AS, in lower case.
    pub name: Option<String>,
    /// The image, stage or context it begins from.
    pub base: Word,
    /// The value of `--platform`.
    pub platform: Option<Word>,
    /// The FROM instruction.
    pub span: Span,
    /// What follows it.
    pub instructions: Vec<Instruction>,
}

/// A word with its place, for errors that only show once it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word, without the flag it is the value of.
    pub text: String,
    /// Its place, with the flag it is the value of.
    pub span: Span,
}

/// One instruction inside a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The whole instruction, heredocs included.
    pub span: Span,
    /// What it says.
    pub kind: InstructionKind,
}

/// What an instruction says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ADD`
    Add(Add),
    /// `ARG`
    Arg(Vec<ArgDeclaration>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`
    Env(Vec<KeyValue>),
    /// `EXPOSE`
    Expose(Vec<String>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<KeyValue>),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`
    Onbuild(Onbuild),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(String),
    /// `USER`
    User(String),
    /// `VOLUME`
    Volume(Vec<String>),
    /// `WORKDIR`
    Workdir(String),
}

/// `name` or `name=default` in an ARG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// The argument's name.
    pub name: String,
    /// Its default, quotes and all.
    pub default: Option<String>,
    /// Its place.
    pub span: Span,
}

/// `key=value` in an ENV or a LABEL, quotes and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The part before the first `=`.
    pub key: String,
    /// The rest.
    pub value: String,
}

/// A command in one of its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// JSON: the program and its arguments.
    Exec(Vec<String>),
    /// Anything else: a line for the shell.
    Shell(String),
}

/// What COPY and ADD copy, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Paths and, for ADD, addresses.
    pub paths: Vec<String>,
    /// Files that the Dockerfile itself contains.
    pub heredocs: Vec<Heredoc>,
    /// The path to copy to.
    pub destination: String,
}

/// `ADD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// What to add, and where to.
    pub sources: Sources,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// `--checksum`
    pub checksum: Option<String>,
    /// `--keep-git-dir`
    pub keep_git_dir: bool,
    /// `--unpack`; without it, local archives are unpacked and downloaded ones are not.
    pub unpack: Option<bool>,
}

/// `COPY`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// What to copy, and where to.
    pub sources: Sources,
    /// `--from`: a stage, a context or an image, instead of the build context.
    pub from: Option<Word>,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`
    pub exclude: Vec<String>,
}

/// A document inside the Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter, which is also the file's name for COPY and ADD.
    pub name: String,
    /// Whether variables in it are expanded; a quoted delimiter says no.
    pub expand: bool,
    /// Whether `<<-` asks for leading tabs to be removed; see [`Heredoc::text`].
    pub strip_tabs: bool,
    /// Its lines as written, each with a `\n` whatever the file's line breaks are.
    pub content: String,
    /// The `<<` marker.
    pub span: Span,
}

/// `RUN`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The command; markers of heredocs are still in it.
    pub command: CommandLine,
    /// The documents it refers to.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
}

/// One `--mount` of a RUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The stage, context or image it mounts from.
    pub from: Option<Word>,
    /// Everything else, in order.
    pub options: Vec<MountOption>,
}

/// An option of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOption {
    /// Its longest name: `target` for `dst`.
    pub key: String,
    /// Its value, perhaps with variables; switches may have none.
    pub value: Option<String>,
}

/// The network of a RUN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Whatever the builder gives.
    #[default]
    Default,
    /// No network.
    None,
    /// The host's.
    Host,
}

/// How far a RUN is confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// As usual.
    #[default]
    Sandbox,
    /// Not at all.
    Insecure,
}

/// `HEALTHCHECK`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// No check, not even the base image's.
    None,
    /// A command that tells whether the container is healthy.
    Probe(Probe),
}

/// The command of a HEALTHCHECK; what is `None` has the runtime's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What to run.
    pub command: CommandLine,
    /// `--interval`
    pub interval: Option<Duration>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--start-period`
    pub start_period: Option<Duration>,
    /// `--start-interval`
    pub start_interval: Option<Duration>,
    /// `--retries`
    pub retries: Option<u32>,
}

/// `ONBUILD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onbuild {
    /// What a build on top of the image begins with.
    pub trigger: Box<Instruction>,
    /// The same as text, for the image's config.
    pub expression: String,
}
