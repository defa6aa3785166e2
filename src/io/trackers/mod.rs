//! The pool for questions to the outside: plain threads that GET and resolve, off the shards.

mod fault;
mod guard;
pub(crate) mod request;
pub(crate) mod torrent_url;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use crossbeam::channel::Receiver;
use crossbeam::channel::RecvTimeoutError;
use crossbeam::channel::Sender;
use crossbeam::channel::bounded;
use crossbeam::select;

use crate::base::instant::Instant;
use crate::base::limits::QUERY_QUEUE_MAX;
use crate::base::limits::QUERY_WAIT_MAX;
use crate::base::status::TrackerErrorClass;
use crate::engine::settings::Settings;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;
use crate::io::clock::Clock;
use crate::io::trackers::fault::fault;
use crate::io::trackers::request::Requests;
use crate::io::trackers::request::RootsError;

/// What a pool is made of.
#[derive(Clone, Debug)]
pub(crate) struct PoolConfig {
    /// Threads at most; they start when there is work. Default 8, at least 1.
    pub(crate) thread_count_max: usize,
    /// Jobs that may wait. Default `QUERY_QUEUE_MAX`.
    pub(crate) queue_max: usize,
    pub(crate) user_agent: String,
    /// Whether names may lead to loopback, private and link-local addresses. Default no.
    pub(crate) allow_private: bool,
    /// PEM text of roots trusted beside Mozilla's. Default none.
    pub(crate) extra_roots: Option<Vec<u8>>,
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            thread_count_max: 8,
            queue_max: QUERY_QUEUE_MAX,
            user_agent: Settings::default().user_agent,
            allow_private: false,
            extra_roots: None,
        }
    }
}

/// One question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// GET `url`; `timeout` counts from when a thread takes it up, redirects included.
    Http { url: String, timeout: Duration },
    /// Resolve a name; the system's resolver has its own time-outs.
    Resolve { host: String, port: u16 },
}

/// The answer to a [`Job`], of its kind.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Http(Result<HttpAnswer, QueryError>),
    Resolved(Result<Vec<SocketAddr>, QueryError>),
}

/// The queue is full, or the pool is shut down; the job was not taken and nothing will be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected room for one more question to the outside, the queue is full or closed")]
pub(crate) struct Full;

/// Called exactly once per job that was taken, on one of the pool's threads (or on the caller's of
/// `shutdown`). Must not block.
pub(crate) type Done = Box<dyn FnOnce(Answer) + Send>;

/// See the module. Shared by all shards of a session.
pub(crate) struct HttpPool {
    queue: Sender<Waiting>,
    work: Receiver<Waiting>,
    /// Dropped to end the threads.
    life: ArcSwapOption<Life>,
    stop: Receiver<()>,
    ended: Receiver<()>,
    thread_count_max: usize,
    counts: Arc<Counts>,
    requests: Requests,
    clock: Clock,
}

/// Nothing is ever sent on these: threads learn by the end of `stop` that they should end, and
/// `shutdown` by the end of `ended` that they did.
struct Life {
    _stop: Sender<()>,
    ended: Sender<()>,
}

/// How many threads there are, and jobs taken but not finished.
#[derive(Default)]
struct Counts {
    threads: AtomicUsize,
    jobs: AtomicUsize,
}

/// A job in the queue.
struct Waiting {
    job: Job,
    since: Instant,
    done: Done,
}

impl std::fmt::Debug for HttpPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpPool")
    }
}

impl HttpPool {
    /// Makes the pool; its threads start with the first jobs. Fails when the extra roots are no
    /// certificates.
    pub(crate) fn start(config: &PoolConfig) -> Result<HttpPool, RootsError> {
        let (queue, work) = bounded(config.queue_max);
        let (stop_sender, stop) = bounded(0);
        let (ended_sender, ended) = bounded(0);
        let roots = config.extra_roots.as_deref();
        let life = Life { _stop: stop_sender, ended: ended_sender };
        Ok(HttpPool {
            queue,
            work,
            life: ArcSwapOption::from_pointee(life),
            stop,
            ended,
            thread_count_max: config.thread_count_max.max(1),
            counts: Arc::new(Counts::default()),
            requests: Requests::new(&config.user_agent, config.allow_private, roots)?,
            clock: Clock::start(),
        })
    }

