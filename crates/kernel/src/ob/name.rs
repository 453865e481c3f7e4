//! The name space: directories of named objects, symbolic links, and how a path is followed.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nt_abi::{
    NTSTATUS, STATUS_NAME_TOO_LONG, STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_NAME_INVALID,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_NOT_FOUND, STATUS_OBJECT_PATH_SYNTAX_BAD,
    STATUS_OBJECT_TYPE_MISMATCH,
};

use super::object::{self, Object};
use super::{ObjectType, Ref};

use crate::hash::HashMap;

/// The type of directories.
pub static DIRECTORY_TYPE: ObjectType =
    ObjectType { name: "Directory", size: size_of::<DirectoryObject>(), delete: None };
/// The type of symbolic links.
pub static LINK_TYPE: ObjectType =
    ObjectType { name: "SymbolicLink", size: size_of::<LinkObject>(), delete: Some(delete_link) };

/// A directory, as handles name it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct DirectoryObject {
    id: DirectoryId,
}

/// A symbolic link.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct LinkObject {
    pub(crate) target: Vec<u16>,
}

/// Drops what a link holds.
///
/// # Safety
/// Called by the object manager, once, with the body of a link that nobody else can reach.
unsafe fn delete_link(body: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { body.cast::<LinkObject>().drop_in_place() };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryId(usize);

#[derive(Debug)]
struct Entry {
    name: Vec<u16>,
    object: Ref<Object>,
    /// Whether the name outlives the last handle.
    permanent: bool,
}

type Directory = BTreeMap<Vec<u16>, Entry>;

#[derive(Debug, Default)]
struct Space {
    /// Never removed, so that an id is good for ever.
    directories: Vec<Directory>,
    /// Where a named object is: its directory and its folded name.
    places: HashMap<usize, (DirectoryId, Vec<u16>)>,
}

/// All names of the bench.
#[derive(Debug)]
pub(crate) struct Names(Mutex<Space>);

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Found {
    /// An object; `rest` is what of the path it is to follow itself: only devices do.
    Object {
        /// It.
        object: Ref<Object>,
        /// With its leading separator, or empty.
        rest: Vec<u16>,
    },
    /// Nothing yet: the directory is there, and the last name is free in it.
    Free {
        /// Where.
        directory: DirectoryId,
        /// As given.
        name: Vec<u16>,
    },
    /// The registry, with the whole path: `\Registry\…`.
    Registry(Vec<u16>),
}

const SEPARATOR: u16 = b'\\' as u16;
const ROOT: DirectoryId = DirectoryId(0);
/// How many links a path may lead through.
const MOST_LINKS: usize = 32;

/// Directories that are there from the start. What `\??` and `\DosDevices` name is `\GLOBAL??`.
const DIRECTORIES: [&str; 14] = [
    "GLOBAL??",
    "Device",
    "Driver",
    "FileSystem",
    "BaseNamedObjects",
    "Callback",
    "KernelObjects",
    "ObjectTypes",
    "RPC Control",
    "Security",
    "Sessions",
    "Windows",
    "NLS",
    "ArcName",
];

/// Links that are there from the start, in `\GLOBAL??` unless the name begins with a separator.
const LINKS: [(&str, &str); 6] = [
    ("C:", r"\Device\HarddiskVolume1"),
    ("Global", r"\GLOBAL??"),
    ("GLOBALROOT", r"\"),
    ("BootPartition", r"\Device\HarddiskVolume1"),
    (r"\SystemRoot", r"\Device\HarddiskVolume1\Windows"),
    (r"\ArcName\multi(0)disk(0)rdisk(0)partition(1)", r"\Device\HarddiskVolume1"),
];

impl Names {
    pub(crate) fn new() -> Self {
        let names = Self(Mutex::new(Space::default()));
        let _root = names.new_directory();
        for name in DIRECTORIES {
            let directory = names.new_directory();
            // The name is free: there are no others yet.
            let _ = names.insert(ROOT, &units(name), &directory, true);
        }
        for (name, target) in LINKS {
            let path = if name.starts_with('\\') { name.to_owned() } else { format!(r"\GLOBAL??\{name}") };
            let _ = names.create(&units(&path), &new_link(units(target)), true);
        }
        names
    }

    fn lock(&self) -> MutexGuard<'_, Space> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a directory that has no name yet.
    pub(crate) fn new_directory(&self) -> Ref<Object> {
        let mut space = self.lock();
        let id = DirectoryId(space.directories.len());
        space.directories.push(Directory::new());
        let body: NonNull<DirectoryObject> = object::create(&DIRECTORY_TYPE, 0);
        // SAFETY: new, of the right size, and nobody else has it.
        unsafe { body.write(DirectoryObject { id }) };
        // SAFETY: the one reference it was created with.
        unsafe { Ref::adopt(body) }.erase()
    }

    /// Puts an object into a directory.
    ///
    /// # Errors
    /// STATUS_OBJECT_NAME_COLLISION where the name is taken.
    pub(crate) fn insert(
        &self,
        directory: DirectoryId,
        name: &[u16],
        object: &Ref<Object>,
        permanent: bool,
    ) -> Result<(), NTSTATUS> {
        let mut space = self.lock();
        let folded = fold(name);
        let entries = &mut space.directories[directory.0];
        if entries.contains_key(&folded) {
            return Err(STATUS_OBJECT_NAME_COLLISION);
        }
        entries.insert(folded.clone(), Entry { name: name.to_vec(), object: object.clone(), permanent });
        space.places.insert(object.as_ptr().addr(), (directory, folded));
        Ok(())
    }

    /// Gives an object a name, by its path.
    ///
    /// # Errors
    /// As [`Names::find`], and STATUS_OBJECT_NAME_COLLISION.
    pub(crate) fn create(&self, path: &[u16], object: &Ref<Object>, permanent: bool) -> Result<(), NTSTATUS> {
        match self.find(None, path, false)? {
            Found::Free { directory, name } => self.insert(directory, &name, object, permanent),
            Found::Object { .. } => Err(STATUS_OBJECT_NAME_COLLISION),
            Found::Registry(_) => Err(STATUS_OBJECT_NAME_INVALID),
        }
    }

    /// Takes an object's name away, so that it lives as long as its references. `false` where it had none.
    pub(crate) fn remove(&self, object: &Ref<Object>) -> bool {
        let entry = {
            let mut space = self.lock();
            let place = space.places.remove(&object.as_ptr().addr());
            place.and_then(|(directory, name)| space.directories[directory.0].remove(&name))
        };
        // The entry's reference goes when nothing is locked.
        entry.is_some()
    }

    /// Makes an object's name end with its last handle.
    pub(crate) fn make_temporary(&self, object: &Ref<Object>) {
        let mut space = self.lock();
        let Some((directory, name)) = space.places.get(&object.as_ptr().addr()).cloned() else { return };
        if let Some(entry) = space.directories[directory.0].get_mut(&name) {
            entry.permanent = false;
        }
        drop(space);
        self.last_handle_closed(object);
    }

    /// Takes the name of an object away that has no handle any more, unless it is permanent.
    pub(crate) fn last_handle_closed(&self, object: &Ref<Object>) {
        // SAFETY: the reference keeps the object alive.
        if unsafe { object::handle_count(object.as_ptr()) } > 0 {
            return;
        }
        let temporary = {
            let space = self.lock();
            let place = space.places.get(&object.as_ptr().addr());
            place
                .and_then(|(directory, name)| space.directories[directory.0].get(name))
                .is_some_and(|entry| !entry.permanent)
        };
        if temporary {
            self.remove(object);
        }
    }

    /// The path of an object; `None` where it has no name.
    pub(crate) fn path(&self, object: &Ref<Object>) -> Option<Vec<u16>> {
        let space = self.lock();
        if std::ptr::eq(object.kind(), &DIRECTORY_TYPE) && space.id(object) == Some(ROOT) {
            return Some(vec![SEPARATOR]);
        }
        let (directory, name) = space.places.get(&object.as_ptr().addr())?;
        let mut path = space.path_of(*directory);
        path.push(SEPARATOR);
        path.extend_from_slice(&space.directories[directory.0].get(name)?.name);
        Some(path)
    }

    /// The entries of a directory in order: name and type.
    pub(crate) fn list(&self, directory: &Ref<Object>) -> Vec<(Vec<u16>, &'static str)> {
        let space = self.lock();
        let Some(id) = space.id(directory) else { return Vec::new() };
        space.directories[id.0].values().map(|entry| (entry.name.clone(), entry.object.kind().name)).collect()
    }

    /// Follows a path: from `root`, a directory, or from the top. A link that the path ends in is followed, unless
    /// `open_link` asks for the link itself.
    ///
    /// # Errors
    /// STATUS_OBJECT_PATH_SYNTAX_BAD where the path begins wrongly, STATUS_OBJECT_PATH_NOT_FOUND where a directory
    /// is not there, STATUS_OBJECT_TYPE_MISMATCH where something else is there, STATUS_OBJECT_NAME_INVALID where a
    /// name is empty.
    pub(crate) fn find(
        &self,
        root: Option<&Ref<Object>>,
        path: &[u16],
        open_link: bool,
    ) -> Result<Found, NTSTATUS> {
        let space = self.lock();
        let mut directory = match root {
            Some(root) => space.id(root).ok_or(STATUS_OBJECT_TYPE_MISMATCH)?,
            None => ROOT,
        };
        let absolute = path.first() == Some(&SEPARATOR);
        if absolute == root.is_some() && !(root.is_some() && path.is_empty()) {
            return Err(STATUS_OBJECT_PATH_SYNTAX_BAD);
        }
        let mut rest = path.strip_prefix(&[SEPARATOR]).unwrap_or(path).to_vec();
        for _ in 0..MOST_LINKS {
            match space.follow(directory, &rest, open_link)? {
                Step::Done(found) => return Ok(found),
                Step::Again(path) => {
                    directory = ROOT;
                    rest = path.strip_prefix(&[SEPARATOR]).ok_or(STATUS_OBJECT_PATH_SYNTAX_BAD)?.to_vec();
                }
            }
        }
        Err(STATUS_NAME_TOO_LONG)
    }

    /// The object at a path.
    ///
    /// # Errors
    /// As [`Names::find`], and STATUS_OBJECT_NAME_NOT_FOUND.
    pub(crate) fn object(&self, path: &str) -> Result<Ref<Object>, NTSTATUS> {
        match self.find(None, &units(path), false)? {
            Found::Object { object, rest } if rest.is_empty() => Ok(object),
            _ => Err(STATUS_OBJECT_NAME_NOT_FOUND),
        }
    }
}

/// One way along a path: as far as a link.
enum Step {
    Done(Found),
    Again(Vec<u16>),
}

impl Space {
    fn id(&self, object: &Ref<Object>) -> Option<DirectoryId> {
        Some(object.clone().of::<DirectoryObject>(&DIRECTORY_TYPE)?.id)
    }

    fn path_of(&self, directory: DirectoryId) -> Vec<u16> {
        let parent = self.directories.iter().enumerate().find_map(|(index, entries)| {
            let entry = entries.values().find(|entry| self.id(&entry.object) == Some(directory))?;
            Some((DirectoryId(index), &entry.name))
        });
        let Some((parent, name)) = parent else { return Vec::new() };
        let mut path = self.path_of(parent);
        path.push(SEPARATOR);
        path.extend_from_slice(name);
        path
    }

    fn follow(&self, mut directory: DirectoryId, path: &[u16], open_link: bool) -> Result<Step, NTSTATUS> {
        let mut rest = path;
        loop {
            let end = rest.iter().position(|unit| *unit == SEPARATOR);
            let (name, after) = end.map_or((rest, None), |end| (&rest[..end], Some(&rest[end..])));
            // A separator at the end of a directory's name says nothing.
            let after = after.filter(|after| after.len() > 1 || !self.leads_to_directory(directory, name));
            if name.is_empty() {
                let whole = rest.is_empty() && (path.is_empty() || after.is_none());
                let here = whole.then(|| self.directory_object(directory)).flatten();
                let object = here.ok_or(STATUS_OBJECT_NAME_INVALID)?;
                return Ok(Step::Done(Found::Object { object, rest: Vec::new() }));
            }
            let folded = if directory == ROOT { at_top(fold(name)) } else { fold(name) };
            if directory == ROOT && folded == units("REGISTRY") {
                return Ok(Step::Done(Found::Registry([&[SEPARATOR], rest].concat())));
            }
            let Some(entry) = self.directories[directory.0].get(&folded) else {
                return match after {
                    Some(_) => Err(STATUS_OBJECT_PATH_NOT_FOUND),
                    None => Ok(Step::Done(Found::Free { directory, name: name.to_vec() })),
                };
            };
            let kind = entry.object.kind();
            if std::ptr::eq(kind, &LINK_TYPE) && (after.is_some() || !open_link) {
                let link: Ref<LinkObject> =
                    entry.object.clone().of(&LINK_TYPE).ok_or(STATUS_OBJECT_TYPE_MISMATCH)?;
                let target = link.target.strip_suffix(&[SEPARATOR]).unwrap_or(&link.target);
                let again = [target, after.unwrap_or_default()].concat();
                return Ok(Step::Again(if again.is_empty() { vec![SEPARATOR] } else { again }));
            }
            let Some(after) = after else {
                return Ok(Step::Done(Found::Object { object: entry.object.clone(), rest: Vec::new() }));
            };
            if std::ptr::eq(kind, &DIRECTORY_TYPE) {
                directory = self.id(&entry.object).ok_or(STATUS_OBJECT_TYPE_MISMATCH)?;
                rest = &after[1..];
            } else if std::ptr::eq(kind, &crate::io::device::DEVICE_TYPE) {
                return Ok(Step::Done(Found::Object { object: entry.object.clone(), rest: after.to_vec() }));
            } else {
                return Err(STATUS_OBJECT_TYPE_MISMATCH);
            }
        }
    }

    fn leads_to_directory(&self, directory: DirectoryId, name: &[u16]) -> bool {
        let folded = if directory == ROOT { at_top(fold(name)) } else { fold(name) };
        self.directories[directory.0]
            .get(&folded)
            .is_some_and(|entry| std::ptr::eq(entry.object.kind(), &DIRECTORY_TYPE))
    }

    /// The object of a directory; that of the root is made anew, as it has no entry.
    fn directory_object(&self, id: DirectoryId) -> Option<Ref<Object>> {
        if id == ROOT {
            let body: NonNull<DirectoryObject> = object::create(&DIRECTORY_TYPE, 0);
            // SAFETY: new, of the right size, and nobody else has it.
            unsafe { body.write(DirectoryObject { id }) };
            // SAFETY: the one reference it was created with.
            return Some(unsafe { Ref::adopt(body) }.erase());
        }
        let mut entries = self.directories.iter().flat_map(Directory::values);
        entries.find(|entry| self.id(&entry.object) == Some(id)).map(|entry| entry.object.clone())
    }
}

/// The first name of a path, where it is one of the two other names of `\GLOBAL??`.
fn at_top(folded: Vec<u16>) -> Vec<u16> {
    if folded == units("??") || folded == units("DOSDEVICES") { units("GLOBAL??") } else { folded }
}

/// Makes a symbolic link that has no name yet.
pub(crate) fn new_link(target: Vec<u16>) -> Ref<Object> {
    let body: NonNull<LinkObject> = object::create(&LINK_TYPE, 0);
    // SAFETY: new, of the right size, and nobody else has it.
    unsafe { body.write(LinkObject { target }) };
    // SAFETY: the one reference it was created with.
    unsafe { Ref::adopt(body) }.erase()
}

/// An UTF-16 unit as names are compared: in upper case, where that is one unit as well.
pub(crate) fn upcase(unit: u16) -> u16 {
    if unit < 0x80 {
        return u16::from(u8::try_from(unit).unwrap_or_default().to_ascii_uppercase());
    }
    let Some(letter) = char::from_u32(unit.into()) else { return unit };
    let mut upper = letter.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => u16::try_from(u32::from(one)).unwrap_or(unit),
        _ => unit,
    }
}

/// A name as names are compared.
pub(crate) fn fold(name: &[u16]) -> Vec<u16> {
    name.iter().map(|unit| upcase(*unit)).collect()
}

/// The UTF-16 of a text.
pub(crate) fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &Names, path: &str) -> Result<String, NTSTATUS> {
        Ok(match names.find(None, &units(path), false)? {
            Found::Object { object, rest } => {
                let path = names.path(&object).unwrap_or_default();
                format!("{} {}", String::from_utf16_lossy(&path), String::from_utf16_lossy(&rest))
                    .trim()
                    .into()
            }
            Found::Free { name, .. } => format!("free {}", String::from_utf16_lossy(&name)),
            Found::Registry(path) => format!("registry {}", String::from_utf16_lossy(&path)),
        })
    }

    #[test]
    fn paths_lead_where_they_say() {
        let names = Names::new();
        assert_eq!(found(&names, r"\device").unwrap(), r"\Device");
        assert_eq!(found(&names, r"\Device\").unwrap(), r"\Device");
        assert_eq!(found(&names, r"\").unwrap(), r"\");
        assert_eq!(found(&names, r"\Device\New").unwrap(), "free New");
        assert_eq!(found(&names, r"\DosDevices\New").unwrap(), "free New");
        assert_eq!(found(&names, r"\??\Global\New").unwrap(), "free New");
        assert_eq!(found(&names, r"\??\GLOBALROOT\Device\New").unwrap(), "free New");
        assert_eq!(found(&names, r"\Registry\Machine").unwrap(), r"registry \Registry\Machine");
        assert_eq!(found(&names, r"\??\C:").unwrap(), "free HarddiskVolume1", "no device yet");
        assert_eq!(found(&names, r"Device"), Err(STATUS_OBJECT_PATH_SYNTAX_BAD));
        assert_eq!(found(&names, r"\Nope\X"), Err(STATUS_OBJECT_PATH_NOT_FOUND));
        assert_eq!(found(&names, r"\Device\\X"), Err(STATUS_OBJECT_NAME_INVALID));
    }

    #[test]
    fn names_collide_whatever_their_case() {
        let names = Names::new();
        let link = new_link(units(r"\Device"));
        assert_eq!(names.create(&units(r"\??\Mine"), &link, true), Ok(()));
        let other = new_link(units(r"\Driver"));
        assert_eq!(names.create(&units(r"\GLOBAL??\MINE"), &other, true), Err(STATUS_OBJECT_NAME_COLLISION));
        assert_eq!(String::from_utf16_lossy(&names.path(&link).unwrap()), r"\GLOBAL??\Mine");
        assert!(names.remove(&link) && !names.remove(&link));
        assert_eq!(names.create(&units(r"\GLOBAL??\MINE"), &other, true), Ok(()));
    }

    #[test]
    fn a_link_to_itself_ends() {
        let names = Names::new();
        names.create(&units(r"\??\Loop"), &new_link(units(r"\??\Loop")), true).unwrap();
        assert_eq!(found(&names, r"\??\Loop"), Err(STATUS_NAME_TOO_LONG));
    }
}
