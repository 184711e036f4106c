//! Runs a Docker credential helper.
//!
//! Source: <https://github.com/docker/docker-credential-helpers> (README, "Development").

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{auth::Credentials, auth_file, error::AuthError};

/// How long a helper may take; some ask a person to unlock a keychain.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the helper `name`, which the file `config` names, for the credentials that it keeps as `server`.
pub(super) async fn get(
    folders: &[PathBuf],
    name: &str,
    server: &str,
    registry: &str,
    config: &Path,
) -> Result<Option<Credentials>, AuthError> {
    let helper = format!("docker-credential-{name}");
    let failed = |reason: String| AuthError::HelperFailed {
        helper: helper.clone(),
        registry: registry.to_owned(),
        reason,
    };
    let Some(program) = find(folders, &helper) else {
        let (helper, registry, path) = (helper, registry.to_owned(), config.to_owned());
        return Err(AuthError::NoHelper { helper, registry, path });
    };
    let run = async {
        let mut child = Command::new(program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that ends without reading says why in its own words.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, run)
        .await
        .map_err(|_| failed(format!("it did not answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said = [stdout.trim(), stderr.trim()].into_iter().find(|text| !text.is_empty());
        let said = said.and_then(|text| text.lines().next()).unwrap_or_default();
        if said.to_ascii_lowercase().contains("credentials not found") {
            return Ok(None);
        }
        let said: String = said.chars().take(200).collect();
        return Err(failed(if said.is_empty() { output.status.to_string() } else { said }));
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("its answer is malformed".into()))?;
    if answer.username.is_empty() && answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(Credentials { origin: helper, secret: auth_file::secret(&answer.username, &answer.secret) }))
}

fn find(folders: &[PathBuf], helper: &str) -> Option<PathBuf> {
    if helper.contains(['/', '\\']) {
        return None;
    }
    let names = [helper.to_owned(), format!("{helper}.exe")];
    let names = if cfg!(windows) { &names[..] } else { &names[..1] };
    folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).find(|path| path.is_file())
}
