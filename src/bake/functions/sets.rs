//! Lists as sets: each element is in them once.

use super::{
    super::value::Value,
    arguments::{at_least, exactly, short},
    format::LONGEST,
};

fn once(elements: impl IntoIterator<Item = Value>) -> Value {
    let mut kept: Vec<Value> = Vec::new();
    for element in elements {
        if !kept.contains(&element) {
            kept.push(element);
        }
    }
    Value::List(kept)
}

pub(super) fn setunion(values: &[Value]) -> Result<Value, String> {
    let lists = at_least(1, values)?.iter().map(short).collect::<Result<Vec<_>, _>>()?;
    Ok(once(lists.concat()))
}

pub(super) fn setintersection(values: &[Value]) -> Result<Value, String> {
    let lists = at_least(1, values)?.iter().map(short).collect::<Result<Vec<_>, _>>()?;
    let first = lists[0].iter().filter(|element| lists.iter().all(|list| list.contains(element)));
    Ok(once(first.cloned()))
}

pub(super) fn setsubtract(values: &[Value]) -> Result<Value, String> {
    let [list, less] = exactly(values)?;
    let less = short(less)?;
    Ok(once(short(list)?.iter().filter(|element| !less.contains(element)).cloned()))
}

pub(super) fn setsymmetricdifference(values: &[Value]) -> Result<Value, String> {
    let lists = at_least(1, values)?.iter().map(short).collect::<Result<Vec<_>, _>>()?;
    let alone = |element: &&Value| lists.iter().filter(|list| list.contains(element)).count() % 2 == 1;
    Ok(once(lists.iter().flat_map(|list| list.iter()).filter(alone).cloned()))
}

pub(super) fn setproduct(values: &[Value]) -> Result<Value, String> {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in at_least(2, values)? {
        let list = short(list)?;
        let weight = |values: &[Value]| values.iter().map(Value::weight).sum::<usize>();
        let so_far: usize = rows.iter().map(|row| weight(row)).sum();
        let more = rows.len().saturating_mul(weight(list));
        if so_far.saturating_mul(list.len()).saturating_add(more) > LONGEST {
            return Err("there are too many combinations".into());
        }
        let longer =
            |row: &Vec<Value>, element: &Value| [row.as_slice(), std::slice::from_ref(element)].concat();
        rows = rows.iter().flat_map(|row| list.iter().map(move |element| longer(row, element))).collect();
    }
    Ok(Value::List(rows.into_iter().map(Value::List).collect()))
}
