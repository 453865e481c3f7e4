//! Images.

use event::{Architecture, ClientId, Conditions, Mapping, Name, ProcessId, Signature};

use crate::bench::failed;
use crate::{Actor, Bench, Error, Process, View};

/// The size of an image whose size nobody says.
const USUAL_SIZE: u64 = 0x2_0000;
const PAGE: u64 = 0x1000;
/// The context in which the system loads drivers: a worker thread of System.
const SYSTEM_WORKER: ClientId = ClientId { process: ProcessId::SYSTEM, thread: event::ThreadId(92) };

/// An image to be mapped into a process. From [`Bench::image`].
#[derive(Debug)]
#[must_use = "nothing happens before `map`"]
pub struct ImageBuilder<'a> {
    bench: &'a mut Bench,
    path: String,
    by: Option<Actor>,
    /// Where, when it is said.
    base: Option<u64>,
    image: event::Image<'static>,
    architecture: Option<Architecture>,
    contents: Option<Vec<u8>>,
    conditions: Conditions,
}

/// An image to be mapped into the kernel, as a driver's that this bench does not run. From [`Bench::kernel_image`].
#[derive(Debug)]
#[must_use = "nothing happens before `load`"]
pub struct KernelImageBuilder<'a>(ImageBuilder<'a>);

impl Bench {
    /// An image of the file `path`, to be mapped into a process by itself unless said otherwise.
    pub fn image(&mut self, process: &Process, path: &str) -> ImageBuilder<'_> {
        let conditions = self.conditions;
        let image = event::Image {
            process: process.id,
            name: Some(Name::from_nt(path)),
            size: USUAL_SIZE,
            ..event::Image::default()
        };
        ImageBuilder {
            bench: self,
            path: path.to_owned(),
            by: None,
            base: None,
            image,
            architecture: None,
            contents: None,
            conditions,
        }
    }

    /// Maps the image of a file into a process, by itself, with nothing unusual.
    ///
    /// # Errors
    /// As [`ImageBuilder::map`].
    pub fn map_image(&mut self, process: &Process, path: &str) -> Result<View, Error> {
        self.image(process, path).map()
    }

    /// Unmaps a view. NT tells nobody (SEMANTICS C.4); mapping the file again is announced again.
    ///
    /// # Errors
    /// [`Error::Failed`] when it is not mapped.
    pub fn unmap_image(&mut self, view: &View) -> Result<(), Error> {
        let state = self.world.live(view.process);
        match state.and_then(|state| state.views.remove(&view.base)) {
            Some(_) => {
                self.world.memory.unmap(view.process, view.base);
                self.world.loader_forgets(view.process, view.base);
                Ok(())
            }
            None => Err(failed("nothing is mapped there", nt_abi::STATUS_NOT_MAPPED_VIEW)),
        }
    }

    /// An image that is loaded into the kernel: announced as process 0's (R-IMG-01), by a thread of System.
    pub fn kernel_image(&mut self, path: &str) -> KernelImageBuilder<'_> {
        let mut builder = self.image(&Process { id: ProcessId::IDLE }, path);
        // Drivers are named as they are given to the loader (R-FN-06).
        builder.image.name = Some(Name { nt: path.to_owned().into(), host: None });
        KernelImageBuilder(builder)
    }

    /// Loads an image into the kernel, with nothing unusual.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn load_kernel_image(&mut self, path: &str) -> Result<View, Error> {
        self.kernel_image(path).load()
    }
}

