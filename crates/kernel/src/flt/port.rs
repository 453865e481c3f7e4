//! Communication ports: how a minifilter and a service of its own talk.
//!
//! No program runs against a bench, so no client connects by itself; `connect` is what one would cause.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::DriverId;
use export_macro::export;
use nt_abi::{
    FLT_FILTER, FLT_PORT, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PFLT_CONNECT_NOTIFY,
    PFLT_DISCONNECT_NOTIFY, PFLT_MESSAGE_NOTIFY, STATUS_CONNECTION_COUNT_LIMIT, STATUS_FLT_DELETING_OBJECT,
    STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_PORT_DISCONNECTED, STATUS_SUCCESS,
};

use super::object::{Filter, behind};
use crate::hash::HashMap;
use crate::io::driver::as_driver;
use crate::kernel;
use crate::ob::Ref;
use crate::ob::attributes::Attributes;

/// A server port: where clients connect.
#[derive(Debug)]
struct Server {
    filter: Ref<Filter>,
    name: Vec<u16>,
    cookie: usize,
    connect: usize,
    disconnect: usize,
    message: usize,
    most: u32,
    /// Clients that are connected.
    clients: u32,
}

/// A client port: one connection.
#[derive(Clone, Debug)]
struct Client {
    filter: Ref<Filter>,
    server: usize,
    cookie: usize,
    disconnect: usize,
    message: usize,
    /// Whether a program is at the other end.
    connected: bool,
}

/// Every port, by the handle that drivers know it by.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    servers: HashMap<usize, Server>,
    clients: HashMap<usize, Client>,
    made: usize,
}

impl Table {
    /// A value for an opaque port pointer. Nothing is there: who looks inside faults.
    fn next(&mut self) -> usize {
        self.made += 1;
        0xFFFF_C38F_0000_0000 + self.made * 0x40
    }
}

impl Ports {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of the server ports that a driver has left open.
    pub(crate) fn owned_by(&self, driver: DriverId) -> Vec<String> {
        let table = self.table();
        let mut names: Vec<_> = table
            .servers
            .values()
            .filter(|server| server.filter.owner == Some(driver))
            .map(|server| String::from_utf16_lossy(&server.name))
            .collect();
        names.sort();
        names
    }

    /// How many ports of a filter are open.
    pub(crate) fn of_filter(&self, filter: &Filter) -> usize {
        let of = |other: &Ref<Filter>| std::ptr::eq(other.as_ptr(), filter);
        let table = self.table();
        table.servers.values().filter(|server| of(&server.filter)).count()
            + table.clients.values().filter(|client| of(&client.filter)).count()
    }
}

/// The address of a driver's routine, 0 for none.
macro_rules! address {
    ($routine:expr) => {
        $routine.map_or(0, |routine| (routine as *const ()).expose_provenance())
    };
}

/// Makes a server port. Source: DDI.
///
/// STATUS_INVALID_PARAMETER without OBJ_KERNEL_HANDLE, a connect or a disconnect callback;
/// STATUS_OBJECT_NAME_COLLISION where the name is taken.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltCreateCommunicationPort(
    filter: *mut FLT_FILTER,
    port: *mut *mut FLT_PORT,
    attributes: *const OBJECT_ATTRIBUTES,
    cookie: usize,
    connect: PFLT_CONNECT_NOTIFY,
    disconnect: PFLT_DISCONNECT_NOTIFY,
    message: PFLT_MESSAGE_NOTIFY,
    most: i32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    let (filter, attributes) = unsafe {
        match (behind(filter), Attributes::read(attributes)) {
            (Ok(filter), Ok(attributes)) => (filter, attributes),
            (Err(status), _) | (_, Err(status)) => return status,
        }
    };
    let most = u32::try_from(most).unwrap_or(0);
    if attributes.flags & OBJ_KERNEL_HANDLE == 0 || connect.is_none() || disconnect.is_none() || most == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let kernel = kernel();
    let own = kernel.flt.filters().iter().find(|one| std::ptr::eq(one.as_ptr(), filter)).cloned();
    let Some(own) = own.filter(|filter| filter.rundown.acquire()) else { return STATUS_FLT_DELETING_OBJECT };
    let name = attributes.name().to_vec();
    let mut table = kernel.flt.ports.table();
    if table.servers.values().any(|other| crate::ob::name::fold(&other.name) == crate::ob::name::fold(&name))
    {
        own.rundown.release();
        return STATUS_OBJECT_NAME_COLLISION;
    }
    let at = table.next();
    let server = Server {
        filter: own,
        name,
        cookie,
        connect: address!(connect),
        disconnect: address!(disconnect),
        message: address!(message),
        most,
        clients: 0,
    };
    table.servers.insert(at, server);
    // SAFETY: the driver's pointer.
    unsafe { port.write(std::ptr::without_provenance_mut(at)) };
    STATUS_SUCCESS
}

