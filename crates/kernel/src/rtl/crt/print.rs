//! `sprintf` and its relatives, over the engine in `printf.rs`.

use export_macro::export;

use super::TRUNCATE;
use super::text::{self, Char};
use crate::rtl::printf::{self, Arguments, Output, Width};

/// A kind of character that can be formatted into.
trait Formatted: Char {
    const WIDTH: Width;
    fn format(format: &[Self], arguments: Arguments) -> Vec<Self>;
}

fn run<C: Char>(width: Width, format: &[C], arguments: Arguments) -> Vec<C>
where
    Vec<C>: Output,
{
    let mut text = Vec::new();
    // SAFETY: the driver gives as many arguments as its format asks for.
    unsafe { printf::format(&mut text, width, format, arguments) };
    text
}

impl Formatted for u8 {
    const WIDTH: Width = Width::Narrow;
    fn format(format: &[Self], arguments: Arguments) -> Vec<Self> {
        run(Self::WIDTH, format, arguments)
    }
}

impl Formatted for u16 {
    const WIDTH: Width = Width::Wide;
    fn format(format: &[Self], arguments: Arguments) -> Vec<Self> {
        run(Self::WIDTH, format, arguments)
    }
}

/// The formatted text.
///
/// # Safety
/// A C string, and as many arguments as it asks for.
unsafe fn formatted<C: Formatted>(format: *const C, arguments: *const u64) -> Vec<C> {
    // SAFETY: by this function's contract.
    unsafe {
        let format: Vec<C> =
            (0..text::length(format, usize::MAX)).map(|index| text::at(format, index)).collect();
        C::format(&format, Arguments::new(arguments))
    }
}

/// How many characters, as a C function says it.
fn count(characters: usize) -> i32 {
    i32::try_from(characters).unwrap_or(-1)
}

/// Writes characters, and a NUL if asked to.
///
/// # Safety
/// `to` must have room.
unsafe fn put<C: Char>(to: *mut C, characters: &[C], terminate: bool) {
    // SAFETY: by this function's contract.
    unsafe {
        characters.iter().enumerate().for_each(|(index, &c)| text::set(to, index, c));
        if terminate {
            text::set(to, characters.len(), C::NUL);
        }
    }
}

/// `_vsnprintf`: at most `room` characters, with a NUL only if there is room for it; -1 when the text was cut off.
///
/// # Safety
/// `to` must have `room`.
unsafe fn limited<C: Formatted>(to: *mut C, room: usize, characters: &[C]) -> i32 {
    let fits = characters.len() <= room;
    // SAFETY: by this function's contract; a null buffer of size 0 only asks for the length.
    unsafe {
        if !to.is_null() {
            put(to, &characters[..characters.len().min(room)], characters.len() < room);
        }
    }
    if fits || to.is_null() { count(characters.len()) } else { -1 }
}

/// `_vsnprintf_s`: at most `most` characters and a NUL into `room`; what does not fit is an error unless cutting off
/// was asked for.
///
/// # Safety
/// `to` must have `room`.
unsafe fn secure<C: Formatted>(to: *mut C, room: usize, most: usize, characters: &[C]) -> i32 {
    if to.is_null() || room == 0 {
        return -1;
    }
    let length = characters.len();
    // SAFETY: by this function's contract.
    unsafe {
        if length <= most && length < room {
            put(to, characters, true);
            return count(length);
        }
        let keep = if most == TRUNCATE { room - 1 } else { most };
        // Cut off where the caller said, or nothing at all where the buffer is too small for that.
        put(to, if keep < room { &characters[..keep.min(length)] } else { &[] }, true);
    }
    -1
}

/// The two widths of each routine: the one with a list of arguments, and the variadic one before it.
macro_rules! family {
    ($( #[doc = $about:literal] $kind:ty: $variadic:ident $list:ident ($($parameter:ident: $type:ty),*) with $entry:ident = $act:expr; )*) => { $(
        #[doc = $about]
        ///
        /// The arguments are a list.
        #[export(irql any)]
        pub unsafe extern "win64" fn $list(to: *mut $kind, $($parameter: $type,)* format: *const $kind, arguments: *const u64) -> i32 {
            // SAFETY: the driver's buffer, format and arguments.
            unsafe {
                let text = formatted(format, arguments);
                let act: unsafe fn(*mut $kind, $($type,)* &[$kind]) -> i32 = $act;
                act(to, $($parameter,)* &text)
            }
        }

        #[doc = $about]
        ///
        /// Variadic: the arguments stand behind the format.
        #[export(irql any)]
        #[unsafe(naked)]
        pub unsafe extern "win64" fn $variadic(to: *mut $kind, $($parameter: $type,)* format: *const $kind) -> i32 {
            $entry!($list)
        }
    )* };
}

/// The format is the second parameter: the arguments become the third.
macro_rules! second {
    ($list:ident) => {
        std::arch::naked_asm!(
            "mov [rsp + 24], r8",
            "mov [rsp + 32], r9",
            "lea r8, [rsp + 24]",
            "jmp {}",
            sym $list,
        )
    };
}

/// The format is the third parameter: the arguments become the fourth.
macro_rules! third {
    ($list:ident) => {
        std::arch::naked_asm!("mov [rsp + 32], r9", "lea r9, [rsp + 32]", "jmp {}", sym $list)
    };
}

/// The format is the fourth parameter: the arguments become the fifth, on the stack.
macro_rules! fourth {
    ($list:ident) => {
        std::arch::naked_asm!(
            "lea rax, [rsp + 40]",
            "sub rsp, 40",
            "mov [rsp + 32], rax",
            "call {}",
            "add rsp, 40",
            "ret",
            sym $list,
        )
    };
}

