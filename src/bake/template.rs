//! Strings with `${…}` and `%{…}` in them.

use hcl_edit::template::{Directive, Element, ForDirective, IfDirective, Strip};

use super::{
    error::BakeError,
    eval::{entries, told},
    scope::{Locals, Scope},
    value::Value,
};

/// One part of a template whose neighbours may take its blanks.
enum Part {
    Literal(String),
    /// What something came to, and which blanks it takes.
    Made {
        text: String,
        takes_before: bool,
        takes_after: bool,
    },
}

impl Scope<'_> {
    /// Works a template out. One that is nothing but an interpolation is the value itself.
    pub(super) fn template<'t>(
        &self,
        elements: impl Iterator<Item = &'t Element>,
    ) -> Result<Value, BakeError> {
        let elements: Vec<&Element> = elements.collect();
        if let [Element::Interpolation(only)] = elements[..] {
            return self.value(&only.expr);
        }
        self.text_of(&elements, false, false).map(Value::Text)
    }

    /// The text of some elements; what stands before and after them may take their blanks.
    fn text_of(&self, elements: &[&Element], first: bool, last: bool) -> Result<String, BakeError> {
        let _depth = self.world.descend()?;
        let mut parts = Vec::with_capacity(elements.len());
        for element in elements {
            parts.push(match element {
                Element::Literal(text) => Part::Literal(text.value().clone()),
                Element::Interpolation(made) => {
                    let text = self.value(&made.expr)?.text();
                    let text = text.map_err(|reason| told("a part of a string", reason))?;
                    Part::Made { text, takes_before: at_start(made.strip), takes_after: at_end(made.strip) }
                }
                Element::Directive(directive) => match &**directive {
                    Directive::If(directive) => self.choice(directive)?,
                    Directive::For(directive) => self.repetition(directive)?,
                },
            });
        }
        let mut text = String::new();
        for (number, part) in parts.iter().enumerate() {
            match part {
                Part::Made { text: made, .. } => text.push_str(made),
                Part::Literal(literal) => {
                    let before = number.checked_sub(1).and_then(|number| parts.get(number));
                    let after = parts.get(number + 1);
                    let cut_start = match before {
                        None => first,
                        Some(part) => matches!(part, Part::Made { takes_after: true, .. }),
                    };
                    let cut_end = match after {
                        None => last,
                        Some(part) => matches!(part, Part::Made { takes_before: true, .. }),
                    };
                    let mut literal = literal.as_str();
                    if cut_start {
                        literal = literal.trim_start();
                    }
                    if cut_end {
                        literal = literal.trim_end();
                    }
                    text.push_str(literal);
                }
            }
        }
        self.world.spend(text.len())?;
        Ok(text)
    }

    fn choice(&self, directive: &IfDirective) -> Result<Part, BakeError> {
        let (head, end) = (&directive.if_expr, directive.endif_expr.strip);
        let condition = self.value(&head.cond_expr)?.bool().map_err(|reason| told("an if", reason))?;
        let text = match &directive.else_expr {
            Some(other) if !condition => {
                let elements: Vec<&Element> = other.template.iter().collect();
                self.text_of(&elements, at_end(other.strip), at_start(end))?
            }
            None if !condition => String::new(),
            other => {
                let after = other.as_ref().map_or(end, |other| other.strip);
                let elements: Vec<&Element> = head.template.iter().collect();
                self.text_of(&elements, at_end(head.strip), at_start(after))?
            }
        };
        Ok(Part::Made { text, takes_before: at_start(head.strip), takes_after: at_end(end) })
    }

    fn repetition(&self, directive: &ForDirective) -> Result<Part, BakeError> {
        let (head, end) = (&directive.for_expr, directive.endfor_expr.strip);
        let elements: Vec<&Element> = head.template.iter().collect();
        let key_name = head.key_var.as_ref().map(|name| name.as_str());
        let mut text = String::new();
        for (key, value) in entries(self.value(&head.collection_expr)?)? {
            let locals = Locals::of_entry(key_name, key, head.value_var.as_str(), value, self.locals);
            text.push_str(&self.with(&locals).text_of(&elements, at_end(head.strip), at_start(end))?);
        }
        Ok(Part::Made { text, takes_before: at_start(head.strip), takes_after: at_end(end) })
    }
}

fn at_start(strip: Strip) -> bool {
    matches!(strip, Strip::Start | Strip::Both)
}

fn at_end(strip: Strip) -> bool {
    matches!(strip, Strip::End | Strip::Both)
}
