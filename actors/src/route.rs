//! Which backend builds a request, and why. Pure: a function of the request and of what was probed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Availability, BackendId, BuildError, BuildRequest, Capabilities, ContextSource, Emulation, ImageOs,
    Platform, RuledOut, StepNeed, resources::unheld,
};

/// A backend and what it can do here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendReport {
    /// The backend.
    pub id: BackendId,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The backend that builds it.
    pub backend: BackendId,
    /// Whether RUN steps are emulated.
    pub emulated: bool,
    /// Why this backend, as a sentence without its full stop.
    pub reason: String,
    /// The other backends, and why not.
    pub ruled_out: Vec<RuledOut>,
}

/// The backends of this machine in order of preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    backends: Vec<BackendReport>,
    ways_out: BTreeMap<ImageOs, Vec<String>>,
}

/// How a backend would build a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fit {
    Assembles,
    Native,
    Emulates(Platform),
}

impl RouteTable {
    /// A table that prefers the backends that come first.
    ///
    /// `ways_out` are sentences for a person whose image of that OS no backend here can build.
    pub fn new(backends: Vec<BackendReport>, ways_out: BTreeMap<ImageOs, Vec<String>>) -> Self {
        Self { backends, ways_out }
    }

    /// The backends in order of preference.
    pub fn backends(&self) -> &[BackendReport] {
        &self.backends
    }

    /// Stops routing to a backend that has proved unusable.
    pub fn rule_out(&mut self, backend: &BackendId, reason: &str) {
        for report in self.backends.iter_mut().filter(|report| report.id == *backend) {
            report.capabilities.availability = Availability::Unusable(reason.to_owned());
        }
    }

    /// Chooses the backend for a request.
    ///
    /// # Errors
    /// [`BuildError::UnknownBackend`] when the request names one that does not exist,
    /// [`BuildError::NoBackend`] when none can build it.
    pub fn route(&self, request: &BuildRequest) -> Result<Route, BuildError> {
        if let Some(forced) = request.backend.as_ref().filter(|forced| !self.knows(forced)) {
            return Err(BuildError::UnknownBackend {
                name: forced.to_string(),
                known: self.backends.iter().map(|report| report.id.clone()).collect(),
            });
        }
        let fits: Vec<(&BackendId, Result<Fit, String>)> =
            self.backends.iter().map(|report| (&report.id, fit(report, request))).collect();
        let able = || fits.iter().filter_map(|(id, fit)| Some((*id, fit.as_ref().ok()?)));
        let native = || able().find(|(_, fit)| !matches!(fit, Fit::Emulates(_)));
        let chosen = match request.emulation {
            Emulation::Forbid => native(),
            Emulation::Fallback => native().or_else(|| able().next()),
            Emulation::Allow => able().next(),
        };
        let Some((backend, chosen)) = chosen else {
            return Err(BuildError::NoBackend {
                platform: request.platform.clone(),
                ruled_out: fits.iter().map(|(id, fit)| ruled_out(id, fit, request.emulation, None)).collect(),
                ways_out: self.ways_out(request),
            });
        };
        let others = fits.iter().filter(|(id, _)| *id != backend);
        Ok(Route {
            backend: backend.clone(),
            emulated: matches!(chosen, Fit::Emulates(_)),
            reason: reason(chosen, request),
            ruled_out: others.map(|(id, fit)| ruled_out(id, fit, request.emulation, Some(chosen))).collect(),
        })
    }

    /// What a person can do who asks for what no backend can build: what backends advise that only lack something that the
    /// steps are to be given, and otherwise what goes for every image of that OS.
    fn ways_out(&self, request: &BuildRequest) -> Vec<String> {
        let advice = self.backends.iter().filter(|report| {
            let can = &report.capabilities;
            let platforms = || can.native.iter().chain(&can.emulated);
            fit(report, request).is_err()
                && request.backend.as_ref().is_none_or(|forced| *forced == report.id)
                && StepNeed::of(request).difference(&can.gives).next().is_some()
                && request.runs_on.iter().all(|platform| platforms().any(|host| host.runs(platform)))
        });
        let advice: Vec<String> =
            advice.flat_map(|report| report.capabilities.advice.iter().cloned()).collect();
        let of_os = || self.ways_out.get(&request.platform.os()).cloned().unwrap_or_default();
        if advice.is_empty() { of_os() } else { advice }
    }

    /// What the backend of a route does not hold the steps of a build to, one sentence each.
    pub(crate) fn unheld(&self, route: &Route, request: &BuildRequest) -> Vec<String> {
        let report = self.backends.iter().find(|report| report.id == route.backend);
        report.map(|report| unheld(report, request)).unwrap_or_default()
    }

