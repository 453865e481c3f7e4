//! Power requests: what the power manager sends to the stack of a device.
//!
//! On Windows it sends those for the system to the stacks of Plug and Play devices, from worker threads of its own and one
//! at a time for a device. Here the bench says which device hears of which state.

use std::fmt;
use std::ptr::null_mut;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use event::DriverId;
use export_macro::export;
use nt_abi::{
    DEVICE_OBJECT, DevicePowerState, IO_PARAMETERS_POWER, IO_STACK_PARAMETERS, IO_STATUS_BLOCK, IRP,
    IRP_MN_QUERY_POWER, IRP_MN_SET_POWER, IRP_MN_WAIT_WAKE, NTSTATUS, PVOID, PowerActionHibernate,
    PowerActionNone, PowerActionShutdownOff, PowerActionSleep, PowerDeviceD0, PowerDeviceD1, PowerDeviceD2,
    PowerDeviceD3, PowerSystemHibernate, PowerSystemShutdown, PowerSystemSleeping1, PowerSystemSleeping2,
    PowerSystemSleeping3, PowerSystemWorking, STATUS_NO_SUCH_DEVICE, STATUS_OBJECT_TYPE_MISMATCH,
    STATUS_SUCCESS, SystemPowerState,
};
use serde::{Deserialize, Serialize};

use crate::io::{device, power};
use crate::ke::apc::as_owner_of;
use crate::{Kernel, kernel};

/// A power state of the system or of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PowerState {
    /// The system works.
    S0,
    /// The system sleeps lightly.
    S1,
    /// The system sleeps.
    S2,
    /// The system sleeps deeply.
    S3,
    /// The system hibernates.
    S4,
    /// The system is off.
    S5,
    /// The device works.
    D0,
    /// The device sleeps lightly.
    D1,
    /// The device sleeps.
    D2,
    /// The device is off.
    D3,
}

use PowerState::{D0, D1, D2, D3, S0, S1, S2, S3, S4, S5};

impl PowerState {
    /// Every state, with the names that they have.
    pub const ALL: [(Self, &'static str); 10] = [
        (S0, "S0"),
        (S1, "S1"),
        (S2, "S2"),
        (S3, "S3"),
        (S4, "S4"),
        (S5, "S5"),
        (D0, "D0"),
        (D1, "D1"),
        (D2, "D2"),
        (D3, "D3"),
    ];

    /// The `POWER_STATE_TYPE`, and the enumerator of the state.
    fn written(self) -> (u32, u32) {
        match self {
            S0 => (SystemPowerState, PowerSystemWorking),
            S1 => (SystemPowerState, PowerSystemSleeping1),
            S2 => (SystemPowerState, PowerSystemSleeping2),
            S3 => (SystemPowerState, PowerSystemSleeping3),
            S4 => (SystemPowerState, PowerSystemHibernate),
            S5 => (SystemPowerState, PowerSystemShutdown),
            D0 => (DevicePowerState, PowerDeviceD0),
            D1 => (DevicePowerState, PowerDeviceD1),
            D2 => (DevicePowerState, PowerDeviceD2),
            D3 => (DevicePowerState, PowerDeviceD3),
        }
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(state, _)| state == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// There is no such state: it is `S0` to `S5` for the system, `D0` to `D3` for a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no power state `{0}`: the system has S0 to S5, a device D0 to D3")]
pub struct UnknownPowerState(String);

impl FromStr for PowerState {
    type Err = UnknownPowerState;

    fn from_str(name: &str) -> Result<Self, UnknownPowerState> {
        let known = Self::ALL.iter().find(|(_, known)| *known == name);
        known.map(|(state, _)| *state).ok_or_else(|| UnknownPowerState(name.to_owned()))
    }
}

/// Who is sent a power request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerTarget<'a> {
    /// The stack of the device with this full NT path.
    Device(&'a str),
    /// The stacks of a driver's devices, in the order in which it made them.
    Driver(DriverId),
}

/// What a stack was sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Powers {
    /// The system's state, as the stack knows it.
    pub(super) system: u32,
    /// The device's state, as its driver has told the power manager.
    pub(super) device: u32,
}

impl Default for Powers {
    fn default() -> Self {
        Self { system: PowerSystemWorking, device: PowerDeviceD0 }
    }
}

/// A request for a power request: what is to be told of its end.
struct Requested {
    routine: usize,
    minor: u8,
    state: u32,
    context: PVOID,
}

/// Makes a power request and sends it to the top of a device's stack, whose owner decides on its state. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn PoRequestPowerIrp(
    device: *mut DEVICE_OBJECT,
    minor: u8,
    state: u32,
    completion: usize,
    context: PVOID,
    irp: *mut *mut IRP,
) -> NTSTATUS {
    let parameters = match minor {
        IRP_MN_SET_POWER | IRP_MN_QUERY_POWER => {
            let mut power = parameters_of(PowerSystemWorking, DevicePowerState, state);
            // What the system is about to do, unless the device is to work.
            if state != PowerDeviceD0 {
                power.ShutdownType = kernel().po.action.load(Ordering::Relaxed);
            }
            IO_STACK_PARAMETERS { Power: power }
        }
        IRP_MN_WAIT_WAKE => {
            // Parameters.WaitWake.PowerState
            let state = std::ptr::without_provenance_mut(state as usize);
            IO_STACK_PARAMETERS { Others: [state, null_mut(), null_mut(), null_mut()] }
        }
        _ => return nt_abi::STATUS_INVALID_PARAMETER_2,
    };
    let requested = Requested { routine: completion, minor, state, context };
    // SAFETY: a driver's pointers: a live device; `irp` is null or its variable.
    unsafe { power::requested(device, minor, parameters, requested, ended, irp) }
}

/// A power request that a driver has asked for has ended.
///
/// # Safety
/// `device` is the one that it was asked for; `block` says how it ended.
unsafe fn ended(requested: Requested, device: *mut DEVICE_OBJECT, block: *mut IO_STATUS_BLOCK) {
    let Requested { routine, minor, state, context } = requested;
    if routine == 0 {
        return;
    }
    let arguments = [
        device.expose_provenance() as u64,
        minor.into(),
        state.into(),
        context.expose_provenance() as u64,
        block.expose_provenance() as u64,
        0,
    ];
    as_owner_of(routine, || {
        // SAFETY: the driver's routine, with the arguments that it is documented to get.
        unsafe { machine::call_driver(routine, arguments) }
    });
}

impl Kernel {
    /// Sends a set-power request, or a query-power request, from a system thread at PASSIVE_LEVEL, and answers how it
    /// ended: of several stacks the first failure. Source: "IRP_MN_SET_POWER", "IRP_MN_QUERY_POWER".
    ///
    /// # Errors
    /// What the name space says of the device. STATUS_NO_SUCH_DEVICE for a driver that has none.
    pub fn send_power(
        &'static self,
        target: PowerTarget<'_>,
        query: bool,
        state: PowerState,
    ) -> Result<NTSTATUS, NTSTATUS> {
        let _turn = crate::stress::enter();
        let mut outcome = STATUS_SUCCESS;
        for device in self.stacks(target)? {
            let before = self.po.powers(device);
            let (kind, wanted) = state.written();
            let parameters = parameters_of(before.system, kind, wanted);
            let minor = if query { IRP_MN_QUERY_POWER } else { IRP_MN_SET_POWER };
            self.po.action.store(parameters.ShutdownType, Ordering::Relaxed);
            // SAFETY: a live device: nothing runs between two requests of the bench that could delete it.
            let status = unsafe { power::send_and_wait(device, minor, parameters) };
            self.po.action.store(PowerActionNone, Ordering::Relaxed);
            if !query && kind == SystemPowerState {
                self.po.set_powers(device, Powers { system: wanted, ..self.po.powers(device) });
            }
            if outcome.is_success() {
                outcome = status;
            }
        }
        Ok(outcome)
    }

