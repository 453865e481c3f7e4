//! The scheduler of a stressed kernel: one thread runs at a time, and a seed says which.
//!
//! Threads that run driver code are *tasks*. One of them has the baton; the others wait for it, wherever they are: in
//! the middle of a callback, before a kernel call, between two instructions. A task gives the baton on at
//! points that the rest of the kernel names (see the module above), and whenever it has to wait, since
//! all waiting of the kernel goes through [`machine::Platform::block`]. A wait is over when its word has changed. When
//! nobody can go on, the clock jumps to the next timeout; when there is none either, it is a deadlock.
//!
//! Nothing here looks at the time or at another thread's progress, so the order is the seed's alone.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use machine::platform::BlockOutcome;

use super::dice::Dice;

/// How many timeouts may pass in a row without a lane or a life going on, until the machine counts as dead.
const IDLE_TIMEOUTS: u32 = 20_000;
/// How often the others are let run before a lane answers its bench.
const DRAIN: u32 = 1_000;
/// How many points a preempted task may be passed over at, at most: about what two processes need to live.
const LONGEST_HOLD: usize = 128;

thread_local! {
    /// The task that this thread is.
    static TASK: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What a task is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A request of the bench.
    Lane,
    /// A processor that lives synthetic processes.
    Life,
    /// A thread of a driver's or of the kernel's.
    System,
}

/// How a task stands.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// It has the baton, or could go on.
    Ready,
    /// It would begin something new.
    Idle,
    /// It waits.
    Blocked(Wait),
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    /// The word. Valid while the task is blocked, as that is a borrow.
    word: usize,
    expected: u32,
    deadline: Option<u64>,
    woken: bool,
    outcome: Option<Ended>,
}

/// Why a wait ended that did not by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    TimedOut,
    Deadlock,
}

#[derive(Debug)]
struct Task {
    kind: Kind,
    standing: Standing,
    turn: Arc<Condvar>,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    tasks: Vec<Option<Task>>,
    /// Who has the baton.
    running: Option<usize>,
    /// Synthetic processes that are still to live.
    lives: u32,
    /// Whether they may begin.
    open: bool,
    /// Nanoseconds since the kernel started.
    clock: u64,
    timeouts: u32,
    /// A preempted task, and for how many points it is passed over while somebody else can go on.
    held: Option<(usize, usize)>,
}

/// The scheduler.
#[derive(Debug)]
pub(super) struct Scheduler(Mutex<State>);

/// What a wait came to.
pub(super) enum Waited {
    /// This thread is no task: let the system wait.
    NotOurs,
    /// It is over.
    Over(BlockOutcome),
    /// It will never be: nobody can go on.
    Deadlock,
}