/// Closes a server port: nobody connects any more, and who is connected stays. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltCloseCommunicationPort(port: *mut FLT_PORT) {
    let Some(server) = kernel().flt.ports.table().servers.remove(&port.addr()) else {
        let message = "FltCloseCommunicationPort was given what is no open server port: close each port once";
        kernel().finding(&crate::rule::L_14, message, None);
        return;
    };
    server.filter.rundown.release();
}

/// Closes a client port and makes the variable NULL. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltCloseClientPort(_filter: *mut FLT_FILTER, port: *mut *mut FLT_PORT) {
    // SAFETY: the driver's variable.
    let at = unsafe { port.replace(std::ptr::null_mut()) }.addr();
    if at != 0 {
        close_client(at);
    }
}

fn close_client(at: usize) {
    let mut table = kernel().flt.ports.table();
    let Some(client) = table.clients.remove(&at) else { return };
    if let Some(server) = table.servers.get_mut(&client.server) {
        server.clients = server.clients.saturating_sub(1);
    }
    drop(table);
    client.filter.rundown.release();
}

/// Sends a message to the program at the other end of a client port. Source: DDI; L-03.
///
/// STATUS_PORT_DISCONNECTED where there is none; STATUS_TIMEOUT, a success, where it has not taken the message.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltSendMessage(
    filter: *mut FLT_FILTER,
    port: *const *mut FLT_PORT,
    message: *const u8,
    bytes: u32,
    reply: *mut u8,
    reply_bytes: *mut u32,
    timeout: *const i64,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    let (at, wait) = unsafe {
        let filter: &Filter = match behind(filter) {
            Ok(filter) => filter,
            Err(status) => return status,
        };
        if filter.is_gone() {
            return STATUS_FLT_DELETING_OBJECT;
        }
        if message.is_null() || bytes == 0 || port.is_null() || (!reply.is_null() && reply_bytes.is_null()) {
            return STATUS_INVALID_PARAMETER;
        }
        (port.read().addr(), timeout.as_ref().copied())
    };
    let connected = kernel().flt.ports.table().clients.get(&at).is_some_and(|client| client.connected);
    if !connected {
        return STATUS_PORT_DISCONNECTED;
    }
    // A client of the bench takes no messages: what waits for one waits until its time is up.
    if wait.unwrap_or(0) == 0 {
        let text = "FltSendMessage without a timeout waits for ever where the program at the other end takes no messages";
        kernel().finding(&crate::rule::L_03, text, None);
    }
    nt_abi::STATUS_TIMEOUT
}

