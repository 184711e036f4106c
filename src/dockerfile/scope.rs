//! The variables that FROM instructions see: the platforms, and the ARG declarations before the first FROM.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::Platform;

use super::{
    ast::{Dockerfile, InstructionKind, Word},
    error::{ErrorKind, Mistake},
    expand::Expander,
    plan::PlanOptions,
    suggest::nearest,
};

/// Build arguments that work without a declaration, beside the platforms and `BUILDKIT_…`.
const PREDEFINED: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH"];

/// The variables that FROM instructions see.
pub(super) struct GlobalScope {
    escape: char,
    pub(super) values: BTreeMap<String, String>,
}

impl GlobalScope {
    pub(super) fn new(dockerfile: &Dockerfile, options: &PlanOptions<'_>) -> Result<Self, Mistake> {
        let mut values = platform_values(dockerfile, options);
        for (name, value) in &mut values {
            if let Some(given) = options.build_args.get(name) {
                value.clone_from(given);
            }
        }
        let mut scope = Self { escape: dockerfile.directives.escape, values };
        for declaration in &dockerfile.global_args {
            let value = match (options.build_args.get(&declaration.name), &declaration.default) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => {
                    let expansion = Expander::new(scope.escape, &scope.values).expand(default);
                    expansion.map_err(|error| declaration.span.mistake(error.into()))?.text
                }
                // A declaration alone does not hide the platform of that name.
                (None, None) => continue,
            };
            scope.values.insert(declaration.name.clone(), value);
        }
        Ok(scope)
    }

    /// The base that a FROM names.
    pub(super) fn base(&self, word: &Word) -> Result<String, Mistake> {
        let expansion = self.expand(word)?;
        if !expansion.0.is_empty() {
            return Ok(expansion.0);
        }
        let (unset, suggestion) = self.explain(expansion.1);
        Err(word.span.mistake(ErrorKind::BlankBase { expression: word.text.clone(), unset, suggestion }))
    }

    /// The platform that a FROM names.
    pub(super) fn platform(&self, word: &Word) -> Result<Platform, Mistake> {
        let (text, unset) = self.expand(word)?;
        let expression = word.text.clone();
        if text.is_empty() {
            let (unset, suggestion) = self.explain(unset);
            return Err(word.span.mistake(ErrorKind::BlankPlatform { expression, unset, suggestion }));
        }
        text.parse().map_err(|source| word.span.mistake(ErrorKind::InvalidPlatform { expression, source }))
    }

    fn expand(&self, word: &Word) -> Result<(String, BTreeSet<String>), Mistake> {
        let expansion = Expander::new(self.escape, &self.values).expand(&word.text);
        let expansion = expansion.map_err(|error| word.span.mistake(error.into()))?;
        Ok((expansion.text, expansion.unset))
    }

    /// A variable without a value, and one that has a value and a similar name.
    fn explain(&self, unset: BTreeSet<String>) -> (Option<String>, Option<String>) {
        let unset = unset.into_iter().next();
        let known = self.values.keys().map(String::as_str);
        let suggestion = unset.as_deref().and_then(|name| nearest(name, known)).map(str::to_owned);
        (unset, suggestion)
    }
}

/// The predefined platform arguments, and the target's name.
fn platform_values(dockerfile: &Dockerfile, options: &PlanOptions<'_>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (prefix, platform) in [("TARGET", options.platform), ("BUILD", options.build_platform)] {
        for (name, value) in [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os().to_string()),
            ("OSVERSION", platform.os_version().unwrap_or_default().to_owned()),
            ("ARCH", platform.arch().to_owned()),
            ("VARIANT", platform.variant().unwrap_or_default().to_owned()),
        ] {
            values.insert(format!("{prefix}{name}"), value);
        }
    }
    let last = || dockerfile.stages.last().and_then(|stage| stage.name.as_deref());
    let target = options.target.filter(|target| !target.is_empty()).or_else(last).unwrap_or("default");
    values.insert("TARGETSTAGE".to_owned(), target.to_owned());
    values
}

/// Every build argument that the file declares, in any stage.
pub(super) fn declared(dockerfile: &Dockerfile) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = dockerfile.global_args.iter().map(|arg| arg.name.clone()).collect();
    for instruction in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
        let kind = match &instruction.kind {
            InstructionKind::Onbuild(onbuild) => &onbuild.trigger.kind,
            kind => kind,
        };
        if let InstructionKind::Arg(declarations) = kind {
            names.extend(declarations.iter().map(|arg| arg.name.clone()));
        }
    }
    names
}

/// Whether a build argument means something without being declared.
pub(super) fn is_predefined(name: &str) -> bool {
    let platform = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"));
    name.starts_with("BUILDKIT_")
        || name == "TARGETSTAGE"
        || platform.is_some_and(|part| ["PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT"].contains(&part))
        || PREDEFINED.iter().any(|known| name.eq_ignore_ascii_case(known))
}
