//! The environment blocks of processes and threads, as drivers find them in user memory: PEB and TEB.
//!
//! ```text
//!   PEB ─▶ image base                       TEB ─▶ itself, stack, ids, PEB
//!     ├──▶ process parameters: image path, command line
//!     └──▶ loader data, once the process runs: a list entry for each image it has mapped itself
//! ```
//!
//! A pico process has neither, and what only exists for 32-bit code is not there.

use std::mem::offset_of;

use event::{Architecture, ClientId, ProcessId, Subsystem};
use nt_abi::{
    LDR_DATA_TABLE_ENTRY, NT_TIB, PEB, PEB_LDR_DATA, RTL_USER_PROCESS_PARAMETERS, TEB, UNICODE_STRING,
};

use crate::world::World;

const PAGE: u64 = 0x1000;
/// Room for a PEB and what it points to; what does not fit is left out.
const PEB_ROOM: u64 = 0x4_0000;
/// Bytes of a TEB, in whole pages.
const TEB_SIZE: u64 = 0x2000;
/// How far stacks are apart, and how much of each is committed, below its base.
const STACK_STRIDE: u64 = 0x10_0000;
const STACK_COMMITTED: u64 = 0x1_0000;

/// Where the blocks of a process are. The same in every process, as their memories are not the same.
struct Places {
    peb: u64,
    tebs: u64,
    stacks: u64,
}

fn places(architecture: Architecture) -> Places {
    if architecture == Architecture::X86 {
        Places { peb: 0x0100_0000, tebs: 0x0110_0000, stacks: 0x1000_0000 }
    } else {
        Places { peb: 0xD0_0000_0000, tebs: 0xD0_1000_0000, stacks: 0xD1_0000_0000 }
    }
}

/// Where a process's main image is mapped, before its first thread starts.
pub(crate) fn main_base(architecture: Architecture) -> u64 {
    if architecture == Architecture::X86 { 0x40_0000 } else { 0x7FF6_4000_0000 }
}

/// A piece of user memory that is written from its beginning on.
struct Block {
    base: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn put(&mut self, at: u64, value: &[u8]) {
        let at = usize::try_from(at - self.base).unwrap_or(usize::MAX);
        if let Some(place) = at.checked_add(value.len()).and_then(|end| self.bytes.get_mut(at..end)) {
            place.copy_from_slice(value);
        }
    }

    fn put_u64(&mut self, at: u64, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    /// Room for `size` zero bytes behind everything else; `None` where there is none left.
    fn reserve(&mut self, size: usize) -> Option<u64> {
        let at = self.bytes.len().next_multiple_of(16);
        let end = at.checked_add(size).filter(|&end| end as u64 <= PEB_ROOM)?;
        self.bytes.resize(end, 0);
        Some(self.base + at as u64)
    }

    /// A counted string at `at`, its characters behind everything else.
    fn put_string(&mut self, at: u64, text: &str) {
        let mut units: Vec<u16> = text.encode_utf16().take(0x7FFE).collect();
        units.push(0);
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let Some(buffer) = self.reserve(bytes.len()) else { return };
        self.put(buffer, &bytes);
        let maximum = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.put(at + offset_of!(UNICODE_STRING, Length) as u64, &(maximum - 2).to_le_bytes());
        self.put(at + offset_of!(UNICODE_STRING, MaximumLength) as u64, &maximum.to_le_bytes());
        self.put_u64(at + offset_of!(UNICODE_STRING, Buffer) as u64, buffer);
    }
}

/// An image that a process has mapped itself, in its loader's lists.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) path: String,
}