/// Connects a client as `FilterConnectCommunicationPort` would: asks the driver, and answers the client port.
///
/// # Errors
/// STATUS_OBJECT_NAME_NOT_FOUND without such a port, STATUS_CONNECTION_COUNT_LIMIT where it has as many clients as it
/// takes, or what the driver's connect callback said.
#[cfg_attr(not(test), expect(dead_code, reason = "programs at the other end come with the bench's requests"))]
pub(crate) fn connect(name: &str, context: &[u8]) -> Result<usize, NTSTATUS> {
    let kernel = kernel();
    let wanted = crate::ob::name::fold(&crate::ob::name::units(name));
    let mut table = kernel.flt.ports.table();
    let found = table.servers.iter().find(|(_, server)| crate::ob::name::fold(&server.name) == wanted);
    let server_at = *found.ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?.0;
    let at = table.next();
    let server = table.servers.get_mut(&server_at).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
    if server.clients >= server.most {
        return Err(STATUS_CONNECTION_COUNT_LIMIT);
    }
    if !server.filter.rundown.acquire() {
        return Err(STATUS_FLT_DELETING_OBJECT);
    }
    server.clients += 1;
    let (routine, server_cookie) = (server.connect, server.cookie);
    let client = Client {
        filter: server.filter.clone(),
        server: server_at,
        cookie: 0,
        disconnect: server.disconnect,
        message: server.message,
        connected: true,
    };
    let owner = client.filter.owner;
    table.clients.insert(at, client);
    drop(table);
    let mut cookie = 0_usize;
    let context_at = context.as_ptr().expose_provenance() as u64;
    let arguments = [
        at as u64,
        server_cookie as u64,
        if context.is_empty() { 0 } else { context_at },
        context.len() as u64,
        (&raw mut cookie).expose_provenance() as u64,
        0,
    ];
    // SAFETY: what the driver said its callback is; a wrong address faults as the driver's fault.
    let answer =
        as_driver(owner, routine as u64, || unsafe { machine::call::call_driver(routine, arguments) });
    let status = NTSTATUS::from_u32(u32::try_from(answer & 0xFFFF_FFFF).unwrap_or_default());
    if !status.is_success() {
        close_client(at);
        return Err(status);
    }
    if let Some(client) = kernel.flt.ports.table().clients.get_mut(&at) {
        client.cookie = cookie;
    }
    Ok(at)
}

/// Sends a driver a message as `FilterSendMessage` would; answers the bytes it returned.
///
/// # Errors
/// STATUS_PORT_DISCONNECTED without such a client, STATUS_INVALID_DEVICE_REQUEST where the driver takes no messages,
/// or what its callback said.
#[cfg_attr(not(test), expect(dead_code, reason = "programs at the other end come with the bench's requests"))]
pub(crate) fn send(at: usize, input: &[u8], output: &mut [u8]) -> Result<usize, NTSTATUS> {
    let client = kernel().flt.ports.table().clients.get(&at).filter(|client| client.connected).cloned();
    let client = client.ok_or(STATUS_PORT_DISCONNECTED)?;
    if client.message == 0 {
        return Err(nt_abi::STATUS_INVALID_DEVICE_REQUEST);
    }
    let mut returned = 0_u32;
    let address =
        |pointer: *const u8, bytes: usize| if bytes == 0 { 0 } else { pointer.expose_provenance() as u64 };
    let arguments = [
        client.cookie as u64,
        address(input.as_ptr(), input.len()),
        input.len() as u64,
        address(output.as_mut_ptr(), output.len()),
        output.len() as u64,
        (&raw mut returned).expose_provenance() as u64,
    ];
    // SAFETY: as in `connect`.
    let answer = as_driver(client.filter.owner, client.message as u64, || unsafe {
        machine::call::call_driver(client.message, arguments)
    });
    let status = NTSTATUS::from_u32(u32::try_from(answer & 0xFFFF_FFFF).unwrap_or_default());
    if status.is_success() { Ok(output.len().min(returned as usize)) } else { Err(status) }
}

/// The program at the other end has closed its handle: the driver is told, and closes its side.
pub(crate) fn disconnect(at: usize) {
    let mut table = kernel().flt.ports.table();
    let Some(client) = table.clients.get_mut(&at).filter(|client| client.connected) else { return };
    client.connected = false;
    let (owner, routine, cookie) = (client.filter.owner, client.disconnect, client.cookie);
    drop(table);
    // SAFETY: as in `connect`.
    as_driver(owner, routine as u64, || unsafe { machine::call1(routine, cookie as u64) });
}

/// A filter goes: its clients are told, and what it has not closed of them is closed.
pub(crate) fn disconnect_clients(filter: &Filter) {
    let of = |client: &Client| std::ptr::eq(client.filter.as_ptr(), filter);
    let table = kernel().flt.ports.table();
    let mut clients: Vec<usize> =
        table.clients.iter().filter(|(_, client)| of(client)).map(|(at, _)| *at).collect();
    drop(table);
    clients.sort_unstable();
    for at in clients {
        disconnect(at);
        close_client(at);
    }
}
