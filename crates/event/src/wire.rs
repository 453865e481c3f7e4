//! How events and records cross the channel: `postcard`, with nothing allocated where it matters.

use serde::{Deserialize, Serialize};

/// Something that should have been a message and was not.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The buffer is too small for the message.
    #[error("a message does not fit into {0} bytes")]
    Full(usize),
    /// The bytes are not a message of this version.
    #[error("damaged message: {0}")]
    Damaged(postcard::Error),
}

/// Writes a message to the front of `buffer` and says how many bytes it took. Allocates nothing.
///
/// # Errors
/// [`WireError::Full`] when `buffer` is too small.
pub fn encode<T: Serialize>(message: &T, buffer: &mut [u8]) -> Result<usize, WireError> {
    let room = buffer.len();
    postcard::to_slice(message, buffer).map(|used| used.len()).map_err(|_| WireError::Full(room))
}

/// Writes a message to the end of `bytes`, which grows as far as it must.
///
/// # Errors
/// [`WireError::Damaged`] for what has no wire form, and `bytes` is empty then; no event and no record is such.
pub fn append<T: Serialize>(message: &T, bytes: &mut Vec<u8>) -> Result<(), WireError> {
    *bytes = postcard::to_extend(message, std::mem::take(bytes)).map_err(WireError::Damaged)?;
    Ok(())
}

/// Reads one message off the front of `bytes`; strings are borrowed from it.
///
/// # Errors
/// [`WireError::Damaged`] when the bytes are not such a message.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), WireError> {
    postcard::take_from_bytes(bytes).map_err(WireError::Damaged)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::*;

    fn event(process: u32, image: Option<&str>) -> Event<'_> {
        Event {
            time: Time(7),
            context: ClientId { process: ProcessId(8), thread: ThreadId(12) },
            kind: EventKind::ProcessCreate(Process {
                process: ProcessId(process),
                image: image.map(Name::from_unix),
                ..Process::default()
            }),
            conditions: Conditions::default(),
        }
    }

    proptest! {
        #[test]
        fn an_event_comes_back_as_it_went(process: u32, image in proptest::option::of(".{0,40}")) {
            let sent = event(process, image.as_deref());
            let mut buffer = [0; 1024];
            let used = encode(&sent, &mut buffer).unwrap();
            let (back, rest): (Event<'_>, _) = decode(&buffer[..used]).unwrap();
            prop_assert_eq!(back, sent);
            prop_assert!(rest.is_empty());
            let mut appended = vec![1];
            append(&sent, &mut appended).unwrap();
            prop_assert_eq!(&appended[1..], &buffer[..used]);
        }

        #[test]
        fn damaged_bytes_are_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Record<'_>>(&bytes);
        }
    }

    #[test]
    fn strings_are_borrowed_from_the_buffer() {
        let mut buffer = [0; 1024];
        let used = encode(&event(8, Some("/bin/true")), &mut buffer).unwrap();
        let (back, _): (Event<'_>, _) = decode(&buffer[..used]).unwrap();
        let EventKind::ProcessCreate(process) = back.kind else { panic!("another kind came back") };
        assert!(matches!(process.image.unwrap().nt, Cow::Borrowed(_)));
    }

    #[test]
    fn a_full_buffer_is_an_error() {
        assert!(matches!(encode(&event(8, Some("/bin/true")), &mut [0; 8]), Err(WireError::Full(8))));
    }
}