impl World {
    /// Gives a new process its PEB, and answers where; 0 where it has none. Called again when what it says has changed.
    pub(crate) fn place_peb(&mut self, process: ProcessId) -> u64 {
        let memory = self.memory.clone();
        let Some(state) = self.live(process).filter(|state| state.subsystem == Subsystem::Win32) else {
            return 0;
        };
        let peb = places(state.architecture).peb;
        let mut block = Block { base: peb, bytes: vec![0; size_of::<PEB>()] };
        let image_base = main_base(state.architecture);
        block.put_u64(peb + offset_of!(PEB, ImageBaseAddress) as u64, image_base);
        if let Some(parameters) = block.reserve(size_of::<RTL_USER_PROCESS_PARAMETERS>()) {
            type Parameters = RTL_USER_PROCESS_PARAMETERS;
            let size = u32::try_from(size_of::<Parameters>()).unwrap_or_default();
            block.put(parameters + offset_of!(Parameters, MaximumLength) as u64, &size.to_le_bytes());
            block.put(parameters + offset_of!(Parameters, Length) as u64, &size.to_le_bytes());
            // Normalised: its strings hold addresses and not offsets.
            block.put(parameters + offset_of!(Parameters, Flags) as u64, &1_u32.to_le_bytes());
            block.put_string(parameters + offset_of!(Parameters, ImagePathName) as u64, &state.path);
            let line = state.command_line.as_deref().unwrap_or_default();
            block.put_string(parameters + offset_of!(Parameters, CommandLine) as u64, line);
            block.put_u64(peb + offset_of!(PEB, ProcessParameters) as u64, parameters);
        }
        if state.loader_runs
            && let Some(lists) = loader_lists(&mut block, &state.modules)
        {
            block.put_u64(peb + offset_of!(PEB, Ldr) as u64, lists);
        }
        state.views.insert(peb, PEB_ROOM);
        memory.map(process, peb, PEB_ROOM, block.bytes);
        peb
    }

    /// The loader of a process has seen an image that the process mapped: it is in its lists from now on.
    pub(crate) fn loader_sees(&mut self, image: &event::Image<'static>) {
        let (Some(name), event::Mapping::Image) = (&image.name, image.mapping) else { return };
        let path = name.for_people().to_owned();
        let Some(state) = self.live(image.process) else { return };
        // The lists are the native loader's; those of 32-bit code have the executable only.
        if image.architecture == Architecture::X64 || image.base == main_base(state.architecture) {
            state.modules.push(Module { base: image.base, size: image.size, path });
            self.place_peb(image.process);
        }
    }

    /// An image is unmapped, and in no list any more.
    pub(crate) fn loader_forgets(&mut self, process: ProcessId, base: u64) {
        if let Some(state) = self.live(process) {
            state.modules.retain(|module| module.base != base);
            self.place_peb(process);
        }
    }

    /// Gives a new thread its TEB and its stack.
    pub(crate) fn place_teb(&mut self, thread: ClientId) {
        let memory = self.memory.clone();
        let process = thread.process;
        let Some(state) = self.live(process).filter(|state| state.subsystem == Subsystem::Win32) else {
            return;
        };
        let Places { peb, tebs, stacks } = places(state.architecture);
        let number = state.threads_made;
        state.threads_made += 1;
        let (teb, stack) = (tebs + number * TEB_SIZE, stacks + (number + 1) * STACK_STRIDE);
        let mut block = Block { base: teb, bytes: vec![0; size_of::<TEB>()] };
        for (offset, value) in [
            (offset_of!(TEB, NtTib) + offset_of!(NT_TIB, StackBase), stack),
            (offset_of!(TEB, NtTib) + offset_of!(NT_TIB, StackLimit), stack - STACK_COMMITTED),
            (offset_of!(TEB, NtTib) + offset_of!(NT_TIB, Self_), teb),
            (offset_of!(TEB, ClientId), process.0.into()),
            (offset_of!(TEB, ClientId) + 8, thread.thread.0.into()),
            (offset_of!(TEB, ProcessEnvironmentBlock), peb),
        ] {
            block.put_u64(teb + offset as u64, value);
        }
        state.tebs.insert(thread.thread, (teb, stack - STACK_COMMITTED));
        state.views.insert(teb, TEB_SIZE);
        state.views.insert(stack - STACK_COMMITTED, STACK_COMMITTED);
        memory.map(process, teb, TEB_SIZE, block.bytes);
        memory.map(process, stack - STACK_COMMITTED, STACK_COMMITTED, Vec::new());
    }

    /// Where a thread's TEB is; 0 where it has none.
    pub(crate) fn teb_of(&self, thread: ClientId) -> u64 {
        let state = self.processes.get(&thread.process.0);
        state.and_then(|state| state.tebs.get(&thread.thread)).map_or(0, |&(teb, _)| teb)
    }

