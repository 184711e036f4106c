//! buildah in a Linux that is not this process's: a distribution of WSL 2 on Windows.
//!
//! Nothing of this process is seen in there and nothing there is seen from here: contexts, bases and secrets go in over a
//! standard input, the image comes out over a standard output, and every command is a script that is read from its
//! input, so that no text of a person is ever part of a Windows command line. One script *holds* a folder in there for as
//! long as its standard input is open. When that closes, because the build ended or this process did, it kills what
//! works in the folder and removes it.

mod arguments;
mod backend;
mod build;
mod call;
mod distribution;
mod fetch;
mod found;
mod outcome;
mod pack;
mod parts;
mod pipe;
mod probe;
mod receive;
mod script;
mod text;
mod transport;
mod work;

pub use backend::{WslBackend, WslOptions};
pub use transport::{LinuxTransport, LocalTransport, WslTransport};
