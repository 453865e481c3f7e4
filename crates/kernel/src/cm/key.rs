//! Open keys: the objects behind key handles, and opening, creating, deleting them.

use std::ptr::NonNull;
use std::sync::{Mutex, OnceLock, PoisonError};

use export_macro::export;
use nt_abi::{
    HANDLE, NTSTATUS, OBJECT_ATTRIBUTES, PVOID, REG_CREATE_KEY_INFORMATION, REG_CREATED_NEW_KEY,
    REG_DELETE_KEY_INFORMATION, REG_OPENED_EXISTING_KEY, REG_OPTION_OPEN_LINK, REG_OPTION_VOLATILE,
    REG_RENAME_KEY_INFORMATION, STATUS_CANNOT_DELETE, STATUS_CHILD_MUST_BE_VOLATILE, STATUS_INVALID_HANDLE,
    STATUS_KEY_DELETED, STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_OBJECT_PATH_SYNTAX_BAD, STATUS_SUCCESS, UNICODE_STRING,
};

use super::callback::{self, around};
use super::operation;
use super::tree::{KeyId, Tree, components};
use crate::ob::attributes::{Attributes, units_of};
use crate::ob::handle::KERNEL_MODE;
use crate::ob::name::{fold, units};
use crate::ob::object::Object;
use crate::ob::{self, ObjectType, Ref};
use crate::{Kernel, kernel};

/// The type of keys: `*CmKeyObjectType`.
pub static KEY_TYPE: ObjectType =
    ObjectType { name: "Key", size: size_of::<KeyObject>(), delete: Some(delete) };

/// An open key: every opening has an object of its own, as on NT.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct KeyObject {
    pub(super) id: KeyId,
    /// What drivers with callbacks attached to it, by their cookies.
    contexts: Mutex<Vec<(u64, usize)>>,
    /// The name that drivers were given, for as long as the object lives; 0 where they were not.
    name: OnceLock<usize>,
}

/// Drops what a key object holds.
///
/// # Safety
/// Called by the object manager, once, with the body of a key object that nobody else can reach.
unsafe fn delete(body: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe {
        let key = body.cast::<KeyObject>();
        callback::clean_up(&(*key).contexts, key);
        if let Some(name) = (*key).name.get() {
            callback::free_kept(*name);
        }
        key.drop_in_place();
    }
}

impl KeyObject {
    pub(super) fn new(id: KeyId) -> Ref<Self> {
        let object: NonNull<Self> = ob::create(&KEY_TYPE, 0);
        // SAFETY: new, of the right size, and nobody else has it.
        unsafe { object.write(Self { id, contexts: Mutex::default(), name: OnceLock::new() }) };
        // SAFETY: the one reference it was created with.
        unsafe { Ref::adopt(object) }
    }

    /// What a callback attached; null where nothing.
    pub(super) fn context_of(&self, cookie: u64) -> PVOID {
        let contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        let context = contexts.iter().find(|(owner, _)| *owner == cookie).map_or(0, |(_, context)| *context);
        std::ptr::with_exposed_provenance_mut(context)
    }

    /// Attaches a callback's context, and answers what it had attached before.
    pub(super) fn set_context(&self, cookie: u64, context: PVOID) -> PVOID {
        let before = self.context_of(cookie);
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        contexts.retain(|(owner, _)| *owner != cookie);
        if !context.is_null() {
            contexts.push((cookie, context.expose_provenance()));
        }
        before
    }

    /// A number that is the key's, whoever has it open: `CmCallbackGetKeyObjectID`.
    pub(super) fn number(&self) -> usize {
        self.id.number()
    }

    /// The name that drivers were given, made where there is none.
    pub(super) fn kept_name(&self, make: impl FnOnce() -> usize) -> usize {
        *self.name.get_or_init(make)
    }
}

/// A handle to a key was closed.
pub(crate) fn handle_closed(key: &Ref<Object>) {
    let Some(key) = key.clone().of::<KeyObject>(&KEY_TYPE) else { return };
    let mut told =
        REG_DELETE_KEY_INFORMATION { Object: key.as_ptr().cast(), ..REG_DELETE_KEY_INFORMATION::default() };
    // A close cannot be refused: what callbacks answer says nothing.
    around(kernel(), operation::CLOSE_KEY, Some(&key), &mut told, |_| (STATUS_SUCCESS, None));
}

