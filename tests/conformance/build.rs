//! Builds one case with one backend, as a person would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    base::Base,
    case::{Case, Failure},
    compare,
    describe::describe,
    image::Image,
    setup, windows,
};
use crate::support::command::Ended;

/// How long one build may take, in seconds; most take one.
const LIMIT: &str = "180";

/// What the cases of one backend share.
pub(super) struct Bench<'a> {
    pub(super) backend: &'a str,
    pub(super) base: &'a Base,
    /// Where the base of Windows is, as `--build-context` takes it.
    pub(super) windows: &'a str,
    /// The address of a registry for what cases build before; that of the base is only read.
    pub(super) registry: &'a str,
    pub(super) store: &'a Path,
    /// Where the copies are.
    pub(super) folder: &'a Path,
    /// Whether the golden files are to be what this backend gives.
    pub(super) update: bool,
}

impl Bench<'_> {
    /// Builds a case. Returns what is wrong with the result, a line each.
    pub(super) fn judge(&self, case: &Case) -> Vec<String> {
        let copy = self.folder.join(&case.name);
        setup::prepare(&case.folder, &copy, &case.ask.setup);
        let problems = self.judge_copy(case, &copy);
        let _ = fs::remove_dir_all(&copy);
        problems
    }

    fn judge_copy(&self, case: &Case, copy: &Path) -> Vec<String> {
        let mut contexts = vec![format!("busybox=docker-image://{}", self.base.reference)];
        if case.is_for_windows() {
            contexts.push(format!("windows={}", self.windows));
        }
        contexts.extend(case.ask.contexts.iter().map(|(name, source)| format!("{name}={source}")));
        for (at, (name, file)) in case.ask.bases.iter().enumerate() {
            let reference = format!("{}/{}/base{at}:{}", self.registry, case.name, self.backend);
            let mut command = self.command(case, copy, &contexts[..1]);
            command.args(["--push", "-t", &reference, "-f", file, "."]);
            let ended = Ended::of(&mut command);
            if ended.code != Some(0) {
                return vec![format!("  {file} was not built: {}", ended.stderr)];
            }
            contexts.push(format!("{name}=docker-image://{reference}"));
        }
        let layout = self.folder.join(format!("{}.layout", case.name));
        let mut command = self.command(case, copy, &contexts);
        command.args(arguments(case)).arg("-o");
        command.arg(format!("type=oci,tar=false,dest={}", layout.display()));
        let context = case.ask.context.as_deref().unwrap_or(".");
        let file = case.ask.file.as_deref().unwrap_or("Dockerfile");
        command.args(["-f", file, context]);
        let ended = Ended::of(&mut command);
        let problems = match case.failure(self.backend) {
            Some(failure) => failed(&ended, failure),
            None if ended.code == Some(0) => self.compare(case, &layout),
            None => {
                let last = ended.stderr.lines().skip_while(|line| !line.starts_with("error: "));
                let last: Vec<String> = last.map(|line| format!("  {line}")).collect();
                [vec![format!("  exit code {:?}", ended.code)], last].concat()
            }
        };
        let _ = fs::remove_dir_all(&layout);
        problems
    }

    fn command(&self, case: &Case, copy: &Path, contexts: &[String]) -> Command {
        // A case that hangs fails, and the others go on.
        let mut command = Command::new("timeout");
        command.args(["--kill-after=20", LIMIT, env!("CARGO_BIN_EXE_polyarch")]);
        command.current_dir(copy).stdin(Stdio::null());
        for variable in ["POLYARCH_BACKEND", "POLYARCH_LOG", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"] {
            command.env_remove(variable);
        }
        command.env("HOME", self.folder).envs(&case.ask.environment);
        command.arg("--store").arg(self.store).args(["build", "--progress", "plain"]);
        command.args(["--backend", self.backend]);
        if let Some(platform) = &case.ask.platform {
            command.args(["--platform", platform]);
        }
        command.args(contexts.iter().flat_map(|context| ["--build-context", context]));
        command
    }

    fn compare(&self, case: &Case, layout: &Path) -> Vec<String> {
        let lines = if case.is_for_windows() {
            windows::describe(layout)
        } else {
            describe(&Image::read(layout), &self.base.images, case.ask.times)
        };
        if self.update && case.ask.fails.is_none() {
            let new = compare::undone(case, self.backend, lines);
            let old: Vec<String> =
                fs::read_to_string(case.golden()).unwrap_or_default().lines().map(str::to_owned).collect();
            // A known difference may move lines, which says nothing.
            if !compare::differences(&old, &new).is_empty() {
                fs::write(case.golden(), new.join("\n") + "\n").expect("written");
            }
            return Vec::new();
        }
        let golden = match &case.ask.fails {
            // Nothing was to come; what comes all the same is a difference.
            Some(_) => Ok(String::new()),
            None => fs::read_to_string(case.golden()),
        };
        let Ok(golden) = golden else {
            return [vec!["  there is no expected.txt; this came:".to_owned()], lines].concat();
        };
        match compare::expected(case, self.backend, &golden) {
            Ok(expected) => compare::differences(&expected, &lines),
            Err(problem) => vec![problem],
        }
    }
}

fn arguments(case: &Case) -> Vec<String> {
    let ask = &case.ask;
    let mut arguments = Vec::new();
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    ask.args.iter().for_each(|(name, value)| add("--build-arg", format!("{name}={value}")));
    ask.labels.iter().for_each(|(name, value)| add("--label", format!("{name}={value}")));
    ask.secrets.iter().for_each(|secret| add("--secret", secret.clone()));
    ask.ssh.iter().for_each(|ssh| add("--ssh", ssh.clone()));
    ask.target.iter().for_each(|target| add("--target", target.clone()));
    arguments.extend(ask.flags.iter().cloned());
    arguments
}

fn failed(ended: &Ended, failure: &Failure) -> Vec<String> {
    let mut problems = Vec::new();
    if ended.code != Some(failure.code) {
        problems.push(format!("  exit code {:?}, not {}", ended.code, failure.code));
    }
    let missing = failure.says.iter().filter(|words| !ended.stderr.contains(*words));
    problems.extend(missing.map(|words| format!("  it does not say {words:?}")));
    if !problems.is_empty() {
        problems.extend(ended.stderr.lines().map(|line| format!("  | {line}")));
    }
    problems
}

/// The backends of the suite that this machine can use.
pub(super) fn usable(backends: &[&'static str], store: &Path) -> Vec<&'static str> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    command.env_remove("POLYARCH_BACKEND").arg("--store").arg(store);
    let reports = Ended::of(command.args(["backends", "--format", "json"])).success();
    let reports: serde_json::Value = serde_json::from_str(&reports).expect("json");
    let reports = reports.as_array().cloned().unwrap_or_default();
    let is_usable = |name: &&str| {
        let mut of_backend = reports.iter().filter(|report| report["id"] == **name);
        of_backend.any(|report| !report["capabilities"]["availability"]["usable"].is_null())
    };
    backends.iter().copied().filter(is_usable).collect()
}

/// A folder of its own for a backend.
pub(super) fn place(folder: &Path, backend: &str) -> PathBuf {
    let place = folder.join(backend);
    fs::create_dir(&place).expect("a folder");
    place
}