/// Text of any length.
///
/// # Safety
/// `to` must have room.
unsafe fn unlimited<C: Formatted>(to: *mut C, characters: &[C]) -> i32 {
    // SAFETY: by this function's contract.
    unsafe { put(to, characters, true) };
    count(characters.len())
}

/// As `sprintf_s`.
///
/// # Safety
/// `to` must have `room`.
unsafe fn whole<C: Formatted>(to: *mut C, room: usize, characters: &[C]) -> i32 {
    // SAFETY: by this function's contract.
    unsafe { secure(to, room, TRUNCATE - 1, characters) }
}

family! {
    #[doc = "Formats into a buffer that has room."]
    u8: sprintf vsprintf () with second = unlimited;
    #[doc = "Formats into a buffer that has room."]
    u16: swprintf vswprintf () with second = unlimited;
    #[doc = "Formats into a buffer of a size, without NUL where it is full."]
    u8: _snprintf _vsnprintf (room: usize) with third = limited;
    #[doc = "Formats into a buffer of a size, without NUL where it is full."]
    u16: _snwprintf _vsnwprintf (room: usize) with third = limited;
    #[doc = "Formats into a buffer of a size; what does not fit is an error."]
    u8: sprintf_s vsprintf_s (room: usize) with third = whole;
    #[doc = "Formats into a buffer of a size; what does not fit is an error."]
    u16: swprintf_s vswprintf_s (room: usize) with third = whole;
    #[doc = "Formats at most a number of characters into a buffer of a size."]
    u8: _snprintf_s _vsnprintf_s (room: usize, most: usize) with fourth = secure;
    #[doc = "Formats at most a number of characters into a buffer of a size."]
    u16: _snwprintf_s _vsnwprintf_s (room: usize, most: usize) with fourth = secure;
}

/// Returns how many bytes a format would need.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn _vscprintf(format: *const u8, arguments: *const u64) -> i32 {
    // SAFETY: the driver's format and arguments.
    count(unsafe { formatted(format, arguments) }.len())
}

/// Returns how many UTF-16 units a format would need.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn _vscwprintf(format: *const u16, arguments: *const u64) -> i32 {
    // SAFETY: the driver's format and arguments.
    count(unsafe { formatted(format, arguments) }.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().chain([0]).collect()
    }

    /// Calls a variadic routine as a driver does: with six arguments, two of them on the stack.
    fn call(entry: *const (), arguments: [u64; 6]) -> i32 {
        type Variadic = unsafe extern "win64" fn(u64, u64, u64, u64, u64, u64) -> i32;
        // SAFETY: a routine of six or fewer fixed and variable parameters.
        unsafe {
            std::mem::transmute::<*const (), Variadic>(entry)(
                arguments[0],
                arguments[1],
                arguments[2],
                arguments[3],
                arguments[4],
                arguments[5],
            )
        }
    }

    fn address<T>(of: *const T) -> u64 {
        of.expose_provenance() as u64
    }

    #[test]
    fn arguments_are_found_behind_every_format() {
        let mut buffer = [0u8; 32];
        let to = address(buffer.as_mut_ptr());
        let text = |buffer: &[u8; 32]| {
            std::ffi::CStr::from_bytes_until_nul(buffer).unwrap().to_str().unwrap().to_owned()
        };
        let format = address(c"%d %d %d".as_ptr());
        assert_eq!(call(sprintf as *const (), [to, format, 1, 2, 3, 0]), 5);
        assert_eq!(text(&buffer), "1 2 3");
        assert_eq!(call(_snprintf as *const (), [to, 32, format, 4, 5, 6]), 5);
        assert_eq!(text(&buffer), "4 5 6");
        assert_eq!(call(sprintf_s as *const (), [to, 32, format, 7, 8, 9]), 5);
        assert_eq!(text(&buffer), "7 8 9");
        let format = address(c"%d-%d".as_ptr());
        assert_eq!(call(_snprintf_s as *const (), [to, 32, TRUNCATE as u64, format, 10, 11]), 5);
        assert_eq!(text(&buffer), "10-11");
    }

    #[test]
    fn wide_texts_are_cut_as_documented() {
        let mut buffer = [0xAAAAu16; 5];
        let to = address(buffer.as_mut_ptr());
        let format = wide("%ws");
        let (format, three, five, six) =
            (address(format.as_ptr()), wide("abc"), wide("abcde"), wide("abcdef"));
        let limited =
            |text: &[u16]| call(_snwprintf as *const (), [to, 5, format, address(text.as_ptr()), 0, 0]);
        assert_eq!((limited(&three), buffer), (3, [0x61, 0x62, 0x63, 0, 0xAAAA]));
        assert_eq!((limited(&five), buffer), (5, [0x61, 0x62, 0x63, 0x64, 0x65]));
        assert_eq!(limited(&six), -1);
        let secure = |most: u64, text: &[u16]| {
            call(_snwprintf_s as *const (), [to, 5, most, format, address(text.as_ptr()), 0])
        };
        assert_eq!((secure(TRUNCATE as u64, &six), buffer), (-1, [0x61, 0x62, 0x63, 0x64, 0]));
        assert_eq!((secure(2, &six), buffer[..3].to_vec()), (-1, vec![0x61, 0x62, 0]));
        assert_eq!((secure(9, &six), buffer[0]), (-1, 0));
        assert_eq!((secure(3, &three), buffer[..4].to_vec()), (3, wide("abc")));
        let whole =
            |text: &[u16]| call(swprintf_s as *const (), [to, 5, format, address(text.as_ptr()), 0, 0]);
        assert_eq!((whole(&five), buffer[0]), (-1, 0));
    }
}
