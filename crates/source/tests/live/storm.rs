//! Many short lives and violent deaths at once: whatever happens, the events fit together.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use event::{ClientId, Event, EventKind, ProcessId, ThreadId};
use source::{
    Delivery, Recipient, Reply, Ticket,
    live::{Command, Options, run},
};

use crate::recorder::{TRACEE, may_trace};

/// Who is alive by the events, with its threads. Fails at the first event that does not fit.
#[derive(Default)]
struct Census {
    alive: HashMap<ProcessId, HashSet<ThreadId>>,
    created: usize,
    clones: usize,
    threads: usize,
    /// Answers that are still to come, where answers come late.
    waiting: Option<Vec<Ticket>>,
    tickets: u32,
}

impl Census {
    fn expect_alive(&self, id: ClientId, event: &Event<'_>) {
        let threads = self.alive.get(&id.process);
        assert!(
            threads.is_some_and(|threads| threads.contains(&id.thread)),
            "{id:?} is not alive: {event:?}"
        );
    }

    fn begin(&mut self, process: &event::Process<'_>, event: &Event<'_>, threads: HashSet<ThreadId>) {
        let before = self.alive.insert(process.process, threads);
        assert!(before.is_none(), "it was alive: {event:?}");
    }

    fn take(&mut self, event: &Event<'_>) {
        match &event.kind {
            EventKind::ProcessPresent(process) => {
                self.begin(process, event, HashSet::from([process.first_thread]));
            }
            EventKind::ProcessClone(process) => {
                self.expect_alive(event.context, event);
                assert_eq!(process.creator, event.context);
                self.clones += 1;
                self.begin(process, event, HashSet::from([process.first_thread]));
            }
            EventKind::ProcessCreate(process) => {
                self.expect_alive(event.context, event);
                assert_eq!(process.creator, event.context, "R-PCI-06");
                self.created += 1;
                self.begin(process, event, HashSet::new());
            }
            EventKind::ThreadCreate(thread) => {
                self.expect_alive(event.context, event);
                self.threads += 1;
                let threads = self.alive.get_mut(&thread.thread.process).unwrap();
                assert!(threads.insert(thread.thread.thread), "it was alive: {event:?}");
            }
            EventKind::ImageLoad(image) => {
                self.expect_alive(event.context, event);
                assert_eq!(image.process, event.context.process);
            }
            EventKind::ThreadExit(exit) => {
                self.expect_alive(exit.thread, event);
                assert_eq!(event.context, exit.thread);
                self.alive.get_mut(&exit.thread.process).unwrap().remove(&exit.thread.thread);
            }
            EventKind::ProcessExit(exit) => {
                let left = self.alive.remove(&exit.process).unwrap_or_else(|| panic!("not alive: {event:?}"));
                // The first thread of a clone was announced to nobody, and so is its end.
                assert!(left.len() <= 1, "threads are left: {event:?}");
            }
        }
    }
}

impl Recipient for Census {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        for event in batch {
            self.take(event);
        }
        match &mut self.waiting {
            None => Delivery::Done(Reply::default()),
            Some(waiting) => {
                self.tickets += 1;
                waiting.push(Ticket(self.tickets));
                Delivery::Pending(Ticket(self.tickets))
            }
        }
    }

    fn finished(&mut self, wait: Duration) -> Option<(Ticket, Delivery)> {
        let waiting = self.waiting.as_mut().unwrap();
        // The latest first, and the others when nothing else happens.
        if wait.is_zero() && waiting.len() < 3 {
            return None;
        }
        waiting.pop().map(|ticket| (ticket, Delivery::Done(Reply::default())))
    }
}

#[test]
fn r_ord_06_events_fit_together_in_a_storm() {
    if !may_trace() {
        return;
    }
    let script = format!(
        "exec 2> /dev/null
        i=0
        while [ $i -lt 40 ]; do
            {TRACEE} threads 20 & a=$!
            {TRACEE} exec-in-thread /bin/true & b=$!
            sh -c 'while :; do /bin/true; (/bin/true) & done' & c=$!
            sleep 0.00$((i % 10))
            kill -9 $a $b $c
            i=$((i+1))
        done
        exit 12"
    );
    for late in [false, true] {
        let mut census = Census { waiting: late.then(Vec::new), ..Census::default() };
        let outcome = run(&Command::new("sh", ["-c", &script]), &mut census, Options::default()).unwrap();
        assert_eq!(outcome.ending.shell_code(), 12);
        assert!(census.created >= 80, "{} created", census.created);
        assert_eq!(outcome.counts.processes, census.created as u64);
        let watcher = ProcessId::from_linux(std::process::id());
        assert!(census.alive.keys().all(|process| *process == watcher), "late: {late}: {:?}", census.alive);
    }
}
