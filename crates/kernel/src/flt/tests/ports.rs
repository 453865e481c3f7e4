//! Communication ports.

use super::*;

static CLIENT: AtomicUsize = AtomicUsize::new(0);

unsafe extern "win64" fn connected(
    port: *mut FLT_PORT,
    server: PVOID,
    context: PVOID,
    bytes: u32,
    cookie: *mut PVOID,
) -> NTSTATUS {
    // SAFETY: a context of that size, and room for a cookie.
    unsafe {
        let context = std::slice::from_raw_parts(context.cast::<u8>(), bytes as usize);
        see(format!("connect {} {context:?}", server.addr()));
        cookie.write(std::ptr::without_provenance_mut(77));
    }
    CLIENT.store(port.addr(), Ordering::Relaxed);
    STATUS_SUCCESS
}

unsafe extern "win64" fn disconnected(cookie: PVOID) {
    see(format!("disconnect {}", cookie.addr()));
}

unsafe extern "win64" fn message(
    _: PVOID,
    input: PVOID,
    bytes: u32,
    output: PVOID,
    room: u32,
    returned: *mut u32,
) -> NTSTATUS {
    // SAFETY: buffers of these sizes.
    unsafe {
        let count = bytes.min(room);
        std::ptr::copy_nonoverlapping(input.cast::<u8>(), output.cast(), count as usize);
        returned.write(count);
    }
    STATUS_SUCCESS
}

#[test]
fn a_port_connects_talks_and_disconnects() {
    with_kernel(Config::default(), |kernel, _: &Records| {
        let (_, filter) = filter(kernel, "ports");
        let units: Vec<u16> = r"\TestPort".encode_utf16().collect();
        let bytes = u16::try_from(units.len() * 2).unwrap();
        let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_ptr().cast_mut() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap(),
            ObjectName: &raw const name,
            Attributes: OBJ_KERNEL_HANDLE,
            ..OBJECT_ATTRIBUTES::default()
        };
        let user = OBJECT_ATTRIBUTES { Attributes: 0, ..attributes };
        let make = |port: &mut *mut FLT_PORT, attributes: &OBJECT_ATTRIBUTES, most| {
            let (connect, disconnect) = (Some(connected as _), Some(disconnected as _));
            // SAFETY: a registered filter and structures as documented.
            unsafe {
                FltCreateCommunicationPort(
                    filter,
                    port,
                    attributes,
                    5,
                    connect,
                    disconnect,
                    Some(message),
                    most,
                )
            }
        };
        let (mut server, mut second) = (std::ptr::null_mut(), std::ptr::null_mut());
        assert_eq!(make(&mut server, &user, 1), STATUS_INVALID_PARAMETER, "no OBJ_KERNEL_HANDLE");
        assert_eq!(make(&mut server, &attributes, 0), STATUS_INVALID_PARAMETER, "no connections");
        assert_eq!(make(&mut server, &attributes, 1), STATUS_SUCCESS);
        assert_eq!(make(&mut second, &attributes, 1), STATUS_OBJECT_NAME_COLLISION);

        let mut client: *mut FLT_PORT = std::ptr::null_mut();
        let mut reply = [0_u8; 4];
        let mut reply_bytes = 4;
        let mut send_to = |client: &*mut FLT_PORT| {
            // SAFETY: buffers of these sizes.
            unsafe {
                let (to, bytes) = (reply.as_mut_ptr(), &raw mut reply_bytes);
                FltSendMessage(filter, client, b"hi".as_ptr(), 2, to, bytes, &-10_000)
            }
        };
        assert_eq!(send_to(&client), STATUS_PORT_DISCONNECTED);
        assert_eq!(connect(r"\NoPort", &[]), Err(STATUS_OBJECT_NAME_NOT_FOUND));
        let at = connect(r"\testport", &[1, 2]).unwrap();
        assert_eq!(seen(), ["connect 5 [1, 2]"]);
        assert_eq!(connect(r"\TestPort", &[]), Err(STATUS_CONNECTION_COUNT_LIMIT));
        client = std::ptr::without_provenance_mut(CLIENT.load(Ordering::Relaxed));
        assert_eq!(send_to(&client), STATUS_TIMEOUT);
        let mut output = [0; 8];
        assert_eq!(send(at, b"abc", &mut output), Ok(3));
        assert_eq!(&output[..3], b"abc");
        disconnect(at);
        assert_eq!(seen(), ["disconnect 77"]);
        assert_eq!(send_to(&client), STATUS_PORT_DISCONNECTED);
        // SAFETY: the ports that were made, and the filter.
        unsafe {
            FltCloseClientPort(filter, &mut client);
            assert!(client.is_null());
            FltCloseCommunicationPort(server);
            FltUnregisterFilter(filter);
        }
        assert!(seen().is_empty(), "nobody was connected any more");
    });
}

#[test]
fn a_filter_that_leaves_its_port_open_hangs() {
    with_kernel(Config::default(), |kernel, records| {
        let (driver, filter) = filter(kernel, "open_port");
        let attributes = OBJECT_ATTRIBUTES {
            Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap(),
            Attributes: OBJ_KERNEL_HANDLE,
            ..OBJECT_ATTRIBUTES::default()
        };
        let mut server = std::ptr::null_mut();
        // SAFETY: a registered filter and structures as documented.
        let made = unsafe {
            let (connect, disconnect) = (Some(connected as _), Some(disconnected as _));
            FltCreateCommunicationPort(filter, &mut server, &attributes, 0, connect, disconnect, None, 1)
        };
        assert_eq!(made, STATUS_SUCCESS);
        assert_eq!(kernel.flt.ports.owned_by(driver.id).len(), 1);
        // SAFETY: a registered filter.
        let stop = stops(records, || unsafe { FltUnregisterFilter(filter) });
        assert!(stop.message.contains("1 communication ports"), "{}", stop.message);
    });
}

#[test]
fn a_default_descriptor_names_system_and_administrators() {
    with_kernel(Config::default(), |kernel, _: &Records| {
        let mut descriptor = std::ptr::null_mut();
        // SAFETY: what the routine made, until it is freed.
        unsafe {
            assert_eq!(
                FltBuildDefaultSecurityDescriptor(&mut descriptor, FLT_PORT_ALL_ACCESS),
                STATUS_SUCCESS
            );
            let acl = (*descriptor).Dacl;
            let first = acl.add(1).cast::<ACCESS_ALLOWED_ACE>();
            let second = first.byte_add((*first).Header.AceSize.into());
            assert_eq!(((*first).Mask, (*second).Mask), (FLT_PORT_ALL_ACCESS, FLT_PORT_ALL_ACCESS));
            assert_eq!(
                (*acl).AclSize as usize,
                second.addr() + usize::from((*second).Header.AceSize) - acl.addr()
            );
            assert_eq!(
                (&raw const (*second).SidStart).cast::<[u8; 12]>().read(),
                [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]
            );
            FltFreeSecurityDescriptor(descriptor);
        }
        assert!(kernel.ex.pool.find(descriptor.addr()).is_none());
    });
}
