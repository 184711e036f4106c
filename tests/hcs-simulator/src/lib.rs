//! Stands in for the libraries of the Host Compute Service of Windows where there are none, for tests.
//!
//! One library that is installed as `computecore.dll`, `vmcompute.dll`, `computenetwork.dll` and
//! `api-ms-win-core-backup-l1-1-0.dll`. It refuses what Windows refuses, and more: what Windows only documents it holds callers to. The copies share no memory;
//! what they know is in the folder that `POLYARCH_HCS_SIMULATOR` names, and without it the service is switched off
//! (`0x80370114`). A layer is a whole tree of files, a volume is a folder, and a process in a compute system is a process
//! of this machine, in a job, with its working directory in the volume.
//!
//! What tests find in the folder:
//! - `left.txt`: one line for each thing that must go: `system ID`, `process PID in ID`, `scratch PATH`, `active PATH`,
//!   `prepared PATH`, `namespace ID`, `endpoint ID`. Empty when all is well; right as of the last call.
//! - `calls.txt`: one line a call, its name and what it was about.
//! - `volumes\{ID}`: what is in a volume.
//! - `networks.txt` is written by tests: the networks of the machine, one a line: `ID TYPE NAME`. Without it, there is a
//!   NAT network called `nat`, and a switch of another type.
//! - `fail\NAME` is written by tests: which calls of a function fail, one a line: `N CODE WORDS`, where N counts from 1,
//!   or is `*`; `N at-once CODE` fails the call and not its operation; `N die` and `N die-after` end the process before
//!   and after the call has done its work; `N held` makes `held\NAME`, and the call waits until the test removes it.

#[cfg(windows)]
mod backup;
#[cfg(windows)]
mod child;
#[cfg(windows)]
mod computecore;
#[cfg(windows)]
mod computenetwork;
#[cfg(windows)]
mod documents;
#[cfg(windows)]
mod export;
#[cfg(windows)]
mod failure;
#[cfg(windows)]
mod fault;
#[cfg(windows)]
mod import;
#[cfg(windows)]
mod inside;
#[cfg(windows)]
mod job;
#[cfg(windows)]
mod layers;
#[cfg(windows)]
mod networks;
#[cfg(windows)]
mod objects;
#[cfg(windows)]
mod older;
#[cfg(windows)]
mod owner;
#[cfg(windows)]
mod pipes;
#[cfg(windows)]
mod process_document;
#[cfg(windows)]
mod processes;
#[cfg(windows)]
mod sidecar;
#[cfg(windows)]
mod state;
#[cfg(windows)]
mod stream;
#[cfg(windows)]
mod systems;
#[cfg(windows)]
mod text;
#[cfg(windows)]
mod tree;
#[cfg(windows)]
mod vmcompute;
#[cfg(windows)]
mod which;
#[cfg(windows)]
mod win32;
#[cfg(windows)]
mod world;
