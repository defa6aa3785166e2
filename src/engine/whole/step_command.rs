//! Commands: adding, removing and ending, and who is told of it.

use crate::base::instant::Instant;
use crate::engine::add::Addition;
use crate::engine::command::Command;
use crate::engine::command::Ticket;
use crate::engine::swarm::state::Leave;
use crate::engine::to_ring::Output;
use crate::engine::to_ring::Reply;
use crate::engine::whole::state::Engine;

/// Swarms that are told per call that the shard ends: most have to wake for it, some 5 us each.
const LEAVE_MAX: usize = 16;

impl Engine {
    pub(crate) fn handle_command(&mut self, now: Instant, ticket: Ticket, command: Command) {
        self.now = now;
        let id = command.torrent();
        let reply = match command {
            Command::Add(addition) => self.add(now, *addition),
            Command::Shutdown => return self.shut_down(ticket),
            Command::Remove(id) => {
                let why = Leave::Removed(ticket);
                if self.tell(id, |swarm, turn| swarm.leave(now, turn, why)).is_some() {
                    return;
                }
                Reply::NoSuchTorrent
            }
            command => {
                let obey = |id| self.tell(id, |swarm, turn| swarm.obey(now, turn, command));
                id.and_then(obey).unwrap_or(Reply::NoSuchTorrent)
            }
        };
        self.turn.outputs.push_back(Output::Reply { ticket, reply });
    }

    /// Owns a torrent from here on. A second one of the same hash is refused by the session
    /// already.
    pub(crate) fn add(&mut self, now: Instant, addition: Addition) -> Reply {
        if self.shutdown.is_some() {
            return Reply::NoSuchTorrent;
        }
        let slot = self.swarms.insert(now, &mut self.turn, addition);
        self.contain(slot, |swarm, turn| swarm.begin(now, turn));
        Reply::Done
    }

    pub(crate) fn shut_down(&mut self, ticket: Ticket) {
        self.shutdown = Some(ticket);
        self.turn.is_ending = true;
        self.return_all();
        self.staying = self.swarms.slots();
        if self.staying.is_empty() {
            self.close_all();
        }
    }

    /// Tells some more swarms that the shard ends; true while others have not heard of it.
    pub(crate) fn go_on_ending(&mut self, now: Instant) -> bool {
        let from = self.staying.len().saturating_sub(LEAVE_MAX);
        let told = self.staying.split_off(from);
        let was_last = from == 0 && !told.is_empty();
        for slot in told {
            self.contain(slot, |swarm, turn| swarm.leave(now, turn, Leave::Shutdown));
        }
        if was_last {
            self.close_all();
        }
        !self.staying.is_empty()
    }

    /// Closes what belongs to no swarm.
    fn close_all(&mut self) {
        self.turn.close_conns(|_| true);
        self.end_if_drained();
    }

    pub(crate) fn end_if_drained(&mut self) {
        let is_empty = self.swarms.len() == 0 && self.staying.is_empty();
        if let Some(ticket) = self.shutdown.filter(|_| is_empty) {
            self.reply_done(ticket);
        }
    }

    pub(crate) fn reply_done(&mut self, ticket: Ticket) {
        self.turn.outputs.push_back(Output::Reply { ticket, reply: Reply::Done });
    }
}
