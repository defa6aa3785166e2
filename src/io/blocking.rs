//! The blocking pool: a few plain threads for what the kernel only does while somebody waits.

#![expect(clippy::disallowed_methods, reason = "the pool's threads are started here and only here")]

use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use crossbeam::channel::Receiver;
use crossbeam::channel::Sender;
use crossbeam::channel::bounded;

type Job = Box<dyn FnOnce() + Send>;

/// A bounded number of threads behind a bounded queue, shared by all shards of a session. Dropped
/// by its last owner, it finishes the jobs it took.
pub(crate) struct Pool {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// The queue is full: the job did not run. Keep it and try again when another one has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// The job panicked; its message went to standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Panicked;

impl Pool {
    /// Starts `thread_count` threads with the affinity of the caller, who is not pinned.
    pub(crate) fn start(name: &str, thread_count: usize, depth: usize) -> io::Result<Arc<Pool>> {
        let (jobs, queue) = bounded(depth);
        let mut threads = Vec::new();
        for at in 0..thread_count {
            let queue = queue.clone();
            let builder = thread::Builder::new().name(format!("{name}-{at}"));
            threads.push(builder.spawn(move || work(&queue))?);
        }
        Ok(Arc::new(Pool { jobs: Some(jobs), threads }))
    }

    /// Runs `job` on a thread, then `done` with what it returned, there too. Never blocks.
    pub(crate) fn run<R>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
        done: impl FnOnce(Result<R, Panicked>) + Send + 'static,
    ) -> Result<(), Full> {
        let both = move || done(catch_unwind(AssertUnwindSafe(job)).map_err(|_| Panicked));
        let jobs = self.jobs.as_ref().ok_or(Full)?;
        jobs.try_send(Box::new(both)).map_err(|_| Full)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        let here = thread::current().id();
        // The last owner may be a job of the pool itself: that thread ends by itself.
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != here) {
            let _ = thread.join();
        }
    }
}

fn work(queue: &Receiver<Job>) {
    for job in queue {
        // `done` is ours and does not panic; a thread lost to it would be lost for good.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_panic_is_an_answer_and_the_thread_lives() {
        let pool = Pool::start("test", 1, 4).unwrap();
        let (sender, answers) = bounded(2);
        let again = sender.clone();
        pool.run(|| -> u32 { panic!("planted") }, move |r| sender.send(r).unwrap()).unwrap();
        pool.run(|| 7, move |r| again.send(r).unwrap()).unwrap();
        assert_eq!(answers.recv_timeout(LIMIT), Ok(Err(Panicked)));
        assert_eq!(answers.recv_timeout(LIMIT), Ok(Ok(7)));
    }

    #[test]
    fn a_full_queue_says_so_and_a_dropped_pool_ends_what_it_took() {
        let pool = Pool::start("test", 1, 1).unwrap();
        let (release, gate) = bounded::<()>(0);
        let (sender, answers) = bounded(4);
        let (started, is_started) = bounded(1);
        let first = sender.clone();
        let wait = move || (started.send(()).unwrap(), gate.recv().unwrap());
        pool.run(wait, move |_| first.send(1).unwrap()).unwrap();
        is_started.recv_timeout(LIMIT).unwrap();
        pool.run(|| (), move |_| sender.send(2).unwrap()).unwrap();
        assert_eq!(pool.run(|| (), |_| ()), Err(Full));
        release.send(()).unwrap();
        drop(pool);
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [1, 2]);
    }
}
