//! Definitions as JSON: objects are blocks or values, and strings are templates.
//!
//! Source: HCL, `json/spec.md`.

use std::sync::Arc;

use hcl_edit::{
    expr::{Array, Expression, Object, ObjectKey, ObjectValue},
    template::StringTemplate,
};

use super::{
    block::{Attribute, Block, Contents, Source},
    error::{BakeError, BakeFault, Place},
    value::Value,
};

/// The members of a file that are blocks with names.
const LABELLED: [&str; 4] = ["function", "group", "target", "variable"];
/// The members of a block that are blocks without names.
const INNER: [&str; 1] = ["validation"];

/// Reads JSON.
pub(crate) fn read_json(file: &str, text: &str) -> Result<Contents, BakeError> {
    let source = Arc::new(Source::of_file(file));
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let position = Some((error.line(), error.column()));
        // The place is said before the sentence already.
        let told = error.to_string();
        let reason = told.split(" at line ").next().unwrap_or(&told).to_owned();
        BakeError {
            place: Some(Place { file: source.file.clone(), position }),
            fault: BakeFault::Syntax { reason },
        }
    })?;
    let mut contents = Contents::default();
    for (name, member) in value.map().map_err(|reason| in_file(&source, "the file", reason))? {
        if !LABELLED.contains(&name.as_str()) {
            contents.attributes.push(attribute(name, member, &source)?);
            continue;
        }
        for group in one_or_several(member) {
            let labels = group.map().map_err(|reason| in_file(&source, name, reason))?;
            for (label, bodies) in labels {
                for body in one_or_several(bodies) {
                    contents.blocks.push(block(name, label, body, &source)?);
                }
            }
        }
    }
    Ok(contents)
}

fn block(kind: &str, label: &str, body: &Value, source: &Arc<Source>) -> Result<Block, BakeError> {
    let what = format!("{kind} {label}");
    let mut found = Block {
        kind: kind.to_owned(),
        label: label.to_owned(),
        attributes: std::collections::BTreeMap::new(),
        blocks: Vec::new(),
        place: source.place(None),
    };
    for (name, member) in body.map().map_err(|reason| in_file(source, &what, reason))? {
        if INNER.contains(&name.as_str()) {
            for inner in one_or_several(member) {
                found.blocks.push(block(name, "", inner, source)?);
            }
        } else {
            let read = attribute(name, member, source)?;
            found.attributes.insert(name.clone(), read);
        }
    }
    Ok(found)
}

fn attribute(name: &str, value: &Value, source: &Arc<Source>) -> Result<Attribute, BakeError> {
    let expression = expression(value).map_err(|reason| in_file(source, name, reason))?;
    Ok(Attribute { name: name.to_owned(), expression, source: source.clone(), place: source.place(None) })
}

/// The expression that a value of JSON stands for.
fn expression(value: &Value) -> Result<Expression, String> {
    Ok(match value {
        Value::Null => Expression::null(),
        Value::Bool(value) => Expression::from(*value),
        Value::Number(number) => Expression::from(*number),
        Value::Text(text) => template(text)?,
        Value::List(list) => {
            let mut array = Array::new();
            for element in list {
                array.push(expression(element)?);
            }
            Expression::from(array)
        }
        Value::Map(map) => {
            let mut object = Object::new();
            for (key, value) in map {
                object.insert(ObjectKey::from(template(key)?), ObjectValue::new(expression(value)?));
            }
            Expression::from(object)
        }
    })
}

fn template(text: &str) -> Result<Expression, String> {
    if !text.contains("${") && !text.contains("%{") {
        return Ok(Expression::from(text));
    }
    let template = hcl_edit::parser::parse_template(text);
    let template = template.map_err(|error| format!("{text:?}: {}", error.message()))?;
    Ok(Expression::from(StringTemplate::from(template)))
}

fn one_or_several(value: &Value) -> &[Value] {
    match value {
        Value::List(list) => list,
        one => std::slice::from_ref(one),
    }
}

fn in_file(source: &Source, what: &str, reason: String) -> BakeError {
    BakeError::from(BakeFault::value(what, reason)).at(&source.place(None))
}
