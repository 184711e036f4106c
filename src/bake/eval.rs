//! Expressions to values.
//!
//! Source: HCL, `hclsyntax/spec.md`.

use std::collections::BTreeMap;

use hcl_edit::{
    Span,
    expr::{Expression, ForExpr, FuncCall, Object, ObjectKey, Traversal, TraversalOperator},
};

use super::{
    error::{BakeError, BakeFault},
    operators,
    scope::{Locals, Scope},
    value::Value,
};

impl Scope<'_> {
    /// Works an expression out.
    pub(crate) fn value(&self, expression: &Expression) -> Result<Value, BakeError> {
        let _depth = self.world.descend()?;
        let value = self.bare(expression).map_err(|error| error.at(&self.source.place(expression.span())))?;
        self.world.spend(value.weight())?;
        Ok(value)
    }

    fn bare(&self, expression: &Expression) -> Result<Value, BakeError> {
        Ok(match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(value) => Value::Bool(*value.value()),
            Expression::Number(number) => Value::Number(number.value().as_f64().unwrap_or_default()),
            Expression::String(text) => Value::Text(text.value().clone()),
            Expression::Array(array) => {
                Value::List(array.iter().map(|element| self.value(element)).collect::<Result<_, _>>()?)
            }
            Expression::Object(object) => Value::Map(self.object(object)?),
            Expression::StringTemplate(template) => self.template(template.iter())?,
            Expression::HeredocTemplate(heredoc) => self.template(heredoc.template.iter())?,
            Expression::Parenthesis(inner) => self.value(inner.inner())?,
            Expression::Variable(name) => self.variable(name.as_str())?,
            Expression::Conditional(choice) => {
                let condition =
                    self.value(&choice.cond_expr)?.bool().map_err(|reason| told("a condition", reason))?;
                self.value(if condition { &choice.true_expr } else { &choice.false_expr })?
            }
            Expression::FuncCall(call) => self.call(call)?,
            Expression::Traversal(traversal) => self.traversal(traversal)?,
            Expression::UnaryOp(operation) => {
                let operator = *operation.operator.value();
                let value = self.value(&operation.expr)?;
                operators::unary(operator, &value).map_err(|reason| told(operator.as_str(), reason))?
            }
            Expression::BinaryOp(operation) => {
                let operator = *operation.operator.value();
                let (left, right) = (self.value(&operation.lhs_expr)?, self.value(&operation.rhs_expr)?);
                operators::binary(&left, operator, &right)
                    .map_err(|reason| told(operator.as_str(), reason))?
            }
            Expression::ForExpr(comprehension) => self.comprehension(comprehension)?,
        })
    }

    fn object(&self, object: &Object) -> Result<BTreeMap<String, Value>, BakeError> {
        let mut map = BTreeMap::new();
        for (key, value) in object {
            map.insert(self.key(key)?, self.value(value.expr())?);
        }
        Ok(map)
    }

    fn key(&self, key: &ObjectKey) -> Result<String, BakeError> {
        match key {
            // A bare word is a key, not a variable; in parentheses it is one.
            ObjectKey::Ident(name) | ObjectKey::Expression(Expression::Variable(name)) => {
                Ok(name.as_str().to_owned())
            }
            ObjectKey::Expression(expression) => {
                self.value(expression)?.text().map_err(|reason| told("the key of a map", reason))
            }
        }
    }

    fn call(&self, call: &FuncCall) -> Result<Value, BakeError> {
        let name = call.name.name.as_str();
        let arguments: Vec<&Expression> = call.args.iter().collect();
        match name {
            "try" => return self.first_that_works(&arguments),
            "can" => {
                let [only] = arguments[..] else { return Err(called(name, "expected one argument")) };
                return Ok(Value::Bool(self.value(only).is_ok()));
            }
            "convert" => {
                let [value, kind] = arguments[..] else { return Err(called(name, "expected two arguments")) };
                let kind = super::kind::Kind::read(kind).map_err(|reason| called(name, reason))?;
                return kind.convert(self.value(value)?).map_err(|reason| called(name, reason));
            }
            _ => {}
        }
        let mut values =
            arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
        if call.args.expand_final() {
            let last = values.pop().unwrap_or(Value::Null);
            values.extend_from_slice(last.list().map_err(|reason| called(name, reason))?);
        }
        self.world.call(name, values)
    }

    fn first_that_works(&self, arguments: &[&Expression]) -> Result<Value, BakeError> {
        let mut failure = called("try", "expected an argument");
        for argument in arguments {
            match self.value(argument) {
                Ok(value) => return Ok(value),
                Err(error) if error.fault == BakeFault::TooLarge => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn traversal(&self, traversal: &Traversal) -> Result<Value, BakeError> {
        let mut operators: Vec<&TraversalOperator> =
            traversal.operators.iter().map(hcl_edit::Decorated::value).collect();
        let value = match &traversal.expr {
            // A target or a group is known by its name, and worked out as far as it is needed.
            Expression::Variable(kind)
                if self.world.is_block(kind.as_str()) && !self.has_local(kind.as_str()) =>
            {
                let label = operators.first().and_then(|operator| self.member(operator));
                let name = operators.get(1).and_then(|operator| self.member(operator));
                let (Some(label), Some(name)) = (label, name) else {
                    return Err(told(kind.as_str(), format!("expected {}.NAME.ATTRIBUTE", kind.as_str())));
                };
                operators.drain(..2);
                self.world.block_attribute(kind.as_str(), &label, &name)?
            }
            expression => self.value(expression)?,
        };
        self.walk(value, &operators)
    }

    /// The name behind a point, or in brackets.
    fn member(&self, operator: &TraversalOperator) -> Option<String> {
        match operator {
            TraversalOperator::GetAttr(name) => Some(name.as_str().to_owned()),
            TraversalOperator::Index(index) => self.value(index).ok()?.text().ok(),
            _ => None,
        }
    }

    fn walk(&self, value: Value, operators: &[&TraversalOperator]) -> Result<Value, BakeError> {
        let Some((operator, rest)) = operators.split_first() else { return Ok(value) };
        let next = match operator {
            TraversalOperator::GetAttr(name) => index(&value, &Value::from(name.as_str())),
            TraversalOperator::LegacyIndex(number) => index(&value, &Value::Text(number.to_string())),
            TraversalOperator::Index(expression) => index(&value, &self.value(expression)?),
            TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => {
                let elements = match value {
                    Value::Null => Vec::new(),
                    Value::List(list) => list,
                    one => vec![one],
                };
                let _depth = self.world.descend()?;
                let walked = elements.into_iter().map(|element| self.walk(element, rest));
                return walked.collect::<Result<_, _>>().map(Value::List);
            }
        };
        self.walk(next.map_err(|reason| told("an index", reason))?, rest)
    }

    fn comprehension(&self, comprehension: &ForExpr) -> Result<Value, BakeError> {
        let intro = &comprehension.intro;
        let collection = self.value(&intro.collection_expr)?;
        let key_name = intro.key_var.as_ref().map(|name| name.as_str());
        let mut list = Vec::new();
        let mut map: BTreeMap<String, Value> = BTreeMap::new();
        for (key, value) in entries(collection)? {
            self.world.spend(1)?;
            let locals = Locals::of_entry(key_name, key, intro.value_var.as_str(), value, self.locals);
            let inner = self.with(&locals);
            if let Some(condition) = &comprehension.cond {
                let kept = inner.value(&condition.expr)?.bool();
                if !kept.map_err(|reason| told("the condition of a for", reason))? {
                    continue;
                }
            }
            let value = inner.value(&comprehension.value_expr)?;
            let Some(key) = &comprehension.key_expr else {
                list.push(value);
                continue;
            };
            let key = inner.value(key)?.text().map_err(|reason| told("the key of a for", reason))?;
            if comprehension.grouping {
                match map.entry(key).or_insert_with(|| Value::List(Vec::new())) {
                    Value::List(group) => group.push(value),
                    other => *other = Value::List(vec![value]),
                }
            } else if map.insert(key.clone(), value).is_some() {
                return Err(told("a for", format!("the key {key:?} comes twice")));
            }
        }
        Ok(if comprehension.key_expr.is_some() { Value::Map(map) } else { Value::List(list) })
    }
}

/// The keys and values that a `for` goes through.
pub(super) fn entries(collection: Value) -> Result<Vec<(Value, Value)>, BakeError> {
    #[expect(clippy::cast_precision_loss, reason = "no list is that long")]
    let number = |index: usize| Value::Number(index as f64);
    match collection {
        Value::List(list) => {
            Ok(list.into_iter().enumerate().map(|(index, value)| (number(index), value)).collect())
        }
        Value::Map(map) => Ok(map.into_iter().map(|(key, value)| (Value::Text(key), value)).collect()),
        other => Err(told("a for", format!("expected a list or a map, not {}", other.kind()))),
    }
}

/// The element of a list, or the value of a map.
pub(super) fn index(collection: &Value, index: &Value) -> Result<Value, String> {
    match collection {
        Value::List(list) => {
            let number = index.number()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is compared again"
            )]
            let position = number as usize;
            #[expect(clippy::cast_precision_loss, reason = "no list is that long")]
            let exact = (position as f64).total_cmp(&number).is_eq();
            let found = list.get(position).filter(|_| exact);
            found.cloned().ok_or_else(|| format!("there is no element {number} in a list of {}", list.len()))
        }
        Value::Map(map) => {
            let key = index.text()?;
            map.get(&key).cloned().ok_or_else(|| format!("there is no {key:?} in the map"))
        }
        other => Err(format!("{} has no elements", other.kind())),
    }
}

pub(super) fn told(what: &str, reason: impl Into<String>) -> BakeError {
    BakeFault::value(what, reason).into()
}

pub(super) fn called(function: &str, reason: impl Into<String>) -> BakeError {
    BakeFault::Call { function: function.to_owned(), reason: reason.into() }.into()
}
