//! What names stand for: worked out when they are needed, once, and never in a circle.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use super::{
    block::{Attribute, Block, Source},
    definition::Surroundings,
    error::{BakeError, BakeFault},
    eval::told,
    kind::Kind,
    matrix,
    value::Value,
};

/// How deep expressions may lead to others. The stack on which they are worked out is large enough for that.
const DEEPEST: usize = 400;
/// How much work a definition may be, and how much memory its values may take in all.
const MOST_WORK: usize = 1 << 24;

/// The names of a definition.
pub(crate) struct World<'d> {
    pub(crate) variables: BTreeMap<&'d str, &'d Block>,
    pub(crate) attributes: BTreeMap<&'d str, &'d Attribute>,
    pub(crate) functions: BTreeMap<&'d str, &'d Block>,
    /// The groups and targets in the order of the files.
    pub(crate) blocks: Vec<&'d Block>,
    pub(crate) surroundings: &'d Surroundings<'d>,
    known: RefCell<BTreeMap<String, Value>>,
    /// What is being worked out, the innermost last.
    active: RefCell<Vec<String>>,
    depth: Cell<usize>,
    spent: Cell<usize>,
}

/// Names that count before those of the definition.
#[derive(Debug)]
pub(crate) struct Locals<'l> {
    values: BTreeMap<String, Value>,
    parent: Option<&'l Self>,
}

/// What an expression sees.
pub(crate) struct Scope<'s> {
    pub(crate) world: &'s World<'s>,
    pub(crate) locals: Option<&'s Locals<'s>>,
    pub(crate) source: &'s Source,
}

/// Counts one level until it is dropped.
pub(crate) struct Level<'w>(&'w Cell<usize>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<'l> Locals<'l> {
    pub(crate) fn new(values: BTreeMap<String, Value>) -> Self {
        Self { values, parent: None }
    }

    /// The names of one round of a `for`.
    pub(crate) fn of_entry(
        key_name: Option<&str>,
        key: Value,
        value_name: &str,
        value: Value,
        parent: Option<&'l Self>,
    ) -> Self {
        let mut values = BTreeMap::from([(value_name.to_owned(), value)]);
        values.extend(key_name.map(|name| (name.to_owned(), key)));
        Self { values, parent }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).or_else(|| self.parent?.get(name))
    }
}

impl Scope<'_> {
    /// The same with more names.
    pub(crate) fn with<'l>(&'l self, locals: &'l Locals<'l>) -> Scope<'l> {
        Scope { world: self.world, locals: Some(locals), source: self.source }
    }

    pub(crate) fn has_local(&self, name: &str) -> bool {
        self.locals.is_some_and(|locals| locals.get(name).is_some())
    }

    pub(crate) fn variable(&self, name: &str) -> Result<Value, BakeError> {
        match self.locals.and_then(|locals| locals.get(name)) {
            Some(value) => Ok(value.clone()),
            None => self.world.global(name),
        }
    }
}

impl<'d> World<'d> {
    pub(crate) fn new(surroundings: &'d Surroundings<'d>) -> Self {
        Self {
            variables: BTreeMap::new(),
            attributes: BTreeMap::new(),
            functions: BTreeMap::new(),
            blocks: Vec::new(),
            surroundings,
            known: RefCell::default(),
            active: RefCell::default(),
            depth: Cell::default(),
            spent: Cell::default(),
        }
    }

    /// The value of an attribute, with what else it sees.
    pub(crate) fn evaluate(
        &self,
        attribute: &Attribute,
        locals: Option<&Locals<'_>>,
    ) -> Result<Value, BakeError> {
        Scope { world: self, locals, source: &attribute.source }.value(&attribute.expression)
    }

