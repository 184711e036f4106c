//! The targets that are asked for, with everything they inherit and everything they need.
//!
//! Source: buildx, `bake/bake.go` (`ReadTargets`, `ResolveGroup`, `ResolveTarget`, `loadLinks`).

use std::collections::{BTreeMap, btree_map::Entry};

use serde::Serialize;

use super::{
    definition::{Definition, Group, dedup, on_large_stack},
    entry,
    error::{BakeError, BakeFault, Place},
    overrides::Overrides,
    platform_overrides::{self, PlatformOverride},
    target::Target,
};

/// How a context is written that is another target.
pub const TARGET_CONTEXT: &str = "target:";

/// What is to be built. As JSON it is what `docker buildx bake --print` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Resolved {
    /// The groups that were asked for; `default` has what the command line names.
    #[serde(rename = "group", skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
    /// The targets by name, with those that others need.
    #[serde(rename = "target")]
    pub targets: BTreeMap<String, Target>,
}

impl Definition {
    /// Resolves targets, groups and patterns of them; `default` if there are none. Each override is what stands behind
    /// `--set`.
    ///
    /// # Errors
    /// [`BakeError`] when a name or an override means nothing, and when targets need each other.
    pub fn resolve(&self, wanted: &[String], overrides: &[String]) -> Result<Resolved, BakeError> {
        on_large_stack(|| self.resolve_all(wanted, overrides))
    }

    fn resolve_all(&self, wanted: &[String], overrides: &[String]) -> Result<Resolved, BakeError> {
        let overrides = Overrides::read(overrides, self)?;
        let mut wanted = self.wanted(wanted)?;
        dedup(&mut wanted);
        let mut resolved = Resolved::default();
        for name in &wanted {
            let (targets, groups) = self.members(name);
            for name in targets {
                if let Entry::Vacant(vacant) = resolved.targets.entry(name) {
                    let target = self.target(vacant.key(), &overrides);
                    let target = target.map_err(|error| self.in_group(vacant.key(), &groups, error))?;
                    vacant.insert(target);
                }
            }
            for name in groups {
                resolved.groups.extend(self.group(&name).map(|group| (name, group.clone())));
            }
        }
        for name in wanted {
            if name == "default" && resolved.groups.contains_key("default") {
                continue;
            }
            let default = resolved.groups.entry("default".into()).or_default();
            default.targets.push(name);
        }
        if let Some(default) = resolved.groups.get_mut("default") {
            default.targets.sort_unstable();
            default.targets.dedup();
        }
        self.link(&mut resolved.targets, &overrides)?;
        Ok(resolved)
    }

    fn wanted(&self, wanted: &[String]) -> Result<Vec<String>, BakeError> {
        if wanted.is_empty() {
            return Ok(vec!["default".into()]);
        }
        let mut names = Vec::new();
        for name in wanted {
            // A service of compose may have a point in its name, and a target may not.
            let name = name.replace('.', "_");
            if !name.contains(['*', '?', '[']) {
                names.push(name);
                continue;
            }
            let before = names.len();
            names.extend(self.names().filter(|known| matches(&name, known)).map(str::to_owned));
            if names.len() == before {
                return Err(BakeFault::unknown("target like", &name, []).into());
            }
        }
        Ok(names)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups.iter().map(|group| group.name.as_str());
        groups.chain(self.targets.iter().map(|target| target.name.as_str()))
    }

    /// An error about a target, at the place of the group that names it, if one does.
    fn in_group(&self, target: &str, groups: &[String], error: BakeError) -> BakeError {
        let mut groups = groups.iter().filter_map(|name| self.group(name));
        let naming = groups.find(|group| group.targets.iter().any(|named| named == target));
        error.maybe_at(naming.and_then(|group| group.place.as_ref()))
    }

    fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The targets of a group and the groups in it, or the target itself. Groups that have each other are no harm.
    fn members(&self, name: &str) -> (Vec<String>, Vec<String>) {
        let (mut targets, mut groups) = (Vec::new(), Vec::new());
        let mut left = vec![name];
        while let Some(name) = left.pop() {
            match self.group(name) {
                // A target may have the name of a group that it is in.
                Some(_) if groups.iter().any(|seen| seen == name) => {
                    if self.targets.iter().any(|target| target.name == name) {
                        targets.push(name.to_owned());
                    }
                }
                Some(group) => {
                    groups.push(name.to_owned());
                    left.extend(group.targets.iter().rev().map(String::as_str));
                }
                None => targets.push(name.to_owned()),
            }
        }
        dedup(&mut targets);
        (targets, groups)
    }

    /// A target with all that it inherits.
    fn target(&self, name: &str, overrides: &Overrides) -> Result<Target, BakeError> {
        let mut target = self.inherited(name, overrides, &mut BTreeMap::new())?.unwrap_or_default();
        target.inherits.clear();
        let platforms = target.platforms.as_deref().unwrap_or_default();
        platform_overrides::keep_for(&mut target.platform_overrides, platforms);
        target.context.get_or_insert_with(|| ".".into());
        if target.dockerfile.as_deref().is_none_or(str::is_empty) {
            target.dockerfile = Some("Dockerfile".into());
        }
        Ok(target)
    }

