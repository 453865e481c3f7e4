//! The files of the volume, in memory.

use std::collections::BTreeMap;

use nt_abi::{FILE_ATTRIBUTE_ARCHIVE, FILE_ATTRIBUTE_DIRECTORY, NTSTATUS, STATUS_DISK_FULL};

use crate::ob::name::{fold, units};

/// A file's place. It never names another file.
pub(super) type NodeId = usize;

/// A file or a directory.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Vec<u16>,
    pub(super) parent: NodeId,
    /// By folded name; `None` for a file.
    pub(super) children: Option<BTreeMap<Vec<u16>, NodeId>>,
    pub(super) data: Vec<u8>,
    pub(super) attributes: u32,
    /// Creation, last access, last write, change.
    pub(super) times: [i64; 4],
    /// Whether it goes with the last handle.
    pub(super) delete_pending: bool,
    /// Open handles.
    pub(super) handles: usize,
}

impl Node {
    fn new(name: Vec<u16>, parent: NodeId, directory: bool, attributes: u32, now: i64) -> Self {
        let kind = if directory { FILE_ATTRIBUTE_DIRECTORY } else { FILE_ATTRIBUTE_ARCHIVE };
        Self {
            name,
            parent,
            children: directory.then(BTreeMap::new),
            data: Vec::new(),
            attributes: attributes & 0x7 | kind,
            times: [now; 4],
            delete_pending: false,
            handles: 0,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.children.is_some()
    }
}

/// All files.
#[derive(Debug)]
pub(crate) struct Files {
    nodes: Vec<Node>,
    /// Bytes in all of them.
    used: usize,
}

/// How much the volume holds: 256 MiB of memory, which is the host's.
pub(super) const CAPACITY: usize = 256 << 20;
/// The directory at the top.
pub(super) const ROOT: NodeId = 0;

impl Files {
    pub(crate) fn new(now: i64) -> Self {
        let mut files = Self { nodes: vec![Node::new(Vec::new(), ROOT, true, 0, now)], used: 0 };
        for path in [
            r"Windows\System32\drivers",
            r"Windows\Temp",
            r"Users\Public",
            "Temp",
            "Program Files",
            "ProgramData",
        ] {
            files.make(path, now);
        }
        files
    }

    /// Makes a directory with all above it.
    fn make(&mut self, path: &str, now: i64) -> NodeId {
        let mut at = ROOT;
        for name in path.split('\\').map(units) {
            at = match self.child(at, &name) {
                Some(found) => found,
                None => self.add(at, &name, true, 0, now),
            };
        }
        at
    }

    /// Puts a file of the bench where drivers look for it; one that is there is replaced.
    pub(crate) fn place(&mut self, directory: &str, name: &str, data: &[u8], now: i64) {
        let (directory, name) = (self.make(directory, now), units(name));
        let node = match self.child(directory, &name) {
            Some(found) => found,
            None => self.add(directory, &name, false, 0, now),
        };
        if self.resize(node, data.len()).is_ok() {
            self.nodes[node].data.copy_from_slice(data);
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id]
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// The entry of a directory by that name.
    pub(super) fn child(&self, directory: NodeId, name: &[u16]) -> Option<NodeId> {
        self.nodes[directory].children.as_ref()?.get(&fold(name)).copied()
    }

    /// Adds an entry that is not there yet.
    pub(super) fn add(
        &mut self,
        directory: NodeId,
        name: &[u16],
        is_directory: bool,
        attributes: u32,
        now: i64,
    ) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(Node::new(name.to_vec(), directory, is_directory, attributes, now));
        if let Some(children) = &mut self.nodes[directory].children {
            children.insert(fold(name), id);
        }
        id
    }

    /// Takes an entry out of its directory; who has it open keeps it.
    pub(super) fn remove(&mut self, id: NodeId) {
        let (name, parent) = (fold(&self.nodes[id].name), self.nodes[id].parent);
        if let Some(children) = &mut self.nodes[parent].children {
            children.remove(&name);
        }
        self.used -= self.nodes[id].data.len();
        self.nodes[id].data = Vec::new();
    }

    /// Puts an entry under another name into a directory.
    pub(super) fn rename(&mut self, id: NodeId, directory: NodeId, name: &[u16]) {
        let (old, parent) = (fold(&self.nodes[id].name), self.nodes[id].parent);
        if let Some(children) = &mut self.nodes[parent].children {
            children.remove(&old);
        }
        if let Some(children) = &mut self.nodes[directory].children {
            children.insert(fold(name), id);
        }
        let node = &mut self.nodes[id];
        (node.parent, node.name) = (directory, name.to_vec());
    }

    /// Gives a file another length; new bytes are zero.
    pub(super) fn resize(&mut self, id: NodeId, length: usize) -> Result<(), NTSTATUS> {
        let before = self.nodes[id].data.len();
        if length > before && length - before > CAPACITY.saturating_sub(self.used) {
            return Err(STATUS_DISK_FULL);
        }
        self.nodes[id].data.resize(length, 0);
        self.used = self.used + length - before;
        Ok(())
    }

    /// The path of an entry on the volume.
    pub(super) fn path(&self, mut id: NodeId) -> Vec<u16> {
        if id == ROOT {
            return vec![u16::from(b'\\')];
        }
        let mut names = Vec::new();
        while id != ROOT {
            names.push(&self.nodes[id].name);
            id = self.nodes[id].parent;
        }
        names
            .into_iter()
            .rev()
            .flat_map(|name| std::iter::once(u16::from(b'\\')).chain(name.iter().copied()))
            .collect()
    }
}
