//! What of the sandbox is in force.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much sandbox there has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// All that the machine has; without the system-call filter no host starts.
    #[default]
    Required,
    /// None at all: drivers can do whatever the user can. For machines without seccomp, and trusted drivers.
    Off,
}

/// One layer of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// Own user namespace: no rights over anything that belongs to the machine.
    UserNamespace,
    /// Own mount namespace.
    MountNamespace,
    /// An empty, read-only root directory.
    EmptyRoot,
    /// Own network namespace: no interface at all.
    NetworkNamespace,
    /// Own System V IPC and POSIX message queues.
    IpcNamespace,
    /// Own host name.
    UtsNamespace,
    /// No program gains rights by being executed.
    NoNewPrivileges,
    /// Landlock: no file, no TCP, no signal to others.
    Landlock,
    /// No capability.
    Capabilities,
    /// Limits on memory, descriptors, file sizes, core files.
    Limits,
    /// The allow-list of system calls.
    SystemCalls,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserNamespace => "user namespace",
            Self::MountNamespace => "mount namespace",
            Self::EmptyRoot => "empty root directory",
            Self::NetworkNamespace => "network namespace",
            Self::IpcNamespace => "IPC namespace",
            Self::UtsNamespace => "UTS namespace",
            Self::NoNewPrivileges => "no new privileges",
            Self::Landlock => "Landlock",
            Self::Capabilities => "no capabilities",
            Self::Limits => "resource limits",
            Self::SystemCalls => "system-call filter",
        })
    }
}

/// Whether a layer is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It is.
    InForce,
    /// In part, because the machine knows an older form of it: what is missing.
    Partly(String),
    /// It is not: why.
    Missing(String),
}

/// One layer and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// The layer.
    pub layer: Layer,
    /// How it stands.
    pub state: State,
}

/// What of the sandbox is in force in a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Every layer, in the order in which they were put on.
    pub measures: Vec<Measure>,
}

impl Report {
    pub(super) fn note(&mut self, layer: Layer, result: Result<(), impl fmt::Display>) {
        let state = match result {
            Ok(()) => State::InForce,
            Err(why) => State::Missing(why.to_string()),
        };
        self.measures.push(Measure { layer, state });
    }

    /// How a layer stands; `None` where it was not tried.
    pub fn state(&self, layer: Layer) -> Option<&State> {
        self.measures.iter().find(|measure| measure.layer == layer).map(|measure| &measure.state)
    }

    /// The layers that are not wholly in force, with the reason.
    pub fn gaps(&self) -> impl Iterator<Item = (Layer, &str)> {
        self.measures.iter().filter_map(|measure| match &measure.state {
            State::InForce => None,
            State::Partly(why) | State::Missing(why) => Some((measure.layer, why.as_str())),
        })
    }
}
