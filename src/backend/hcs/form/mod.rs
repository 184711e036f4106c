//! Layers between their archives and the folders that Windows takes and gives.

mod finish;
mod pack;
mod sink;
mod source;
mod unpack;
mod utility_vm;

pub(super) use finish::finish;
pub(super) use pack::pack;
pub(super) use unpack::{unpack_base, unpack_difference};
