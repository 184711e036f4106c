//! How stages hang together: what each begins from, and what it copies or mounts from.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ast::{Dockerfile, Instruction, InstructionKind, Run, Stage, Word},
    error::{ErrorKind, Mistake, Span},
    plan::{Base, PlanOptions},
    scope::GlobalScope,
};

/// Every stage of a file with its base and its links, by the stage's number.
pub(super) struct Links<'d> {
    stages: &'d [Stage],
    by_name: BTreeMap<&'d str, usize>,
    bases: Vec<Base>,
    /// Which stages a named context stands in for.
    replaced: Vec<bool>,
    /// What each stage's own instructions use.
    own: Vec<Vec<Use>>,
    /// What each stage's triggers will use, in the stages that begin from it.
    triggers: Vec<Vec<Use>>,
}

/// What the names of stages and contexts refer to, once every stage is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    stages: BTreeMap<String, usize>,
    count: usize,
    contexts: BTreeSet<String>,
}

impl Names {
    pub(super) fn new(dockerfile: &Dockerfile, contexts: &BTreeSet<String>) -> Self {
        let named = dockerfile.stages.iter().enumerate();
        let stages = named.filter_map(|(number, stage)| Some((stage.name.clone()?, number)));
        Self { stages: stages.collect(), count: dockerfile.stages.len(), contexts: contexts.clone() }
    }

    /// What a name refers to; stages go before contexts, and contexts before images.
    pub(super) fn resolve(&self, name: &str, numbers: bool) -> Base {
        if let Some(number) = self.stages.get(&name.to_ascii_lowercase()) {
            return Base::Stage(*number);
        }
        match name.parse().ok().filter(|number| numbers && *number < self.count) {
            Some(number) => Base::Stage(number),
            None if name == "scratch" => Base::Scratch,
            None => {
                context(name, &self.contexts).unwrap_or_else(|| Base::Image { reference: name.to_owned() })
            }
        }
    }
}

/// A COPY or a mount from somewhere other than the build context.
pub(super) struct Use {
    pub(super) from: Base,
    pub(super) word: Word,
}

impl<'d> Links<'d> {
    pub(super) fn new(
        dockerfile: &'d Dockerfile,
        scope: &GlobalScope,
        options: &PlanOptions<'_>,
    ) -> Result<Self, Mistake> {
        let stages = &dockerfile.stages;
        let mut links = Self {
            stages,
            by_name: BTreeMap::new(),
            bases: Vec::new(),
            replaced: Vec::new(),
            own: Vec::new(),
            triggers: Vec::new(),
        };
        for (number, stage) in stages.iter().enumerate() {
            let base = scope.base(&stage.base)?;
            let replacement = stage.name.as_deref().and_then(|name| context(name, options.contexts));
            links.replaced.push(replacement.is_some());
            // Only earlier stages are known by now, so FROM never refers to itself or ahead.
            links.bases.push(replacement.unwrap_or_else(|| links.resolve(&base, options.contexts)));
            links.by_name.extend(stage.name.as_deref().map(|name| (name, number)));
        }
        for (number, stage) in stages.iter().enumerate() {
            let (mut own, mut triggers) = (Vec::new(), Vec::new());
            if !links.replaced[number] {
                for instruction in &stage.instructions {
                    links.collect_uses(instruction, options.contexts, &mut own)?;
                }
                for trigger in triggers_of(stage) {
                    links.collect_uses(trigger, options.contexts, &mut triggers)?;
                }
            }
            links.own.push(own);
            links.triggers.push(triggers);
        }
        links.refuse_circles()?;
        Ok(links)
    }

    pub(super) fn base(&self, number: usize) -> &Base {
        &self.bases[number]
    }

    /// Whether a named context stands in for a stage.
    pub(super) fn is_replaced(&self, number: usize) -> bool {
        self.replaced[number]
    }

    /// What a stage uses: first through the triggers of the stage it begins from, then on its own.
    pub(super) fn uses(&self, number: usize) -> impl Iterator<Item = &Use> {
        self.inherited(number).iter().chain(&self.own[number])
    }

    fn inherited(&self, number: usize) -> &[Use] {
        self.bases[number].stage().map(|parent| self.triggers[parent].as_slice()).unwrap_or_default()
    }

    /// The stage that a name or, where it is no name, a number refers to.
    pub(super) fn stage(&self, name: &str) -> Option<usize> {
        let number = || name.parse().ok().filter(|number| *number < self.stages.len());
        self.by_name.get(name.to_ascii_lowercase().as_str()).copied().or_else(number)
    }

    /// The stages that `target` needs, itself included, in file order.
    pub(super) fn reachable(&self, target: usize) -> Result<BTreeSet<usize>, Mistake> {
        let mut reached = BTreeSet::new();
        let mut open = vec![target];
        while let Some(number) = open.pop() {
            if !reached.insert(number) {
                continue;
            }
            open.extend(self.bases[number].stage());
            for link in self.uses(number) {
                let Some(used) = link.from.stage() else { continue };
                // A context stands ready from the beginning, wherever the stage it replaces is.
                if used > number && !self.replaced[used] {
                    let kind = ErrorKind::ForwardReference {
                        name: link.word.text.clone(),
                        defined: self.stages[used].span.line,
                    };
                    return Err(link.word.span.mistake(kind));
                }
                open.push(used);
            }
        }
        Ok(reached)
    }

