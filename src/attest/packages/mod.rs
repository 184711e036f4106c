//! Packages of an image, as the files that say so name them. Nothing here reads a file: each module takes the bytes of
//! one, whoever wrote them, and makes nothing of what it does not understand.

mod apk;
mod composer;
mod dpkg;
mod found;
mod gems;
mod go;
mod kind;
mod npm;
mod python;
mod release;
mod rpm;
mod sqlite;
mod tables;
mod yarn;

pub(super) use found::{Found, Package};
pub(super) use kind::Kind;
pub(super) use release::Release;
