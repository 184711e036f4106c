//! The `polyarch` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    polyarch::cli::main()
}
