//! Where a helper process begins to work on a step.

use std::{
    fs,
    io::{self, Read as _},
};

use super::task;
use crate::{
    removal::remove_folder,
    session::{
        error::Failure,
        userns,
        wire::{ANSWER, NO_SPACE, STEP_ROLE, USERNS_ROLE, Work},
    },
};

/// Does what a helper process with this first argument is for; `None` if that is something else.
pub(crate) fn serve(role: &str) -> Option<i32> {
    match role {
        STEP_ROLE => Some(main()),
        USERNS_ROLE => Some(userns::main()),
        _ => None,
    }
}

fn main() -> i32 {
    let mut input = Vec::new();
    let Ok(_) = io::stdin().read_to_end(&mut input) else { return 1 };
    let Ok(work) = serde_json::from_slice::<Work>(&input) else { return 1 };
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
    fs::create_dir(&work.scratch).map_err(failed())
}
