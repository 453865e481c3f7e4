//! The registry as data: a tree of keys, each with values. Names keep their case and are found without it.

use std::collections::BTreeMap;

use crate::ob::name::{fold, units};

/// A key's place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyId(usize);

impl KeyId {
    /// A number for drivers, which is not 0.
    pub(super) fn number(self) -> usize {
        self.0 + 1
    }
}

/// One value of a key.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) name: Vec<u16>,
    /// `REG_…`.
    pub(crate) kind: u32,
    pub(crate) data: Vec<u8>,
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: Vec<u16>,
    pub(crate) parent: Option<KeyId>,
    /// By folded name, so in the order that NT enumerates.
    pub(crate) children: BTreeMap<Vec<u16>, KeyId>,
    pub(crate) values: Vec<Value>,
    pub(crate) class: Vec<u16>,
    /// Whether it would be gone after a restart.
    pub(crate) volatile: bool,
    /// Deleted, but still open.
    pub(crate) deleted: bool,
    /// System time of the last change.
    pub(crate) written: i64,
    /// The key that this one stands for.
    link: Option<KeyId>,
}

impl Key {
    fn new(name: Vec<u16>, parent: Option<KeyId>, volatile: bool, written: i64) -> Self {
        Self {
            name,
            parent,
            children: BTreeMap::new(),
            values: Vec::new(),
            class: Vec::new(),
            volatile,
            deleted: false,
            written,
            link: None,
        }
    }

    /// The value of that name.
    pub(crate) fn value(&self, name: &[u16]) -> Option<&Value> {
        self.position(name).and_then(|at| self.values.get(at))
    }

    fn position(&self, name: &[u16]) -> Option<usize> {
        let wanted = fold(name);
        self.values.iter().position(|value| fold(&value.name) == wanted)
    }

    /// Sets a value; one that is there keeps its place and the case of its name.
    pub(crate) fn set(&mut self, name: &[u16], kind: u32, data: Vec<u8>) {
        match self.position(name).and_then(|at| self.values.get_mut(at)) {
            Some(value) => (value.kind, value.data) = (kind, data),
            None => self.values.push(Value { name: name.to_vec(), kind, data }),
        }
    }

    /// Deletes a value. `false` where there is none of that name.
    pub(crate) fn unset(&mut self, name: &[u16]) -> bool {
        self.position(name).map(|at| self.values.remove(at)).is_some()
    }
}

/// The whole registry. Keys that were deleted keep their place, so that a place never names another key.
#[derive(Debug)]
pub(crate) struct Tree {
    keys: Vec<Key>,
}

impl Tree {
    /// `\Registry` alone.
    pub(crate) fn new(now: i64) -> Self {
        Self { keys: vec![Key::new(units("REGISTRY"), None, true, now)] }
    }

    /// `\Registry`.
    pub(crate) const ROOT: KeyId = KeyId(0);

    /// The key at a place.
    pub(crate) fn key(&self, id: KeyId) -> &Key {
        &self.keys[id.0]
    }

    /// The key at a place, to be changed.
    pub(crate) fn key_mut(&mut self, id: KeyId) -> &mut Key {
        &mut self.keys[id.0]
    }

    /// The subkey of that name; where it stands for another key, that one.
    pub(crate) fn child(&self, parent: KeyId, name: &[u16]) -> Option<KeyId> {
        let id = *self.key(parent).children.get(&fold(name))?;
        Some(self.key(id).link.unwrap_or(id))
    }

