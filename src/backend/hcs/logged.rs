//! Tells the program's log of every call to Windows: what a person sends who has a Windows that nobody else has.
//!
//! Documents of processes stay out of it, because an environment may hold what is nobody's business. Of calls for single
//! files, of which there are hundreds of thousands, only failures are told.

use std::{fmt, io::Read, path::Path, sync::Arc, time::Instant};

use super::{
    api::{
        ComputeSystem, FileAttributes, FileIdentity, HcsApi, HcsProcess, HcsResult, LayerBelow,
        StartedProcess,
    },
    guid::Guid,
    network::HcnApi,
    version::OsVersion,
};

/// Calls another one, and tells of it.
#[derive(Debug)]
pub(super) struct Logged(pub(super) Arc<dyn HcsApi>);

#[derive(Debug)]
struct LoggedSystem {
    id: String,
    system: Box<dyn ComputeSystem>,
}

#[derive(Debug)]
struct LoggedProcess {
    system: String,
    process: Box<dyn HcsProcess>,
}

/// Makes a call and tells how it ended.
fn tell<T>(call: &'static str, of: &dyn fmt::Display, work: impl FnOnce() -> HcsResult<T>) -> HcsResult<T> {
    let begun = Instant::now();
    let ended = work();
    let milliseconds = begun.elapsed().as_millis();
    match &ended {
        Ok(_) => tracing::debug!(call, %of, milliseconds, "called Windows"),
        Err(error) => tracing::debug!(call, %of, milliseconds, %error, "called Windows"),
    }
    ended
}

/// Tells of a call for one file only if it failed.
fn tell_failure<T>(call: &'static str, of: &Path, ended: HcsResult<T>) -> HcsResult<T> {
    if let Err(error) = &ended {
        tracing::debug!(call, of = %of.display(), %error, "called Windows");
    }
    ended
}

impl Logged {
    fn system(id: &str, made: HcsResult<Box<dyn ComputeSystem>>) -> HcsResult<Box<dyn ComputeSystem>> {
        Ok(Box::new(LoggedSystem { id: id.to_owned(), system: made? }))
    }
}

impl HcsApi for Logged {
    fn available(&self) -> HcsResult<()> {
        tell("available", &"", || self.0.available())
    }

    fn host_version(&self) -> HcsResult<OsVersion> {
        let version = tell("host_version", &"", || self.0.host_version());
        if let Ok(version) = version {
            tracing::debug!(%version, "this is Windows");
        }
        version
    }

    fn layer_id(&self, name: &str) -> HcsResult<Guid> {
        self.0.layer_id(name)
    }

    fn process_base(&self, layer: &Path) -> HcsResult<()> {
        tell("process_base", &layer.display(), || self.0.process_base(layer))
    }

    fn process_utility_vm(&self, utility_vm: &Path) -> HcsResult<()> {
        tell("process_utility_vm", &utility_vm.display(), || self.0.process_utility_vm(utility_vm))
    }

    fn import_layer(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        tell("import_layer", &layer.display(), || self.0.import_layer(layer, staging, below))
    }

    fn export_layer(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        tell("export_layer", &layer.display(), || self.0.export_layer(layer, staging, below))
    }

    fn create_scratch(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        tell("create_scratch", &layer.display(), || self.0.create_scratch(layer, below))
    }

    fn activate_layer(&self, layer: &Path) -> HcsResult<()> {
        tell("activate_layer", &layer.display(), || self.0.activate_layer(layer))
    }

    fn prepare_layer(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        tell("prepare_layer", &layer.display(), || self.0.prepare_layer(layer, below))
    }

    fn mount_path(&self, layer: &Path) -> HcsResult<String> {
        tell("mount_path", &layer.display(), || self.0.mount_path(layer))
    }

    fn unprepare_layer(&self, layer: &Path) -> HcsResult<()> {
        tell("unprepare_layer", &layer.display(), || self.0.unprepare_layer(layer))
    }

    fn deactivate_layer(&self, layer: &Path) -> HcsResult<()> {
        tell("deactivate_layer", &layer.display(), || self.0.deactivate_layer(layer))
    }

    fn destroy_layer(&self, layer: &Path) -> HcsResult<()> {
        tell("destroy_layer", &layer.display(), || self.0.destroy_layer(layer))
    }

    fn create_system(&self, id: &str, document: &str) -> HcsResult<Box<dyn ComputeSystem>> {
        tracing::debug!(id, document, "a container");
        Self::system(id, tell("create_system", &id, || self.0.create_system(id, document)))
    }

    fn open_system(&self, id: &str) -> HcsResult<Box<dyn ComputeSystem>> {
        Self::system(id, tell("open_system", &id, || self.0.open_system(id)))
    }

