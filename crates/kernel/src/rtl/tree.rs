//! The tree under both kinds of generic tables.
//!
//! Drivers see the links as opaque, and only the order of elements. So one tree serves the splay form and the AVL
//! form, whose links begin with the same three pointers: a treap, in which a node's priority is a hash of its
//! address. Looking up changes nothing, so that readers who share a lock, as AVL tables promise, are safe.

use std::ptr::null_mut;

use nt_abi::RTL_SPLAY_LINKS as Links;

/// What decides which of two nodes is nearer to the root.
fn priority(node: *mut Links) -> u64 {
    let mut bits = node.addr() as u64;
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// Where an element is or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Empty,
    Found(*mut Links),
    LeftOf(*mut Links),
    RightOf(*mut Links),
}

/// A tree whose root pointer is in a driver's table.
///
/// All methods are unsafe for one reason: the table's memory and its nodes are the driver's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    pub(super) root: *mut *mut Links,
}

impl Tree {
    /// Finds the place of an element; `compare` orders it against a node's: negative is less.
    pub(super) unsafe fn find(self, compare: impl Fn(*mut Links) -> i32) -> Place {
        // SAFETY: nodes of the driver's table.
        unsafe {
            let mut at = *self.root;
            if at.is_null() {
                return Place::Empty;
            }
            loop {
                let order = compare(at);
                let (next, place) = match order {
                    0 => return Place::Found(at),
                    i32::MIN..0 => ((*at).LeftChild, Place::LeftOf(at)),
                    _ => ((*at).RightChild, Place::RightOf(at)),
                };
                if next.is_null() {
                    return place;
                }
                at = next;
            }
        }
    }

    /// Puts a new node at its place.
    pub(super) unsafe fn insert(self, node: *mut Links, place: Place) {
        // SAFETY: nodes of the driver's table; the new one has room for its links.
        unsafe {
            (*node).LeftChild = null_mut();
            (*node).RightChild = null_mut();
            match place {
                Place::LeftOf(parent) => {
                    (*node).Parent = parent;
                    (*parent).LeftChild = node;
                }
                Place::RightOf(parent) => {
                    (*node).Parent = parent;
                    (*parent).RightChild = node;
                }
                Place::Empty | Place::Found(_) => {
                    (*node).Parent = node;
                    *self.root = node;
                }
            }
            while *self.root != node && priority(node) > priority((*node).Parent) {
                self.rotate_up(node);
            }
        }
    }

    /// Takes a node out.
    pub(super) unsafe fn remove(self, node: *mut Links) {
        // SAFETY: nodes of the driver's table.
        unsafe {
            loop {
                let (left, right) = ((*node).LeftChild, (*node).RightChild);
                let up = match (left.is_null(), right.is_null()) {
                    (true, true) => break,
                    (false, true) => left,
                    (true, false) => right,
                    (false, false) if priority(left) > priority(right) => left,
                    _ => right,
                };
                self.rotate_up(up);
            }
            let parent = (*node).Parent;
            if *self.root == node {
                *self.root = null_mut();
            } else if (*parent).LeftChild == node {
                (*parent).LeftChild = null_mut();
            } else {
                (*parent).RightChild = null_mut();
            }
        }
    }

    /// Exchanges a node with its parent, keeping the order.
    unsafe fn rotate_up(self, node: *mut Links) {
        // SAFETY: nodes of the driver's table, of which `node` is not the root.
        unsafe {
            let parent = (*node).Parent;
            let above = (*parent).Parent;
            let inner;
            if (*parent).LeftChild == node {
                inner = (*node).RightChild;
                (*parent).LeftChild = inner;
                (*node).RightChild = parent;
            } else {
                inner = (*node).LeftChild;
                (*parent).RightChild = inner;
                (*node).LeftChild = parent;
            }
            if !inner.is_null() {
                (*inner).Parent = parent;
            }
            (*parent).Parent = node;
            if *self.root == parent {
                *self.root = node;
                (*node).Parent = node;
            } else {
                (*node).Parent = above;
                if (*above).LeftChild == parent {
                    (*above).LeftChild = node;
                } else {
                    (*above).RightChild = node;
                }
            }
        }
    }

    /// The first node in order; null in an empty tree.
    pub(super) unsafe fn first(self) -> *mut Links {
        // SAFETY: nodes of the driver's table.
        unsafe {
            let mut at = *self.root;
            while !at.is_null() && !(*at).LeftChild.is_null() {
                at = (*at).LeftChild;
            }
            at
        }
    }

    /// The node behind another one in order; null behind the last.
    pub(super) unsafe fn next(self, node: *mut Links) -> *mut Links {
        // SAFETY: nodes of the driver's table.
        unsafe { self.neighbour(node, |node| (*node).RightChild, |node| (*node).LeftChild) }
    }

    /// The node before another one in order; null before the first.
    pub(super) unsafe fn previous(self, node: *mut Links) -> *mut Links {
        // SAFETY: nodes of the driver's table.
        unsafe { self.neighbour(node, |node| (*node).LeftChild, |node| (*node).RightChild) }
    }

    unsafe fn neighbour(
        self,
        node: *mut Links,
        towards: impl Fn(*mut Links) -> *mut Links,
        back: impl Fn(*mut Links) -> *mut Links,
    ) -> *mut Links {
        let mut at = towards(node);
        if !at.is_null() {
            while !back(at).is_null() {
                at = back(at);
            }
            return at;
        }
        at = node;
        // SAFETY: nodes of the driver's table.
        unsafe {
            while *self.root != at {
                let parent = (*at).Parent;
                if towards(parent) != at {
                    return parent;
                }
                at = parent;
            }
        }
        null_mut()
    }
}
