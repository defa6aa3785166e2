//! The command line: `get`, `seed`, `show`, `demo`. Uses the library's public API only.

mod args;
mod clock;
mod demo;
mod escape;
mod failure;
mod get;
mod json;
mod progress;
mod report;
mod seed;
mod show;
mod signals;
mod start;
mod tell;
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
        Command::Get(args) => get::get(&args),
        Command::Seed(args) => seed::seed(&args),
        Command::Show(args) => show::show(&args),
        Command::Demo(args) => demo::demo(&args),
    }
}
