//! From the process's arguments to its exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use tracing::Instrument as _;

use super::prune;
use super::{
    args::{Arguments, Command},
    backends, bake, build, images, index, manifest,
    report::{Failure, exit},
    serve, telemetry,
};
use crate::helper;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    helper::init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refusal) => {
            // Help and version are asked for; everything else is a mistake on the command line.
            let code = if refusal.use_stderr() { exit::USAGE } else { exit::SUCCESS };
            let _ = refusal.print();
            return ExitCode::from(code);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let telemetry = telemetry::start(&arguments.command, runtime.handle());
            let span = telemetry::span(&arguments.command);
            let result = runtime.block_on(run(arguments).instrument(span));
            telemetry.finish();
            result
        }
        Err(error) => Err(Failure::host(format!("cannot start the async runtime: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = failure.print(&mut io::stderr().lock());
            ExitCode::from(failure.code)
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let store = arguments.store;
    match arguments.command {
        Command::Build(options) => build::run(store, *options).await,
        Command::Bake(options) => bake::run(store, *options).await,
        Command::Backends(options) => backends::run(store, options).await,
        Command::Images(options) => images::list(store, options),
        Command::Tag(options) => images::tag(store, &options),
        Command::Push(options) => images::push(store, options).await,
        Command::Du(options) => prune::du(store, options).await,
        Command::Prune(options) => prune::prune(store, options).await,
        Command::Manifest(command) => manifest::run(store, command).await,
        Command::Index(command) => index::run(store, command).await,
        Command::Serve(options) => serve::run(store, *options).await,
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "polyarch", &mut io::stdout());
            Ok(())
        }
    }
}

/// Writes a result to standard output. A reader that has gone away is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::host(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
