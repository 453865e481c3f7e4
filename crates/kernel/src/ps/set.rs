//! The nine routines by which drivers register and remove their notify routines.

use event::{Body, DriverId, Family, Flavour, Frame};
use export_macro::export;
use notify::{
    Deadlock, ImageFlavour, ProcessFlavour, RegisterError, Registration, RemoveError, Request, ThreadFlavour,
};
use nt_abi::{
    NTSTATUS, STATUS_ACCESS_DENIED, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_INVALID_PARAMETER_2, STATUS_PROCEDURE_NOT_FOUND, STATUS_SUCCESS,
};

use crate::choices::{NullRoutine, ThreadRoutineIntegrity, UnregisteredProcessRoutine};
use crate::{Kernel, kernel};

/// `PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE`, the one flag there is (R-REG-02).
pub(crate) const CONFLICTING_ARCHITECTURE: usize = 1;

/// Registers or removes a routine that is called when a process is created or exits. Oldest form: ids only.
/// Source: DDI; R-REG, R-RM.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsSetCreateProcessNotifyRoutine(routine: usize, remove: u8) -> NTSTATUS {
    set_process(routine, ProcessFlavour::Plain, remove != 0)
}

/// Registers or removes a routine that is called when a process is created or exits, and may refuse a creation.
/// The image that holds the routine must have FORCE_INTEGRITY set (R-INT-01). Source: S-PROCEX.
#[export(irql == PASSIVE, since = VistaSp1)]
pub unsafe extern "win64" fn PsSetCreateProcessNotifyRoutineEx(routine: usize, remove: u8) -> NTSTATUS {
    set_process(routine, ProcessFlavour::Ex, remove != 0)
}

/// Registers or removes a process notify routine that is told of the processes of all subsystems. `kind` must be
/// `PsCreateProcessNotifySubsystems` (0). Source: DDI; R-PCI-09.
#[export(irql == PASSIVE, since = Win10_1703)]
pub unsafe extern "win64" fn PsSetCreateProcessNotifyRoutineEx2(
    kind: i32,
    routine: usize,
    remove: u8,
) -> NTSTATUS {
    if kind != 0 {
        return STATUS_INVALID_PARAMETER;
    }
    set_process(routine, ProcessFlavour::Ex2, remove != 0)
}

/// Registers a routine that is called when an image is mapped. Source: DDI; R-REG-08.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsSetLoadImageNotifyRoutine(routine: usize) -> NTSTATUS {
    set_image(routine, ImageFlavour::Plain, 0)
}

/// Registers a routine that is called when an image is mapped, with flags. Source: S-IMGEX.
#[export(irql == PASSIVE, since = Win10_1709)]
pub unsafe extern "win64" fn PsSetLoadImageNotifyRoutineEx(routine: usize, flags: usize) -> NTSTATUS {
    // Checked before anything is allocated (SEMANTICS A.3).
    if flags & !CONFLICTING_ARCHITECTURE != 0 {
        return STATUS_INVALID_PARAMETER_2;
    }
    set_image(routine, ImageFlavour::Ex, flags)
}

/// Removes an image notify routine, whichever form registered it, and waits for its calls to return. Source: DDI;
/// R-RM-01, R-REG-15.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn PsRemoveLoadImageNotifyRoutine(routine: usize) -> NTSTATUS {
    let tables = &kernel().ps.tables;
    let removed = tables.removing(|walker| {
        crate::ke::lock_order::removing(routine);
        tables.image.remove(walker, routine)
    });
    kernel().removed(Family::Image, routine, removed, |found| match found.flavour {
        ImageFlavour::Plain => Flavour::Plain,
        ImageFlavour::Ex => Flavour::Ex,
    })
}

/// Registers a routine that is called when a thread is created or exits. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsSetCreateThreadNotifyRoutine(routine: usize) -> NTSTATUS {
    set_thread(routine, ThreadFlavour::Plain)
}

/// Registers a thread notify routine of a type: 0 is called on the new thread, 1 covers all subsystems. Source: DDI;
/// R-REG-02, C4.
#[export(irql == PASSIVE, since = Win10_1703)]
pub unsafe extern "win64" fn PsSetCreateThreadNotifyRoutineEx(kind: i32, routine: usize) -> NTSTATUS {
    match kind {
        0 => set_thread(routine, ThreadFlavour::NonSystem),
        1 => set_thread(routine, ThreadFlavour::Subsystems),
        _ => kernel().config.choices.unknown_thread_type(),
    }
}

