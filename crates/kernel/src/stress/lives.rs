//! Synthetic processes: each lives from its creation to its exit, in the order of SEMANTICS C.2, with what is
//! unusual but allowed.

use std::sync::atomic::{AtomicU32, Ordering};

use event::{
    ClientId, Conditions, Event, EventKind, Image, Name, Process, ProcessExit, ProcessId, Thread, ThreadExit,
    ThreadId,
};
use nt_abi::STATUS_SUCCESS;

use super::schedule::Scheduler;
use crate::{Kernel, ke};

/// Where the ids of what is synthetic begin: beyond those of every source and of the kernel's own threads.
static NEXT: AtomicU32 = AtomicU32::new(0x4000_0000);

const FILES: [&str; 4] = [
    r"\Device\HarddiskVolume1\Windows\System32\notepad.exe",
    r"\Device\HarddiskVolume1\Windows\System32\cmd.exe",
    r"\Device\HarddiskVolume1\Program Files\Stress\stress.exe",
    r"\Device\HarddiskVolume1\Users\Public\Setup.EXE",
];
const NTDLL: &str = r"\Device\HarddiskVolume1\Windows\System32\ntdll.dll";
const KERNEL32: &str = r"\Device\HarddiskVolume1\Windows\System32\kernel32.dll";

/// An id that nobody has had.
pub(super) fn new_id() -> u32 {
    NEXT.fetch_add(4, Ordering::Relaxed)
}

/// The thread of a processor that lives processes, one after the other, whenever it is its turn.
pub(super) fn run(kernel: &'static Kernel, scheduler: &'static Scheduler, task: usize, number: u32) {
    scheduler.begin(task);
    // Kept: the loop below never ends.
    let _processor = match machine::Processor::attach() {
        Ok(processor) => processor,
        Err(error) => {
            kernel.note(event::Level::Warning, &format!("a processor of the stress is missing: {error}"));
            scheduler.end();
            return;
        }
    };
    kernel.adopt_this_thread();
    let creator = ClientId { process: ProcessId(new_id()), thread: ThreadId(new_id()) };
    let service = Process {
        process: creator.process,
        parent: ProcessId::SYSTEM,
        first_thread: creator.thread,
        image: Some(Name {
            nt: format!(r"\Device\HarddiskVolume1\Stress\service{number}.exe").into(),
            host: None,
        }),
        ..Process::default()
    };
    let mut life = Life { kernel, scheduler, creator, conditions: Conditions::default() };
    life.tell(creator, EventKind::ProcessPresent(service));
    loop {
        if scheduler.claim_life() {
            life.live(0);
        }
        scheduler.rest();
    }
}

/// Where processes live.
struct Life {
    kernel: &'static Kernel,
    scheduler: &'static Scheduler,
    creator: ClientId,
    conditions: Conditions,
}

impl Life {
    fn one_in(&self, many: usize) -> bool {
        self.scheduler.ask(|dice| dice.one_in(many))
    }

    fn below(&self, limit: usize) -> usize {
        self.scheduler.ask(|dice| dice.below(limit))
    }

    /// Tells the kernel of one event. A point lies between any two.
    fn tell(&self, context: ClientId, kind: EventKind<'_>) -> bool {
        let event = Event { time: ke::time::now(), context, kind, conditions: self.conditions };
        let refused = self.kernel.deliver_event(&event).is_some();
        self.scheduler.point(4);
        refused
    }

    /// One process; some have a child, which outlives them at times.
    fn live(&mut self, depth: u32) {
        self.conditions = Conditions {
            apc_level: self.one_in(8),
            all_apcs_disabled: self.one_in(4),
            unterminated_names: self.one_in(4),
            user_pages_gone: false,
        };
        let own = ClientId { process: ProcessId(new_id()), thread: ThreadId(new_id()) };
        let image = self.file();
        let process = Process {
            process: own.process,
            parent: self.creator.process,
            creator: self.creator,
            first_thread: own.thread,
            image: Some(image.clone()),
            command_line: (!self.one_in(5)).then(|| r#""C:\Stress\stress.exe" /seeded"#.into()),
            open_name_available: !self.one_in(4),
            ..Process::default()
        };
        if self.tell(self.creator, EventKind::ProcessCreate(process)) {
            self.exit(own);
            return;
        }
        self.tell(self.creator, EventKind::ThreadCreate(Thread::new(own)));
        let seen = (!self.one_in(6)).then_some(image);
        self.image(own, seen, 0x1_4000_0000, 0x6000);
        self.image(own, Some(Name { nt: NTDLL.into(), host: None }), 0x7FFE_0000_0000, 0x1F_8000);
        if self.one_in(2) {
            self.image(own, Some(Name { nt: KERNEL32.into(), host: None }), 0x7FFD_F000_0000, 0xC_4000);
        }
        let mut second = None;
        if self.one_in(3) {
            let thread = ClientId { process: own.process, thread: ThreadId(new_id()) };
            self.tell(own, EventKind::ThreadCreate(Thread::new(thread)));
            second = Some(thread);
        }
        let child = if depth == 0 && self.one_in(4) { self.begin_child(own) } else { None };
        if let Some(thread) = second {
            self.tell(thread, EventKind::ThreadExit(ThreadExit { thread, status: STATUS_SUCCESS }));
        }
        self.exit(own);
        if let Some(child) = child {
            self.exit(child);
        }
    }

    /// A child that lives on when its parent exits.
    fn begin_child(&self, parent: ClientId) -> Option<ClientId> {
        let child = ClientId { process: ProcessId(new_id()), thread: ThreadId(new_id()) };
        let process = Process {
            process: child.process,
            parent: parent.process,
            creator: parent,
            first_thread: child.thread,
            image: Some(self.file()),
            command_line: Some("child".into()),
            open_name_available: true,
            ..Process::default()
        };
        if self.tell(parent, EventKind::ProcessCreate(process)) {
            self.exit(child);
            return None;
        }
        self.tell(parent, EventKind::ThreadCreate(Thread::new(child)));
        Some(child)
    }

    fn image(&self, mapper: ClientId, name: Option<Name<'_>>, base: u64, size: u64) {
        let image = Image { process: mapper.process, name, base, size, ..Image::default() };
        self.tell(mapper, EventKind::ImageLoad(image));
    }

    fn exit(&self, last: ClientId) {
        self.tell(last, EventKind::ThreadExit(ThreadExit { thread: last, status: STATUS_SUCCESS }));
        self.tell(
            last,
            EventKind::ProcessExit(ProcessExit { process: last.process, status: STATUS_SUCCESS }),
        );
    }

    /// An executable: an ordinary one, or one with a name of more than 300 characters (R-FN-08). What is created has
    /// a name; when its image is mapped, that may be missing (R-FN-01).
    fn file(&self) -> Name<'static> {
        let nt = if self.one_in(8) {
            let deep = r"\a-folder-with-a-long-name".repeat(12 + self.below(12));
            format!(r"\Device\HarddiskVolume1{deep}\stress.exe")
        } else {
            FILES[self.below(FILES.len())].to_owned()
        };
        Name { nt: nt.into(), host: None }
    }
}
