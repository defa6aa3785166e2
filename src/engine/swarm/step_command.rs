//! Orders and questions of the session that are about one torrent.

use crate::base::instant::Instant;
use crate::engine::command::Command;
use crate::engine::swarm::state::Swarm;
use crate::engine::to_ring::Reply;
use crate::engine::turn::Turn;

impl Swarm {
    /// Does what it is told, and answers.
    pub(crate) fn obey(&mut self, now: Instant, turn: &mut Turn, command: Command) -> Reply {
        match command {
            Command::Pause(_) => self.pause(now, turn),
            Command::Resume(_) => self.resume(now, turn),
            Command::Recheck(_) => self.recheck(now, turn),
            Command::AddPeers(_, peers) => self.add_candidates(now, turn, &peers),
            Command::Reannounce(_) => self.announcer.reannounce(now),
            Command::Scrape(_) => self.announcer.scrape(),
            Command::ChooseFiles(_, choice) => {
                let chosen = self.choose_files(turn, choice);
                return chosen.map_or_else(Reply::BadChoice, |()| Reply::Done);
            }
            Command::Files(_) => return Reply::Files(self.file_status()),
            Command::Status(_) => return Reply::Status(Box::new(self.status(now))),
            // These are the shard's.
            Command::Add(_) | Command::Remove(_) | Command::Shutdown => {}
        }
        Reply::Done
    }
}
