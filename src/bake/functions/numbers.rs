//! Numbers, comparisons and logic.

use super::{
    super::{
        operators::{self, some_number},
        value::Value,
    },
    arguments::{at_least, exactly, whole},
};

fn of_one(values: &[Value], work: fn(f64) -> f64) -> Result<Value, String> {
    let [number] = exactly(values)?;
    some_number(work(number.number()?))
}

fn of_two(values: &[Value], work: fn(f64, f64) -> Result<Value, String>) -> Result<Value, String> {
    let [left, right] = exactly(values)?;
    work(left.number()?, right.number()?)
}

pub(super) fn absolute(values: &[Value]) -> Result<Value, String> {
    of_one(values, f64::abs)
}

pub(super) fn ceil(values: &[Value]) -> Result<Value, String> {
    of_one(values, f64::ceil)
}

pub(super) fn floor(values: &[Value]) -> Result<Value, String> {
    of_one(values, f64::floor)
}

pub(super) fn int(values: &[Value]) -> Result<Value, String> {
    of_one(values, f64::trunc)
}

pub(super) fn negate(values: &[Value]) -> Result<Value, String> {
    of_one(values, |number| -number)
}

pub(super) fn signum(values: &[Value]) -> Result<Value, String> {
    of_one(values, |number| if number == 0.0 { 0.0 } else { number.signum() })
}

pub(super) fn add(values: &[Value]) -> Result<Value, String> {
    of_two(values, |left, right| some_number(left + right))
}

pub(super) fn subtract(values: &[Value]) -> Result<Value, String> {
    of_two(values, |left, right| some_number(left - right))
}

pub(super) fn multiply(values: &[Value]) -> Result<Value, String> {
    of_two(values, |left, right| some_number(left * right))
}

pub(super) fn divide(values: &[Value]) -> Result<Value, String> {
    of_two(values, operators::divide)
}

pub(super) fn modulo(values: &[Value]) -> Result<Value, String> {
    of_two(values, operators::remainder)
}

pub(super) fn pow(values: &[Value]) -> Result<Value, String> {
    of_two(values, |left, right| some_number(left.powf(right)))
}

pub(super) fn log(values: &[Value]) -> Result<Value, String> {
    of_two(values, |number, base| some_number(number.log(base)))
}

pub(super) fn lessthan(values: &[Value]) -> Result<Value, String> {
    of_two(values, |left, right| Ok((left < right).into()))
}

pub(super) fn lessthanorequalto(values: &[Value]) -> Result<Value, String> {
    of_two(values, |left, right| Ok((left <= right).into()))
}

pub(super) fn greaterthan(values: &[Value]) -> Result<Value, String> {
    of_two(values, |left, right| Ok((left > right).into()))
}

pub(super) fn greaterthanorequalto(values: &[Value]) -> Result<Value, String> {
    of_two(values, |left, right| Ok((left >= right).into()))
}

fn best(values: &[Value], choose: fn(f64, f64) -> f64) -> Result<Value, String> {
    let numbers = at_least(1, values)?.iter().map(Value::number).collect::<Result<Vec<_>, _>>()?;
    some_number(numbers.into_iter().reduce(choose).unwrap_or_default())
}

pub(super) fn max(values: &[Value]) -> Result<Value, String> {
    best(values, f64::max)
}

pub(super) fn min(values: &[Value]) -> Result<Value, String> {
    best(values, f64::min)
}

pub(super) fn parseint(values: &[Value]) -> Result<Value, String> {
    let [text, base] = exactly(values)?;
    let (text, base) = (text.text()?, whole(base)?);
    let radix = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let radix = radix.ok_or_else(|| format!("{base} is no base (2 to 36)"))?;
    let number =
        i64::from_str_radix(&text, radix).map_err(|_| format!("{text:?} is no number of base {base}"))?;
    #[expect(clippy::cast_precision_loss, reason = "numbers of definitions are f64")]
    let number = number as f64;
    Ok(Value::Number(number))
}

pub(super) fn equal(values: &[Value]) -> Result<Value, String> {
    let [left, right] = exactly(values)?;
    Ok((left == right).into())
}

pub(super) fn notequal(values: &[Value]) -> Result<Value, String> {
    let [left, right] = exactly(values)?;
    Ok((left != right).into())
}

pub(super) fn and(values: &[Value]) -> Result<Value, String> {
    let [left, right] = exactly(values)?;
    Ok((left.bool()? && right.bool()?).into())
}

pub(super) fn or(values: &[Value]) -> Result<Value, String> {
    let [left, right] = exactly(values)?;
    Ok((left.bool()? || right.bool()?).into())
}

pub(super) fn not(values: &[Value]) -> Result<Value, String> {
    let [value] = exactly(values)?;
    Ok((!value.bool()?).into())
}
