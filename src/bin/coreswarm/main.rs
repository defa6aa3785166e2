//! The command line: one word says what to do. Uses the library's public API only.

mod args;
mod args_file;
mod args_scan;
mod arrival;
mod bench;
mod clock;
mod create;
mod demo;
mod edit;
mod escape;
mod failure;
mod get;
mod json;
mod look;
mod magnet;
mod progress;
mod report;
mod scan_bar;
mod seed;
mod select;
mod show;
mod show_json;
mod signals;
mod source;
mod start;
mod tell;
mod units;
mod utc;
mod verify;
mod verify_state;
mod write_file;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::args::Command;
use crate::args::OutputArgs;
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
        Command::Get(args) => tell_scripts(args.output_mode, get::get(&args)),
        Command::Seed(args) => tell_scripts(args.output_mode, seed::seed(&args)),
        Command::Show(args) => show::show(&args),
        Command::Magnet(args) => magnet::magnet(&args),
        Command::Edit(args) => edit::edit(&args),
        Command::Create(args) => create::create(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Bench(args) => bench::bench(&args),
    }
}

/// With `--json`, what went wrong is an event as well as a line on stderr.
fn tell_scripts(mode: OutputArgs, result: anyhow::Result<()>) -> anyhow::Result<()> {
    if let (true, Err(error)) = (mode.json, &result) {
        // Nobody may be left to read it; stderr and the exit code say it again.
        let _ = json::print(&json::error(None, &format!("{error:#}")));
    }
    result
}
