//! What one build of a Dockerfile needs: its stages, their platforms, and the images from elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::{ImageOs, Platform};

use super::{
    ast::{Dockerfile, InstructionKind, Network, Security},
    check,
    error::{DockerfileError, ErrorKind, Mistake, Span},
    links::{Links, Names},
    scope::{self, GlobalScope},
    suggest::nearest,
};

/// What is asked of a Dockerfile.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions<'o> {
    /// The stage to build, by name or number; the last one by default.
    pub target: Option<&'o str>,
    /// The platform of the image.
    pub platform: &'o Platform,
    /// The platform of the machine that builds.
    pub build_platform: &'o Platform,
    /// The values of build arguments.
    pub build_args: &'o BTreeMap<String, String>,
    /// The named contexts; each replaces the stages and images of its name.
    pub contexts: &'o BTreeSet<String>,
}

/// A Dockerfile resolved for one platform and target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The stages that the target needs, in file order; the target is among them.
    pub stages: Vec<PlannedStage>,
    /// The number of the target stage in the file.
    pub target: usize,
    /// The markers of every heredoc in the file, needed or not: a builder without heredocs cannot read past one.
    pub heredocs: Vec<Span>,
    images: Vec<ExternalImage>,
    declared_args: BTreeSet<String>,
    globals: BTreeMap<String, String>,
    names: Names,
}

/// A stage that the target needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStage {
    /// Its number in the file: `dockerfile.stages[number]`.
    pub number: usize,
    /// Its name.
    pub name: Option<String>,
    /// What it begins from; where a named context replaces the stage, that context.
    pub base: Base,
    /// The platform its instructions are for.
    pub platform: Platform,
    /// Its first RUN, in the triggers it inherits or on its own.
    pub first_run: Option<Span>,
    /// Its first RUN that asks for all rights, in the triggers it inherits or on its own.
    pub first_insecure: Option<Span>,
    /// Its first RUN that asks for the network of the machine, in the triggers it inherits or on its own.
    pub first_on_host: Option<Span>,
    /// Whether a named context stands in for the whole stage, so that none of its instructions count.
    pub replaced: bool,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nowhere.
    Scratch,
    /// The stage of this number in the file.
    Stage(usize),
    /// An image from elsewhere.
    Image {
        /// The reference as written, variables expanded.
        reference: String,
    },
    /// A named context.
    Context {
        /// Its name in [`PlanOptions::contexts`].
        name: String,
    },
}

impl Base {
    /// The number of the stage, where it is one.
    pub fn stage(&self) -> Option<usize> {
        match self {
            Self::Stage(number) => Some(*number),
            Self::Scratch | Self::Image { .. } | Self::Context { .. } => None,
        }
    }
}

/// An image that has to come from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalImage {
    /// The reference as written, variables expanded.
    pub reference: String,
    /// The platform it is needed for.
    pub platform: Platform,
    /// Where it is first asked for.
    pub span: Span,
    /// The earlier stage or the context that has nearly this name, and was perhaps meant.
    pub near: Option<String>,
}

/// Resolves a Dockerfile for one platform and target.
pub fn plan(dockerfile: &Dockerfile, options: &PlanOptions<'_>) -> Result<Plan, DockerfileError> {
    resolve(dockerfile, options).map_err(|mistake| mistake.in_file(&dockerfile.file))
}

/// The number of the stage with this name or number, whether the target needs it or not.
pub fn stage_number(
    dockerfile: &Dockerfile,
    options: &PlanOptions<'_>,
    name: &str,
) -> Result<usize, DockerfileError> {
    let find = || {
        let scope = GlobalScope::new(dockerfile, options)?;
        named_stage(dockerfile, &Links::new(dockerfile, &scope, options)?, name)
    };
    find().map_err(|mistake| mistake.in_file(&dockerfile.file))
}

impl Plan {
    /// The images from elsewhere, each once for a platform, in the order they are first asked for.
    pub fn images(&self) -> &[ExternalImage] {
        &self.images
    }

    /// The platforms that a RUN executes on; empty where the image can be assembled without running anything.
    pub fn platforms_that_run(&self) -> BTreeSet<&Platform> {
        self.stages.iter().filter(|stage| stage.first_run.is_some()).map(|stage| &stage.platform).collect()
    }

    /// The first RUN that needs a machine of this system.
    pub fn first_run_of(&self, os: ImageOs) -> Option<Span> {
        self.stages.iter().filter(|stage| stage.platform.os() == os).find_map(|stage| stage.first_run)
    }

    /// The first RUN that asks for all rights.
    pub fn first_insecure(&self) -> Option<Span> {
        self.stages.iter().find_map(|stage| stage.first_insecure)
    }

    /// The first RUN that asks for the network of the machine.
    pub fn first_on_host(&self) -> Option<Span> {
        self.stages.iter().find_map(|stage| stage.first_on_host)
    }

    /// What `ARG name` without a default takes: the platforms, and the declarations before the first FROM.
    pub fn globals(&self) -> &BTreeMap<String, String> {
        &self.globals
    }

    /// What `--from=name` of a COPY or a mount refers to. Numbers are known to COPY only.
    pub fn source(&self, name: &str, numbers: bool) -> Base {
        self.names.resolve(name, numbers)
    }

    /// The build arguments that the file declares, in any stage.
    pub fn declared_args(&self) -> &BTreeSet<String> {
        &self.declared_args
    }

    /// Those of `names` that the file does not declare and that mean nothing without that.
    pub fn undeclared_args<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
        let known = |name: &str| self.declared_args.contains(name) || scope::is_predefined(name);
        names.into_iter().filter(|name| !known(name)).collect()
    }
}

