#!/bin/sh
# Builds seh.sys from seh.c. Needs clang and lld-link; see README.md.
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
llvm-dlltool -m i386:x86-64 -d seh.def -l "$out/nt.lib"
clang --target=x86_64-pc-windows-msvc -c -O1 -std=c11 -ffreestanding -fno-builtin -funwind-tables -fasync-exceptions \
    -mno-stack-arg-probe -Wall -Wno-infinite-recursion -o "$out/seh.obj" seh.c
lld-link /dll /driver /subsystem:native /entry:DriverEntry /nodefaultlib /Brepro /out:seh.sys /implib:"$out/seh.lib" "$out/seh.obj" "$out/nt.lib"
rm -r "$out"
