//! What is to run, and how it is written down.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// A command to run and watch, with everything that comes from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The program: a path when it holds a slash, else looked for on `PATH`.
    pub program: OsString,
    /// Its arguments, without the program.
    pub arguments: Vec<OsString>,
    /// Its environment; `None` for that of the caller.
    pub environment: Option<Vec<(OsString, OsString)>>,
    /// Where it starts; `None` for where the caller is.
    pub directory: Option<PathBuf>,
}

impl Command {
    /// A command with the caller's environment and directory.
    pub fn new<P: AsRef<OsStr>, A: AsRef<OsStr>>(program: P, arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.as_ref().into(),
            arguments: arguments.into_iter().map(|argument| argument.as_ref().into()).collect(),
            environment: None,
            directory: None,
        }
    }
}

/// Joins arguments to the one string that NT has for a command line, so that the C runtime's rules
/// (`CommandLineToArgvW`) take it apart into the same arguments again.
pub(super) fn command_line<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> String {
    let mut line = String::new();
    for (index, argument) in arguments.enumerate() {
        if index > 0 {
            line.push(' ');
        }
        quote(&String::from_utf8_lossy(argument), &mut line);
    }
    line
}

fn quote(argument: &str, line: &mut String) {
    if !argument.is_empty() && !argument.contains([' ', '\t', '\n', '\x0b', '"']) {
        line.push_str(argument);
        return;
    }
    line.push('"');
    let mut backslashes = 0;
    for character in argument.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => {
                // Backslashes count double before a quote, and one more makes it a plain one.
                line.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        line.push(character);
    }
    line.extend(std::iter::repeat_n('\\', backslashes));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(arguments: &[&str]) -> String {
        command_line(arguments.iter().map(|argument| argument.as_bytes()))
    }

    #[test]
    fn r_pci_04_arguments_become_one_command_line() {
        assert_eq!(joined(&["ls", "-l", "/"]), "ls -l /");
        assert_eq!(joined(&["sh", "-c", "uname -a; ls /"]), r#"sh -c "uname -a; ls /""#);
        assert_eq!(joined(&["a", ""]), r#"a """#);
        assert_eq!(joined(&[r#"say "hi""#]), r#""say \"hi\"""#);
        assert_eq!(joined(&[r"c:\dir\ x\"]), r#""c:\dir\ x\\""#);
        assert_eq!(joined(&[r#"\\" "#]), r#""\\\\\" ""#);
        assert_eq!(joined(&[]), "");
    }
}
