//! Where a helper process becomes a guard.

use super::{cell, session};

/// The first argument that makes this program a guard.
pub(super) const GUARD_ROLE: &str = "__polyarch-guard";
/// The first argument that makes this program the first process of a cell. The name of a control group may follow.
pub(super) const CELL_ROLE: &str = "__polyarch-cell";

/// Does what a helper process with this first argument is for; `None` if that is something else. `work` is what a cell
/// does with the order of [`super::Work`], and returns the code that it ends with.
pub(crate) fn serve(role: &str, work: fn(&str) -> i32) -> Option<i32> {
    match role {
        GUARD_ROLE => Some(session::main()),
        CELL_ROLE => Some(cell::main(work)),
        _ => None,
    }
}