    /// Goes one level deeper, as long as that is possible.
    pub(crate) fn descend(&self) -> Result<Level<'_>, BakeError> {
        self.depth.set(self.depth.get() + 1);
        let level = Level(&self.depth);
        if self.depth.get() > DEEPEST { Err(BakeFault::TooLarge.into()) } else { Ok(level) }
    }

    /// Notes some work, as long as it is not too much.
    pub(crate) fn spend(&self, work: usize) -> Result<(), BakeError> {
        self.spent.set(self.spent.get().saturating_add(work));
        if self.spent.get() > MOST_WORK { Err(BakeFault::TooLarge.into()) } else { Ok(()) }
    }

    /// Whether a name is that of a kind of blocks whose attributes can be used.
    pub(crate) fn is_block(&self, kind: &str) -> bool {
        ["group", "target"].contains(&kind) && !self.variables.contains_key(kind)
    }

    /// Does something that may lead to itself, but must not.
    pub(super) fn once<T>(
        &self,
        what: &'static str,
        name: &str,
        work: impl FnOnce() -> Result<T, BakeError>,
    ) -> Result<T, BakeError> {
        if let Some(start) = self.active.borrow().iter().position(|active| active == name) {
            let mut members = self.active.borrow()[start..].to_vec();
            members.push(name.to_owned());
            return Err(BakeFault::Cycle { what, members }.into());
        }
        self.active.borrow_mut().push(name.to_owned());
        let result = work();
        self.active.borrow_mut().pop();
        result
    }

    /// The value of a variable or of an attribute of the file.
    pub(crate) fn global(&self, name: &str) -> Result<Value, BakeError> {
        if let Some(value) = self.known.borrow().get(name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.surroundings.builtins.get(name) {
            return Ok(value.as_str().into());
        }
        let value = match (self.attributes.get(name), self.variables.get(name)) {
            (None, None) => {
                let known = self.variables.keys().chain(self.attributes.keys()).copied();
                let known = known.chain(self.surroundings.builtins.keys().map(String::as_str));
                return Err(BakeFault::unknown("variable", name, known).into());
            }
            (Some(attribute), variable) => self.once("variables", name, || {
                let value = self.evaluate(attribute, None)?;
                match variable {
                    Some(variable) => self.overridden(name, variable, Some(value)),
                    None => Ok(value),
                }
            }),
            (None, Some(variable)) => self.once("variables", name, || {
                let default = variable.attributes.get("default");
                let default = default.map(|default| self.evaluate(default, None)).transpose()?;
                self.overridden(name, variable, default)
            }),
        }?;
        self.known.borrow_mut().insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// A variable as the environment has it, or else as the file has it.
    fn overridden(&self, name: &str, variable: &Block, default: Option<Value>) -> Result<Value, BakeError> {
        let wrong = |reason: String| told(&format!("the variable {name}"), reason).at(&variable.place);
        let environment = |name: &str| (self.surroundings.environment)(name);
        let given = environment(name);
        let Some(kind) = variable.attributes.get("type") else {
            let Some(given) = given else { return Ok(default.unwrap_or_else(|| Value::Text(String::new()))) };
            let kind = match default {
                Some(Value::Bool(_)) => Kind::Bool,
                Some(Value::Number(_)) => Kind::Number,
                None | Some(Value::Text(_) | Value::Null) => Kind::Text,
                Some(other) => {
                    return Err(wrong(format!(
                        "{} needs a type to be given by the environment",
                        other.kind()
                    )));
                }
            };
            return kind.read_text(&given).map_err(wrong);
        };
        let wrong_kind = |reason: String| told(&format!("the variable {name}"), reason).at(&kind.place);
        let kind = Kind::read(&kind.expression).map_err(wrong_kind)?;
        let given = match (given, environment(&format!("{name}_JSON"))) {
            (_, Some(json)) if !matches!(kind, Kind::Text) => {
                Some(serde_json::from_str(&json).map_err(|error| wrong(format!("{name}_JSON: {error}")))?)
            }
            (Some(text), _) => Some(kind.read_text(&text).map_err(wrong)?),
            (None, _) => None,
        };
        kind.convert(given.or(default).unwrap_or(Value::Null)).map_err(wrong)
    }

    /// What an attribute of a group or a target is, apart from what is inherited.
    pub(crate) fn block_attribute(&self, kind: &str, label: &str, name: &str) -> Result<Value, BakeError> {
        let key = format!("{kind}.{label}.{name}");
        if let Some(value) = self.known.borrow().get(&key) {
            return Ok(value.clone());
        }
        let value = self.once("targets", &key, || {
            let mut found = None;
            for block in self.blocks.iter().filter(|block| block.kind == kind) {
                for (expanded, values) in matrix::expand(self, block, Some(label))? {
                    if expanded != label {
                        continue;
                    }
                    let value = match block.attributes.get(name) {
                        Some(attribute) => self.evaluate(attribute, Some(&Locals::new(values)))?,
                        None => Value::Null,
                    };
                    found = Some(match (found, value) {
                        (Some(Value::Map(mut earlier)), Value::Map(later)) => {
                            earlier.extend(later);
                            Value::Map(earlier)
                        }
                        (Some(earlier), Value::Null) => earlier,
                        (_, value) => value,
                    });
                }
            }
            let kind = if kind == "group" { "group" } else { "target" };
            found.ok_or_else(|| {
                let known =
                    self.blocks.iter().filter(|block| block.kind == kind).map(|block| block.label.as_str());
                BakeFault::unknown(kind, label, known).into()
            })
        })?;
        self.known.borrow_mut().insert(key, value.clone());
        Ok(value)
    }
}
