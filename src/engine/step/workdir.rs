//! WORKDIR.

use polyarch_actors::ImageOs;

use crate::{
    context::RelPath,
    dockerfile::windows_workdir,
    engine::{changes::Changes, error::EngineError, key::Key, stage::Stage, step::Step, users},
};

impl Step<'_> {
    pub(super) async fn workdir(&self, stage: &mut Stage, path: &str) -> Result<bool, EngineError> {
        let path = self.words(stage).expand(path)?;
        if path.is_empty() {
            return Err(EngineError::Invalid("WORKDIR names no path".into()));
        }
        let path = stage.path(&path)?;
        let joined = if path.starts_with('/') { path } else { format!("{}/{path}", stage.workdir()) };
        let path = RelPath::clean(joined.as_bytes());
        let workdir = format!("/{}", String::from_utf8_lossy(path.as_bytes()));
        let os = stage.platform.os();
        stage.config.config.working_dir = match os {
            ImageOs::Linux => workdir.clone(),
            ImageOs::Windows => windows_workdir(&workdir),
        };
        let user = match os {
            ImageOs::Linux => stage.config.config.user.clone(),
            // Who owns a directory of Windows stands in its security descriptor, and names are known only there.
            ImageOs::Windows => String::new(),
        };
        let chain = stage.ground(&path);
        let epoch = self.build.epoch;
        let key = Key::new("workdir").field(&*stage.chain.id()).field(&workdir).field(&user);
        let key = key.option(epoch.map(i64::to_le_bytes)).end();
        let reads = chain.clone();
        let make = move |build: &crate::engine::build::Build| {
            let tree = build.tree(&chain)?;
            let owner = match user.as_str() {
                "" => (0, 0),
                user => users::owner(user, &tree, &build.spools)?,
            };
            let mut changes = Changes::new(tree, epoch.unwrap_or(0));
            let path = changes.resolve(&path)?;
            changes.make_directories(&path, owner)?;
            Ok(changes.finish())
        };
        let reads = vec![reads];
        self.change(stage, &format!("WORKDIR {workdir}"), key, reads, make).await
    }
}
