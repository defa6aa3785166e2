//! `bench`: raw peers that load an engine and measure it from outside.
//!
//! Peers share no code with the engine: a reader of .torrent files, a codec and sockets of their
//! own, so that a mistake cannot hide on both sides, and so that any engine can be measured.
//! `check`, `scale`, `swarm` and `turn` run sessions of our own.

mod args;
mod args_own;
mod call;
mod check;
mod churn;
mod idle;
mod latencies;
mod machine;
mod make;
mod metainfo;
mod meter;
mod own;
mod poller;
mod process;
mod puller;
mod report;
mod scale;
mod server;
mod settle;
mod swarm;
mod turn;
mod turn_lengths;
mod wire;

pub(crate) use crate::bench::args::BenchArgs;
use crate::bench::args::BenchCommand;

/// Does what one word says. An error when nothing was served, or when data was wrong.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    match &args.command {
        BenchCommand::Seed(args) => puller::seed(args),
        BenchCommand::Leech(args) => server::leech(args),
        BenchCommand::Idle(args) => idle::idle(args),
        BenchCommand::Churn(args) => churn::churn(args),
        BenchCommand::Many(args) => puller::many(args),
        BenchCommand::Check(args) => check::check(args),
        BenchCommand::Scale(args) => scale::scale(args),
        BenchCommand::Swarm(args) => swarm::swarm(args),
        BenchCommand::Turn(args) => turn::turn(args),
        BenchCommand::Make(args) => make::make(args),
    }
}
