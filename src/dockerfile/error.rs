//! What can be wrong with a Dockerfile, and where.

use polyarch_actors::PlatformError;

use super::{expand::ExpandError, lint::CheckOptionError, snippet::snippet, windows_run::WindowsRunError};

/// The largest Dockerfile that is read, in bytes; BuildKit's limit is the same.
pub(crate) const LARGEST_DOCKERFILE: u64 = 2 << 20;
/// The most instructions of a Dockerfile, stages among them.
pub(super) const MOST_INSTRUCTIONS: usize = 10_000;
/// The most stages of a Dockerfile.
pub(super) const MOST_STAGES: usize = 1000;

/// A part of a Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The byte at which it starts.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
    /// The line of its first byte; the first line is 1.
    pub line: usize,
    /// The line of its last byte.
    pub last_line: usize,
}

impl Span {
    /// A mistake at this place, to be completed with the file's name.
    pub(super) fn mistake(self, kind: ErrorKind) -> Mistake {
        Mistake { span: self, kind: Box::new(kind) }
    }
}

/// A mistake in a Dockerfile: what it is and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {kind}", line = .span.line)]
pub struct DockerfileError {
    /// The name of the Dockerfile, as the caller gave it.
    pub file: String,
    /// The part of the file that has to change.
    pub span: Span,
    /// What is wrong; its message does not repeat the place.
    pub kind: Box<ErrorKind>,
}

impl DockerfileError {
    /// The lines of `text` that the error is about, with a caret under its place.
    pub fn snippet(&self, text: &str) -> String {
        snippet(&self.file, text, self.span)
    }
}

/// A [`DockerfileError`] before it is known in which file it is.
#[derive(Debug)]
pub(super) struct Mistake {
    span: Span,
    kind: Box<ErrorKind>,
}

impl Mistake {
    pub(super) fn in_file(self, file: &str) -> DockerfileError {
        DockerfileError { file: file.to_owned(), span: self.span, kind: self.kind }
    }
}