    /// A device of each stack that is meant.
    fn stacks(&self, target: PowerTarget<'_>) -> Result<Vec<*mut DEVICE_OBJECT>, NTSTATUS> {
        match target {
            PowerTarget::Device(path) => {
                let object = self.ob.names.object(path)?;
                if !std::ptr::eq(object.kind(), &device::DEVICE_TYPE) {
                    return Err(STATUS_OBJECT_TYPE_MISMATCH);
                }
                Ok(vec![object.as_ptr().cast()])
            }
            PowerTarget::Driver(id) => {
                let driver = self.io.driver(id).filter(|driver| driver.is_loaded());
                let driver = driver.ok_or(STATUS_NO_SUCH_DEVICE)?;
                let mut stacks = device::stacks_of(driver.object.as_ptr());
                stacks.reverse();
                if stacks.is_empty() { Err(STATUS_NO_SUCH_DEVICE) } else { Ok(stacks) }
            }
        }
    }
}

/// `Parameters.Power` for a transition. Source: the table of "IRP_MN_SET_POWER".
fn parameters_of(current: u32, kind: u32, wanted: u32) -> IO_PARAMETERS_POWER {
    let (context, action) = if kind == DevicePowerState {
        // No request for the system is under way.
        (0, PowerActionNone)
    } else {
        let action = match wanted {
            PowerSystemShutdown => PowerActionShutdownOff,
            PowerSystemHibernate => PowerActionHibernate,
            PowerSystemWorking if current == PowerSystemWorking => PowerActionNone,
            // Waking up is the end of a sleep, also from hibernation.
            _ => PowerActionSleep,
        };
        // SYSTEM_POWER_STATE_CONTEXT: the target, the state as people see it, the current one, four bits each.
        (wanted << 8 | wanted << 12 | current << 16, action)
    };
    IO_PARAMETERS_POWER {
        SystemContext: context,
        Type: kind,
        State: wanted,
        ShutdownType: action,
        ..IO_PARAMETERS_POWER::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Target, effective and current state of the context, and the action.
    fn told(current: PowerState, wanted: PowerState) -> (u32, u32, u32, u32) {
        let (kind, wanted) = wanted.written();
        let made = parameters_of(current.written().1, kind, wanted);
        assert_eq!((made.Type, made.State), (kind, wanted));
        let bits = |at: u32| made.SystemContext >> at & 0xF;
        (bits(8), bits(12), bits(16), made.ShutdownType)
    }

    #[test]
    fn r_dev_06_transitions_are_told_as_in_the_table_of_the_documents() {
        assert_eq!(told(S0, S3), (4, 4, 1, PowerActionSleep));
        assert_eq!(told(S3, S0), (1, 1, 4, PowerActionSleep));
        assert_eq!(told(S0, S4), (5, 5, 1, PowerActionHibernate));
        assert_eq!(told(S4, S0), (1, 1, 5, PowerActionSleep));
        assert_eq!(told(S0, S5), (6, 6, 1, PowerActionShutdownOff));
        assert_eq!(told(S0, D3), (0, 0, 0, PowerActionNone));
    }

    #[test]
    fn states_have_names() {
        for (state, name) in PowerState::ALL {
            assert_eq!((name.parse(), state.to_string().as_str()), (Ok(state), name));
        }
        assert!("S6".parse::<PowerState>().is_err());
    }
}
