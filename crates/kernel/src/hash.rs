//! Tables by hash, the same in each run.
//!
//! When a table grows depends on where its keys fall, and with it the addresses of what is allocated behind it, which
//! drivers see. So the seed is fixed: the same recording gives the same records. A driver that chooses keys which fall
//! together slows its own host down, and nobody else's.

use foldhash::fast::FixedState;

/// A map.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, FixedState>;
/// A set.
pub(crate) type HashSet<K> = std::collections::HashSet<K, FixedState>;
