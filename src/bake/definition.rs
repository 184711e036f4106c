//! Files to groups, targets and variables.

use std::{collections::BTreeMap, thread};

use serde::Serialize;

use super::{
    attributes,
    block::{Block, Contents, read_hcl},
    compose,
    error::{BakeError, BakeFault, Place},
    eval::told,
    json::read_json,
    matrix,
    scope::World,
    target::Target,
};

/// The stack on which files are read and expressions are worked out; they are as deep as that allows.
const STACK: usize = 64 << 20;
/// The longest file that is read, in bytes.
const LONGEST: usize = 4 << 20;
/// The most targets of a definition.
const MOST_TARGETS: usize = 4096;

/// What definitions see of the world.
pub struct Surroundings<'s> {
    /// The environment, or what the command line says instead.
    pub environment: &'s (dyn Fn(&str) -> Option<String> + Sync),
    /// Variables that are always there.
    pub builtins: BTreeMap<String, String>,
    /// What compose files find where the environment says nothing: the file `.env`.
    pub compose_defaults: BTreeMap<String, String>,
}

impl Surroundings<'_> {
    fn for_compose(&self, name: &str) -> Option<String> {
        (self.environment)(name).or_else(|| self.compose_defaults.get(name).cloned())
    }
}

/// What a group of targets has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The targets and groups in it.
    pub targets: Vec<String>,
    /// Where a file says which they are.
    #[serde(skip)]
    pub place: Option<Place>,
}

/// A variable, for whoever wants to set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableInfo {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it is now.
    pub value: String,
}

/// What files say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// The groups; the first one of a name counts.
    pub groups: Vec<Group>,
    /// The targets, in the order of the files.
    pub targets: Vec<Target>,
    /// The variables by name.
    pub variables: Vec<VariableInfo>,
}

impl Definition {
    /// Reads files, each a name and a text. The end of a name says what is in the file; where it does not, the text does.
    ///
    /// # Errors
    /// [`BakeError`] with the place of what is wrong.
    pub fn read(files: &[(String, String)], surroundings: &Surroundings<'_>) -> Result<Self, BakeError> {
        on_large_stack(|| read_files(files, surroundings))
    }
}

