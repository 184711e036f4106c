//! Files as blocks and attributes, whatever they were written in.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use hcl_edit::{
    Span,
    expr::Expression,
    structure::{self, Body},
};

use super::error::{BakeError, BakeFault, Place};

/// The text that expressions are from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: Arc<str>,
    /// The text, where the spans of expressions are in it.
    text: Option<String>,
}

/// A name and what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) expression: Expression,
    pub(crate) source: Arc<Source>,
    pub(crate) place: Place,
}

/// A target, a group, a variable, a function, or what is in one of them.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) kind: String,
    pub(crate) label: String,
    pub(crate) attributes: BTreeMap<String, Attribute>,
    pub(crate) blocks: Vec<Self>,
    pub(crate) place: Place,
}

/// What is in a file, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) blocks: Vec<Block>,
}

impl Source {
    /// The source of expressions whose places are known.
    pub(crate) fn of_text(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: Some(text.to_owned()) }
    }

    /// The source of expressions that are from somewhere in a file.
    pub(crate) fn of_file(file: &str) -> Self {
        Self { file: file.into(), text: None }
    }

    pub(crate) fn place(&self, span: Option<Range<usize>>) -> Place {
        let before = self.text.as_deref().zip(span).and_then(|(text, span)| text.get(..span.start));
        let position = before.map(|before| {
            let line = 1 + before.matches('\n').count();
            let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
            (line, column)
        });
        Place { file: self.file.clone(), position }
    }
}

/// Reads HCL.
pub(crate) fn read_hcl(file: &str, text: &str) -> Result<Contents, BakeError> {
    let source = Arc::new(Source::of_text(file, text));
    let body = hcl_edit::parser::parse_body(text).map_err(|error| {
        let at = error.location();
        let place = Place { file: source.file.clone(), position: Some((at.line(), at.column())) };
        BakeError { place: Some(place), fault: BakeFault::Syntax { reason: error.message().to_owned() } }
    })?;
    contents(&body, &source)
}

fn contents(body: &Body, source: &Arc<Source>) -> Result<Contents, BakeError> {
    let mut found = Contents::default();
    for attribute in body.attributes() {
        found.attributes.push(Attribute {
            name: attribute.key.as_str().to_owned(),
            expression: attribute.value.clone(),
            source: source.clone(),
            place: source.place(attribute.span()),
        });
    }
    for block in body.blocks() {
        found.blocks.push(read_block(block, source)?);
    }
    Ok(found)
}

fn read_block(block: &structure::Block, source: &Arc<Source>) -> Result<Block, BakeError> {
    let place = source.place(block.span());
    let kind = block.ident.as_str().to_owned();
    let label = match block.labels.as_slice() {
        [] => String::new(),
        [label] => label.as_str().to_owned(),
        _ => {
            let reason = "expected one name".to_owned();
            return Err(BakeFault::Value { what: format!("the block {kind}"), reason }.into())
                .map_err(|error: BakeError| error.at(&place));
        }
    };
    let inner = contents(&block.body, source)?;
    let attributes = inner.attributes.into_iter().map(|attribute| (attribute.name.clone(), attribute));
    Ok(Block { kind, label, attributes: attributes.collect(), blocks: inner.blocks, place })
}