fn resolve(dockerfile: &Dockerfile, options: &PlanOptions<'_>) -> Result<Plan, Mistake> {
    let scope = GlobalScope::new(dockerfile, options)?;
    let platforms = stated_platforms(dockerfile, &scope)?;
    let links = Links::new(dockerfile, &scope, options)?;
    let target = find_target(dockerfile, &links, options.target)?;
    let reachable = links.reachable(target)?;

    let mut images = Images::default();
    let mut stages: Vec<PlannedStage> = Vec::new();
    for number in reachable {
        let stage = &dockerfile.stages[number];
        check::expansions(stage, dockerfile.directives.escape)?;
        let base = links.base(number).clone();
        let stated = || platforms[number].as_ref().unwrap_or(options.platform).clone();
        let platform = match &base {
            // A stage goes on where its base left off, and nothing is nothing for the target platform only:
            // in both cases BuildKit does not look at `--platform`.
            Base::Stage(parent) => stages
                .binary_search_by_key(parent, |planned| planned.number)
                .map_or_else(|_| stated(), |index| stages[index].platform.clone()),
            Base::Scratch => options.platform.clone(),
            Base::Image { .. } | Base::Context { .. } => stated(),
        };
        let names = || earlier(dockerfile, number).chain(options.contexts.iter().map(String::as_str));
        images.add(&base, &platform, stage.base.span, names());
        for link in links.uses(number) {
            // What is copied goes into the image, so it comes from an image of the target platform.
            images.add(&link.from, options.platform, link.word.span, names());
        }
        let first_run = links.first_run(number, |_| true);
        let first_insecure = links.first_run(number, |run| run.security == Security::Insecure);
        let first_on_host = links.first_run(number, |run| run.network == Network::Host);
        let replaced = links.is_replaced(number);
        let name = stage.name.clone();
        stages.push(PlannedStage {
            number,
            name,
            base,
            platform,
            first_run,
            first_insecure,
            first_on_host,
            replaced,
        });
    }
    Ok(Plan {
        stages,
        target,
        heredocs: heredocs(dockerfile),
        images: images.found,
        declared_args: scope::declared(dockerfile),
        globals: scope.values,
        names: Names::new(dockerfile, options.contexts),
    })
}

/// The value of each stage's `--platform`, needed or not: a mistake in one should not wait for its use.
fn stated_platforms(dockerfile: &Dockerfile, scope: &GlobalScope) -> Result<Vec<Option<Platform>>, Mistake> {
    let stated = dockerfile.stages.iter().map(|stage| stage.platform.as_ref());
    stated.map(|word| word.map(|word| scope.platform(word)).transpose()).collect()
}

/// The number of the stage that is asked for.
pub(super) fn find_target(
    dockerfile: &Dockerfile,
    links: &Links<'_>,
    target: Option<&str>,
) -> Result<usize, Mistake> {
    match target.filter(|target| !target.is_empty()) {
        Some(target) => named_stage(dockerfile, links, target),
        None => Ok(dockerfile.stages.len().saturating_sub(1)),
    }
}

/// The number of the stage with this name or number.
fn named_stage(dockerfile: &Dockerfile, links: &Links<'_>, target: &str) -> Result<usize, Mistake> {
    let stages = &dockerfile.stages;
    let last = stages.len().saturating_sub(1);
    links.stage(target).ok_or_else(|| {
        let names = stages.iter().enumerate();
        let names: Vec<String> =
            names.map(|(number, stage)| stage.name.clone().unwrap_or_else(|| number.to_string())).collect();
        let nearest = nearest(target, names.iter().map(String::as_str));
        // The name is no part of the file; the stage that was perhaps meant is the nearest place to show.
        let meant = nearest.and_then(|name| links.stage(name)).unwrap_or(last);
        let kind = ErrorKind::UnknownStage {
            name: target.to_owned(),
            suggestion: nearest.map(str::to_owned),
            stages: names.clone(),
        };
        stages[meant].span.mistake(kind)
    })
}

#[derive(Default)]
struct Images {
    found: Vec<ExternalImage>,
    seen: BTreeSet<(String, Platform)>,
}

impl Images {
    fn add<'n>(
        &mut self,
        from: &Base,
        platform: &Platform,
        span: Span,
        names: impl Iterator<Item = &'n str>,
    ) {
        let Base::Image { reference } = from else { return };
        if self.seen.insert((reference.clone(), platform.clone())) {
            // No stage has a name with a tag, a digest or a path.
            let near = if reference.contains(['/', ':', '@']) { None } else { nearest(reference, names) };
            let (reference, platform) = (reference.clone(), platform.clone());
            self.found.push(ExternalImage { reference, platform, span, near: near.map(str::to_owned) });
        }
    }
}

/// The names of the stages before one.
fn earlier(dockerfile: &Dockerfile, number: usize) -> impl Iterator<Item = &str> {
    dockerfile.stages[..number].iter().filter_map(|stage| stage.name.as_deref())
}

fn heredocs(dockerfile: &Dockerfile) -> Vec<Span> {
    let instructions = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    let heredocs = instructions.flat_map(|instruction| {
        let kind = match &instruction.kind {
            InstructionKind::Onbuild(onbuild) => &onbuild.trigger.kind,
            kind => kind,
        };
        match kind {
            InstructionKind::Run(run) => run.heredocs.as_slice(),
            InstructionKind::Copy(copy) => copy.sources.heredocs.as_slice(),
            InstructionKind::Add(add) => add.sources.heredocs.as_slice(),
            _ => &[],
        }
    });
    heredocs.map(|heredoc| heredoc.span).collect()
}
