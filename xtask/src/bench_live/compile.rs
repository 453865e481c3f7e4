//! A C project to compile: made up, of a size where compiling is the work and starting processes is not.

use std::fmt::Write as _;
use std::fs;

use anyhow::Context;
use tempfile::TempDir;

/// How many source files it has.
const FILES: usize = 24;
/// How many functions each has.
const FUNCTIONS: usize = 220;

/// Writes the project to a directory of its own.
pub(super) fn project() -> anyhow::Result<TempDir> {
    let directory = tempfile::tempdir().context("cannot make a directory")?;
    let write = |name: &str, text: &str| {
        fs::write(directory.path().join(name), text).context("cannot write the project")
    };
    let mut objects = String::new();
    for file in 0..FILES {
        let mut text = String::from("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n");
        for function in 0..FUNCTIONS {
            write!(
                text,
                "int f{file}_{function}(const char *s, int n) {{\n  int sum = {function};\n  for (int i = 0; i < n; i++)\n    \
                 for (size_t j = 0; j < strlen(s); j++)\n      sum += s[j] * i % {};\n  return sum;\n}}\n",
                function + 3
            )?;
        }
        write(&format!("file{file}.c"), &text)?;
        write!(objects, " file{file}.o")?;
    }
    write("main.c", "int main(void) { return 0; }\n")?;
    write(
        "Makefile",
        &format!("program: main.o{objects}\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -O2 -c -o $@ $<\n"),
    )?;
    Ok(directory)
}
