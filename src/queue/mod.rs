//! What is written down of builds that wait for their turn.

mod identity;

pub use identity::{SpecFormError, from_json, is_pinned, to_json};
