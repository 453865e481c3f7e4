//! What comes of a batch of events.

use crate::protocol::Refusal;

/// Names a batch whose delivery goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u32);

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The refusal, where the batch held a process creation and a driver refused it. What NT
    /// does not send for a refused process (R-VETO-08) was left out of the rest of the batch.
    pub refused: Option<Refusal>,
}

/// How far the delivery of a batch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Every routine has returned.
    Done(Done),
    /// A routine takes its time: [`finished`](crate::Bench::finished) tells when it has returned.
    Pending(Ticket),
    /// The host is dead: nobody is told of anything any more. The last record says why.
    Gone,
}