    fn knows(&self, backend: &BackendId) -> bool {
        self.backends.iter().any(|report| report.id == *backend)
    }
}

/// How the backend would build the request, or why it cannot.
fn fit(report: &BackendReport, request: &BuildRequest) -> Result<Fit, String> {
    if request.backend.as_ref().is_some_and(|forced| *forced != report.id) {
        return Err("is not the backend that was asked for".into());
    }
    let can = &report.capabilities;
    if let Availability::Unusable(reason) = &can.availability {
        return Err(reason.clone());
    }
    if !request.fetching.is_own() && !can.fetches_for_others {
        return Err("fetches what ADD names from anywhere, which a build of somebody else may not".into());
    }
    if matches!(request.context, ContextSource::Enclosed(_)) && !can.fetches_for_others {
        return Err(
            "may follow a link in the path of the context, which somebody else may have put there".into()
        );
    }
    if !can.knows_steps {
        if !request.imports.is_empty() || request.notes_steps {
            return Err("keeps no steps that a cache elsewhere could give or take".into());
        }
        if !request.anew.is_empty() {
            return Err("cannot do the steps of single stages again".into());
        }
    }
    let os = request.platform.os();
    let makes = can.assembles.contains(&os)
        || can.native.iter().chain(&can.emulated).any(|platform| platform.os() == os);
    if !makes {
        return Err(format!("builds no {os} images here"));
    }
    if request.runs_on.is_empty() {
        return if can.assembles.contains(&os) || can.native.iter().any(|host| host.runs(&request.platform)) {
            Ok(Fit::Assembles)
        } else {
            Err(format!("cannot put together a {} image, even without RUN", request.platform))
        };
    }
    if let Some(need) = StepNeed::of(request).difference(&can.gives).next() {
        return Err(format!("cannot give {need}"));
    }
    let mut fit = Fit::Native;
    for platform in &request.runs_on {
        if can.native.iter().any(|host| host.runs(platform)) {
            continue;
        }
        if can.native.iter().chain(&can.emulated).all(|host| host.os() != platform.os())
            && !can.native.is_empty()
        {
            return Err(format!("runs no steps for {platform} here, it only puts such images together"));
        }
        if can.native.is_empty() && can.emulated.is_empty() {
            return Err("runs no steps here, it only puts images together".into());
        }
        if !can.emulated.iter().any(|host| host.runs(platform)) {
            return Err(format!(
                "cannot run steps for {platform}: this machine has neither that CPU nor an emulator"
            ));
        }
        fit = Fit::Emulates(platform.clone());
    }
    Ok(fit)
}

fn reason(fit: &Fit, request: &BuildRequest) -> String {
    let forced = if request.backend.is_some() { ", and it was asked for" } else { "" };
    match fit {
        Fit::Assembles => format!("no step runs a command, so no machine of that kind is needed{forced}"),
        Fit::Native => format!("its steps run on this machine's CPU{forced}"),
        Fit::Emulates(platform) => format!("its steps for {platform} are emulated{forced}"),
    }
}

