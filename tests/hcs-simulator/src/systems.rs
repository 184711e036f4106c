//! What the functions about compute systems do, and in which order they may be called.

use serde_json::json;

use crate::{
    documents::{Query, parse},
    failure::{
        Failure, INVALID_ARGUMENT, INVALID_STATE, Outcome, SHARING_VIOLATION, SYSTEM_ALREADY_EXISTS,
        SYSTEM_ALREADY_STOPPED, SYSTEM_NOT_FOUND,
    },
    owner,
    state::System,
    world::World,
};

impl World {
    pub(crate) fn create_system(&mut self, id: &str, document: &str) -> Outcome<()> {
        if id.is_empty() {
            return Err(Failure::at_once(INVALID_ARGUMENT, "there is no id"));
        }
        if self.state.systems.contains_key(id) {
            return Err(Failure::new(SYSTEM_ALREADY_EXISTS, "there is such a system already"));
        }
        let mut system = self.described(document)?;
        if let Some(user) = self.state.user_of(&system.scratch) {
            return Err(Failure::new(SHARING_VIOLATION, format!("the compute system {user} uses the layer")));
        }
        system.handles.push(owner::own(&self.root)?);
        self.state.systems.insert(id.to_owned(), system);
        Ok(())
    }

    pub(crate) fn open_system(&mut self, id: &str) -> Outcome<()> {
        let own = owner::own(&self.root)?;
        let system = self.state.systems.get_mut(id);
        system
            .ok_or_else(|| Failure::at_once(SYSTEM_NOT_FOUND, "there is no such system"))?
            .handles
            .push(own);
        Ok(())
    }

    pub(crate) fn start_system(&mut self, id: &str) -> Outcome<()> {
        let system = self.there(id)?;
        if system.started {
            return Err(Failure::new(INVALID_STATE, "the system has started already"));
        }
        system.started = true;
        Ok(())
    }

    /// The system in which a process can be started.
    pub(crate) fn running(&mut self, id: &str) -> Outcome<&mut System> {
        let system = self.there(id)?;
        if !system.started {
            return Err(Failure::new(INVALID_STATE, "the system has not started"));
        }
        Ok(system)
    }

    /// Forgets a system. Whoever calls this ends its processes.
    pub(crate) fn end_system(&mut self, id: &str) -> Outcome<()> {
        self.there(id)?;
        self.state.systems.remove(id);
        Ok(())
    }

    /// Forgets a handle. Returns whether the system ends by that.
    pub(crate) fn close_system(&mut self, id: &str) -> Outcome<bool> {
        let own = owner::own(&self.root)?;
        let Some(system) = self.state.systems.get_mut(id) else {
            return Ok(false);
        };
        if let Some(at) = system.handles.iter().position(|handle| *handle == own) {
            system.handles.remove(at);
        }
        let ends = system.ends_with_last_handle && system.handles.is_empty();
        if ends {
            self.state.systems.remove(id);
        }
        Ok(ends)
    }

    /// The systems that a query asks for, as a document.
    pub(crate) fn enumerate(&self, query: Option<&str>) -> Outcome<String> {
        let Query { ids, owners } = query.map(parse).transpose()?.unwrap_or_default();
        let found: Vec<_> = self
            .state
            .systems
            .iter()
            .filter(|(id, _)| ids.is_empty() || ids.contains(id))
            .filter(|(_, system)| owners.is_empty() || owners.contains(&system.owner))
            .map(|(id, system)| {
                let state = if system.started { "Running" } else { "Created" };
                json!({ "Id": id, "SystemType": "Container", "Owner": system.owner, "State": state })
            })
            .collect();
        Ok(json!(found).to_string())
    }

    fn there(&mut self, id: &str) -> Outcome<&mut System> {
        let system = self.state.systems.get_mut(id);
        system.ok_or_else(|| Failure::new(SYSTEM_ALREADY_STOPPED, "the system has ended"))
    }
}
