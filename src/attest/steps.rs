//! The steps of a plan, each with the steps that it needs and its place in the Dockerfile.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::dockerfile::{Dockerfile, Instruction, InstructionKind, Mount, Plan, PlannedStage, Run, Span};

/// What the steps of one platform are.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Each step, in the order of the file.
    pub(super) list: Vec<Value>,
    /// Where each is in the file, by its id.
    pub(super) locations: Map<String, Value>,
    /// The secrets that steps ask for, and whether they can do without.
    pub(super) secrets: BTreeMap<String, bool>,
    /// The same of SSH agents.
    pub(super) ssh: BTreeMap<String, bool>,
}

/// The steps of the stages that a plan needs; `text` is that of the Dockerfile.
pub(super) fn steps(dockerfile: &Dockerfile, plan: &Plan, text: &str) -> Steps {
    let mut last_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut next = 0;
    for planned in &plan.stages {
        next += 1 + instructions(dockerfile, planned).len();
        last_of.insert(planned.number, next - 1);
    }
    let id = |number: usize| format!("step{number}");
    let last = |stage: usize| last_of.get(&stage).copied().map(id);
    let mut steps = Steps::default();
    for planned in &plan.stages {
        let stage = &dockerfile.stages[planned.number];
        let name = planned.name.clone().unwrap_or_else(|| planned.number.to_string());
        let inputs = planned.base.stage().and_then(last).into_iter().collect();
        let mut add = |span: Span, documents: bool, inputs: BTreeSet<String>| {
            let at = steps.list.len();
            steps.locations.insert(
                id(at),
                json!({"locations": [{"ranges": [{
                    "start": {"line": span.line},
                    "end": {"line": span.last_line},
                }]}]}),
            );
            steps.list.push(json!({
                "id": id(at),
                "stage": name,
                "platform": planned.platform.to_string(),
                "instruction": on_one_line(text, span, documents),
                "inputs": inputs,
            }));
            id(at)
        };
        let mut before = add(stage.span, false, inputs);
        for instruction in instructions(dockerfile, planned) {
            let used = used(&instruction.kind).into_iter();
            let used = used.filter_map(|(name, numbers)| plan.source(name, numbers).stage().and_then(last));
            let inputs = used.chain([before]).collect();
            before = add(instruction.span, has_documents(&instruction.kind), inputs);
        }
        for run in instructions(dockerfile, planned).iter().filter_map(|it| run_of(&it.kind)) {
            run.mounts.iter().for_each(|mount| steps.note(mount));
        }
    }
    steps
}

impl Steps {
    fn note(&mut self, mount: &Mount) {
        let option = |key: &str| mount.options.iter().find(|option| option.key == key);
        let value = |key: &str| option(key).and_then(|option| option.value.as_deref());
        let is_needed = option("required").is_some_and(|required| {
            required
                .value
                .as_deref()
                .is_none_or(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
        });
        let (list, standard) = match value("type") {
            Some("secret") => (&mut self.secrets, value("target").and_then(|path| path.rsplit('/').next())),
            Some("ssh") => (&mut self.ssh, Some("default")),
            _ => return,
        };
        if let Some(id) = value("id").or(standard) {
            let optional = list.entry(id.to_owned()).or_insert(true);
            *optional &= !is_needed;
        }
    }
}

/// The instructions of a stage that count.
fn instructions<'d>(dockerfile: &'d Dockerfile, planned: &PlannedStage) -> &'d [Instruction] {
    if planned.replaced { &[] } else { &dockerfile.stages[planned.number].instructions }
}

/// What an instruction takes files from beside the context, and whether a number means a stage.
fn used(kind: &InstructionKind) -> Vec<(&str, bool)> {
    match kind {
        InstructionKind::Copy(copy) => copy.from.iter().map(|from| (from.text.as_str(), true)).collect(),
        InstructionKind::Run(run) => run
            .mounts
            .iter()
            .filter_map(|mount| mount.from.as_ref())
            .map(|from| (from.text.as_str(), false))
            .collect(),
        _ => Vec::new(),
    }
}

fn run_of(kind: &InstructionKind) -> Option<&Run> {
    if let InstructionKind::Run(run) = kind { Some(run) } else { None }
}

fn has_documents(kind: &InstructionKind) -> bool {
    match kind {
        InstructionKind::Run(run) => !run.heredocs.is_empty(),
        InstructionKind::Copy(copy) => !copy.sources.heredocs.is_empty(),
        InstructionKind::Add(add) => !add.sources.heredocs.is_empty(),
        _ => false,
    }
}

/// An instruction without line breaks and documents.
fn on_one_line(text: &str, span: Span, documents: bool) -> String {
    let text = text.get(span.start..span.end).unwrap_or_default();
    let text = if documents { text.lines().next().unwrap_or_default() } else { text };
    let words = text.split_whitespace().filter(|word| !matches!(*word, "\\" | "`"));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dockerfile::{PlanOptions, plan};

    fn steps_of(text: &str) -> Steps {
        let dockerfile = Dockerfile::parse("Dockerfile", text).expect("parses");
        let platform = "linux/arm64".parse().expect("a platform");
        let options = PlanOptions {
            target: None,
            platform: &platform,
            build_platform: &"linux/amd64".parse().expect("a platform"),
            build_args: &BTreeMap::new(),
            contexts: &BTreeSet::new(),
        };
        let plan = plan(&dockerfile, &options).expect("a plan");
        steps(&dockerfile, &plan, text)
    }

    #[test]
    fn each_step_says_what_it_needs_and_stages_that_nobody_needs_are_left_out() {
        let text = "FROM a AS tools\nRUN make\nFROM a AS unused\nRUN x\nFROM --platform=linux/amd64 b AS main\n\
                    COPY --from=tools \\\n  /x /y\nRUN --mount=from=tools,target=/t y\nFROM main\nCOPY <<E /z\nE\n";
        let steps = steps_of(text);
        let shown = |step: &Value| {
            let words =
                ["id", "stage", "platform", "instruction"].map(|key| step[key].as_str().unwrap_or_default());
            format!("{} {}", words.join(" "), step["inputs"])
        };
        assert_eq!(
            steps.list.iter().map(shown).collect::<Vec<_>>(),
            [
                "step0 tools linux/arm64 FROM a AS tools []",
                "step1 tools linux/arm64 RUN make [\"step0\"]",
                "step2 main linux/amd64 FROM --platform=linux/amd64 b AS main []",
                "step3 main linux/amd64 COPY --from=tools /x /y [\"step1\",\"step2\"]",
                "step4 main linux/amd64 RUN --mount=from=tools,target=/t y [\"step1\",\"step3\"]",
                "step5 3 linux/amd64 FROM main [\"step4\"]",
                "step6 3 linux/amd64 COPY <<E /z [\"step5\"]",
            ]
        );
        let range = &steps.locations["step3"]["locations"][0]["ranges"][0];
        assert_eq!((&range["start"]["line"], &range["end"]["line"]), (&json!(6), &json!(7)));
    }

    #[test]
    fn secrets_are_known_by_their_ids_and_needed_if_one_step_needs_them() {
        let steps = steps_of(
            "FROM a\nRUN --mount=type=secret,id=one x\nRUN --mount=type=secret,id=one,required x\n\
             RUN --mount=type=secret,target=/run/two --mount=type=ssh x\n",
        );
        assert_eq!(steps.secrets, [("one".to_owned(), false), ("two".to_owned(), true)].into());
        assert_eq!(steps.ssh, [("default".to_owned(), true)].into());
    }
}
