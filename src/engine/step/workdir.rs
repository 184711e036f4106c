//! WORKDIR.

use crate::{
    context::RelPath,
    engine::{changes::Changes, error::EngineError, key::Key, stage::Stage, step::Step, users},
};

impl Step<'_> {
    pub(super) async fn workdir(&self, stage: &mut Stage, path: &str) -> Result<bool, EngineError> {
        let path = self.words(stage).expand(path)?;
        if path.is_empty() {
            return Err(EngineError::Invalid("WORKDIR names no path".into()));
        }
        let joined = if path.starts_with('/') { path } else { format!("{}/{path}", stage.workdir()) };
        let path = RelPath::clean(joined.as_bytes());
        let workdir = format!("/{}", String::from_utf8_lossy(path.as_bytes()));
        stage.config.config.working_dir.clone_from(&workdir);
        let user = stage.config.config.user.clone();
        let chain = stage.chain.clone();
        let epoch = self.build.epoch;
        let key = Key::new("workdir").field(chain.id()).field(&workdir).field(&user);
        let key = key.option(epoch.map(i64::to_le_bytes)).end();
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
        let reads = vec![stage.chain.clone()];
        self.change(stage, &format!("WORKDIR {workdir}"), key, reads, make).await
    }
}