    /// Follows a path from a key as far as there are keys: the last one, and the names that are missing.
    pub(crate) fn walk<'p>(&self, from: KeyId, path: &'p [u16]) -> (KeyId, Vec<&'p [u16]>) {
        let mut names = components(path);
        let mut at = from;
        for (index, name) in names.iter().enumerate() {
            match self.child(at, name) {
                Some(child) => at = child,
                None => return (at, names.split_off(index)),
            }
        }
        (at, Vec::new())
    }

    /// The key at a path below another one.
    pub(crate) fn find(&self, from: KeyId, path: &[u16]) -> Option<KeyId> {
        let (at, missing) = self.walk(from, path);
        missing.is_empty().then_some(at)
    }

    /// Adds a subkey that is not there yet.
    pub(crate) fn add(&mut self, parent: KeyId, name: &[u16], volatile: bool, now: i64) -> KeyId {
        let id = KeyId(self.keys.len());
        self.keys.push(Key::new(name.to_vec(), Some(parent), volatile, now));
        let parent = self.key_mut(parent);
        parent.children.insert(fold(name), id);
        parent.written = now;
        id
    }

    /// The key at a path, made with all above it where it is not there.
    pub(crate) fn make(&mut self, from: KeyId, path: &str, now: i64) -> KeyId {
        let path = units(path);
        let (mut at, missing) = self.walk(from, &path);
        for name in missing {
            at = self.add(at, name, false, now);
        }
        at
    }

    /// Makes a subkey that stands for another key.
    pub(crate) fn link(&mut self, parent: KeyId, name: &str, to: KeyId, now: i64) {
        let id = self.add(parent, &units(name), false, now);
        self.key_mut(id).link = Some(to);
    }

    /// Takes a key without subkeys out of the tree. Those who have it open see that it was deleted.
    pub(crate) fn remove(&mut self, id: KeyId, now: i64) {
        let key = self.key_mut(id);
        key.deleted = true;
        key.values = Vec::new();
        let (name, parent) = (fold(&key.name), key.parent);
        if let Some(parent) = parent {
            let parent = self.key_mut(parent);
            parent.children.remove(&name);
            parent.written = now;
        }
    }

    /// Gives a key another name. `false` where its parent has a key of that name.
    pub(crate) fn rename(&mut self, id: KeyId, name: &[u16], now: i64) -> bool {
        let (old, Some(parent)) = (fold(&self.key(id).name), self.key(id).parent) else { return false };
        let children = &mut self.key_mut(parent).children;
        if children.contains_key(&fold(name)) {
            return false;
        }
        children.remove(&old);
        children.insert(fold(name), id);
        let key = self.key_mut(id);
        key.name = name.to_vec();
        key.written = now;
        true
    }

    /// The whole name of a key: `\REGISTRY\MACHINE\…`.
    pub(crate) fn path(&self, id: KeyId) -> Vec<u16> {
        let mut names = vec![&self.key(id).name];
        let mut at = id;
        while let Some(parent) = self.key(at).parent {
            names.push(&self.key(parent).name);
            at = parent;
        }
        let mut path = Vec::new();
        for name in names.into_iter().rev() {
            path.push(u16::from(b'\\'));
            path.extend_from_slice(name);
        }
        path
    }
}

/// The names in a path; a separator too many says nothing.
pub(crate) fn components(path: &[u16]) -> Vec<&[u16]> {
    path.split(|unit| *unit == u16::from(b'\\')).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_whatever_the_case_and_keep_theirs() {
        let mut tree = Tree::new(0);
        let made = tree.make(Tree::ROOT, r"Machine\Software\Élan", 1);
        assert_eq!(tree.find(Tree::ROOT, &units(r"MACHINE\software\éLAN")), Some(made));
        assert_eq!(String::from_utf16_lossy(&tree.path(made)), r"\REGISTRY\Machine\Software\Élan");
        let path = units(r"machine\x\y");
        let (at, missing) = tree.walk(Tree::ROOT, &path);
        assert_eq!(String::from_utf16_lossy(&tree.key(at).name), "Machine");
        assert_eq!(missing, [units("x"), units("y")]);
    }

    #[test]
    fn a_link_leads_to_the_key_it_stands_for() {
        let mut tree = Tree::new(0);
        let real = tree.make(Tree::ROOT, "ControlSet001", 1);
        tree.link(Tree::ROOT, "CurrentControlSet", real, 1);
        let below = tree.make(Tree::ROOT, r"CurrentControlSet\Services", 1);
        assert_eq!(tree.find(Tree::ROOT, &units(r"controlset001\services")), Some(below));
    }

    #[test]
    fn a_deleted_key_keeps_its_place_and_is_not_found() {
        let mut tree = Tree::new(0);
        let key = tree.make(Tree::ROOT, "A", 1);
        tree.remove(key, 2);
        let again = tree.make(Tree::ROOT, "A", 3);
        assert_ne!(again, key);
        assert!(tree.key(key).deleted && !tree.key(again).deleted);
    }
}
