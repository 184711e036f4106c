//! The document that callers describe processes with. A field that is not known is refused.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A process.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of Windows")]
pub(crate) struct ProcessDocument {
    pub(crate) command_line: String,
    #[serde(default)]
    pub(crate) working_directory: String,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(default, rename = "User")]
    _user: String,
    #[serde(default)]
    pub(crate) emulate_console: bool,
    #[serde(default, rename = "RestrictedToken")]
    _restricted_token: bool,
    #[serde(default)]
    pub(crate) create_std_in_pipe: bool,
    #[serde(default)]
    pub(crate) create_std_out_pipe: bool,
    #[serde(default)]
    pub(crate) create_std_err_pipe: bool,
}