    fn systems(&self, owner: &str) -> HcsResult<Vec<String>> {
        tell("systems", &owner, || self.0.systems(owner))
    }

    fn write_backup(&self, path: &Path, attributes: &FileAttributes, stream: &mut dyn Read) -> HcsResult<()> {
        tell_failure("write_backup", path, self.0.write_backup(path, attributes, stream))
    }

    fn set_attributes(&self, path: &Path, attributes: &FileAttributes) -> HcsResult<()> {
        tell_failure("set_attributes", path, self.0.set_attributes(path, attributes))
    }

    fn identity(&self, path: &Path) -> HcsResult<FileIdentity> {
        tell_failure("identity", path, self.0.identity(path))
    }

    fn read_backup(&self, path: &Path) -> HcsResult<(FileAttributes, Box<dyn Read + Send>)> {
        tell_failure("read_backup", path, self.0.read_backup(path))
    }
}

impl HcnApi for Logged {
    fn networks(&self, query: &str) -> HcsResult<String> {
        let networks = tell("networks", &"", || self.0.networks(query));
        if let Ok(networks) = &networks {
            tracing::debug!(networks, "the networks");
        }
        networks
    }

    fn network(&self, id: Guid, query: &str) -> HcsResult<String> {
        let network = tell("network", &id, || self.0.network(id, query));
        if let Ok(network) = &network {
            tracing::debug!(network, "a network");
        }
        network
    }

    fn create_namespace(&self, id: Guid, settings: &str) -> HcsResult<()> {
        tell("create_namespace", &id, || self.0.create_namespace(id, settings))
    }

    fn modify_namespace(&self, id: Guid, request: &str) -> HcsResult<()> {
        tracing::debug!(%id, request, "a namespace");
        tell("modify_namespace", &id, || self.0.modify_namespace(id, request))
    }

    fn delete_namespace(&self, id: Guid) -> HcsResult<()> {
        tell("delete_namespace", &id, || self.0.delete_namespace(id))
    }

    fn create_endpoint(&self, network: Guid, id: Guid, settings: &str) -> HcsResult<()> {
        tracing::debug!(%id, settings, "an endpoint");
        tell("create_endpoint", &id, || self.0.create_endpoint(network, id, settings))
    }

    fn delete_endpoint(&self, id: Guid) -> HcsResult<()> {
        tell("delete_endpoint", &id, || self.0.delete_endpoint(id))
    }
}

impl ComputeSystem for LoggedSystem {
    fn start(&self) -> HcsResult<()> {
        tell("start", &self.id, || self.system.start())
    }

    fn terminate(&self) -> HcsResult<()> {
        tell("terminate", &self.id, || self.system.terminate())
    }

    fn shut_down(&self) -> HcsResult<()> {
        tell("shut_down", &self.id, || self.system.shut_down())
    }

    fn create_process(&self, document: &str) -> HcsResult<StartedProcess> {
        let started = tell("create_process", &self.id, || self.system.create_process(document))?;
        let process = Box::new(LoggedProcess { system: self.id.clone(), process: started.process });
        Ok(StartedProcess { process, ..started })
    }
}

impl HcsProcess for LoggedProcess {
    fn wait(&self) -> HcsResult<String> {
        let status = tell("wait", &self.system, || self.process.wait());
        if let Ok(status) = &status {
            tracing::debug!(status, "a process ended");
        }
        status
    }

    fn terminate(&self) -> HcsResult<()> {
        tell("terminate a process", &self.system, || self.process.terminate())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Mutex};

    use super::*;
    use crate::backend::hcs::HcsError;

    /// Refuses everything.
    #[derive(Debug)]
    struct Refuses;

    fn refused<T>(call: &'static str) -> HcsResult<T> {
        Err(HcsError { call, code: 0x8007_0005, detail: None })
    }

    impl ComputeSystem for Refuses {
        fn start(&self) -> HcsResult<()> {
            Ok(())
        }

        fn terminate(&self) -> HcsResult<()> {
            refused("HcsTerminateComputeSystem")
        }

        fn create_process(&self, _: &str) -> HcsResult<StartedProcess> {
            refused("HcsCreateProcess")
        }
    }

    #[derive(Clone, Debug, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn calls_and_their_errors_are_told_and_no_environment_is() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let system = LoggedSystem { id: "polyarch-x".into(), system: Box::new(Refuses) };
            system.start().expect("started");
            let document = r#"{"Environment":{"TOKEN":"hunter2"}}"#;
            assert!(system.create_process(document).is_err());
        });
        let told = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
        for word in ["start", "create_process", "polyarch-x", "HcsCreateProcess", "0x80070005"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
}
