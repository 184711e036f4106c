//! JSON with the place of everything that is in it.

use std::collections::BTreeMap;

use super::{places::Positions, value::Value};

/// A value, and the byte where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) kind: NodeKind,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    /// A value with nothing in it.
    Plain(Value),
    List(Vec<Node>),
    /// The members by their keys; the last one of a key counts.
    Map(BTreeMap<String, Member>),
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member {
    /// Where its key begins.
    pub(super) at: usize,
    pub(super) value: Node,
}

/// Why a text is no JSON.
#[derive(Debug)]
pub(super) struct JsonError {
    pub(super) position: Option<(usize, usize)>,
    pub(super) reason: String,
}

impl Node {
    /// Reads a whole text.
    pub(super) fn read(text: &str, positions: &Positions) -> Result<Self, JsonError> {
        // What this accepts is valid, and not too deep.
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
            // The place is said before the sentence already.
            let told = error.to_string();
            let reason = told.split(" at line ").next().unwrap_or(&told).to_owned();
            JsonError { position: Some((error.line(), error.column())), reason }
        })?;
        let mut reader = Reader { text, at: 0 };
        let read = reader.node();
        read.map_err(|reason| JsonError { position: positions.of(reader.at), reason })
    }

    /// The members of an object.
    pub(super) fn map(&self) -> Result<&BTreeMap<String, Member>, String> {
        let kind = match &self.kind {
            NodeKind::Map(map) => return Ok(map),
            NodeKind::List(_) => "a list",
            NodeKind::Plain(value) => value.kind(),
        };
        Err(format!("expected a map, not {kind}"))
    }

    /// The elements of a list, or the one value.
    pub(super) fn one_or_several(&self) -> &[Self] {
        match &self.kind {
            NodeKind::List(list) => list,
            _ => std::slice::from_ref(self),
        }
    }
}

/// Goes through a valid text.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn node(&mut self) -> Result<Node, String> {
        let first = self.next();
        let at = self.at;
        let kind = match first {
            Some(b'{') => {
                let mut map = BTreeMap::new();
                self.at += 1;
                while !self.ends(b'}') {
                    self.next();
                    let at = self.at;
                    let key = self.plain()?.text()?;
                    self.next();
                    // The colon.
                    self.at += 1;
                    let value = self.node()?;
                    map.insert(key, Member { at, value });
                }
                NodeKind::Map(map)
            }
            Some(b'[') => {
                let mut list = Vec::new();
                self.at += 1;
                while !self.ends(b']') {
                    list.push(self.node()?);
                }
                NodeKind::List(list)
            }
            _ => NodeKind::Plain(self.plain()?),
        };
        Ok(Node { at, kind })
    }

    /// Goes to the next byte that is no blank.
    fn next(&mut self) -> Option<u8> {
        let left = self.text.as_bytes().get(self.at..)?;
        self.at += left.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes behind what separates or ends elements, and tells whether it ends them.
    fn ends(&mut self, end: u8) -> bool {
        match self.next() {
            Some(b',') => {
                self.at += 1;
                false
            }
            Some(byte) if byte != end => false,
            // A text that ends too early ends everything.
            _ => {
                self.at += 1;
                true
            }
        }
    }

    /// A string, a number, or a word.
    fn plain(&mut self) -> Result<Value, String> {
        let left = self.text.get(self.at..).unwrap_or_default();
        let length = if left.starts_with('"') {
            let mut is_escaped = false;
            let end = left.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !is_escaped;
                is_escaped = byte == b'\\' && !is_escaped;
                ends
            });
            end.map(|end| end + 2)
        } else {
            left.find(|letter: char| letter.is_ascii_whitespace() || [',', ']', '}'].contains(&letter))
        };
        let word = left.get(..length.unwrap_or(left.len())).unwrap_or_default();
        let value = serde_json::from_str(word).map_err(|error| error.to_string())?;
        self.at += word.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(node: &Node) -> Value {
        match &node.kind {
            NodeKind::Plain(value) => value.clone(),
            NodeKind::List(list) => Value::List(list.iter().map(value).collect()),
            NodeKind::Map(map) => {
                Value::Map(map.iter().map(|(key, member)| (key.clone(), value(&member.value))).collect())
            }
        }
    }

    fn agrees(text: &str) {
        let read = Node::read(text, &Positions::new(text));
        let expected = serde_json::from_str::<Value>(text);
        match (read, expected) {
            (Ok(read), Ok(expected)) => assert_eq!(value(&read), expected, "{text}"),
            (Err(_), Err(_)) => {}
            (read, expected) => panic!("{text}: {read:?} {expected:?}"),
        }
    }

    #[test]
    fn a_text_says_what_any_reader_of_json_finds_in_it() {
        for text in [
            "{}",
            " [ ] ",
            "[1 , -2.5e3,\"a,\\\"]}\\\\\",\n\ttrue, null]\n",
            "{\"a\":{\"b\":[{}]},\"a\" : 2, \"\\u00e9\": [[],{}]}",
            "\"\"",
            "0",
            "[1,]",
            "{\"a\" 1}",
            "{,}",
            "",
        ] {
            agrees(text);
        }
        let text = "{\n  \"a\": [1,\n \"b\"]}";
        let read = Node::read(text, &Positions::new(text)).expect("json");
        let member = &read.map().expect("a map")["a"];
        assert_eq!((member.at, member.value.at), (4, 9));
        assert_eq!(member.value.one_or_several()[1].at, 14);
        let error = Node::read("[\n1 2]", &Positions::new("")).expect_err("no json");
        assert_eq!((error.position, error.reason.as_str()), (Some((2, 3)), "expected `,` or `]`"));
    }

    proptest! {
        #[test]
        fn no_text_is_read_otherwise_than_any_reader_would(text in r#"[\[\]{},:" \\a1né-]{0,24}"#) {
            agrees(&text);
        }
    }
}
