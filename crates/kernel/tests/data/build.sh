#!/bin/sh
# Builds minifilter.sys from minifilter.c. See README.md.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for module in fltmgr ntoskrnl; do
    llvm-dlltool -m i386:x86-64 -d "$module.def" -l "$work/$module.lib"
done
clang --target=x86_64-pc-windows-msvc -O1 -ffreestanding -fno-builtin -mno-stack-arg-probe \
    -Wno-microsoft -c minifilter.c -o "$work/minifilter.obj"
lld-link /subsystem:native /driver /entry:DriverEntry /nodefaultlib /integritycheck /Brepro \
    "/out:minifilter.sys" "$work/minifilter.obj" "$work/fltmgr.lib" "$work/ntoskrnl.lib"
