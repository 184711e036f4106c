//! The calls themselves, through the libraries that Windows has them in.

mod attributes;
mod backup;
mod compute;
mod dlls;
mod failure;
mod host;
mod layers;
mod library;
mod network;
mod notices;
mod older;
mod operation;
mod pipe;
mod process;
mod rights;
mod system;
mod text;

pub use dlls::Dlls;
