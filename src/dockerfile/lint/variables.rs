//! Variables that nothing sets.
//!
//! BuildKit knows what a base image sets, because it has fetched it by then. Here nothing is fetched, so in a stage
//! on top of an image a variable without a value is only told of where the file itself shows that it is a slip: it
//! is declared further down or before the first FROM, it is one of the platform's, or it is one letter away from
//! one that is set.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        ast::{Dockerfile, Heredoc, InstructionKind, Sources},
        check::words,
        expand::Expander,
        links::Links,
        plan::{Base, PlanOptions},
        scope::GlobalScope,
        suggest::{is_one_slip, nearest},
    },
    found::Found,
    rule::Rule,
    run::Reached,
    source::{Source, Written, WrittenStage},
};

/// What every container has.
const PATH: &str = "PATH";
/// How many stages that begin from one another are followed; more are no Dockerfile but an attack.
const LONGEST_CHAIN: usize = 500;
/// How many undefined variables of one instruction are told of.
const MOST_NAMES: usize = 50;
/// Build arguments that BuildKit reads itself.
const NOT_FOR_STEPS: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// What the stages set, as far as they have been looked at; the last one is open.
#[derive(Default)]
struct Scopes<'s> {
    scopes: Vec<Scope<'s>>,
}

#[derive(Default)]
struct Scope<'s> {
    parent: Option<usize>,
    /// Whether an image below sets something that is not known here.
    on_image: bool,
    names: BTreeSet<&'s str>,
    /// What ARG instructions declare anywhere in the stage.
    arguments: BTreeSet<&'s str>,
}

pub(super) fn check(
    source: &Source<'_>,
    dockerfile: &Dockerfile,
    globals: &GlobalScope,
    links: &Links<'_>,
    reached: &Reached,
    options: &PlanOptions<'_>,
    found: &mut Found<'_>,
) {
    let escape = dockerfile.directives.escape;
    let mut outside: BTreeSet<&str> = globals.values.keys().map(String::as_str).collect();
    outside.extend(dockerfile.global_args.iter().map(|argument| argument.name.as_str()));
    let mut scopes = Scopes::default();
    for (number, stage) in source.stages.iter().enumerate() {
        scopes.open(links, source, number);
        let is_reached = reached.contains(number);
        for written in &stage.instructions {
            let own = names_of(&written.instruction.kind);
            if is_reached {
                let used = used(written, escape, options);
                let undefined = used.iter().filter(|name| !scopes.is_set(name)).take(MOST_NAMES);
                for name in undefined {
                    scopes.report(written, name, &own, &outside, found);
                }
            }
            if let Some(scope) = scopes.scopes.last_mut() {
                scope.names.extend(own);
            }
        }
    }
}

impl<'s> Scopes<'s> {
    fn open(&mut self, links: &Links<'_>, source: &Source<'s>, number: usize) {
        let base = links.base(number);
        let parent = base.stage().filter(|parent| *parent < self.scopes.len());
        let mut scope = Scope { parent, ..Scope::default() };
        scope.on_image = match parent.and_then(|parent| self.scopes.get(parent)) {
            Some(parent) => parent.on_image,
            None => *base != Base::Scratch,
        };
        // Triggers are carried out before anything else.
        let below = parent.and_then(|parent| source.stages.get(parent));
        for written in below.into_iter().flat_map(|stage| &stage.instructions) {
            if let InstructionKind::Onbuild(onbuild) = &written.instruction.kind {
                scope.names.extend(names_of(&onbuild.trigger.kind));
            }
        }
        scope.arguments = source.stages.get(number).map(arguments_of).unwrap_or_default();
        self.scopes.push(scope);
    }