    /// A target with what it inherits; `None` for one that inherits itself, as in buildx, where that adds nothing.
    fn inherited(
        &self,
        name: &str,
        overrides: &Overrides,
        visited: &mut BTreeMap<String, Option<Target>>,
    ) -> Result<Option<Target>, BakeError> {
        if let Some(known) = visited.get(name) {
            return Ok(known.clone());
        }
        visited.insert(name.to_owned(), None);
        let Some(target) = self.targets.iter().find(|target| target.name == name) else {
            return Err(BakeFault::unknown("target", name, self.names()).into());
        };
        let mut whole = Target { name: name.to_owned(), ..Target::default() };
        for base in &target.inherits {
            let base = self.inherited(base, overrides, visited);
            if let Some(base) = base.map_err(|error| error.maybe_at(target.place("inherits")))? {
                whole.merge(base);
            }
        }
        // What it is for, and where it is from, is not inherited by a target that says so itself.
        whole.places.remove("");
        whole.merge(target.clone());
        overrides.apply(&mut whole)?;
        whole.normalise();
        visited.insert(name.to_owned(), Some(whole.clone()));
        Ok(Some(whole))
    }

    /// Adds the targets whose images are contexts of others.
    fn link(&self, targets: &mut BTreeMap<String, Target>, overrides: &Overrides) -> Result<(), BakeError> {
        let mut left: Vec<String> = targets.keys().cloned().collect();
        while let Some(name) = left.pop() {
            for needed in targets.get(&name).map(needs).unwrap_or_default() {
                if !targets.contains_key(&needed) {
                    let place = targets.get(&name).and_then(|target| place_of_need(target, &needed));
                    let mut target =
                        self.target(&needed, overrides).map_err(|error| error.maybe_at(place))?;
                    target.linked = true;
                    target.outputs = Some(vec![entry::Entry::from([("type".into(), "cacheonly".into())])]);
                    targets.insert(needed.clone(), target);
                    left.push(needed);
                }
            }
        }
        let mut done: Vec<String> = Vec::new();
        for name in targets.keys() {
            check_circle(name, targets, &mut Vec::new(), &mut done)?;
        }
        // What comes first has what it needs from others already.
        for name in done {
            let Some(needed) = targets.get(&name).map(needs) else { continue };
            for other in needed {
                let Some(other) = targets.get(&other).cloned() else { continue };
                let Some(target) = targets.get_mut(&name) else { continue };
                for entitlement in other.entitlements {
                    if !target.entitlements.contains(&entitlement) {
                        target.entitlements.push(entitlement);
                    }
                }
                check_platforms(target, &other.name, other.platforms.as_deref().unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

/// The targets whose images a target builds on.
pub(crate) fn needs(target: &Target) -> Vec<String> {
    let targets = target.contexts.values().filter_map(|context| context.strip_prefix(TARGET_CONTEXT));
    let of_some = target.platform_overrides.values().flat_map(PlatformOverride::needs);
    targets.chain(of_some).map(str::to_owned).collect()
}

/// Where a target says that it needs another one.
fn place_of_need<'t>(target: &'t Target, needed: &str) -> Option<&'t Place> {
    let is_it = |context: &String| context.strip_prefix(TARGET_CONTEXT) == Some(needed);
    let attribute = if target.contexts.values().any(is_it) { "contexts" } else { "platform-overrides" };
    target.place(attribute)
}

/// Notes targets after those they need, unless they need each other.
fn check_circle(
    name: &str,
    targets: &BTreeMap<String, Target>,
    path: &mut Vec<String>,
    done: &mut Vec<String>,
) -> Result<(), BakeError> {
    if done.iter().any(|known| known == name) {
        return Ok(());
    }
    if let Some(start) = path.iter().position(|above| above == name) {
        let mut members = path[start..].to_vec();
        members.push(name.to_owned());
        let place = targets.get(name).zip(members.get(1));
        let place = place.and_then(|(target, needed)| place_of_need(target, needed));
        return Err(
            BakeError::from(BakeFault::Cycle { what: "targets", members: members.clone() }).maybe_at(place)
        );
    }
    path.push(name.to_owned());
    for needed in targets.get(name).map(needs).unwrap_or_default() {
        check_circle(&needed, targets, path, done)?;
    }
    path.pop();
    done.push(name.to_owned());
    Ok(())
}

fn check_platforms(target: &Target, base: &str, of_base: &[String]) -> Result<(), BakeError> {
    let platforms = target.platforms.as_deref().unwrap_or_default();
    let missing = platforms.iter().find(|platform| !of_base.contains(platform));
    match missing {
        Some(missing) if platforms.len() > 1 && of_base.len() > 1 => {
            let what = format!("target {}: contexts", target.name);
            let fault = BakeFault::value(what, format!("target {base} is not built for {missing}"));
            Err(BakeError::from(fault).maybe_at(place_of_need(target, base)))
        }
        _ => Ok(()),
    }
}

/// Whether a name is like a pattern with `*`, `?` and `[…]`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut expression = String::from("^");
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => {
                expression.push('[');
                for letter in letters.by_ref().take_while(|letter| *letter != ']') {
                    if !letter.is_alphanumeric() && letter != '-' && letter != '^' {
                        expression.push('\\');
                    }
                    expression.push(letter);
                }
                expression.push(']');
            }
            letter => expression.push_str(&regex::escape(&letter.to_string())),
        }
    }
    expression.push('$');
    regex::Regex::new(&expression).is_ok_and(|expression| expression.is_match(name))
}