    /// Takes up a question; never blocks. `done` gets the answer.
    pub(crate) fn submit(&self, job: Job, done: Done) -> Result<(), Full> {
        let life = self.life.load_full().ok_or(Full)?;
        let waiting = Waiting { job, since: self.clock.now(), done };
        let job_count = self.counts.jobs.fetch_add(1, Ordering::AcqRel) + 1;
        if self.queue.try_send(waiting).is_err() {
            self.counts.jobs.fetch_sub(1, Ordering::AcqRel);
            return Err(Full);
        }
        self.grow(&life, job_count);
        Ok(())
    }

    /// Takes no more questions, answers those that wait with an error, and waits up to `limit` for
    /// those under way. `false`: some thread is still busy; it ends by itself within its time-outs.
    pub(crate) fn shutdown(&self, limit: Duration) -> bool {
        drop(self.life.swap(None));
        self.refuse_waiting();
        // Nothing is sent: the wait ends when the last thread has dropped its end.
        let waited = self.ended.recv_timeout(limit);
        // What was put in while we closed.
        self.refuse_waiting();
        waited == Err(RecvTimeoutError::Disconnected)
    }

    fn refuse_waiting(&self) {
        while let Ok(waiting) = self.work.try_recv() {
            refuse(waiting, TrackerErrorClass::Timeout, "the session ends");
        }
    }

    /// One more thread when there are more jobs than threads.
    #[expect(clippy::disallowed_methods, reason = "the pool's threads are made here")]
    fn grow(&self, life: &Life, job_count: usize) {
        let wanted = job_count.min(self.thread_count_max);
        let grow = |count: usize| (count < wanted).then_some(count + 1);
        let threads = &self.counts.threads;
        if threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).is_err() {
            return;
        }
        let worker = Worker {
            work: self.work.clone(),
            stop: self.stop.clone(),
            requests: self.requests.clone(),
            counts: Arc::clone(&self.counts),
            clock: self.clock,
            _ended: life.ended.clone(),
        };
        let thread = thread::Builder::new().name("coreswarm-query".to_owned());
        if thread.spawn(move || worker.run()).is_err() {
            // Others go on; without any, the announcer's deadline ends the wait.
            threads.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for HttpPool {
    /// Ends the threads without waiting for them.
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

/// What a thread holds.
struct Worker {
    work: Receiver<Waiting>,
    stop: Receiver<()>,
    requests: Requests,
    counts: Arc<Counts>,
    clock: Clock,
    _ended: Sender<()>,
}

impl Worker {
    fn run(self) {
        loop {
            select! {
                recv(self.stop) -> _ => return,
                recv(self.work) -> waiting => match waiting {
                    Ok(waiting) => self.serve(waiting),
                    Err(_) => return,
                },
            }
        }
    }

    /// A panic, of the client or of `done`, ends neither the thread nor the count.
    fn serve(&self, waiting: Waiting) {
        if self.clock.now().since(waiting.since) > QUERY_WAIT_MAX {
            refuse(waiting, TrackerErrorClass::Timeout, "waited too long for a thread");
        } else {
            let Waiting { job, done, .. } = waiting;
            let answer = catch_unwind(AssertUnwindSafe(|| self.ask(&job)));
            let answer = answer.unwrap_or_else(|_| failed(&job, TrackerErrorClass::Parse, PANIC));
            // Its owner may be gone; there is nobody to tell.
            let _ = catch_unwind(AssertUnwindSafe(|| done(answer)));
        }
        self.counts.jobs.fetch_sub(1, Ordering::AcqRel);
    }

    fn ask(&self, job: &Job) -> Answer {
        match job {
            Job::Http { url, timeout } => Answer::Http(self.requests.get(url, *timeout)),
            Job::Resolve { host, port } => Answer::Resolved(Requests::resolve(host, *port)),
        }
    }
}

const PANIC: &str = "the request panicked; this is a bug of coreswarm or of its HTTP client";

fn refuse(waiting: Waiting, class: TrackerErrorClass, message: &str) {
    let answer = failed(&waiting.job, class, message);
    let _ = catch_unwind(AssertUnwindSafe(|| (waiting.done)(answer)));
}

fn failed(job: &Job, class: TrackerErrorClass, message: &str) -> Answer {
    match job {
        Job::Http { .. } => Answer::Http(Err(fault(class, message))),
        Job::Resolve { .. } => Answer::Resolved(Err(fault(class, message))),
    }
}

#[cfg(test)]
mod tests;
