//! Errands: what the store has done on the blocking pool, and how the findings come back.

use std::path::Path;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::base::ids::FileIndex;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::engine::disk::FileSeen;
use crate::engine::disk::JobId;
use crate::io::blocking::Full;
use crate::io::blocking::Pool;
use crate::io::doorbell::Doorbell;
use crate::io::store::errors::wrong;
use crate::io::store::file_key::Access;
use crate::io::store::file_key::FileKey;
use crate::io::store::place::Aside;
use crate::io::store::place::Name;
use crate::io::store::place::Opened;
use crate::io::store::place::Place;

/// Something to do on the pool.
#[derive(Clone)]
pub(super) struct Errand {
    pub(super) place: Arc<Place>,
    pub(super) goal: Goal,
}

/// What to do there, and for whom.
#[derive(Clone)]
pub(super) enum Goal {
    Look { job: JobId },
    Create { job: JobId, names: Arc<[Name]>, files: Arc<[FileIndex]> },
    Open { key: FileKey, access: Access, name: Name },
    Finish { job: JobId, file: FileIndex },
}

/// How it ended.
pub(super) enum Finding {
    Looked { job: JobId, result: Result<Vec<FileSeen>, StorageError> },
    Created { job: JobId, files: Arc<[FileIndex]>, result: Result<Aside, StorageError> },
    Opened { key: FileKey, access: Access, result: Result<Opened, StorageError> },
    Finished { job: JobId, file: FileIndex, result: Result<(), StorageError> },
}

/// Findings on their way back to the shard, and the bell that announces them.
pub(super) struct Findings {
    queue: ArrayQueue<Finding>,
    bell: Arc<Doorbell>,
}

impl Findings {
    /// With room for as many as are ever out.
    pub(super) fn new(max: usize, bell: Arc<Doorbell>) -> Arc<Findings> {
        Arc::new(Findings { queue: ArrayQueue::new(max), bell })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn pop(&self) -> Option<Finding> {
        self.queue.pop()
    }

    fn put(&self, finding: Finding) {
        let is_put = self.queue.push(finding).is_ok();
        debug_assert!(is_put, "no more errands are out than findings have room");
        self.bell.ring();
    }
}

impl Errand {
    /// Sends it to the pool; `Full` if that takes no more.
    pub(super) fn send(self, pool: &Pool, findings: Arc<Findings>) -> Result<(), Full> {
        let goal = self.goal.clone();
        let done = move |result: Result<Finding, _>| {
            findings.put(result.unwrap_or_else(|_| panicked(goal)));
        };
        pool.run(move || self.perform(), done)
    }

    fn perform(self) -> Finding {
        let place = self.place;
        match self.goal {
            Goal::Look { job } => Finding::Looked { job, result: place.look() },
            Goal::Create { job, names, files } => {
                let result = place.create(&files, &names);
                Finding::Created { job, files, result }
            }
            Goal::Open { key, access, name } => {
                let result = place.open(key.1, name, access);
                Finding::Opened { key, access, result }
            }
            Goal::Finish { job, file } => {
                Finding::Finished { job, file, result: place.finish(file) }
            }
        }
    }
}

/// Our own mistake stops one torrent, not the shard.
fn panicked(goal: Goal) -> Finding {
    let message = "a job on the pool panicked: please report this".to_owned();
    let error = wrong(StorageOperation::Open, Path::new(""), message);
    match goal {
        Goal::Look { job } => Finding::Looked { job, result: Err(error) },
        Goal::Create { job, files, .. } => Finding::Created { job, files, result: Err(error) },
        Goal::Open { key, access, .. } => Finding::Opened { key, access, result: Err(error) },
        Goal::Finish { job, file } => Finding::Finished { job, file, result: Err(error) },
    }
}
