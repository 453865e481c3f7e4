//! The column `Detail`: names and values, in English in every language of Windows.

/// The value behind a name, up to the next comma.
fn value<'a>(detail: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = detail;
    loop {
        let at = rest.find(name)?;
        let before = &rest[..at];
        rest = &rest[at + name.len()..];
        if let Some(after) = rest.strip_prefix(": ")
            && (before.is_empty() || before.ends_with(", "))
        {
            return Some(after.split([',', ';']).next().unwrap_or(after).trim());
        }
    }
}

/// A number behind a name: decimal, with a sign where it has one, or hexadecimal.
pub(super) fn number(detail: &str, name: &str) -> Option<i128> {
    let text = value(detail, name)?;
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(i128::from),
        None => text.parse::<i64>().ok().map(i128::from),
    }
}

/// The same, as an id or a size of its kind.
pub(super) fn unsigned<T: TryFrom<i128>>(detail: &str, name: &str) -> Option<T> {
    T::try_from(number(detail, name)?).ok()
}

/// An exit status: a signed number for those who print 32 bits as such.
pub(super) fn status(detail: &str) -> Option<u32> {
    let number = number(detail, "Exit Status")?;
    u32::try_from(number).ok().or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned))
}

/// The command line of a birth. It may hold anything, also what follows it in a `Process Start`: where the column of the
/// same name is there it says where the command line ends, else the last directory before the environment does.
pub(super) fn command_line<'a>(detail: &'a str, column: &str) -> Option<&'a str> {
    const NAME: &str = ", Command line: ";
    const DIRECTORY: &str = ", Current directory: ";
    let rest = &detail[detail.find(NAME)? + NAME.len()..];
    if let Some(after) = rest.strip_prefix(column)
        && (after.is_empty() || after.starts_with(DIRECTORY))
        && !column.is_empty()
    {
        return Some(&rest[..column.len()]);
    }
    if !detail.starts_with("Parent PID: ") {
        return Some(rest);
    }
    let head = &rest[..rest.find(", Environment: ").unwrap_or(rest.len())];
    Some(&head[..head.rfind(DIRECTORY).unwrap_or(head.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_names() {
        let load = "Image Base: 0x7ffa744e0000, Image Size: 0x204000";
        assert_eq!(unsigned(load, "Image Base"), Some(0x7ffa_744e_0000_u64));
        assert_eq!(unsigned(load, "Image Size"), Some(0x20_4000_u64));
        assert_eq!(unsigned::<u32>("Thread ID: 123", "Thread ID"), Some(123));
        assert_eq!(unsigned::<u32>("Parent PID: 1, Command line: PID: 5", "PID"), None);
        assert_eq!(unsigned::<u32>("PID: 12, Command line: x", "PID"), Some(12));
        assert_eq!(unsigned::<u32>("PID: -1", "PID"), None);
        assert_eq!(unsigned::<u64>("Image Base: 0x", "Image Base"), None);
    }

    #[test]
    fn a_status_is_32_bits_however_it_is_printed() {
        assert_eq!(status("Exit Status: 0, User Time: 0.0000000 seconds"), Some(0));
        assert_eq!(status("Exit Status: -1073740756, User Time: 1"), Some(0xC000_042C));
        assert_eq!(status("Exit Status: 3221225477"), Some(0xC000_0005));
        assert_eq!(status("Exit Status: 99999999999"), None);
    }

    #[test]
    fn a_command_line_may_hold_what_follows_it() {
        let start = |line: &str| {
            format!("Parent PID: 1, Command line: {line}, Current directory: C:\\, Environment: \r\n;\tA=B")
        };
        assert_eq!(command_line(&start("x y"), "").unwrap(), "x y");
        let odd = "x, Current directory: y";
        assert_eq!(command_line(&start(odd), "").unwrap(), odd);
        let odd = "x, Current directory: y, Environment: z";
        assert_eq!(command_line(&start(odd), odd).unwrap(), odd);
        assert_eq!(
            command_line("PID: 1, Command line: a, Current directory: b", "").unwrap(),
            "a, Current directory: b"
        );
        assert_eq!(command_line("PID: 1, Command line: ", "").unwrap(), "");
        assert_eq!(command_line("PID: 1", ""), None);
    }
}
