//! Definitions as JSON: objects are blocks or values, and strings are templates.
//!
//! Source: HCL, `json/spec.md`.

use std::{collections::BTreeMap, sync::Arc};

use hcl_edit::{
    expr::{Array, Expression, Object, ObjectKey, ObjectValue},
    template::StringTemplate,
};

use super::{
    block::{Attribute, Block, Contents, Source},
    error::{BakeError, BakeFault, Place},
    json_text::{JsonError, Member, Node, NodeKind},
    places::Positions,
    value::Value,
};

/// The members of a file that are blocks with names.
const LABELLED: [&str; 4] = ["function", "group", "target", "variable"];
/// The members of a block that are blocks without names.
const INNER: [&str; 1] = ["validation"];

/// Reads JSON.
pub(crate) fn read_json(file: &str, text: &str) -> Result<Contents, BakeError> {
    let reader = Reader { file: file.into(), positions: Positions::new(text) };
    let root = Node::read(text, &reader.positions).map_err(|JsonError { position, reason }| BakeError {
        place: Some(Place { file: reader.file.clone(), position }),
        fault: BakeFault::Syntax { reason },
    })?;
    let mut contents = Contents::default();
    for (name, member) in reader.map("the file", &root)? {
        if !LABELLED.contains(&name.as_str()) {
            contents.attributes.push(reader.attribute(name, member)?);
            continue;
        }
        for group in member.value.one_or_several() {
            for (label, bodies) in reader.map(name, group)? {
                for body in bodies.value.one_or_several() {
                    contents.blocks.push(reader.block(name, label, bodies.at, body)?);
                }
            }
        }
    }
    Ok(contents)
}

/// What is known of the file that is read.
struct Reader {
    file: Arc<str>,
    positions: Positions,
}

impl Reader {
    fn place(&self, at: usize) -> Place {
        Place { file: self.file.clone(), position: self.positions.of(at) }
    }

    fn map<'n>(&self, what: &str, node: &'n Node) -> Result<&'n BTreeMap<String, Member>, BakeError> {
        node.map().map_err(|reason| BakeError::from(BakeFault::value(what, reason)).at(&self.place(node.at)))
    }

    fn block(&self, kind: &str, label: &str, at: usize, body: &Node) -> Result<Block, BakeError> {
        let mut found = Block {
            kind: kind.to_owned(),
            label: label.to_owned(),
            attributes: BTreeMap::new(),
            blocks: Vec::new(),
            place: self.place(at),
        };
        for (name, member) in self.map(&format!("{kind} {label}"), body)? {
            if INNER.contains(&name.as_str()) {
                for inner in member.value.one_or_several() {
                    found.blocks.push(self.block(name, "", inner.at, inner)?);
                }
            } else {
                found.attributes.insert(name.clone(), self.attribute(name, member)?);
            }
        }
        Ok(found)
    }

    fn attribute(&self, name: &str, member: &Member) -> Result<Attribute, BakeError> {
        Ok(Attribute {
            name: name.to_owned(),
            expression: self.expression(name, &member.value)?,
            source: Arc::new(Source::at(self.place(member.value.at))),
            place: self.place(member.at),
        })
    }

    /// The expression that a value of JSON stands for, in an attribute of this name.
    fn expression(&self, name: &str, node: &Node) -> Result<Expression, BakeError> {
        let template = |text: &str, at: usize| {
            let wrong = |reason| BakeError::from(BakeFault::value(name, reason)).at(&self.place(at));
            template(text).map_err(wrong)
        };
        Ok(match &node.kind {
            NodeKind::Plain(Value::Bool(value)) => Expression::from(*value),
            NodeKind::Plain(Value::Number(number)) => Expression::from(*number),
            NodeKind::Plain(Value::Text(text)) => template(text, node.at)?,
            NodeKind::Plain(_) => Expression::null(),
            NodeKind::List(list) => {
                let mut array = Array::new();
                for element in list {
                    array.push(self.expression(name, element)?);
                }
                Expression::from(array)
            }
            NodeKind::Map(map) => {
                let mut object = Object::new();
                for (key, member) in map {
                    let key = ObjectKey::from(template(key, member.at)?);
                    object.insert(key, ObjectValue::new(self.expression(name, &member.value)?));
                }
                Expression::from(object)
            }
        })
    }
}

fn template(text: &str) -> Result<Expression, String> {
    if !text.contains("${") && !text.contains("%{") {
        return Ok(Expression::from(text));
    }
    let template = hcl_edit::parser::parse_template(text);
    let template = template.map_err(|error| format!("{text:?}: {}", error.message()))?;
    Ok(Expression::from(StringTemplate::from(template)))
}
