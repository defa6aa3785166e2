//! The command line: `get`, `seed`, `show`, `demo`. Uses the library's public API only.

mod args;
mod clock;
mod escape;
mod failure;
mod show;
mod signals;
mod units;
mod utc;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::args::Command;
use crate::escape::escape;
use crate::failure::exit_code;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coreswarm: {}", escape(&format!("{error:#}")));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Show(args) => show::show(&args),
        other => anyhow::bail!("{other:?} has not landed yet"),
    }
}