    /// The thread is gone, and its blocks with it.
    pub(crate) fn drop_teb(&mut self, thread: ClientId) {
        let memory = self.memory.clone();
        let Some(state) = self.processes.get_mut(&thread.process.0) else { return };
        let Some((teb, stack)) = state.tebs.remove(&thread.thread) else { return };
        for base in [teb, stack] {
            state.views.remove(&base);
            memory.unmap(thread.process, base);
        }
    }
}

/// The loader's data with the three lists of modules, which are in one order here; `None` where there is no room.
fn loader_lists(block: &mut Block, modules: &[Module]) -> Option<u64> {
    type Entry = LDR_DATA_TABLE_ENTRY;
    let data = block.reserve(size_of::<PEB_LDR_DATA>())?;
    let size = u32::try_from(size_of::<PEB_LDR_DATA>()).unwrap_or_default();
    block.put(data + offset_of!(PEB_LDR_DATA, Length) as u64, &size.to_le_bytes());
    block.put(data + offset_of!(PEB_LDR_DATA, Initialized) as u64, &[1]);
    let mut entries = Vec::new();
    for module in modules {
        let Some(entry) = block.reserve(size_of::<Entry>()) else { break };
        let size = u32::try_from(module.size).unwrap_or(u32::MAX);
        block.put_u64(entry + offset_of!(Entry, DllBase) as u64, module.base);
        block.put(entry + offset_of!(Entry, SizeOfImage) as u64, &size.to_le_bytes());
        block.put(entry + offset_of!(Entry, LoadCount) as u64, &1_u16.to_le_bytes());
        block.put_string(entry + offset_of!(Entry, FullDllName) as u64, &module.path);
        let name = module.path.rsplit(['\\', '/']).next().unwrap_or(&module.path);
        block.put_string(entry + offset_of!(Entry, BaseDllName) as u64, name);
        entries.push(entry);
    }
    for (head, link) in [
        (offset_of!(PEB_LDR_DATA, InLoadOrderModuleList), offset_of!(Entry, InLoadOrderLinks)),
        (offset_of!(PEB_LDR_DATA, InMemoryOrderModuleList), offset_of!(Entry, InMemoryOrderLinks)),
        (
            offset_of!(PEB_LDR_DATA, InInitializationOrderModuleList),
            offset_of!(Entry, InInitializationOrderLinks),
        ),
    ] {
        let head = data + head as u64;
        let ring: Vec<u64> =
            std::iter::once(head).chain(entries.iter().map(|entry| entry + link as u64)).collect();
        for (at, &member) in ring.iter().enumerate() {
            let next = ring[(at + 1) % ring.len()];
            // LIST_ENTRY: Flink, then Blink.
            block.put_u64(member, next);
            block.put_u64(next + 8, member);
        }
    }
    Some(data)
}

/// The whole pages that a block takes, for who looks for room.
const _: () = assert!(PEB_ROOM.is_multiple_of(PAGE) && TEB_SIZE.is_multiple_of(PAGE));

#[cfg(test)]
mod tests {
    use host::UserMemory as _;
    use nt_abi::Profile;

    use super::*;
    use crate::{Bench, Process, Subsystem};

