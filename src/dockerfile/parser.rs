//! Logical lines to stages and instructions.

use std::collections::BTreeMap;

use super::{
    ast::{Dockerfile, Instruction, InstructionKind, Onbuild, Stage, Word},
    error::{DockerfileError, ErrorKind, MOST_STAGES, Mistake, Span},
    flags::{FlagForm, Flags},
    healthcheck, instructions,
    lexer::{Lexed, Line, lex},
    statement::Statement,
    suggest::nearest,
};

const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

impl Dockerfile {
    /// Reads the text of a Dockerfile; `file` is its name in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, DockerfileError> {
        lex(text).and_then(|lexed| assemble(file, &lexed)).map_err(|mistake| mistake.in_file(file))
    }
}

fn assemble(file: &str, lexed: &Lexed) -> Result<Dockerfile, Mistake> {
    let escape = lexed.directives.escape;
    let mut dockerfile = Dockerfile {
        file: file.to_owned(),
        directives: lexed.directives.clone(),
        global_args: Vec::new(),
        stages: Vec::new(),
    };
    let mut taken = BTreeMap::new();
    for line in &lexed.lines {
        let statement = Statement::split(line, 0);
        if statement.is("FROM") {
            let stage = read_from(&statement)?;
            refuse_duplicate(&stage, &statement, &mut taken)?;
            if dockerfile.stages.len() == MOST_STAGES {
                return Err(line.span.mistake(ErrorKind::TooManyStages));
            }
            dockerfile.stages.push(stage);
            continue;
        }
        let instruction = read_instruction(&statement, escape)?;
        match (dockerfile.stages.last_mut(), instruction.kind) {
            (Some(stage), kind) => stage.instructions.push(Instruction { span: instruction.span, kind }),
            (None, InstructionKind::Arg(declarations)) => dockerfile.global_args.extend(declarations),
            (None, _) => {
                let instruction = statement.name();
                return Err(statement.keyword_mistake(ErrorKind::BeforeFrom { instruction }));
            }
        }
    }
    match lexed.lines.last() {
        None => Err(Span { start: 0, end: 0, line: 1, last_line: 1 }.mistake(ErrorKind::EmptyFile)),
        Some(last) if dockerfile.stages.is_empty() => Err(last.span.mistake(ErrorKind::NoFrom)),
        Some(_) => Ok(dockerfile),
    }
}

/// `FROM [--platform=…] base [AS name]`.
fn read_from(statement: &Statement<'_>) -> Result<Stage, Mistake> {
    let words = statement.blank_separated();
    let (base, name) = match words.as_slice() {
        [base] => (base, None),
        [base, r#as, name] if r#as.text.eq_ignore_ascii_case("AS") => (base, Some(name)),
        _ => {
            let needs = "an image or a stage, optionally followed by AS and a name";
            let instruction = statement.name();
            return Err(statement.keyword_mistake(ErrorKind::Arguments { instruction, needs }));
        }
    };
    let flags = Flags::read(statement, &[("platform", FlagForm::Value)])?;
    if let Some(name) = name.filter(|name| !is_stage_name(&name.text)) {
        let kind = ErrorKind::InvalidStageName { name: name.text.clone() };
        return Err(statement.mistake(&name.range, kind));
    }
    Ok(Stage {
        name: name.map(|name| name.text.to_ascii_lowercase()),
        base: Word { text: base.text.clone(), span: statement.span_of(&base.range) },
        platform: flags.value("platform"),
        span: statement.span(),
        instructions: Vec::new(),
    })
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.'))
}

/// BuildKit builds such a file and lets the later stage win; here it is a mistake, as it was for Docker before.
fn refuse_duplicate(
    stage: &Stage,
    statement: &Statement<'_>,
    taken: &mut BTreeMap<String, usize>,
) -> Result<(), Mistake> {
    let Some(name) = &stage.name else { return Ok(()) };
    let Some(first_line) = taken.insert(name.clone(), stage.span.line) else { return Ok(()) };
    let range = statement.blank_separated().pop().map_or(statement.keyword.clone(), |word| word.range);
    let kind = ErrorKind::DuplicateStageName { name: name.clone(), first_line };
    Err(statement.mistake(&range, kind))
}

/// Any instruction but FROM.
fn read_instruction(statement: &Statement<'_>, escape: char) -> Result<Instruction, Mistake> {
    let kind = match statement.name().as_str() {
        "ADD" => instructions::add(statement)?,
        "ARG" => instructions::arg(statement, escape)?,
        "CMD" => InstructionKind::Cmd(instructions::command(statement)?),
        "COPY" => instructions::copy(statement)?,
        "ENTRYPOINT" => InstructionKind::Entrypoint(instructions::command(statement)?),
        "ENV" => InstructionKind::Env(instructions::pairs(statement, escape)?),
        "EXPOSE" => instructions::expose(statement)?,
        "HEALTHCHECK" => healthcheck::read(statement)?,
        "LABEL" => InstructionKind::Label(instructions::pairs(statement, escape)?),
        "MAINTAINER" => InstructionKind::Maintainer(instructions::whole(statement, "a name")?),
        "ONBUILD" => read_onbuild(statement, escape)?,
        "RUN" => instructions::run(statement)?,
        "SHELL" => instructions::shell(statement)?,
        "STOPSIGNAL" => InstructionKind::StopSignal(instructions::whole(statement, "a signal")?),
        "USER" => InstructionKind::User(instructions::whole(statement, "a user")?),
        "VOLUME" => instructions::volume(statement)?,
        "WORKDIR" => InstructionKind::Workdir(instructions::whole(statement, "a path")?),
        _ => {
            let name = statement.line.text[statement.keyword.clone()].to_owned();
            let suggestion = nearest(&name, INSTRUCTIONS).map(str::to_owned);
            return Err(statement.keyword_mistake(ErrorKind::UnknownInstruction { name, suggestion }));
        }
    };
    Ok(Instruction { span: statement.span(), kind })
}

/// An instruction for later; it is read now, so that its mistakes show before an image carries them away.
fn read_onbuild(statement: &Statement<'_>, escape: char) -> Result<InstructionKind, Mistake> {
    Flags::read(statement, &[])?;
    if statement.arguments.is_empty() {
        let needs = "an instruction to run later";
        let instruction = statement.name();
        return Err(statement.keyword_mistake(ErrorKind::Arguments { instruction, needs }));
    }
    let trigger = Statement::split(statement.line, statement.arguments.start);
    if ["ONBUILD", "FROM", "MAINTAINER"].into_iter().any(|keyword| trigger.is(keyword)) {
        return Err(trigger.keyword_mistake(ErrorKind::OnbuildTrigger { trigger: trigger.name() }));
    }
    let expression = expression(statement.arguments_text(), statement.line);
    let trigger = Box::new(read_instruction(&trigger, escape)?);
    Ok(InstructionKind::Onbuild(Onbuild { trigger, expression }))
}

fn expression(text: &str, line: &Line) -> String {
    let mut expression = text.to_owned();
    for heredoc in &line.heredocs {
        expression.push('\n');
        expression.push_str(&heredoc.content);
        expression.push_str(&heredoc.name);
    }
    expression
}