/// Does something that may go deep.
pub(super) fn on_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, BakeError> + Send,
) -> Result<T, BakeError> {
    thread::scope(|scope| {
        let failed = |reason: String| BakeError::from(BakeFault::Syntax { reason });
        let worker = thread::Builder::new().name("polyarch-bake".into()).stack_size(STACK);
        let worker = worker.spawn_scoped(scope, work);
        let worker = worker.map_err(|error| failed(format!("no thread can be started: {error}")))?;
        match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn read_files(files: &[(String, String)], surroundings: &Surroundings<'_>) -> Result<Definition, BakeError> {
    let mut definition = Definition::default();
    let mut contents = Contents::default();
    let mut services = Vec::new();
    let for_compose = |name: &str| surroundings.for_compose(name);
    for (name, text) in files {
        if text.len() > LONGEST {
            return Err(BakeFault::Value { what: name.clone(), reason: "the file is too long".into() }.into());
        }
        let more = match kind(name, text) {
            FileKind::Compose => {
                services.push(compose::read(name, text, &for_compose)?);
                continue;
            }
            FileKind::Json => read_json(name, text)?,
            FileKind::Hcl => read_hcl(name, text)?,
            FileKind::Unknown => match read_hcl(name, text) {
                Ok(contents) => contents,
                Err(error) => match compose::read(name, text, &for_compose) {
                    Ok(read) => {
                        services.push(read);
                        continue;
                    }
                    Err(_) => return Err(error),
                },
            },
        };
        contents.attributes.extend(more.attributes);
        contents.blocks.extend(more.blocks);
    }
    compose::add(&mut definition, services, &for_compose)?;
    add_contents(&mut definition, &contents, surroundings)?;
    if definition.targets.len() > MOST_TARGETS {
        return Err(BakeFault::TooLarge.into());
    }
    Ok(definition)
}

enum FileKind {
    Compose,
    Json,
    Hcl,
    Unknown,
}

fn kind(name: &str, text: &str) -> FileKind {
    let name = name.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if ends(&[".yml", ".yaml"]) {
        FileKind::Compose
    } else if ends(&[".json"]) || (!ends(&[".hcl"]) && text.trim_start().starts_with('{')) {
        FileKind::Json
    } else if ends(&[".hcl"]) {
        FileKind::Hcl
    } else {
        FileKind::Unknown
    }
}

fn add_contents(
    definition: &mut Definition,
    contents: &Contents,
    surroundings: &Surroundings<'_>,
) -> Result<(), BakeError> {
    let mut world = World::new(surroundings);
    for attribute in &contents.attributes {
        world.attributes.insert(&attribute.name, attribute);
    }
    for block in &contents.blocks {
        check_label(block)?;
        match block.kind.as_str() {
            "variable" => drop(world.variables.insert(&block.label, block)),
            "function" => drop(world.functions.insert(&block.label, block)),
            "group" | "target" => world.blocks.push(block),
            kind => {
                let known = ["function", "group", "target", "variable"];
                return Err(BakeError::from(BakeFault::unknown("block", kind, known)).at(&block.place));
            }
        }
    }
    for (name, attribute) in &world.attributes {
        world.global(name).map_err(|error| error.at(&attribute.place))?;
    }
    for (name, block) in &world.variables {
        let value = world.global(name).map_err(|error| error.at(&block.place))?;
        let description = block.attributes.get("description");
        let description =
            description.and_then(|description| world.evaluate(description, None).ok()?.text().ok());
        let value = value.text().unwrap_or_else(|_| value.to_json().to_string());
        definition.variables.push(VariableInfo { name: (*name).to_owned(), description, value });
    }
    for block in world.variables.values() {
        validate(&world, block)?;
    }
    let mut renamed: Vec<Group> = Vec::new();
    for block in &world.blocks {
        if block.kind == "group" {
            let group = attributes::group(&world, block)?;
            match definition.groups.iter_mut().find(|earlier| earlier.name == group.name) {
                Some(earlier) => *earlier = group,
                None => definition.groups.push(group),
            }
            continue;
        }
        let expanded = matrix::expand(&world, block, None)?;
        let names: Vec<String> = expanded.iter().map(|(name, _)| name.clone()).collect();
        for (name, values) in expanded {
            check_name("target", &name).map_err(|error| error.at(&block.place))?;
            let target = attributes::target(&world, block, &name, values)?;
            match definition.targets.iter_mut().find(|earlier| earlier.name == name) {
                Some(earlier) => earlier.merge(target),
                None => definition.targets.push(target),
            }
        }
        if block.attributes.contains_key("matrix") && names != [block.label.clone()] {
            if let Some(group) = renamed.iter_mut().find(|group| group.name == block.label) {
                group.targets.extend(names);
            } else {
                let (name, place) = (block.label.clone(), Some(block.place.clone()));
                renamed.push(Group { name, description: None, targets: names, place });
            }
        }
    }
    // A group that is written down counts before one that a matrix makes.
    definition.groups.extend(renamed);
    definition.groups.iter_mut().for_each(|group| dedup(&mut group.targets));
    Ok(())
}

fn validate(world: &World<'_>, variable: &Block) -> Result<(), BakeError> {
    for validation in variable.blocks.iter().filter(|block| block.kind == "validation") {
        let what = format!("the validation of {}", variable.label);
        let attribute = |name: &str| {
            let missing = || told(&what, format!("there is no {name}")).at(&validation.place);
            validation.attributes.get(name).ok_or_else(missing)
        };
        let condition = attribute("condition")?;
        let holds = world.evaluate(condition, None)?.bool();
        if !holds.map_err(|reason| told(&what, reason).at(&condition.place))? {
            let message = attribute("error_message")?;
            let text = world.evaluate(message, None)?.text();
            let message = text.map_err(|reason| told(&what, reason).at(&message.place))?;
            let fault = BakeFault::Invalid { variable: variable.label.clone(), message };
            return Err(BakeError::from(fault).at(&condition.place));
        }
    }
    Ok(())
}

fn check_label(block: &Block) -> Result<(), BakeError> {
    if block.label.is_empty() {
        let reason = format!("it has no name (write {} \"NAME\" {{ … }})", block.kind);
        return Err(told(&format!("the block {}", block.kind), reason).at(&block.place));
    }
    match block.kind.as_str() {
        "group" | "target" => check_name(&block.kind, &block.label).map_err(|error| error.at(&block.place)),
        _ => Ok(()),
    }
}

/// Checks the name of a target or a group.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), BakeError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !name.is_empty() && name.chars().all(allowed) {
        return Ok(());
    }
    Err(told(&format!("{what} {name:?}"), "only letters, digits, _ and - can be in its name"))
}

/// Leaves out what came before.
pub(super) fn dedup(names: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
}