    /// The open stage and those below it.
    fn chain(&self) -> impl Iterator<Item = &Scope<'s>> {
        let below = |scope: &&Scope<'s>| scope.parent.and_then(|parent| self.scopes.get(parent));
        std::iter::successors(self.scopes.last(), below).take(LONGEST_CHAIN)
    }

    fn is_set(&self, name: &str) -> bool {
        name == PATH || NOT_FOR_STEPS.contains(&name) || self.chain().any(|scope| scope.names.contains(name))
    }

    fn report(
        &self,
        written: &Written<'_>,
        name: &str,
        own: &[&str],
        outside: &BTreeSet<&str>,
        found: &mut Found<'_>,
    ) {
        let Some(open) = self.scopes.last() else { return };
        let on_image = open.on_image || self.chain().count() == LONGEST_CHAIN;
        let known = self.chain().map(|scope| scope.names.len()).sum();
        let names = found.may_compare(known).then(|| self.chain().flat_map(|scope| &scope.names).copied());
        let mut names = names.into_iter().flatten();
        let suggestion = if on_image {
            // Many a variable is called something like PATH, but few by swapping its letters.
            let swapped = nearest(name, [PATH]).filter(|_| name.len() == PATH.len());
            names.find(|known| is_one_slip(name, known)).filter(|_| !own.contains(&name)).or(swapped)
        } else {
            nearest(name, names.chain([PATH]))
        };
        let later = open.arguments.contains(name) && !own.contains(&name);
        if !on_image || later || outside.contains(name) || suggestion.is_some() {
            let hint = suggestion.map(|known| format!(" (did you mean ${known}?)")).unwrap_or_default();
            let message = format!("Usage of undefined variable '${name}'{hint}");
            found.add(Rule::UndefinedVar, written.statement.place_of_variable(name), message);
        }
    }
}

/// The variables that an instruction sets.
fn names_of(kind: &InstructionKind) -> Vec<&str> {
    match kind {
        InstructionKind::Env(pairs) => pairs.iter().map(|pair| pair.key.as_str()).collect(),
        InstructionKind::Arg(arguments) => arguments.iter().map(|argument| argument.name.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn arguments_of<'s>(stage: &WrittenStage<'s>) -> BTreeSet<&'s str> {
    let arguments = stage.stage.instructions.iter().filter_map(|instruction| match &instruction.kind {
        InstructionKind::Arg(arguments) => Some(arguments),
        _ => None,
    });
    arguments.flatten().map(|argument| argument.name.as_str()).collect()
}

/// The variables that an instruction uses.
fn used(written: &Written<'_>, escape: char, options: &PlanOptions<'_>) -> BTreeSet<String> {
    let no_values = BTreeMap::new();
    // Without values, every variable is one without a value.
    let expander = Expander::new(escape, &no_values);
    let of = |expander: &Expander<'_>, text: &str| {
        expander.expand(text).map(|expansion| expansion.unset).unwrap_or_default()
    };
    match &written.instruction.kind {
        // BuildKit asks for ports only once their variables are gone.
        InstructionKind::Expose(_) => BTreeSet::new(),
        InstructionKind::Arg(arguments) => {
            let mut names = BTreeSet::new();
            let mut before = BTreeSet::new();
            for argument in arguments {
                // A default that a build argument replaces is not looked at.
                let default = argument.default.as_deref().unwrap_or_default();
                if !options.build_args.contains_key(&argument.name) {
                    let new = of(&expander, default);
                    names.extend(new.into_iter().filter(|name| !before.contains(name.as_str())));
                }
                before.insert(argument.name.as_str());
            }
            names
        }
        kind => {
            let mut names = BTreeSet::new();
            for word in words(written.instruction) {
                names.extend(of(&expander, word));
            }
            for heredoc in documents(kind).filter(|heredoc| heredoc.expand) {
                names.extend(of(&Expander::for_heredoc(&no_values), &heredoc.content));
            }
            names
        }
    }
}

/// The documents of COPY and ADD; those of RUN are for a shell.
fn documents(kind: &InstructionKind) -> impl Iterator<Item = &Heredoc> {
    let sources: Option<&Sources> = match kind {
        InstructionKind::Copy(copy) => Some(&copy.sources),
        InstructionKind::Add(add) => Some(&add.sources),
        _ => None,
    };
    sources.into_iter().flat_map(|sources| &sources.heredocs)
}