/// The key behind a handle.
///
/// # Errors
/// As `Handles::check`, and STATUS_KEY_DELETED where the key is gone.
pub(super) fn of_handle(kernel: &Kernel, handle: HANDLE) -> Result<Ref<KeyObject>, NTSTATUS> {
    let key: Ref<KeyObject> = kernel.ob.handles.lookup(handle, &KEY_TYPE)?;
    if kernel.cm.tree().key(key.id).deleted {
        return Err(STATUS_KEY_DELETED);
    }
    Ok(key)
}

/// Where a driver's name begins, and what of it is to be followed from there.
fn start<'n>(kernel: &Kernel, root: HANDLE, name: &'n [u16]) -> Result<(KeyId, &'n [u16]), NTSTATUS> {
    let absolute = name.first() == Some(&u16::from(b'\\'));
    if !root.is_null() {
        if absolute {
            return Err(STATUS_OBJECT_PATH_SYNTAX_BAD);
        }
        return Ok((of_handle(kernel, root)?.id, name));
    }
    if !absolute {
        return Err(STATUS_OBJECT_PATH_SYNTAX_BAD);
    }
    let prefix = units(r"\REGISTRY");
    let (head, rest) = name.split_at_checked(prefix.len()).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
    let whole = rest.first().is_none_or(|unit| *unit == u16::from(b'\\'));
    if !whole || fold(head) != prefix {
        return Err(STATUS_OBJECT_NAME_NOT_FOUND);
    }
    Ok((Tree::ROOT, rest))
}

/// Opens a key by name.
///
/// # Errors
/// STATUS_OBJECT_NAME_NOT_FOUND and others: see `start`.
pub(crate) fn open_by_name(kernel: &Kernel, root: HANDLE, name: &[u16]) -> Result<Ref<KeyObject>, NTSTATUS> {
    let (from, path) = start(kernel, root, name)?;
    let id = kernel.cm.tree().find(from, path).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
    Ok(KeyObject::new(id))
}

/// Opens a key, or makes its last component where it is not there; the second answer is the disposition.
///
/// # Errors
/// As [`open_by_name`]: all components but the last must be there. STATUS_CHILD_MUST_BE_VOLATILE.
pub(super) fn create_by_name(
    kernel: &Kernel,
    root: HANDLE,
    name: &[u16],
    class: &[u16],
    volatile: bool,
) -> Result<(Ref<KeyObject>, u32), NTSTATUS> {
    /// The longest name of a key, in characters.
    const LONGEST: usize = 255;
    let (from, path) = start(kernel, root, name)?;
    let mut tree = kernel.cm.tree();
    let (parent, missing) = tree.walk(from, path);
    let id = match missing[..] {
        [] => return Ok((KeyObject::new(parent), REG_OPENED_EXISTING_KEY)),
        [name] if name.len() > LONGEST => return Err(STATUS_OBJECT_NAME_INVALID),
        [name] => {
            // Only the two hives of the machine and of users lie under the root itself.
            if parent == Tree::ROOT {
                return Err(nt_abi::STATUS_ACCESS_DENIED);
            }
            if tree.key(parent).volatile && !volatile {
                return Err(STATUS_CHILD_MUST_BE_VOLATILE);
            }
            tree.add(parent, name, volatile, crate::ke::time::now().0)
        }
        _ => return Err(STATUS_OBJECT_NAME_NOT_FOUND),
    };
    tree.key_mut(id).class = class.to_vec();
    Ok((KeyObject::new(id), REG_CREATED_NEW_KEY))
}

/// Deletes a key that has no subkeys.
///
/// # Errors
/// STATUS_CANNOT_DELETE where it has some, or is one of the roots.
pub(super) fn delete_key(kernel: &Kernel, id: KeyId) -> Result<(), NTSTATUS> {
    let mut tree = kernel.cm.tree();
    let key = tree.key(id);
    let root = key.parent.is_none_or(|parent| parent == Tree::ROOT);
    if root || !key.children.is_empty() {
        return Err(STATUS_CANNOT_DELETE);
    }
    tree.remove(id, crate::ke::time::now().0);
    Ok(())
}

/// Opens an existing key. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenKey(
    key: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    // SAFETY: a driver's pointers, as documented.
    unsafe { ZwOpenKeyEx(key, access, attributes, 0) }
}