impl ImageBuilder<'_> {
    /// Who maps it: with a thread of another process, it is mapped into a foreign one (R-CTX-06).
    pub fn by(mut self, who: impl Into<Actor>) -> Self {
        self.by = Some(who.into());
        self
    }

    /// What it is compiled for. What its process is compiled for, unless said.
    pub fn architecture(mut self, architecture: Architecture) -> Self {
        self.architecture = Some(architecture);
        self
    }

    /// It conflicts with the architecture of its process, so that only routines that asked for such images are told
    /// (R-WOW-03).
    pub fn conflicting(mut self) -> Self {
        self.image.conflicting = true;
        self
    }

    /// Mapped as an image that cannot be executed: announced to nobody (SEMANTICS C.4). Windows 7 has no such mapping:
    /// there it is one that can, and announced.
    pub fn no_execute(mut self) -> Self {
        self.image.mapping = Mapping::NoExecute;
        self
    }

    /// Mapped as data: announced to nobody (SEMANTICS C.4).
    pub fn data(mut self) -> Self {
        self.image.mapping = Mapping::Data;
        self
    }

    /// Only a part of it is mapped.
    pub fn partial(mut self) -> Self {
        self.image.partial = true;
        self
    }

    /// Its name could not be found out: routines get NULL (R-FN-01).
    pub fn without_name(mut self) -> Self {
        self.image.name = None;
        self
    }

    /// What the file is called by now: the name that routines get is stale, and only the file object leads to this one
    /// (R-FN-05).
    pub fn file(mut self, path: &str) -> Self {
        self.image.file = Some(Name::from_nt(path));
        self
    }

    /// How it is signed: `SE_SIGNING_LEVEL` and `SE_IMAGE_SIGNATURE_TYPE` (R-II-02).
    pub fn signature(mut self, level: u8, kind: u8) -> Self {
        self.image.signature = Signature { level, kind };
        self
    }

    /// What it begins with, as mapped: what drivers read at `ImageBase` (R-IMG-02). PE headers that fit what else is
    /// said, unless this is called; behind it are zeros.
    pub fn contents(mut self, bytes: &[u8]) -> Self {
        self.contents = Some(bytes.to_vec());
        self
    }

    /// Where it is mapped. The bench's choice unless said, the same for each process.
    pub fn base(mut self, base: u64) -> Self {
        self.base = Some(base);
        self
    }

    /// How much address space it takes, in bytes; rounded up to pages.
    pub fn size(mut self, size: u64) -> Self {
        self.image.size = size.max(1).next_multiple_of(PAGE);
        self
    }

    conditions!();

    /// Maps it.
    ///
    /// # Errors
    /// [`Error::Failed`] when the process or who maps has exited, or the address is taken. [`Error::Stopped`].
    pub fn map(self) -> Result<View, Error> {
        let Self { bench, path, by, base, mut image, architecture, contents, conditions } = self;
        let process = image.process;
        let Some(own) = bench.world.live(process).map(|state| state.architecture) else {
            return Err(failed("the process has exited", nt_abi::STATUS_PROCESS_IS_TERMINATING));
        };
        image.architecture = architecture.unwrap_or(own);
        let context = bench.context_of(Some(by.unwrap_or(Actor::Process(process))))?;
        image.base = match base {
            Some(base) if bench.world.free_at(process, base, image.size) != base => {
                let what = format!("something is mapped at {base:#x}");
                return Err(failed(what, nt_abi::STATUS_CONFLICTING_ADDRESSES));
            }
            Some(base) => base,
            None => bench.place(process, &path, image.size, image.architecture),
        };
        let view = View { process, base: image.base, size: image.size };
        bench.map(context, image, contents, conditions)?;
        bench.settle()?;
        Ok(view)
    }
}

impl KernelImageBuilder<'_> {
    /// Its name could not be found out: routines get NULL (R-FN-01).
    pub fn without_name(mut self) -> Self {
        self.0 = self.0.without_name();
        self
    }

    /// How it is signed: `SE_SIGNING_LEVEL` and `SE_IMAGE_SIGNATURE_TYPE` (R-II-02).
    pub fn signature(mut self, level: u8, kind: u8) -> Self {
        self.0 = self.0.signature(level, kind);
        self
    }

    /// Where it is loaded. The bench's choice unless said.
    pub fn base(mut self, base: u64) -> Self {
        self.0 = self.0.base(base);
        self
    }

    /// How much address space it takes, in bytes; rounded up to pages.
    pub fn size(mut self, size: u64) -> Self {
        self.0 = self.0.size(size);
        self
    }

    /// Loads it.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn load(self) -> Result<View, Error> {
        let ImageBuilder { bench, path, base, mut image, conditions, .. } = self.0;
        let size = image.size;
        image.base = base.unwrap_or_else(|| bench.place(ProcessId::IDLE, &path, size, Architecture::X64));
        let view = View { process: ProcessId::IDLE, base: image.base, size };
        bench.map(SYSTEM_WORKER, image, None, conditions)?;
        bench.settle()?;
        Ok(view)
    }
}
