//! One suite that each backend passes: the same Dockerfile and context give the image that BuildKit gives.
//!
//! A case is a folder in `cases/`; `README.md` says what is in it.

mod base;
mod build;
mod case;
mod compare;
mod describe;
mod image;
mod setup;
mod suite;
mod tree;
mod windows;
