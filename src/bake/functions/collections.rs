//! Lists and maps.

use std::collections::BTreeMap;

use super::{
    super::{eval, value::Value},
    arguments::{at_least, count, exactly, number, short, whole},
};

/// The longest list that a function makes of numbers, as in go-cty.
const LONGEST_RANGE: usize = 1024;

pub(super) fn length(values: &[Value]) -> Result<Value, String> {
    let [value] = exactly(values)?;
    match value {
        Value::List(list) => Ok(number(list.len())),
        Value::Map(map) => Ok(number(map.len())),
        other => Err(format!("expected a list or a map, not {}", other.kind())),
    }
}

pub(super) fn contains(values: &[Value]) -> Result<Value, String> {
    let [list, wanted] = exactly(values)?;
    Ok(list.list()?.contains(wanted).into())
}

pub(super) fn concat(values: &[Value]) -> Result<Value, String> {
    let lists = at_least(1, values)?.iter().map(Value::list).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::List(lists.concat()))
}

pub(super) fn coalesce(values: &[Value]) -> Result<Value, String> {
    let found = values.iter().find(|value| **value != Value::Null);
    found.cloned().ok_or_else(|| "there is nothing but null".into())
}

pub(super) fn coalescelist(values: &[Value]) -> Result<Value, String> {
    for value in values {
        if *value != Value::Null && !value.list()?.is_empty() {
            return Ok(value.clone());
        }
    }
    Err("there is no list with elements".into())
}

pub(super) fn compact(values: &[Value]) -> Result<Value, String> {
    let [list] = exactly(values)?;
    let kept = list.list()?.iter().filter(|element| **element != Value::Null && **element != Value::from(""));
    Ok(Value::List(kept.cloned().collect()))
}

pub(super) fn distinct(values: &[Value]) -> Result<Value, String> {
    let [list] = exactly(values)?;
    let mut kept: Vec<Value> = Vec::new();
    for element in short(list)? {
        if !kept.contains(element) {
            kept.push(element.clone());
        }
    }
    Ok(Value::List(kept))
}

pub(super) fn chunklist(values: &[Value]) -> Result<Value, String> {
    let [list, size] = exactly(values)?;
    let (list, size) = (list.list()?, count(size)?);
    if list.is_empty() {
        return Ok(Value::List(Vec::new()));
    }
    let chunks = list.chunks(if size == 0 { list.len() } else { size });
    Ok(Value::List(chunks.map(|chunk| Value::List(chunk.to_vec())).collect()))
}

pub(super) fn flatten(values: &[Value]) -> Result<Value, String> {
    fn add(list: &[Value], flat: &mut Vec<Value>) {
        for element in list {
            match element {
                Value::List(list) => add(list, flat),
                other => flat.push(other.clone()),
            }
        }
    }
    let [list] = exactly(values)?;
    let mut flat = Vec::new();
    add(list.list()?, &mut flat);
    Ok(Value::List(flat))
}

pub(super) fn element(values: &[Value]) -> Result<Value, String> {
    let [list, index] = exactly(values)?;
    let list = list.list()?;
    let length = i64::try_from(list.len()).map_err(|error| error.to_string())?;
    if length == 0 {
        return Err("the list is empty".into());
    }
    let index = usize::try_from(whole(index)?.rem_euclid(length)).map_err(|error| error.to_string())?;
    Ok(list.get(index).cloned().unwrap_or(Value::Null))
}

pub(super) fn index(values: &[Value]) -> Result<Value, String> {
    let [collection, index] = exactly(values)?;
    eval::index(collection, index)
}

pub(super) fn hasindex(values: &[Value]) -> Result<Value, String> {
    let [collection, index] = exactly(values)?;
    Ok(eval::index(collection, index).is_ok().into())
}

pub(super) fn indexof(values: &[Value]) -> Result<Value, String> {
    let [list, wanted] = exactly(values)?;
    let found = list.list()?.iter().position(|element| element == wanted);
    found.map(number).ok_or_else(|| "there is no such element in the list".into())
}

pub(super) fn slice(values: &[Value]) -> Result<Value, String> {
    let [list, start, end] = exactly(values)?;
    let (start, end) = (count(start)?, count(end)?);
    let part = list.list()?.get(start..end);
    part.map(|part| Value::List(part.to_vec())).ok_or_else(|| "the list is not that long".into())
}

pub(super) fn reverselist(values: &[Value]) -> Result<Value, String> {
    let [list] = exactly(values)?;
    Ok(Value::List(list.list()?.iter().rev().cloned().collect()))
}

pub(super) fn sort(values: &[Value]) -> Result<Value, String> {
    let [list] = exactly(values)?;
    let mut texts = list.list()?.iter().map(Value::text).collect::<Result<Vec<_>, _>>()?;
    texts.sort_unstable();
    Ok(Value::texts(texts))
}

pub(super) fn range(values: &[Value]) -> Result<Value, String> {
    let numbers = values.iter().map(Value::number).collect::<Result<Vec<_>, _>>()?;
    let (start, end, step) = match numbers[..] {
        [end] => (0.0, end, if end < 0.0 { -1.0 } else { 1.0 }),
        [start, end] => (start, end, if end < start { -1.0 } else { 1.0 }),
        [start, end, step] => (start, end, step),
        _ => return Err(format!("expected 1 to 3 arguments, got {}", values.len())),
    };
    if step == 0.0 || (end - start) * step < 0.0 {
        return Err("the step does not lead to the end".into());
    }
    let mut list = Vec::new();
    let mut current = start;
    while (step > 0.0 && current < end) || (step < 0.0 && current > end) {
        if list.len() >= LONGEST_RANGE {
            return Err("the range is too long".into());
        }
        list.push(Value::Number(current));
        current += step;
    }
    Ok(Value::List(list))
}

pub(super) fn keys(values: &[Value]) -> Result<Value, String> {
    let [map] = exactly(values)?;
    Ok(Value::texts(map.map()?.keys()))
}

pub(super) fn values(values: &[Value]) -> Result<Value, String> {
    let [map] = exactly(values)?;
    Ok(Value::List(map.map()?.values().cloned().collect()))
}

pub(super) fn lookup(values: &[Value]) -> Result<Value, String> {
    let (map, key, default) = match values {
        [map, key] => (map, key, None),
        [map, key, default] => (map, key, Some(default)),
        _ => return Err(format!("expected 2 or 3 arguments, got {}", values.len())),
    };
    let key = key.text()?;
    let found = map.map()?.get(&key).or(default);
    found.cloned().ok_or_else(|| format!("there is no {key:?} in the map"))
}

pub(super) fn merge(values: &[Value]) -> Result<Value, String> {
    let mut merged = BTreeMap::new();
    for value in values.iter().filter(|value| **value != Value::Null) {
        merged.extend(value.map()?.clone());
    }
    Ok(Value::Map(merged))
}

pub(super) fn zipmap(values: &[Value]) -> Result<Value, String> {
    let [keys, values] = exactly(values)?;
    let (keys, values) = (keys.list()?, values.list()?);
    if keys.len() != values.len() {
        return Err(format!("there are {} keys and {} values", keys.len(), values.len()));
    }
    let entries = keys.iter().zip(values).map(|(key, value)| Ok((key.text()?, value.clone())));
    entries.collect::<Result<_, String>>().map(Value::Map)
}