/// Opens an existing key, with options that matter only to links and backups. Source: DDI.
#[export(irql == PASSIVE, since = Win7)]
pub unsafe extern "win64" fn ZwOpenKeyEx(
    key: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    options: u32,
) -> NTSTATUS {
    let open = || {
        // SAFETY: a driver's pointers, as documented.
        let given = unsafe { Attributes::read(attributes) }?;
        let kernel = kernel();
        let asked = Asked { given: &given, access, options: options & REG_OPTION_OPEN_LINK, class: None };
        let opened = told_open(kernel, operation::OPEN_KEY, &asked, std::ptr::null_mut(), |kernel| {
            open_by_name(kernel, given.root, given.name())
        })?;
        let handle = kernel.ob.handles.insert(opened.erase(), granted(access), given.flags);
        // SAFETY: as above.
        unsafe { key.write_unaligned(handle) };
        Ok(STATUS_SUCCESS)
    };
    open().unwrap_or_else(|status| status)
}

/// What a driver asked for that opens a key.
struct Asked<'a> {
    given: &'a Attributes,
    access: u32,
    options: u32,
    class: Option<&'a [u16]>,
}

/// Opens or creates a key with the callbacks before and after. One that bypasses gives the key itself.
fn told_open(
    kernel: &Kernel,
    operation: callback::Operation,
    asked: &Asked<'_>,
    disposition: *mut u32,
    open: impl FnOnce(&Kernel) -> Result<Ref<KeyObject>, NTSTATUS>,
) -> Result<Ref<KeyObject>, NTSTATUS> {
    if kernel.cm.callbacks.is_empty() {
        return open(kernel);
    }
    // What a name is relative to; an absolute one to the registry itself.
    let root = if asked.given.root.is_null() {
        KeyObject::new(Tree::ROOT)
    } else {
        of_handle(kernel, asked.given.root)?
    };
    let mut name = asked.given.name().to_vec();
    let mut class = asked.class.map(<[u16]>::to_vec);
    let string = |units: &mut Vec<u16>| {
        let bytes = u16::try_from(units.len() * 2).unwrap_or(u16::MAX - 1);
        UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() }
    };
    let mut name = string(&mut name);
    let mut class = class.as_mut().map(string);
    let mut made: PVOID = std::ptr::null_mut();
    let mut told = REG_CREATE_KEY_INFORMATION {
        CompleteName: &raw mut name,
        RootObject: root.as_ptr().cast(),
        ObjectType: std::ptr::from_ref(&KEY_TYPE).cast_mut().cast(),
        CreateOptions: asked.options,
        Class: class.as_mut().map_or(std::ptr::null_mut(), |class| &raw mut *class),
        DesiredAccess: granted(asked.access),
        GrantedAccess: granted(asked.access),
        Disposition: disposition,
        ResultObject: &raw mut made,
        ..REG_CREATE_KEY_INFORMATION::default()
    };
    let mut opened = None;
    let status = around(kernel, operation, Some(&root), &mut told, |_| match open(kernel) {
        Ok(key) => {
            opened = Some(key.clone());
            (STATUS_SUCCESS, Some(key))
        }
        Err(status) => (status, None),
    });
    if !status.is_success() {
        return Err(status);
    }
    if let Some(opened) = opened {
        return Ok(opened);
    }
    // A callback has done the work: its object takes the place of the one that was not opened.
    if made.is_null() {
        return Err(nt_abi::STATUS_INVALID_PARAMETER);
    }
    // SAFETY: the object that a driver gave, with its reference.
    unsafe { ob::reference::share(made.cast()) }.of(&KEY_TYPE).ok_or(nt_abi::STATUS_OBJECT_TYPE_MISMATCH)
}

/// The rights to a key that a request comes to, generic ones turned into specific ones.
fn granted(access: u32) -> u32 {
    ob::access::granted(access, &ob::access::KEY)
}

