//! Runs every rule over one file.

use std::collections::BTreeSet;

use polyarch_actors::{ImageOs, Platform};

use super::{
    super::{
        ast::Dockerfile,
        lexer::lex,
        links::Links,
        plan::{Base, PlanOptions, find_target},
        scope::GlobalScope,
    },
    casing, comments,
    found::{Found, Warning},
    from, ignored, instructions,
    options::CheckOptions,
    source::Source,
    variables,
};
use crate::context::Ignore;

/// What a file is checked for.
#[derive(Clone, Copy, Debug)]
pub struct LintOptions<'o> {
    /// What is built of it.
    pub plan: PlanOptions<'o>,
    /// Whether stages that are not built are looked at too, as it is without a target where nothing is built.
    pub all_stages: bool,
    /// Which rules apply.
    pub checks: &'o CheckOptions,
    /// What the build context leaves out, where that is known.
    pub ignore: Option<&'o Ignore>,
}

/// The stages that are looked at instruction by instruction.
pub(super) struct Reached {
    numbers: BTreeSet<usize>,
    os: Vec<ImageOs>,
}

/// Checks a file. `text` is what `dockerfile` was parsed from.
///
/// A file that cannot be planned is checked as far as it is understood: the mistake in it is for the plan to tell.
pub fn lint(dockerfile: &Dockerfile, text: &str, options: &LintOptions<'_>) -> Vec<Warning> {
    let Ok(lexed) = lex(text) else { return Vec::new() };
    let escape = dockerfile.directives.escape;
    let source = Source::new(&lexed, dockerfile);
    let mut found = Found::new(options.checks);
    casing::check(&source, &mut found);
    comments::check(&source, escape, &mut found);
    from::check_names(&source, &mut found);
    instructions::check_maintainers(&source, &mut found);
    let Ok(scope) = GlobalScope::new(dockerfile, &options.plan) else { return found.finish() };
    from::check(&source, dockerfile, &scope, &options.plan, &mut found);
    let Ok(links) = Links::new(dockerfile, &scope, &options.plan) else { return found.finish() };
    let reached = Reached::new(dockerfile, &scope, &links, options);
    instructions::check(&source, escape, &links, &reached, &mut found);
    variables::check(&source, dockerfile, &scope, &links, &reached, &options.plan, &mut found);
    if let Some(ignore) = options.ignore {
        ignored::check(&source, escape, &reached, ignore, &mut found);
    }
    found.finish()
}

impl Reached {
    fn new(
        dockerfile: &Dockerfile,
        scope: &GlobalScope,
        links: &Links<'_>,
        options: &LintOptions<'_>,
    ) -> Self {
        let count = dockerfile.stages.len();
        let numbers = if options.all_stages {
            (0..count).collect()
        } else {
            let target = find_target(dockerfile, links, options.plan.target);
            target.and_then(|target| links.reachable(target)).unwrap_or_default()
        };
        let mut os: Vec<ImageOs> = Vec::new();
        for (number, stage) in dockerfile.stages.iter().enumerate() {
            let stated = stage.platform.as_ref().and_then(|word| scope.platform(word).ok());
            os.push(match links.base(number) {
                Base::Stage(parent) => os.get(*parent).copied().unwrap_or(options.plan.platform.os()),
                Base::Scratch => options.plan.platform.os(),
                Base::Image { .. } | Base::Context { .. } => {
                    stated.as_ref().map_or(options.plan.platform.os(), Platform::os)
                }
            });
        }
        // Nothing of a stage counts that a named context stands in for.
        let numbers = numbers.into_iter().filter(|number| !links.is_replaced(*number)).collect();
        Self { numbers, os }
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.numbers.contains(&number)
    }

    /// The OS that the instructions of a stage are for.
    pub(super) fn os(&self, number: usize) -> ImageOs {
        self.os.get(number).copied().unwrap_or(ImageOs::Linux)
    }
}
