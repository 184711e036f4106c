//! Reads profiles as the kernel does: a rule counts if its operation and one of its filters match, and the last one that
//! counts decides.
//!
//! It knows what profiles here are made of and panics at anything else, so that nothing is judged that was not understood.
//! What is imported is not read: a test that relies on a rule of Apple's fails.

use std::collections::BTreeMap;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Symbol(String),
    Text(String),
    List(Vec<Expression>),
}

/// What a program wants to do it to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'t> {
    /// A file by its real path.
    Path(&'t str),
    /// A service of the system.
    Service(&'t str),
    /// A process of the same sandbox, or another.
    Process { same_sandbox: bool },
    /// Anything that has no name.
    Nothing,
}

/// A profile and the values of its parameters.
#[derive(Debug)]
pub(super) struct Evaluator {
    rules: Vec<Vec<Expression>>,
    parameters: BTreeMap<String, String>,
}

impl Evaluator {
    /// `parameters` are `NAME=value`.
    pub(super) fn new(text: &str, parameters: &[String]) -> Self {
        let rules = parse(text).into_iter().map(|rule| match rule {
            Expression::List(rule) => rule,
            other => panic!("{other:?} is no rule"),
        });
        let pairs = parameters.iter().map(|pair| pair.split_once('=').expect("NAME=value"));
        let parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { rules: rules.collect(), parameters }
    }

    /// Whether the profile allows an operation.
    pub(super) fn allows(&self, operation: &str, target: Target<'_>) -> bool {
        let mut allowed = None;
        for rule in &self.rules {
            let [Expression::Symbol(verb), rest @ ..] = &rule[..] else { panic!("{rule:?} is no rule") };
            let verdict = match verb.as_str() {
                "version" | "import" => continue,
                "allow" => true,
                "deny" => false,
                other => panic!("{other} is no verb"),
            };
            let symbols = rest.iter().filter_map(|part| match part {
                Expression::Symbol(symbol) => Some(symbol.as_str()),
                _ => None,
            });
            let filters: Vec<&[Expression]> = rest
                .iter()
                .filter_map(|part| match part {
                    Expression::List(filter) => Some(&filter[..]),
                    _ => None,
                })
                .collect();
            let named = symbols.clone().any(|symbol| covers(symbol, operation));
            assert!(symbols.count() > 0, "{rule:?} is for no operation");
            let matches = filters.is_empty() || filters.iter().any(|filter| self.matches(filter, target));
            if named && matches {
                allowed = Some(verdict);
            }
        }
        allowed.expect("a profile has a default")
    }

    fn matches(&self, filter: &[Expression], target: Target<'_>) -> bool {
        let [Expression::Symbol(kind), value] = filter else { panic!("{filter:?} is no filter") };
        match (kind.as_str(), target) {
            ("literal", Target::Path(path)) => path == self.value(value),
            ("subpath", Target::Path(path)) => {
                let rest = path.strip_prefix(&self.value(value));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            ("global-name", Target::Service(name)) => name == self.value(value),
            ("target", Target::Process { same_sandbox }) => {
                assert_eq!(*value, Expression::Symbol("same-sandbox".into()));
                same_sandbox
            }
            ("literal" | "subpath" | "global-name" | "target", _) => false,
            (other, _) => panic!("{other} is no filter"),
        }
    }

    fn value(&self, value: &Expression) -> String {
        match value {
            Expression::Text(text) => text.clone(),
            Expression::List(call) => match &call[..] {
                [Expression::Symbol(function), Expression::Text(name)] if function == "param" => {
                    self.parameters.get(name).unwrap_or_else(|| panic!("{name} has no value")).clone()
                }
                other => panic!("{other:?} is no value"),
            },
            Expression::Symbol(symbol) => panic!("{symbol} is no value"),
        }
    }
}

/// Whether an operation of a rule is, or stands for, `wanted`.
fn covers(of_rule: &str, wanted: &str) -> bool {
    match of_rule.strip_suffix('*') {
        Some(prefix) => wanted.starts_with(prefix),
        None => of_rule == "default" || of_rule == wanted,
    }
}

/// Reads all expressions of a text.
pub(super) fn parse(text: &str) -> Vec<Expression> {
    let mut open: Vec<Vec<Expression>> = vec![Vec::new()];
    let mut rest = text.chars().peekable();
    let is_symbol = |letter: &char| letter.is_ascii_alphanumeric() || "-*_.:".contains(*letter);
    while let Some(letter) = rest.next() {
        let done = match letter {
            ';' => {
                while rest.next_if(|letter| *letter != '\n').is_some() {}
                continue;
            }
            '(' => {
                open.push(Vec::new());
                continue;
            }
            ')' => Expression::List(open.pop().expect("an open list")),
            '"' => {
                let mut string = String::new();
                loop {
                    match rest.next().expect("the end of the string") {
                        '"' => break,
                        '\\' => string.push(rest.next().expect("an escaped character")),
                        other => string.push(other),
                    }
                }
                Expression::Text(string)
            }
            letter if letter.is_whitespace() => continue,
            letter if is_symbol(&letter) => {
                let mut symbol = String::from(letter);
                while let Some(letter) = rest.next_if(is_symbol) {
                    symbol.push(letter);
                }
                Expression::Symbol(symbol)
            }
            other => panic!("{other:?} begins nothing"),
        };
        open.last_mut().expect("an open list").push(done);
    }
    assert_eq!(open.len(), 1, "a list is not closed");
    open.remove(0)
}
