//! What only a real Windows can tell, each started on purpose: `docs/windows-and-macos.md` says how.

mod desk;
mod ends;
mod images;
mod wsl;
