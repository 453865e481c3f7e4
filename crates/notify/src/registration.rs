//! What one slot of a table holds.

use core::fmt::Debug;

/// A kind of table: which flavours of registration share it.
///
/// The three families of the NT kernel are in [`family`](crate::family); an emulator may add its own
/// (registry callbacks, object callbacks) by implementing this for a marker type.
pub trait Family: Copy + Eq + Debug + Send + Sync + 'static {
    /// How a routine was registered, where several ways share one table (R-REG-08).
    type Flavour: Copy + Eq + Debug + Send + Sync + 'static;

    /// The family's name in reports, for example `process`.
    const NAME: &'static str;
}

/// The number of one registration, unique within its [`Domain`](crate::Domain).
///
/// A routine that is registered twice has two of them, and one that is removed and registered
/// again gets a new one: unlike a routine's address it names one stay in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(pub u64);

/// One registration: what a slot holds from [`register`](crate::Table::register) to removal (R-REG-07).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration<F: Family> {
    /// The number of this registration.
    pub id: RegistrationId,
    /// The slot it sits in, from 0. Slots are the order of calls (R-REG-09).
    pub slot: usize,
    /// The routine's address. The table never looks behind it.
    pub routine: usize,
    /// How the routine was registered.
    pub flavour: F::Flavour,
    /// The caller's flags, kept as given (for images: the `Flags` of the Ex form, else 0).
    pub flags: usize,
    /// Whose registration this is (a driver), for listings and unload checks. The table only compares it.
    pub owner: u64,
}

/// What the caller brings to a registration; the table adds the number and the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<V> {
    /// The routine's address.
    pub routine: usize,
    /// How it is registered.
    pub flavour: V,
    /// Flags to keep with it.
    pub flags: usize,
    /// Whose it is.
    pub owner: u64,
}

/// A registration without its family's types: what reports about several tables can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationRef {
    /// The name of the table's family.
    pub family: &'static str,
    /// The number of the registration.
    pub id: RegistrationId,
    /// The slot it sits (or sat) in.
    pub slot: usize,
    /// The routine's address.
    pub routine: usize,
    /// Whose it is.
    pub owner: u64,
}

impl<F: Family> Registration<F> {
    /// This registration without its family's types.
    #[must_use]
    pub fn erased(&self) -> RegistrationRef {
        RegistrationRef {
            family: F::NAME,
            id: self.id,
            slot: self.slot,
            routine: self.routine,
            owner: self.owner,
        }
    }
}
