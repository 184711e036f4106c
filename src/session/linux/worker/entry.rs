//! Where a helper process begins to work on a step.

use std::{fs, io};

use super::{memory, task};
use crate::{
    removal::remove_folder,
    session::{
        error::Failure,
        linux::{
            userns,
            wire::{ANSWER, NO_SPACE, USERNS_ROLE, Work},
        },
    },
};

/// Does what a helper process with this first argument is for; `None` if that is something else.
pub(crate) fn serve(role: &str) -> Option<i32> {
    (role == USERNS_ROLE).then(userns::main)
}

/// Does the work of a cell. Returns the code that the cell ends with.
pub(crate) fn work(order: &str) -> i32 {
    let Ok(work) = serde_json::from_str::<Work>(order) else { return 1 };
    let answer = prepare(&work).and_then(|()| task::perform(&work));
    let Ok(bytes) = serde_json::to_vec(&answer) else { return 1 };
    match fs::write(work.scratch.join(ANSWER), bytes).map_err(Failure::system("answer")) {
        Ok(()) => 0,
        Err(Failure::System { full: true, .. }) => NO_SPACE,
        Err(_) => 1,
    }
}

/// Makes an empty scratch folder: a helper that was killed may have left things in it.
fn prepare(work: &Work) -> Result<(), Failure> {
    let failed = || Failure::system::<io::Error>(format!("empty {}", work.scratch.display()));
    if work.scratch.exists() {
        remove_folder(&work.scratch).map_err(failed())?;
    }
    fs::create_dir(&work.scratch).map_err(failed())?;
    memory::open(&work.scratch)
}