/// Removes a thread notify routine, whichever form registered it, and waits for its calls to return. Source: DDI;
/// R-RM-01, R-REG-15.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn PsRemoveCreateThreadNotifyRoutine(routine: usize) -> NTSTATUS {
    let tables = &kernel().ps.tables;
    let removed = tables.removing(|walker| {
        crate::ke::lock_order::removing(routine);
        tables.thread.remove(walker, routine)
    });
    kernel().removed(Family::Thread, routine, removed, |found| thread_flavour(found.flavour))
}

fn process_flavour(flavour: ProcessFlavour) -> Flavour {
    match flavour {
        ProcessFlavour::Plain => Flavour::Plain,
        ProcessFlavour::Ex => Flavour::Ex,
        ProcessFlavour::Ex2 => Flavour::Ex2,
    }
}

fn thread_flavour(flavour: ThreadFlavour) -> Flavour {
    match flavour {
        ThreadFlavour::Plain => Flavour::Plain,
        ThreadFlavour::NonSystem | ThreadFlavour::Subsystems => Flavour::Ex,
    }
}

fn set_process(routine: usize, flavour: ProcessFlavour, remove: bool) -> NTSTATUS {
    let kernel = kernel();
    let tables = &kernel.ps.tables;
    if remove {
        // No integrity check here (R-REG-13).
        let removed = tables.removing(|walker| {
            crate::ke::lock_order::removing(routine);
            tables.process.remove(walker, routine, flavour)
        });
        return kernel.removed(Family::Process, routine, removed, |found| process_flavour(found.flavour));
    }
    // The integrity check comes first: neither low pool nor a full table hides it (R-REG-12).
    let refused = refuse_null(kernel, routine).or_else(|| match flavour {
        ProcessFlavour::Plain => {
            // Undocumented: since Windows 10 the routine must lie in a module, signed or not (C3).
            let required = kernel.config.choices.module_required(kernel.config.profile);
            (required && kernel.io.driver_at(routine).is_none()).then_some(STATUS_ACCESS_DENIED)
        }
        ProcessFlavour::Ex | ProcessFlavour::Ex2 => kernel.integrity(routine),
    });
    let result = kernel.make_registration(refused, STATUS_INVALID_PARAMETER, || {
        tables.process.register(request(kernel, routine, flavour, 0))
    });
    kernel.registered(Family::Process, process_flavour(flavour), routine, result)
}

fn set_image(routine: usize, flavour: ImageFlavour, flags: usize) -> NTSTATUS {
    let kernel = kernel();
    let result =
        kernel.make_registration(refuse_null(kernel, routine), STATUS_INSUFFICIENT_RESOURCES, || {
            kernel.ps.tables.image.register(request(kernel, routine, flavour, flags))
        });
    let shown = if flavour == ImageFlavour::Ex { Flavour::Ex } else { Flavour::Plain };
    kernel.registered(Family::Image, shown, routine, result)
}

fn set_thread(routine: usize, flavour: ThreadFlavour) -> NTSTATUS {
    let kernel = kernel();
    // Undocumented: the Ex form asks for FORCE_INTEGRITY as well (C4).
    let checked = flavour != ThreadFlavour::Plain
        && kernel.config.choices.thread_routine_integrity == ThreadRoutineIntegrity::Required;
    let refused =
        refuse_null(kernel, routine).or_else(|| if checked { kernel.integrity(routine) } else { None });
    let result = kernel.make_registration(refused, STATUS_INSUFFICIENT_RESOURCES, || {
        kernel.ps.tables.thread.register(request(kernel, routine, flavour, 0))
    });
    kernel.registered(Family::Thread, thread_flavour(flavour), routine, result)
}

/// What a NULL routine is refused with, where it is.
fn refuse_null(kernel: &Kernel, routine: usize) -> Option<NTSTATUS> {
    let refused = routine == 0 && kernel.config.choices.null_routine == NullRoutine::InvalidParameter;
    refused.then_some(STATUS_INVALID_PARAMETER)
}

/// A registration belongs to the driver whose image holds the routine, else to the one that calls.
fn request<V>(kernel: &Kernel, routine: usize, flavour: V, flags: usize) -> Request<V> {
    let owner = kernel.io.driver_at(routine).map(|driver| driver.id).or_else(crate::io::current_driver);
    Request { routine, flavour, flags, owner: owner.map_or(u64::MAX, |id| u64::from(id.0)) }
}

/// The driver that owns a registration.
pub(crate) fn owner_of(owner: u64) -> Option<DriverId> {
    u32::try_from(owner).ok().map(DriverId)
}

