//! How many arguments there are, and what they are.

use super::super::value::Value;

/// A function: its arguments to its value, or a reason why not.
pub(in crate::bake) type Function = fn(&[Value]) -> Result<Value, String>;

/// Exactly so many arguments.
pub(super) fn exactly<const COUNT: usize>(values: &[Value]) -> Result<&[Value; COUNT], String> {
    values.try_into().map_err(|_| match COUNT {
        1 => format!("expected 1 argument, got {}", values.len()),
        _ => format!("expected {COUNT} arguments, got {}", values.len()),
    })
}

/// So many arguments, and more.
pub(super) fn at_least(count: usize, values: &[Value]) -> Result<&[Value], String> {
    if values.len() < count {
        return Err(format!("expected at least {count} arguments, got {}", values.len()));
    }
    Ok(values)
}

/// A number that is whole and not below zero.
pub(super) fn count(value: &Value) -> Result<usize, String> {
    let number = value.number()?;
    if number < 0.0 || number.fract() != 0.0 || number > 4_294_967_295.0 {
        return Err(format!("{number} is no count"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was looked at")]
    let count = number as usize;
    Ok(count)
}

/// A number that is whole.
pub(super) fn whole(value: &Value) -> Result<i64, String> {
    let number = value.number()?;
    if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
        return Err(format!("{number} is no whole number"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was looked at")]
    let whole = number as i64;
    Ok(whole)
}

/// A list whose elements are compared with each other.
pub(super) fn short(value: &Value) -> Result<&[Value], String> {
    /// The longest one.
    const MOST: usize = 4096;
    let list = value.list()?;
    if list.len() > MOST { Err(format!("the list has more than {MOST} elements")) } else { Ok(list) }
}

/// A count as a number.
pub(super) fn number(count: usize) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "nothing is that long")]
    let number = count as f64;
    Value::Number(number)
}