impl Scheduler {
    pub(super) fn new(dice: Dice, lives: u32) -> Self {
        Self(Mutex::new(State {
            dice,
            tasks: Vec::new(),
            running: None,
            lives,
            open: false,
            clock: 0,
            timeouts: 0,
            held: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the calling thread is a task.
    pub(super) fn is_task() -> bool {
        TASK.get().is_some()
    }

    /// Asks the seed.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Dice) -> T) -> T {
        question(&mut self.lock().dice)
    }

    /// The time, which goes on a little each time that a task looks.
    pub(super) fn time(&self) -> u64 {
        let mut state = self.lock();
        if Self::is_task() {
            state.clock += 1_000;
        }
        state.clock
    }

    /// Makes a new task; it waits until it gets the baton in [`begin`](Self::begin).
    pub(super) fn add(&self, kind: Kind) -> usize {
        let standing = if kind == Kind::Life { Standing::Idle } else { Standing::Ready };
        self.lock().add(kind, standing)
    }

    /// The calling thread is this task from now on, and waits for the baton.
    pub(super) fn begin(&self, task: usize) {
        TASK.set(Some(task));
        let state = self.lock();
        drop(wait_for_turn(state, task));
    }

    /// The calling thread is no task any more.
    pub(super) fn end(&self) {
        let Some(me) = TASK.take() else { return };
        let mut state = self.lock();
        state.tasks[me] = None;
        let next = state.next(None);
        state.give_to(next);
    }

    /// A lane begins to serve: takes the baton, or waits for it.
    pub(super) fn enter(&self) {
        let mut state = self.lock();
        let me = state.add(Kind::Lane, Standing::Ready);
        TASK.set(Some(me));
        if state.running.is_none() {
            state.running = Some(me);
        }
        drop(wait_for_turn(state, me));
    }

    /// A lane has served. Half of the times the others come to rest before, else they stay where they are until the
    /// next request: a callback is held in flight like this.
    pub(super) fn leave(&self) {
        let Some(me) = TASK.get() else { return };
        let mut state = self.lock();
        if state.dice.one_in(2) {
            for _ in 0..DRAIN {
                let others = state.runnable(Some(me));
                let Some(next) = state.pick(&others) else { break };
                state = hand_over(state, me, next);
            }
        }
        TASK.set(None);
        state.tasks[me] = None;
        let lanes = state.tasks.iter().flatten().any(|task| task.kind == Kind::Lane);
        let next = if lanes { state.next(None) } else { None };
        state.give_to(next);
    }

    /// A point where another task may go on, with a chance of one in `chance`.
    pub(super) fn point(&self, chance: usize) {
        let Some(me) = TASK.get() else { return };
        let mut state = self.lock();
        if let Some((_, left)) = &mut state.held {
            *left -= 1;
            if *left == 0 {
                state.held = None;
            }
        }
        if !state.dice.one_in(chance) {
            return;
        }
        let mut others = state.runnable(Some(me));
        others.extend(state.idle().first());
        // Time passes too: whoever sleeps may wake up.
        if state.dice.one_in(8) {
            others.extend(state.soonest().map(|(task, _)| task));
        }
        if let Some(next) = state.pick(&others) {
            state.time_out(next);
            drop(hand_over(state, me, next));
        }
    }

    /// The calling task is preempted between two instructions. Half of the times it does not come back soon: what it
    /// had just read is old by then.
    pub(super) fn preempt(&self) {
        let Some(me) = TASK.get() else { return };
        {
            let mut state = self.lock();
            if state.held.is_none() && state.dice.one_in(2) {
                let points = 1 + state.dice.below(LONGEST_HOLD);
                // The point below is one of them.
                state.held = Some((me, points + 1));
            }
        }
        self.point(1);
    }

    /// Begins a synthetic process on another processor, at once, if there is one left.
    pub(super) fn provoke(&self) {
        let Some(me) = TASK.get() else { return };
        let state = self.lock();
        let first = state.idle().first().copied();
        if let Some(next) = first {
            drop(hand_over(state, me, next));
        }
    }

    /// A life's task begins one, if there is one left.
    pub(super) fn claim_life(&self) -> bool {
        let Some(me) = TASK.get() else { return false };
        let mut state = self.lock();
        let claimed = state.lives > 0;
        if claimed {
            state.lives -= 1;
            state.set(me, Standing::Ready);
        }
        claimed
    }

    /// A life's task has nothing to do until it gets the baton.
    pub(super) fn rest(&self) {
        let Some(me) = TASK.get() else { return };
        let mut state = self.lock();
        state.set(me, Standing::Idle);
        let next = state.next(None);
        state.give_to(next);
        drop(wait_for_turn(state, me));
    }

    /// From now on synthetic processes may begin: somebody is there to be told.
    pub(super) fn open(&self) {
        self.lock().open = true;
    }

    /// Allows more synthetic processes.
    pub(super) fn more(&self, lives: u32) {
        self.lock().lives += lives;
    }

    /// Forgets a task that never began.
    pub(super) fn remove(&self, task: usize) {
        if let Some(slot) = self.lock().tasks.get_mut(task) {
            *slot = None;
        }
    }

    /// Waits while `word` is `expected`.
    pub(super) fn block(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Waited {
        let Some(me) = TASK.get() else { return Waited::NotOurs };
        let mut state = self.lock();
        if word.load(Ordering::SeqCst) != expected {
            return Waited::Over(BlockOutcome::Changed);
        }
        let deadline = timeout
            .map(|timeout| state.clock.saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)));
        let word = std::ptr::from_ref(word).expose_provenance();
        state.set(me, Standing::Blocked(Wait { word, expected, deadline, woken: false, outcome: None }));
        let next = state.next(Some(me));
        if next != Some(me) {
            state.give_to(next);
            state = wait_for_turn(state, me);
        }
        let before = state.standing(me);
        state.set(me, Standing::Ready);
        match before {
            Some(Standing::Blocked(Wait { outcome: Some(Ended::TimedOut), .. })) => {
                Waited::Over(BlockOutcome::TimedOut)
            }
            Some(Standing::Blocked(Wait { outcome: Some(Ended::Deadlock), .. })) => Waited::Deadlock,
            _ => Waited::Over(BlockOutcome::Woken),
        }
    }

    /// Notes that whoever waits for `word` is woken.
    pub(super) fn wake(&self, word: &AtomicU32) {
        let address = std::ptr::from_ref(word).addr();
        for task in self.lock().tasks.iter_mut().flatten() {
            if let Standing::Blocked(wait) = &mut task.standing
                && wait.word == address
            {
                wait.woken = true;
            }
        }
    }
}

impl State {
    fn add(&mut self, kind: Kind, standing: Standing) -> usize {
        let task = Some(Task { kind, standing, turn: Arc::new(Condvar::new()) });
        // The lowest free number: which one it is must depend on nothing but the order of events.
        match self.tasks.iter().position(Option::is_none) {
            Some(free) => {
                self.tasks[free] = task;
                free
            }
            None => {
                self.tasks.push(task);
                self.tasks.len() - 1
            }
        }
    }

    fn set(&mut self, task: usize, standing: Standing) {
        if let Some(Some(task)) = self.tasks.get_mut(task) {
            task.standing = standing;
        }
    }

    fn standing(&self, task: usize) -> Option<Standing> {
        Some(self.tasks.get(task)?.as_ref()?.standing)
    }

    /// The numbers of the tasks for which something holds.
    fn those(&self, holds: impl Fn(&Task) -> bool) -> Vec<usize> {
        let tasks = self.tasks.iter().enumerate();
        tasks.filter_map(|(number, task)| task.as_ref().is_some_and(&holds).then_some(number)).collect()
    }

    /// Who could go on with what it does.
    fn runnable(&self, except: Option<usize>) -> Vec<usize> {
        let mut all = self.those(|task| match task.standing {
            Standing::Ready => true,
            Standing::Idle => false,
            Standing::Blocked(wait) => wait.is_over(),
        });
        all.retain(|&task| Some(task) != except);
        if let Some((held, _)) = self.held
            && all.len() > 1
        {
            all.retain(|&task| task != held);
        }
        all
    }

    /// Who could begin a synthetic process.
    fn idle(&self) -> Vec<usize> {
        if self.lives == 0 || !self.open {
            return Vec::new();
        }
        self.those(|task| matches!(task.standing, Standing::Idle))
    }

    /// Whose timeout comes first.
    fn soonest(&self) -> Option<(usize, u64)> {
        let tasks = self.tasks.iter().enumerate();
        let deadlines = tasks.filter_map(|(number, task)| match task.as_ref()?.standing {
            Standing::Blocked(wait) if !wait.is_over() => Some((number, wait.deadline?)),
            _ => None,
        });
        deadlines.min_by_key(|&(number, deadline)| (deadline, number))
    }

    fn pick(&mut self, among: &[usize]) -> Option<usize> {
        let index = self.dice.below(among.len());
        among.get(index).copied()
    }

    /// Lets the time of a task that waits be up; nothing for one that need not wait any more.
    fn time_out(&mut self, task: usize) {
        if let Some(Standing::Blocked(mut wait)) = self.standing(task)
            && let Some(deadline) = wait.deadline
            && !wait.is_over()
        {
            self.clock = self.clock.max(deadline);
            wait.outcome = Some(Ended::TimedOut);
            self.set(task, Standing::Blocked(wait));
        }
    }

    /// Who goes on when the one who has the baton does not. `blocked` is that one, when it may be told of a deadlock.
    fn next(&mut self, blocked: Option<usize>) -> Option<usize> {
        let runnable = self.runnable(None);
        if let Some(next) = self.pick(&runnable) {
            let kind = self.tasks.get(next).and_then(Option::as_ref).map(|task| task.kind);
            if kind != Some(Kind::System) {
                self.timeouts = 0;
            }
            return Some(next);
        }
        let timed = self.soonest().filter(|_| self.timeouts < IDLE_TIMEOUTS).map(|(task, _)| task);
        let life = self.idle().first().copied();
        let options: Vec<_> = timed.into_iter().chain(life).collect();
        if let Some(next) = self.pick(&options) {
            self.timeouts += 1;
            self.time_out(next);
            return Some(next);
        }
        // Nobody: whoever works for the bench never will be able to. One in a callback says most about why.
        let stuck =
            |kind| move |task: &Task| task.kind == kind && matches!(task.standing, Standing::Blocked(_));
        let victim = self.those(stuck(Kind::Life)).into_iter().chain(self.those(stuck(Kind::Lane))).next();
        let lanes = self.tasks.iter().flatten().any(|task| task.kind == Kind::Lane);
        let victim = victim.filter(|_| lanes).or_else(|| blocked.filter(|_| lanes))?;
        if let Some(Standing::Blocked(mut wait)) = self.standing(victim) {
            wait.outcome = Some(Ended::Deadlock);
            self.set(victim, Standing::Blocked(wait));
        }
        Some(victim)
    }

    fn give_to(&mut self, next: Option<usize>) {
        self.running = next;
        if let Some(Some(task)) = next.map(|next| self.tasks.get(next).and_then(Option::as_ref)) {
            task.turn.notify_all();
        }
    }
}

impl Wait {
    fn is_over(&self) -> bool {
        let word = std::ptr::with_exposed_provenance::<AtomicU32>(self.word);
        // SAFETY: the task is blocked in `Scheduler::block`, which borrows the word until it runs again.
        self.woken || self.outcome.is_some() || unsafe { (*word).load(Ordering::SeqCst) } != self.expected
    }
}

/// Gives the baton to another task, and waits until it comes back.
fn hand_over(mut state: MutexGuard<'_, State>, me: usize, next: usize) -> MutexGuard<'_, State> {
    state.set(me, Standing::Ready);
    state.give_to(Some(next));
    wait_for_turn(state, me)
}

fn wait_for_turn(mut state: MutexGuard<'_, State>, me: usize) -> MutexGuard<'_, State> {
    while state.running != Some(me) {
        let Some(turn) = state.tasks.get(me).and_then(Option::as_ref).map(|task| task.turn.clone()) else {
            return state;
        };
        state = turn.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state
}