/// Opens a key, or creates it where it is not there. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwCreateKey(
    key: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    _title: u32,
    class: *const UNICODE_STRING,
    options: u32,
    disposition: *mut u32,
) -> NTSTATUS {
    let create = || {
        // SAFETY: a driver's pointers, as documented.
        let given = unsafe { Attributes::read(attributes) }?;
        // SAFETY: as above.
        let class = if class.is_null() { Vec::new() } else { unsafe { units_of(class) }? };
        let kernel = kernel();
        let volatile = options & REG_OPTION_VOLATILE != 0;
        let asked = Asked { given: &given, access, options, class: Some(&class) };
        let mut found = REG_OPENED_EXISTING_KEY;
        let opened = told_open(kernel, operation::CREATE_KEY, &asked, &raw mut found, |kernel| {
            let (opened, disposition) = create_by_name(kernel, given.root, given.name(), &class, volatile)?;
            // SAFETY: as above; callbacks have the same pointer.
            unsafe { (&raw mut found).write(disposition) };
            Ok(opened)
        })?;
        let handle = kernel.ob.handles.insert(opened.erase(), granted(access), given.flags);
        // SAFETY: as above.
        unsafe { key.write_unaligned(handle) };
        if !disposition.is_null() {
            // SAFETY: as above.
            unsafe { disposition.write_unaligned(found) };
        }
        Ok(STATUS_SUCCESS)
    };
    create().unwrap_or_else(|status| status)
}

/// Deletes an open key, which must have no subkeys. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwDeleteKey(key: HANDLE) -> NTSTATUS {
    let key = match of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told =
        REG_DELETE_KEY_INFORMATION { Object: key.as_ptr().cast(), ..REG_DELETE_KEY_INFORMATION::default() };
    around(kernel(), operation::DELETE_KEY, Some(&key), &mut told, |_| {
        (delete_key(kernel(), key.id).err().unwrap_or(STATUS_SUCCESS), None)
    })
}

/// Gives an open key another name. Source: DDI.
#[export(irql == PASSIVE, since = Vista)]
pub unsafe extern "win64" fn ZwRenameKey(key: HANDLE, name: *const UNICODE_STRING) -> NTSTATUS {
    let key = match of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told = REG_RENAME_KEY_INFORMATION {
        Object: key.as_ptr().cast(),
        NewName: name.cast_mut(),
        ..REG_RENAME_KEY_INFORMATION::default()
    };
    let rename = || {
        let id = key.id;
        // SAFETY: a driver's pointer, as documented.
        let name = unsafe { units_of(name) }?;
        if name.is_empty() || components(&name).len() != 1 || name.contains(&u16::from(b'\\')) {
            return Err(nt_abi::STATUS_INVALID_PARAMETER);
        }
        let mut tree = kernel().cm.tree();
        if tree.key(id).parent.is_none_or(|parent| parent == Tree::ROOT) {
            return Err(nt_abi::STATUS_ACCESS_DENIED);
        }
        let renamed = tree.rename(id, &name, crate::ke::time::now().0);
        if renamed { Ok(STATUS_SUCCESS) } else { Err(STATUS_CANNOT_DELETE) }
    };
    around(kernel(), operation::RENAME_KEY, Some(&key), &mut told, |_| {
        (rename().unwrap_or_else(|status| status), None)
    })
}

/// Writes a key to disk: it is in memory only, so there is nothing to do for a valid key. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwFlushKey(key: HANDLE) -> NTSTATUS {
    let key = match of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told =
        REG_DELETE_KEY_INFORMATION { Object: key.as_ptr().cast(), ..REG_DELETE_KEY_INFORMATION::default() };
    around(kernel(), operation::FLUSH_KEY, Some(&key), &mut told, |_| (STATUS_SUCCESS, None))
}

/// Asks to be told of changes to a key: not offered, as for a key on another machine. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwNotifyChangeKey(
    key: HANDLE,
    _event: HANDLE,
    _routine: usize,
    _context: usize,
    _status: *mut nt_abi::IO_STATUS_BLOCK,
    _filter: u32,
    _subtree: u8,
    _buffer: *mut u8,
    _length: u32,
    _asynchronous: u8,
) -> NTSTATUS {
    if kernel().ob.handles.check(key, Some(&KEY_TYPE), 0, KERNEL_MODE).is_err() {
        return STATUS_INVALID_HANDLE;
    }
    kernel()
        .note(event::Level::Warning, "ZwNotifyChangeKey: the registry of a bench tells nobody of changes");
    nt_abi::STATUS_NOT_SUPPORTED
}

/// The whole name of an open key; empty where the object is none.
pub(crate) fn path_of(kernel: &Kernel, object: &Ref<Object>) -> Vec<u16> {
    let key: Option<Ref<KeyObject>> = object.clone().of(&KEY_TYPE);
    key.map(|key| kernel.cm.tree().path(key.id)).unwrap_or_default()
}
