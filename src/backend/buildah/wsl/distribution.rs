//! Which Linux is entered, and how.

use super::transport::LinuxTransport;

/// A Linux that can be entered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entered<'a> {
    pub(super) transport: &'a dyn LinuxTransport,
    /// The distribution; the usual one if absent.
    pub(super) distribution: Option<&'a str>,
}

impl Entered<'_> {
    /// What to call it in messages.
    pub(super) fn name(&self) -> String {
        match self.distribution {
            Some(name) => format!("the distribution {name}"),
            None => "this Linux".to_owned(),
        }
    }
}
