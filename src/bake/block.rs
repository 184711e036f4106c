//! Files as blocks and attributes, whatever they were written in.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use hcl_edit::{
    Span,
    expr::Expression,
    structure::{self, Body},
};

use super::{
    error::{BakeError, BakeFault, Place},
    places::Positions,
};

/// What expressions are from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A text, where the spans of expressions are in it.
    Text {
        /// The file.
        file: Arc<str>,
        /// Where its lines are.
        positions: Positions,
    },
    /// One place in a file: expressions are no text of their own there.
    Place(Place),
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
    /// The source of expressions that are in a text.
    pub(crate) fn of_text(file: &str, text: &str) -> Self {
        Self::Text { file: file.into(), positions: Positions::new(text) }
    }

    /// The source of expressions that are at one place.
    pub(crate) fn at(place: Place) -> Self {
        Self::Place(place)
    }

    pub(crate) fn place(&self, span: Option<Range<usize>>) -> Place {
        match self {
            Self::Text { file, positions } => {
                let position = span.and_then(|span| positions.of(span.start));
                Place { file: file.clone(), position }
            }
            Self::Place(place) => place.clone(),
        }
    }
}

/// Reads HCL.
pub(crate) fn read_hcl(file: &str, text: &str) -> Result<Contents, BakeError> {
    let source = Arc::new(Source::of_text(file, text));
    let body = hcl_edit::parser::parse_body(text).map_err(|error| {
        let at = error.location();
        let place = Place { file: file.into(), position: Some((at.line(), at.column())) };
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
