//! One block that is many targets.
//!
//! Source: buildx, `bake/bake.go` (`GetEvalContexts`, `GetName`).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    block::Block,
    error::{BakeError, BakeFault},
    eval::told,
    scope::{Locals, World},
    value::Value,
};

/// How many targets a block may be.
const MOST_TARGETS: usize = 4096;

/// The name of a target, and the values that it sees.
pub(super) type Expanded = (String, BTreeMap<String, Value>);

/// The names of what a block is, and the values that each of them sees.
///
/// With a label that is wanted, blocks whose label it is not are looked at only if they have a matrix.
pub(super) fn expand(
    world: &World<'_>,
    block: &Block,
    wanted: Option<&str>,
) -> Result<Vec<Expanded>, BakeError> {
    let what = || format!("{} {}", block.kind, block.label);
    let Some(matrix) = block.attributes.get("matrix") else {
        if let Some(name) = block.attributes.get("name") {
            return Err(told(&what(), "a name needs a matrix").at(&name.place));
        }
        let plain = (block.label.clone(), BTreeMap::new());
        return Ok(if wanted.is_none_or(|wanted| wanted == block.label) { vec![plain] } else { Vec::new() });
    };
    if block.kind == "group" {
        return Err(told(&what(), "a group has no matrix").at(&matrix.place));
    }
    let wrong = |reason: String| told(&format!("{}: matrix", what()), reason).at(&matrix.place);
    let value = world.evaluate(matrix, None)?;
    let mut rows: Vec<BTreeMap<String, Value>> = vec![BTreeMap::new()];
    for (key, values) in value.map().map_err(wrong)? {
        let values: Vec<&Value> = match values {
            Value::List(list) => list.iter().collect(),
            Value::Map(map) => map.values().collect(),
            other => return Err(wrong(format!("{key}: expected a list, not {}", other.kind()))),
        };
        if rows.len().saturating_mul(values.len()) > MOST_TARGETS {
            return Err(BakeFault::TooLarge.into()).map_err(|error: BakeError| error.at(&matrix.place));
        }
        let so_far: usize = rows.iter().flat_map(BTreeMap::values).map(Value::weight).sum();
        let more: usize = values.iter().map(|value| value.weight()).sum();
        world.spend(so_far.saturating_mul(values.len()).saturating_add(more.saturating_mul(rows.len())))?;
        rows = values
            .into_iter()
            .flat_map(|value| {
                rows.iter().map(|row| {
                    let mut row = row.clone();
                    row.insert(key.clone(), value.clone());
                    row
                })
            })
            .collect();
    }
    let mut names = BTreeSet::new();
    let mut expanded = Vec::with_capacity(rows.len());
    for row in rows {
        let name = match block.attributes.get("name") {
            Some(name) => {
                let value = world.evaluate(name, Some(&Locals::new(row.clone())))?;
                value.text().map_err(|reason| told(&format!("{}: name", what()), reason).at(&name.place))?
            }
            None => block.label.clone(),
        };
        if !names.insert(name.clone()) {
            return Err(wrong(format!("the name {name:?} comes twice")));
        }
        expanded.push((name, row));
    }
    Ok(expanded)
}
