//! The types of variables.
//!
//! Source: HCL, `ext/typeexpr`; buildx, `docs/bake-reference.md` (“Variable”).

use std::collections::BTreeMap;

use hcl_edit::expr::Expression;

use super::value::{Value, finite};

/// What a value must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Any,
    Text,
    Bool,
    Number,
    /// Lists and sets.
    List(Box<Self>),
    Map(Box<Self>),
    Tuple(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Kind {
    /// Reads a type such as `list(string)`; JSON has it as a string.
    pub(super) fn read(expression: &Expression) -> Result<Self, String> {
        let wrong = || {
            "expected any, bool, number, string, list(…), set(…), map(…), tuple([…]) or object({…})"
                .to_owned()
        };
        match expression {
            Expression::Variable(name) => Self::simple(name.as_str()).ok_or_else(wrong),
            Expression::String(text) => match Self::simple(text.value()) {
                Some(kind) => Ok(kind),
                None => match hcl_edit::parser::parse_expr(text.value()) {
                    Ok(Expression::String(_)) | Err(_) => Err(wrong()),
                    Ok(inner) => Self::read(&inner),
                },
            },
            Expression::Parenthesis(inner) => Self::read(inner.inner()),
            Expression::FuncCall(call) => {
                let arguments: Vec<&Expression> = call.args.iter().collect();
                let [only] = arguments[..] else { return Err(wrong()) };
                match (call.name.name.as_str(), only) {
                    ("list" | "set", element) => Ok(Self::List(Box::new(Self::read(element)?))),
                    ("map", element) => Ok(Self::Map(Box::new(Self::read(element)?))),
                    ("tuple", Expression::Array(elements)) => {
                        elements.iter().map(Self::read).collect::<Result<_, _>>().map(Self::Tuple)
                    }
                    ("object", Expression::Object(members)) => {
                        let read = members.iter().map(|(key, value)| {
                            let name = key.as_ident().map(|name| name.as_str().to_owned());
                            let name = name.or_else(|| key.as_expr()?.as_str().map(str::to_owned));
                            Ok((name.ok_or_else(wrong)?, Self::read(value.expr())?))
                        });
                        read.collect::<Result<_, String>>().map(Self::Object)
                    }
                    _ => Err(wrong()),
                }
            }
            _ => Err(wrong()),
        }
    }

    fn simple(name: &str) -> Option<Self> {
        Some(match name {
            "any" => Self::Any,
            "string" => Self::Text,
            "bool" => Self::Bool,
            "number" => Self::Number,
            _ => return None,
        })
    }

    /// The value of this type that a value can become.
    pub(super) fn convert(&self, value: Value) -> Result<Value, String> {
        if value == Value::Null {
            return Ok(value);
        }
        Ok(match self {
            Self::Any => value,
            Self::Text => Value::Text(value.text()?),
            Self::Bool => Value::Bool(value.bool()?),
            Self::Number => Value::Number(value.number()?),
            Self::List(kind) => {
                let list = value.list()?.iter().map(|element| kind.convert(element.clone()));
                Value::List(list.collect::<Result<_, _>>()?)
            }
            Self::Map(kind) => {
                let entries = value.map()?.iter();
                let entries = entries.map(|(key, value)| Ok((key.clone(), kind.convert(value.clone())?)));
                Value::Map(entries.collect::<Result<_, String>>()?)
            }
            Self::Tuple(kinds) => {
                let list = value.list()?;
                if list.len() != kinds.len() {
                    return Err(format!("expected {} elements, got {}", kinds.len(), list.len()));
                }
                let list = kinds.iter().zip(list).map(|(kind, element)| kind.convert(element.clone()));
                Value::List(list.collect::<Result<_, _>>()?)
            }
            Self::Object(kinds) => {
                let map = value.map()?;
                let members = kinds.iter().map(|(name, kind)| {
                    let member = map.get(name).ok_or_else(|| format!("there is no {name:?}"))?;
                    Ok((name.clone(), kind.convert(member.clone())?))
                });
                Value::Map(members.collect::<Result<_, String>>()?)
            }
        })
    }

    /// The value that a text of the environment stands for: lists have commas between their elements.
    pub(super) fn read_text(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Any | Self::Text => Ok(text.into()),
            Self::Bool => match text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
                _ => Err(format!("{text:?} is no bool")),
            },
            Self::Number => finite(text).map(Value::Number).ok_or_else(|| format!("{text:?} is no number")),
            Self::List(_) | Self::Tuple(_) if text.is_empty() => Ok(Value::List(Vec::new())),
            Self::List(_) | Self::Tuple(_) => Ok(Value::texts(text.split(',').map(str::trim))),
            Self::Map(_) | Self::Object(_) => {
                Err("a map is given by the environment as JSON, in the variable with _JSON behind its name"
                    .into())
            }
        }
    }
}
