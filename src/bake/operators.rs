//! What operators do. Strings of digits are numbers to them, as they are to HCL.

use hcl_edit::expr::{BinaryOperator, UnaryOperator};

use super::value::Value;

pub(super) fn unary(operator: UnaryOperator, value: &Value) -> Result<Value, String> {
    match operator {
        UnaryOperator::Neg => value.number().map(|number| Value::Number(-number)),
        UnaryOperator::Not => value.bool().map(|value| Value::Bool(!value)),
    }
}

pub(super) fn binary(left: &Value, operator: BinaryOperator, right: &Value) -> Result<Value, String> {
    let numbers = || Ok::<_, String>((left.number()?, right.number()?));
    let compare =
        |holds: fn(f64, f64) -> bool| numbers().map(|(left, right)| Value::Bool(holds(left, right)));
    Ok(match operator {
        BinaryOperator::Eq => Value::Bool(left == right),
        BinaryOperator::NotEq => Value::Bool(left != right),
        BinaryOperator::LessEq => compare(|left, right| left <= right)?,
        BinaryOperator::GreaterEq => compare(|left, right| left >= right)?,
        BinaryOperator::Less => compare(|left, right| left < right)?,
        BinaryOperator::Greater => compare(|left, right| left > right)?,
        BinaryOperator::Plus => numbers().and_then(|(left, right)| some_number(left + right))?,
        BinaryOperator::Minus => numbers().and_then(|(left, right)| some_number(left - right))?,
        BinaryOperator::Mul => numbers().and_then(|(left, right)| some_number(left * right))?,
        BinaryOperator::Div => numbers().and_then(|(left, right)| divide(left, right))?,
        BinaryOperator::Mod => numbers().and_then(|(left, right)| remainder(left, right))?,
        BinaryOperator::And => Value::Bool(left.bool()? && right.bool()?),
        BinaryOperator::Or => Value::Bool(left.bool()? || right.bool()?),
    })
}

/// A number that there is.
pub(super) fn some_number(number: f64) -> Result<Value, String> {
    if number.is_finite() { Ok(Value::Number(number)) } else { Err("the result is no number".into()) }
}

pub(super) fn divide(left: f64, right: f64) -> Result<Value, String> {
    if right == 0.0 { Err("nothing is divided by zero".into()) } else { some_number(left / right) }
}

pub(super) fn remainder(left: f64, right: f64) -> Result<Value, String> {
    if right == 0.0 { Err("nothing is divided by zero".into()) } else { some_number(left % right) }
}
