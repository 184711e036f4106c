//! Where everything in a YAML file is.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

use super::super::{places::Places, value::Key};

/// How deep places are noted: `services`, a name, `build`, `x-bake`, a key, and what is in it.
const DEEPEST: usize = 6;

/// The places of a file that can be read: of the keys of maps, and of the elements of lists. What is deeper is at the
/// place of what it is in.
pub(super) fn places(file: &str, text: &str) -> Places {
    let mut places = Places::default();
    let file = file.into();
    if let Ok(root) = serde_saphyr::from_str::<Spanned<Node>>(text) {
        note(&mut places, &file, &mut Vec::new(), (root.referenced, &root.value));
    }
    places
}

/// The line and the column of a location that is known.
pub(super) fn position(location: Location) -> Option<(usize, usize)> {
    let known = |number: u64| usize::try_from(number).ok().filter(|number| *number > 0);
    Some((known(location.line())?, known(location.column())?))
}

fn note(places: &mut Places, file: &Arc<str>, path: &mut Vec<String>, (location, node): (Location, &Node)) {
    if let Some(position) = position(location) {
        places.note(path, file, position);
    }
    if path.len() == DEEPEST {
        return;
    }
    for (key, location, inner) in &node.0 {
        path.push(key.clone());
        note(places, file, path, (*location, inner));
        path.pop();
    }
}

/// What is in a value: by which key or number, and where.
struct Node(Vec<(String, Location, Node)>);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element::<Spanned<Node>>()? {
            list.push((list.len().to_string(), element.referenced, element.value));
        }
        Ok(Node(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<Key>, Node>()? {
            map.push((key.value.0, key.referenced, value));
        }
        Ok(Node(map))
    }
}