impl Kernel {
    /// What a routine's image must have for the forms that check it: FORCE_INTEGRITY (R-INT-01). `None` is well.
    fn integrity(&self, routine: usize) -> Option<NTSTATUS> {
        let driver = self.io.driver_at(routine);
        if driver.is_some_and(|driver| crate::io::module::is_checked(self, driver)) {
            return None;
        }
        let why = match driver {
            Some(driver) => format!(
                "{} has no IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY, which this routine asks for: link the driver with \
                 /INTEGRITYCHECK (MinGW: -Wl,--forceinteg)",
                driver.name
            ),
            None => format!("the routine {routine:#x} lies in no driver"),
        };
        self.note(event::Level::Warning, &why);
        Some(STATUS_ACCESS_DENIED)
    }

    /// Registers what nothing refused: first its block is allocated, and then a slot is looked for (R-REG-12), so that low
    /// pool is said before a full table is. What fails leaves nothing (R-REG-11).
    fn make_registration<F: notify::Family>(
        &self,
        refused: Option<NTSTATUS>,
        full: NTSTATUS,
        register: impl FnOnce() -> Result<Registration<F>, RegisterError>,
    ) -> Result<usize, NTSTATUS> {
        if let Some(status) = refused {
            return Err(status);
        }
        if !self.ps.blocks.add(&self.ex.pool) {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        match register() {
            Ok(made) => Ok(made.slot),
            Err(RegisterError::Full | RegisterError::Duplicate) => {
                self.ps.blocks.remove(&self.ex.pool);
                Err(full)
            }
        }
    }

    /// Writes down how a registration went, and says it to the driver.
    fn registered(
        &self,
        family: Family,
        flavour: Flavour,
        routine: usize,
        result: Result<usize, NTSTATUS>,
    ) -> NTSTATUS {
        let status = result.err().unwrap_or(STATUS_SUCCESS);
        let slot = result.ok().and_then(|slot| u8::try_from(slot).ok());
        let driver = crate::io::current_driver().unwrap_or_default();
        self.record(Body::Registration {
            driver,
            family,
            flavour,
            routine: routine as u64,
            slot,
            removed: false,
            status,
        });
        if status.is_success() {
            crate::stress::registered();
        }
        status
    }

    /// Writes down how a removal went, and says it to the driver.
    fn removed<F: notify::Family>(
        &self,
        family: Family,
        routine: usize,
        removal: (Result<Registration<F>, RemoveError>, Option<Vec<Frame<'static>>>),
        flavour: impl Fn(&Registration<F>) -> Flavour,
    ) -> NTSTATUS {
        let (result, stack) = removal;
        if result.is_ok() {
            self.ps.blocks.remove(&self.ex.pool);
        }
        let (status, slot, flavour) = match &result {
            Ok(found) => (STATUS_SUCCESS, u8::try_from(found.slot).ok(), flavour(found)),
            Err(RemoveError::NotRegistered) => (self.not_registered(family), None, Flavour::Plain),
            Err(RemoveError::Deadlock(deadlock)) => self.never_returns(deadlock, stack),
        };
        let driver = crate::io::current_driver().unwrap_or_default();
        self.record(Body::Registration {
            driver,
            family,
            flavour,
            routine: routine as u64,
            slot,
            removed: true,
            status,
        });
        status
    }

    /// What the removal of a routine that is not registered is answered with (C2).
    fn not_registered(&self, family: Family) -> NTSTATUS {
        match (family, self.config.choices.unregistered_process_routine) {
            (Family::Process, UnregisteredProcessRoutine::InvalidParameter) => STATUS_INVALID_PARAMETER,
            _ => STATUS_PROCEDURE_NOT_FOUND,
        }
    }

    /// A removal that waits for itself, or in a circle (R-RM-05 … R-RM-07). On Windows the thread never returns
    /// and nobody says why; here it is a stop that does.
    fn never_returns(&self, deadlock: &Deadlock, stack: Option<Vec<Frame<'static>>>) -> ! {
        let after = "on Windows this thread never returns, and its process stays for ever";
        let message = if deadlock.is_self_removal() {
            format!(
                "L-08: a notify routine removes itself: the removal waits until the routine has returned, which it \
                 cannot while it waits; {after}. Remove it from DriverUnload or a work item"
            )
        } else {
            format!("R-RM-07: {deadlock}; {after}")
        };
        // The stop has the stack of this thread, from the removal to the routine. Each of the others has its own.
        for other in self.ps.tables.others_in(deadlock) {
            let message =
                "this removal waits in a circle with one of another thread: none of them ever returns";
            self.finding_at(other.driver, &crate::rule::L_08, message, None, other.stack);
        }
        crate::ke::stop::without_bug_check_at(event::StopKind::Hang, &message, stack.unwrap_or_default())
    }
}