    /// Reads the memory of a process as a driver would.
    struct Reader<'a>(&'a Bench, ProcessId);

    impl Reader<'_> {
        fn bytes(&self, at: u64, count: usize) -> Option<Vec<u8>> {
            let mut memory = self.0.world.memory.clone();
            let mut page = [0; 4096];
            (at..at + count as u64)
                .map(|at| {
                    let offset = usize::try_from(at % PAGE).unwrap();
                    memory.read(self.1, at - at % PAGE, &mut page).then(|| page[offset])
                })
                .collect()
        }

        fn u64(&self, at: u64) -> u64 {
            u64::from_le_bytes(self.bytes(at, 8).unwrap().try_into().unwrap())
        }

        fn string(&self, at: u64) -> String {
            let length = u16::from_le_bytes(self.bytes(at, 2).unwrap().try_into().unwrap());
            let bytes = self.bytes(self.u64(at + 8), length.into()).unwrap();
            let units: Vec<u16> =
                bytes.chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            String::from_utf16(&units).unwrap()
        }

        /// The names in the loader's list in load order, walked both ways; `None` before the loader has begun.
        fn modules(&self, peb: u64) -> Option<Vec<String>> {
            let lists = Some(self.u64(peb + 0x18)).filter(|&lists| lists != 0)?;
            let head = lists + 0x10;
            let mut names = Vec::new();
            let mut at = self.u64(head);
            while at != head {
                assert_eq!(self.u64(self.u64(at + 8)), at, "the member before leads here");
                names.push(self.string(at + 0x58));
                at = self.u64(at);
            }
            Some(names)
        }
    }

    fn peb(process: &Process, bench: &mut Bench) -> u64 {
        bench.world.place_peb(process.id)
    }

    #[test]
    fn a_peb_leads_to_the_command_line_and_the_modules() {
        let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
        let process = bench.process(r"C:\Dir\Some.exe").command_line("some /x").suspended().create().unwrap();
        let at = peb(&process, &mut bench);
        let reader = Reader(&bench, process.id);
        assert_eq!(reader.u64(at + 0x10), main_base(Architecture::X64));
        let parameters = reader.u64(at + 0x20);
        assert_eq!(reader.string(parameters + 0x60), r"C:\Dir\Some.exe");
        assert_eq!(reader.string(parameters + 0x70), "some /x");
        assert_eq!(reader.modules(at), None, "its loader has not begun");
        bench.resume(&process).unwrap();
        let view = bench.map_image(&process, r"C:\Dir\One.dll").unwrap();
        let remote = bench.shell().unwrap();
        bench.image(&process, r"C:\Dir\Remote.dll").by(remote).map().unwrap();
        bench.image(&process, r"C:\Dir\Data.dll").data().map().unwrap();
        assert_eq!(Reader(&bench, process.id).modules(at).unwrap(), ["Some.exe", "ntdll.dll", "One.dll"]);
        bench.unmap_image(&view).unwrap();
        assert_eq!(Reader(&bench, process.id).modules(at).unwrap(), ["Some.exe", "ntdll.dll"]);
        bench.exit_process(&process, crate::STATUS_SUCCESS).unwrap();
        assert!(Reader(&bench, process.id).bytes(at, 1).is_none(), "its memory is gone");
    }

    #[test]
    fn r_exit_04_each_thread_has_a_teb_of_its_own_as_long_as_it_lives() {
        let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
        for (architecture, most) in [(Architecture::X64, u64::MAX), (Architecture::X86, u64::from(u32::MAX))]
        {
            let process = bench.process(r"C:\a.exe").architecture(architecture).create().unwrap();
            let threads =
                [bench.first_thread(&process).unwrap(), bench.create_thread(&process, process).unwrap()];
            let tebs = threads.map(|thread| bench.world.teb_of(thread.id));
            assert!(tebs[0] != tebs[1] && tebs.iter().all(|&teb| teb != 0 && teb < most));
            let reader = Reader(&bench, process.id);
            for (thread, teb) in threads.iter().zip(tebs) {
                assert_eq!(reader.u64(teb + 0x30), teb);
                assert_eq!(reader.u64(teb + 0x40), u64::from(thread.id.process.0));
                assert_eq!(reader.u64(teb + 0x48), u64::from(thread.id.thread.0));
                assert!(reader.bytes(reader.u64(teb + 0x10), 1).is_some(), "its stack is there");
                assert_eq!(reader.u64(reader.u64(teb + 0x60) + 0x10), main_base(architecture));
            }
            bench.exit_thread(&threads[1], crate::STATUS_SUCCESS).unwrap();
            assert!(Reader(&bench, process.id).bytes(tebs[1], 1).is_none());
            assert!(Reader(&bench, process.id).bytes(tebs[0], 1).is_some());
        }
        let pico = bench.process("/bin/sh").subsystem(Subsystem::Wsl).create().unwrap();
        let thread = bench.first_thread(&pico).unwrap();
        assert_eq!((peb(&pico, &mut bench), bench.world.teb_of(thread.id)), (0, 0));
    }
}