fn ruled_out(
    id: &BackendId,
    fit: &Result<Fit, String>,
    emulation: Emulation,
    chosen: Option<&Fit>,
) -> RuledOut {
    let reason = match (fit, chosen) {
        (Err(reason), _) => reason.clone(),
        (Ok(Fit::Emulates(platform)), _) if emulation == Emulation::Forbid => {
            format!("would have to emulate {platform}, which is forbidden")
        }
        (Ok(Fit::Emulates(platform)), Some(Fit::Native)) => format!("would have to emulate {platform}"),
        (Ok(_), _) => "could build it too, and comes later in the order".into(),
    };
    RuledOut { backend: id.clone(), reason }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{BuildId, DockerfileSource, Fetching, ImportedSteps, LayerSource};
    use proptest::prelude::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect("a platform")
    }

    fn backend(id: &str, native: &[&str], emulated: &[&str], assembles: &[ImageOs]) -> BackendReport {
        let capabilities = Capabilities {
            availability: Availability::Usable(id.into()),
            native: native.iter().map(|text| platform(text)).collect(),
            emulated: emulated.iter().map(|text| platform(text)).collect(),
            assembles: assembles.to_vec(),
            gives: if id == "sandbox" { StepNeed::OF_LINUX.into() } else { BTreeSet::new() },
            knows_steps: id == "sandbox",
            fetches_for_others: id == "sandbox",
            slots: 1,
            advice: vec![],
        };
        BackendReport { id: BackendId::new(id), capabilities }
    }

    fn request(target: &str, runs_on: &[&str]) -> BuildRequest {
        let dockerfile = DockerfileSource::new("Dockerfile", "");
        let context = ContextSource::Directory("/context".into());
        let mut request = BuildRequest::new(BuildId::generate(), platform(target), dockerfile, context);
        request.runs_on = runs_on.iter().map(|text| platform(text)).collect();
        request
    }

    fn imported() -> ImportedSteps {
        let digest = crate::Digest::from_sha256(&[1; 32]);
        let steps =
            crate::Descriptor { media_type: "m".into(), digest, size: 1, annotations: BTreeMap::new() };
        ImportedSteps { steps, layers: LayerSource::Registry("localhost/cache".into()) }
    }

    fn table() -> RouteTable {
        RouteTable::new(
            vec![
                backend("buildah", &["linux/amd64", "linux/386"], &["linux/arm64"], &[ImageOs::Linux]),
                backend("sandbox", &["linux/amd64"], &[], &ImageOs::ALL),
                backend("remote", &["linux/arm64"], &[], &[]),
            ],
            BTreeMap::from([(ImageOs::Windows, vec!["add a remote Windows worker".into()])]),
        )
    }

    fn chosen(request: &BuildRequest) -> (String, bool) {
        let route = table().route(request).expect("a route");
        (route.backend.to_string(), route.emulated)
    }

    #[test]
    fn the_first_native_backend_is_chosen() {
        assert_eq!(chosen(&request("linux/amd64", &["linux/amd64"])), ("buildah".into(), false));
    }

    #[test]
    fn a_build_of_somebody_else_goes_where_fetching_has_limits() {
        for (runs_on, fetching) in [(&["linux/amd64"][..], Fetching::Public), (&[], Fetching::Anywhere)] {
            let request = BuildRequest { fetching, ..request("linux/amd64", runs_on) };
            assert_eq!(chosen(&request), ("sandbox".into(), false));
            let forced = BuildRequest { backend: Some(BackendId::new("buildah")), ..request };
            assert!(table().route(&forced).is_err());
        }
    }

    #[test]
    fn an_enclosed_context_goes_where_no_link_in_its_path_is_followed() {
        let context = ContextSource::Enclosed("/context".into());
        let enclosed = BuildRequest { context, ..request("linux/amd64", &["linux/amd64"]) };
        assert_eq!(chosen(&enclosed), ("sandbox".into(), false));
        let forced = BuildRequest { backend: Some(BackendId::new("buildah")), ..enclosed };
        let error = table().route(&forced).expect_err("it follows links").to_string();
        assert!(error.contains("may follow a link"), "{error}");
    }

    #[test]
    fn a_native_machine_comes_before_emulation_unless_emulation_is_allowed() {
        let mut arm = request("linux/arm64", &["linux/arm64"]);
        assert_eq!(chosen(&arm), ("remote".into(), false));
        arm.emulation = Emulation::Allow;
        assert_eq!(chosen(&arm), ("buildah".into(), true));
    }

    #[test]
    fn forbidden_emulation_is_an_error_that_says_so() {
        let mut arm = request("linux/arm64", &["linux/arm64"]);
        arm.emulation = Emulation::Forbid;
        arm.backend = Some(BackendId::new("buildah"));
        let error = table().route(&arm).expect_err("forbidden").to_string();
        assert!(error.contains("buildah would have to emulate linux/arm64, which is forbidden"), "{error}");
    }

    #[test]
    fn a_step_with_all_rights_goes_where_it_gets_them() {
        let mut insecure = request("linux/amd64", &["linux/amd64"]);
        insecure.insecure = true;
        let route = table().route(&insecure).expect("a route");
        assert_eq!(route.backend.as_str(), "sandbox");
        assert_eq!(route.ruled_out[0].reason, "cannot give a step all rights (RUN --security=insecure)");
        // Where no step runs, none needs anything.
        insecure.runs_on.clear();
        assert_eq!(table().route(&insecure).expect("a route").backend.as_str(), "buildah");
    }

    #[test]
    fn without_run_no_machine_of_that_kind_is_needed() {
        assert_eq!(chosen(&request("linux/riscv64", &[])), ("buildah".into(), false));
        assert_eq!(chosen(&request("windows/amd64", &[])), ("sandbox".into(), false));
        assert_eq!(chosen(&request("windows/amd64", &["linux/amd64"])), ("sandbox".into(), false));
    }

    #[test]
    fn a_build_stage_for_this_machine_is_native_whatever_the_target() {
        assert_eq!(chosen(&request("linux/s390x", &["linux/amd64"])), ("buildah".into(), false));
    }

    #[test]
    fn what_nobody_can_build_names_each_reason_and_the_ways_out() {
        let error = table().route(&request("windows/amd64", &["windows/amd64"])).expect_err("nobody");
        let BuildError::NoBackend { ruled_out, ways_out, .. } = error else { panic!("{error}") };
        assert_eq!(ruled_out.len(), 3);
        assert_eq!(ways_out, ["add a remote Windows worker"]);
    }

    #[test]
    fn who_only_lacks_what_steps_are_to_be_given_says_what_to_do() {
        let mut sandbox = backend("sandbox", &["linux/amd64"], &[], &[ImageOs::Linux]);
        sandbox.capabilities.advice = vec!["Run it in a scope.".into()];
        let ways_out = BTreeMap::from([(ImageOs::Linux, vec!["use a machine with that CPU".to_owned()])]);
        let table = RouteTable::new(vec![sandbox], ways_out);
        let told = |target: &str| {
            let mut request = request(target, &[target]);
            request.steps.memory = Some(64 << 20);
            match table.route(&request).expect_err("no limits") {
                BuildError::NoBackend { ways_out, .. } => ways_out,
                other => panic!("{other}"),
            }
        };
        assert_eq!(told("linux/amd64"), ["Run it in a scope."]);
        assert_eq!(told("linux/s390x"), ["use a machine with that CPU"]);
    }

    #[test]
    fn a_forced_backend_is_the_only_one() {
        let mut arm = request("linux/arm64", &["linux/arm64"]);
        arm.backend = Some(BackendId::new("buildah"));
        let route = table().route(&arm).expect("a route");
        assert_eq!((route.backend.as_str(), route.emulated), ("buildah", true));
        arm.backend = Some(BackendId::new("kaniko"));
        let error = table().route(&arm).expect_err("unknown").to_string();
        assert_eq!(error, "unknown backend \"kaniko\" (expected one of: buildah, sandbox, remote)");
    }

    #[test]
    fn what_concerns_single_steps_goes_to_a_backend_that_knows_them() {
        type Change = fn(&mut BuildRequest);
        let elsewhere = "keeps no steps that a cache elsewhere could give or take";
        let changes: [(Change, &str); 3] = [
            (|request| request.notes_steps = true, elsewhere),
            (|request| request.imports = vec![imported()], elsewhere),
            (|request| request.anew = [0].into(), "cannot do the steps of single stages again"),
        ];
        for (change, reason) in changes {
            let mut request = request("linux/amd64", &["linux/amd64"]);
            change(&mut request);
            let route = table().route(&request).expect("a route");
            assert_eq!(route.backend.as_str(), "sandbox");
            assert_eq!(route.ruled_out[0].reason, reason);
            request.backend = Some(BackendId::new("buildah"));
            let error = table().route(&request).expect_err("nobody").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_backend_that_was_ruled_out_is_not_chosen_again() {
        let mut table = table();
        table.rule_out(&BackendId::new("buildah"), "was lost 3 times");
        let route = table.route(&request("linux/amd64", &["linux/amd64"])).expect("a route");
        assert_eq!(route.backend.as_str(), "sandbox");
        assert_eq!(route.ruled_out[0].reason, "was lost 3 times");
    }

    proptest! {
        #[test]
        fn every_backend_is_either_chosen_or_ruled_out(
            target in prop::sample::select(vec!["linux/amd64", "linux/arm64", "linux/riscv64", "windows/amd64"]),
            runs in prop::collection::vec(prop::sample::select(vec!["linux/amd64", "linux/arm64", "windows/amd64"]), 0..3),
            emulation in prop::sample::select(vec![Emulation::Forbid, Emulation::Fallback, Emulation::Allow]),
            order in Just(table().backends().to_vec()).prop_shuffle(),
        ) {
            let mut request = request(target, &runs);
            request.emulation = emulation;
            let table = RouteTable::new(order, BTreeMap::new());
            match table.route(&request) {
                Ok(route) => {
                    prop_assert_eq!(route.ruled_out.len(), 2);
                    prop_assert!(route.ruled_out.iter().all(|out| out.backend != route.backend));
                    prop_assert!(!(route.emulated && emulation == Emulation::Forbid));
                }
                Err(BuildError::NoBackend { ruled_out, .. }) => prop_assert_eq!(ruled_out.len(), 3),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
