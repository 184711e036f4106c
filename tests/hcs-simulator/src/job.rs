//! The jobs that hold all processes of a compute system together.
//!
//! JUSTIFICATION: jobs are only made by Win32.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    collections::BTreeMap,
    os::windows::io::{AsRawHandle as _, OwnedHandle},
    path::Path,
    ptr::null,
    sync::Mutex,
};

use windows_sys::Win32::System::JobObjects::{
    CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectExtendedLimitInformation, OpenJobObjectW, SetInformationJobObject, TerminateJobObject,
};

use crate::{
    failure::Outcome,
    objects::lock,
    text::wide,
    win32::{owned, succeeded},
    world::{id_of, spelled},
};

/// To assign processes to a job, and to end them.
const ALL_ACCESS: u32 = 0x001F_001F;

/// The jobs of the systems that this process has created. They are closed when it ends, whatever ends it, and that ends
/// the processes in them.
static JOBS: Mutex<BTreeMap<String, OwnedHandle>> = Mutex::new(BTreeMap::new());

/// Makes the job of a system.
pub(crate) fn make(root: &Path, id: &str) -> Outcome<()> {
    let name = name_of(root, id);
    // SAFETY: The name ends with a zero.
    let job = unsafe { owned(CreateJobObjectW(null(), name.as_ptr())) }?;
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    let size = u32::try_from(size_of_val(&limits)).unwrap_or_default();
    // SAFETY: The structure is the one of this class, and has this size.
    succeeded(unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size,
        )
    })?;
    lock(&JOBS).insert(id.to_owned(), job);
    Ok(())
}

/// Ends all processes of a system, whoever has created it.
pub(crate) fn end(root: &Path, id: &str) -> Outcome<()> {
    // Where there is no such job there are no processes.
    if let Ok(job) = open(root, id) {
        // SAFETY: The handle is open.
        succeeded(unsafe { TerminateJobObject(job.as_raw_handle(), 1) })?;
    }
    lock(&JOBS).remove(id);
    Ok(())
}

/// The job of a system.
pub(crate) fn open(root: &Path, id: &str) -> Outcome<OwnedHandle> {
    let name = name_of(root, id);
    // SAFETY: The name ends with a zero.
    unsafe { owned(OpenJobObjectW(ALL_ACCESS, 0, name.as_ptr())) }
}

fn name_of(root: &Path, id: &str) -> Vec<u16> {
    wide(&format!(r"Local\polyarch-hcs-simulator-{}", spelled(id_of(&format!("{}|{id}", root.display())))))
}