    /// The first RUN of a stage that is `wanted`: in the triggers of the stage it begins from, or on its own.
    pub(super) fn first_run(&self, number: usize, wanted: impl Fn(&Run) -> bool) -> Option<Span> {
        if self.replaced[number] {
            return None;
        }
        let parent = self.bases[number].stage().filter(|parent| !self.replaced[*parent]);
        let triggers = parent.into_iter().flat_map(|parent| triggers_of(&self.stages[parent]));
        let mut instructions = triggers.chain(&self.stages[number].instructions);
        let found = instructions.find(|one| matches!(&one.kind, InstructionKind::Run(run) if wanted(run)));
        found.map(|run| run.span)
    }

    fn collect_uses(
        &self,
        instruction: &Instruction,
        contexts: &BTreeSet<String>,
        uses: &mut Vec<Use>,
    ) -> Result<(), Mistake> {
        match &instruction.kind {
            InstructionKind::Copy(copy) => {
                if let Some(word) = &copy.from {
                    let from = if is_number(&word.text) {
                        Base::Stage(self.stage_number(word)?)
                    } else {
                        self.resolve(&word.text, contexts)
                    };
                    uses.push(Use { from, word: word.clone() });
                }
            }
            // Mounts know stages by name only; BuildKit takes a number for an image.
            InstructionKind::Run(run) => {
                let words = run.mounts.iter().filter_map(|mount| mount.from.as_ref());
                uses.extend(
                    words.map(|word| Use { from: self.resolve(&word.text, contexts), word: word.clone() }),
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn stage_number(&self, word: &Word) -> Result<usize, Mistake> {
        let number = word.text.parse().ok().filter(|number| *number < self.stages.len());
        number.ok_or_else(|| {
            let last = self.stages.len().saturating_sub(1);
            word.span.mistake(ErrorKind::UnknownStageNumber { number: word.text.clone(), last })
        })
    }

    /// What a name refers to; stages go before contexts, and contexts before images.
    ///
    /// BuildKit compares names in FROM by case and those in COPY not. No image reference has a capital letter
    /// where a stage's name could, so ignoring case in both takes no image's place.
    fn resolve(&self, name: &str, contexts: &BTreeSet<String>) -> Base {
        if let Some(number) = self.by_name.get(name.to_ascii_lowercase().as_str()) {
            return Base::Stage(*number);
        }
        if name == "scratch" {
            return Base::Scratch;
        }
        context(name, contexts).unwrap_or_else(|| Base::Image { reference: name.to_owned() })
    }

    fn use_at(&self, number: usize, index: usize) -> Option<&Use> {
        let inherited = self.inherited(number);
        inherited.get(index).or_else(|| self.own[number].get(index.checked_sub(inherited.len())?))
    }

    /// Refuses stages that copy from themselves, directly or by way of others, whether or not they are built.
    fn refuse_circles(&self) -> Result<(), Mistake> {
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Visit {
            Not,
            Open,
            Done,
        }
        let mut visits = vec![Visit::Not; self.stages.len()];
        for start in 0..self.stages.len() {
            let mut path: Vec<(usize, usize)> = Vec::new();
            if visits[start] == Visit::Not {
                visits[start] = Visit::Open;
                path.push((start, 0));
            }
            while let Some((number, next)) = path.pop() {
                let Some(link) = self.use_at(number, next) else {
                    visits[number] = Visit::Done;
                    continue;
                };
                path.push((number, next + 1));
                let Some(used) = link.from.stage() else { continue };
                match visits[used] {
                    Visit::Open => {
                        let name = link.word.text.clone();
                        return Err(link.word.span.mistake(ErrorKind::CircularReference { name }));
                    }
                    Visit::Not => {
                        visits[used] = Visit::Open;
                        path.push((used, 0));
                    }
                    Visit::Done => {}
                }
            }
        }
        Ok(())
    }
}

/// What a stage leaves for the stages that begin from it.
fn triggers_of(stage: &Stage) -> impl Iterator<Item = &Instruction> {
    stage.instructions.iter().filter_map(|instruction| match &instruction.kind {
        InstructionKind::Onbuild(onbuild) => Some(onbuild.trigger.as_ref()),
        _ => None,
    })
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The named context that stands for `name`, however the two are spelled.
fn context(name: &str, contexts: &BTreeSet<String>) -> Option<Base> {
    if ["scratch", "context"].into_iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return None;
    }
    let wanted = familiar(name);
    let found = contexts.iter().find(|context| familiar(context) == wanted)?;
    Some(Base::Context { name: found.clone() })
}

/// The shortest spelling of an image: `docker.io/library/alpine:latest` is `alpine`.
fn familiar(reference: &str) -> &str {
    let hub = reference.strip_prefix("docker.io/").or_else(|| reference.strip_prefix("index.docker.io/"));
    let path = hub.unwrap_or(reference);
    let path = path.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(path);
    path.strip_suffix(":latest").unwrap_or(path)
}