/// Everything that can be wrong with a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// No instruction at all.
    #[error("the file has no instruction; begin with FROM and a base image")]
    EmptyFile,
    /// A file beyond all measure.
    #[error("the Dockerfile has more than {LARGEST_DOCKERFILE} bytes")]
    TooLarge,
    /// More instructions than anybody writes.
    #[error("these are more than {MOST_INSTRUCTIONS} instructions")]
    TooManyInstructions,
    /// More stages than anybody writes.
    #[error("these are more than {MOST_STAGES} stages")]
    TooManyStages,
    /// Nothing but ARG instructions.
    #[error("the file has no FROM instruction, so there is nothing to build; add FROM and a base image")]
    NoFrom,
    /// Something other than ARG before the first FROM.
    #[error("{instruction} stands before the first FROM, where only ARG may; move it below")]
    BeforeFrom {
        /// The instruction's keyword.
        instruction: String,
    },
    /// A first word that is no instruction.
    #[error("`{name}` is not an instruction{}", did_you_mean(.suggestion.as_deref()))]
    UnknownInstruction {
        /// The word.
        name: String,
        /// The nearest instruction.
        suggestion: Option<String>,
    },
    /// A flag that the instruction does not have.
    #[error("{instruction} has no flag --{flag}{}", did_you_mean(.suggestion.as_deref()))]
    UnknownFlag {
        /// The instruction's keyword.
        instruction: String,
        /// The flag without its dashes.
        flag: String,
        /// The nearest flag, with its dashes.
        suggestion: Option<String>,
    },
    /// A flag given twice that counts once.
    #[error("--{flag} is given twice; keep one")]
    DuplicateFlag {
        /// The flag without its dashes.
        flag: String,
    },
    /// A flag without the value it needs.
    #[error("--{flag} needs a value: --{flag}=…")]
    MissingFlagValue {
        /// The flag without its dashes.
        flag: String,
    },
    /// A flag with a value it cannot have.
    #[error("--{flag} cannot be `{value}`; it must be {expected}")]
    BadFlagValue {
        /// The flag without its dashes.
        flag: String,
        /// What was given.
        value: String,
        /// What can be given.
        expected: &'static str,
    },
    /// A flag's value that is no duration.
    #[error("--{flag} cannot be `{value}`; it must be a duration of at least 1ms, such as 30s or 1m30s")]
    BadDuration {
        /// The flag without its dashes.
        flag: String,
        /// What was given.
        value: String,
    },
    /// Fewer or more arguments than the instruction takes.
    #[error("{instruction} needs {needs}")]
    Arguments {
        /// The instruction's keyword.
        instruction: String,
        /// What it takes.
        needs: &'static str,
    },
    /// `ENV a=b c` or `LABEL a=b c`.
    #[error("`{word}` has no `=`; write name=value, and quote values with spaces")]
    MissingEquals {
        /// The word that is no pair.
        word: String,
    },
    /// `ENV =x`, `LABEL =x` or `ARG =x`.
    #[error("{instruction} has a value without a name; write name=value")]
    BlankName {
        /// The instruction's keyword.
        instruction: String,
    },
    /// A stage name that no other instruction could refer to.
    #[error("`{name}` cannot name a stage; use letters, digits, `-`, `_` and `.`, and begin with a letter")]
    InvalidStageName {
        /// The name.
        name: String,
    },
    /// Two stages of one name.
    #[error("the stage name `{name}` is already taken by line {first_line}; choose another")]
    DuplicateStageName {
        /// The name.
        name: String,
        /// The line of the first stage's FROM.
        first_line: usize,
    },
    /// An instruction that exists in JSON form only.
    #[error("{instruction} needs a JSON array of strings, such as [\"/bin/bash\", \"-c\"]")]
    NotJson {
        /// The instruction's keyword.
        instruction: String,
    },
    /// A JSON array with something other than strings.
    #[error("{instruction} has a JSON array with something other than strings; quote every element")]
    JsonNotStrings {
        /// The instruction's keyword.
        instruction: String,
    },
    /// `HEALTHCHECK` followed by something other than CMD or NONE.
    #[error("HEALTHCHECK cannot be followed by `{word}`; write HEALTHCHECK CMD … or HEALTHCHECK NONE")]
    UnknownHealthcheck {
        /// The word.
        word: String,
    },
    /// An instruction that cannot be a trigger.
    #[error("{trigger} cannot be an ONBUILD trigger; write it in the Dockerfile that uses the image")]
    OnbuildTrigger {
        /// The trigger's keyword.
        trigger: String,
    },
    /// A parser directive given twice.
    #[error("the parser directive `{name}` is given twice; keep one")]
    DuplicateDirective {
        /// The directive's name.
        name: &'static str,
    },
    /// An escape character other than the two.
    #[error("the escape character cannot be `{value}`; it must be ` or \\")]
    BadEscape {
        /// What was given.
        value: String,
    },
    /// A `# check=` that cannot be read.
    #[error(transparent)]
    Check(#[from] CheckOptionError),
    /// A heredoc without its last line.
    #[error("the heredoc is never closed; end it with a line that is exactly `{name}`")]
    UnterminatedHeredoc {
        /// The delimiter.
        name: String,
    },
    /// A heredoc where a path belongs.
    #[error("{instruction} cannot write to a heredoc; its last argument must be a path")]
    HeredocDestination {
        /// The instruction's keyword.
        instruction: String,
    },
    /// A `--mount` that cannot be read.
    #[error(
        "--mount is malformed; write comma-separated key=value pairs, such as type=cache,target=/root/.cache"
    )]
    MalformedMount,
    /// A `--mount` option that does not exist.
    #[error("--mount has no option `{key}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownMountOption {
        /// The option.
        key: String,
        /// The nearest option.
        suggestion: Option<String>,
    },
    /// A `--mount` option with a value it cannot have.
    #[error("the --mount option `{key}` cannot be `{value}`; it must be {expected}")]
    BadMountOption {
        /// The option.
        key: String,
        /// What was given.
        value: String,
        /// What can be given.
        expected: &'static str,
    },
    /// A variable where the stage must be known before variables are.
    #[error(
        "`{value}` has a variable, which `from` cannot have; use it in a FROM … AS name, and copy from that name"
    )]
    VariableInFrom {
        /// What was given.
        value: String,
    },
    /// A variable that cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A FROM that names nothing once its variables are expanded.
    #[error("the base `{expression}` is empty{}", unset_hint(.unset.as_deref(), .suggestion.as_deref()))]
    BlankBase {
        /// The base as written.
        expression: String,
        /// A variable in it that has no value.
        unset: Option<String>,
        /// The nearest variable that has one.
        suggestion: Option<String>,
    },
    /// A FROM platform that is empty once its variables are expanded.
    #[error("the platform `{expression}` is empty{}", unset_hint(.unset.as_deref(), .suggestion.as_deref()))]
    BlankPlatform {
        /// The platform as written.
        expression: String,
        /// A variable in it that has no value.
        unset: Option<String>,
        /// The nearest variable that has one.
        suggestion: Option<String>,
    },
    /// A FROM platform that is none.
    #[error("--platform={expression}: {source}")]
    InvalidPlatform {
        /// The platform as written.
        expression: String,
        /// Why it is none.
        source: PlatformError,
    },
    /// A target that is no stage.
    #[error("there is no stage `{name}` to build{}; the stages are {}", did_you_mean_inline(.suggestion.as_deref()), .stages.join(", "))]
    UnknownStage {
        /// The target that was asked for.
        name: String,
        /// The nearest stage.
        suggestion: Option<String>,
        /// Every stage by its name, or by its number where it has none.
        stages: Vec<String>,
    },
    /// A `--from` number that is no stage.
    #[error("there is no stage number {number}; the stages are numbered 0 to {last}")]
    UnknownStageNumber {
        /// What was given.
        number: String,
        /// The last stage's number.
        last: usize,
    },
    /// A use of a stage that comes later in the file.
    #[error("the stage `{name}` is only defined at line {defined}; move it above the stage that uses it")]
    ForwardReference {
        /// The stage as written.
        name: String,
        /// The line of its FROM.
        defined: usize,
    },
    /// A step that asks for more than its build allows.
    #[error("RUN --security=insecure asks for all rights, which this build does not allow")]
    InsecureNotAllowed,
    /// A step that asks for a network that its build does not allow.
    #[error("RUN --network=host asks for the network of the machine, which this build does not allow")]
    HostNetworkNotAllowed,
    /// A step that no Windows can run.
    #[error(transparent)]
    WindowsRun(#[from] WindowsRunError),
    /// Stages that need each other.
    #[error("the stage `{name}` needs itself through this; copy from another stage")]
    CircularReference {
        /// The stage as written.
        name: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

fn did_you_mean_inline(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

fn unset_hint(unset: Option<&str>, suggestion: Option<&str>) -> String {
    match (unset, suggestion) {
        (Some(name), Some(known)) => format!(": the variable {name} has no value; did you mean {known}?"),
        (Some(name), None) => {
            format!(": the variable {name} has no value; declare it with ARG before the first FROM")
        }
        (None, _) => "; give it a value".to_owned(),
    }
}
