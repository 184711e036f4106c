//! What fails while a file is built is told with its line and a caret, whichever backend builds.

use std::net::TcpListener;

use crate::support::{
    bases::busybox,
    command::{Desk, Ended, ready},
};

/// Checks that an error of the file's `line` is drawn with a caret under `marked`.
fn draws(ended: &Ended, line: usize, marked: &str) {
    ended.says(&format!("\napp/Dockerfile:{line}\n"));
    let drawn: Vec<&str> = ended.stderr.lines().collect();
    let head = format!("  {line} │ ");
    let at = drawn.iter().position(|line| line.starts_with(&head)).expect("the line");
    let column = drawn[at].find(marked).unwrap_or_else(|| panic!("no {marked} in {}", drawn[at]));
    let indent = drawn[at][..column].chars().count();
    let carets = format!("{}{}", " ".repeat(indent - 4), "^".repeat(marked.chars().count()));
    assert_eq!(drawn[at + 1], format!("    │{}", &carets[1..]), "{}", ended.stderr);
}

#[test]
fn a_wrong_instruction_is_drawn() {
    let desk = Desk::new();
    for (instruction, words) in [
        ("COPY nope /", "source \"nope\" not found"),
        ("COPY --chmod=rw a.txt /", "neither octal"),
        ("COPY --chown=nobody a.txt /", "the user nobody is not in /etc/passwd"),
        ("ADD --checksum=sha256:1 a.txt /", "--checksum is for what is downloaded"),
        ("WORKDIR /a.txt/b", "/a.txt is no directory"),
    ] {
        let context = desk.context("app", format!("FROM scratch\nCOPY a.txt /\n{instruction}\n"));
        let ended = desk.run(["build", "--backend", "sandbox", &context]);
        ended.fails(3, &["app/Dockerfile:3: ", words]);
        draws(&ended, 3, instruction);
    }
}

#[test]
fn a_user_that_the_image_lacks_is_drawn() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {base}\nUSER nobody-here\nRUN true\n"));
    let ended = desk.run(["build", "--backend", "sandbox", &context]);
    ended.fails(3, &["app/Dockerfile:3: unknown user nobody-here"]);
    draws(&ended, 3, "RUN true");
}

#[test]
fn a_base_that_cannot_be_pulled_is_named_and_drawn() {
    let desk = Desk::new();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let image = format!("127.0.0.1:{}/base:1", free.port());
    let context = desk.context("app", format!("FROM scratch AS a\nFROM a\nCOPY --from={image} /a /b\n"));
    for backend in ["sandbox", "buildah"] {
        if backend == "buildah" && !ready() {
            continue;
        }
        let ended = desk.run(["build", "--backend", backend, &context]);
        ended.fails(7, &[&format!("app/Dockerfile:3: cannot pull {image}: ")]);
        draws(&ended, 3, &format!("--from={image}"));
    }
}

#[test]
fn a_misspelt_stage_is_asked_about_when_no_image_has_its_name() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch AS build\nFROM scratch\nCOPY --from=biuld /a /b\n");
    let mut command = desk.command(["build", "--backend", "sandbox", &context]);
    // No test asks Docker Hub.
    for proxy in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        command.env(proxy, "http://127.0.0.1:1");
    }
    let ended = Ended::of(&mut command);
    ended.fails(
        7,
        &["app/Dockerfile:3: cannot pull biuld: ", "no stage is called biuld; did you mean build?"],
    );
    draws(&ended, 3, "--from=biuld");
}
