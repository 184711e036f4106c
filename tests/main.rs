//! Everything that is tested through the public API or the command, in one binary that links once.

mod cli;
mod dependencies;
mod flows;
mod support;
