#!/bin/sh
# Builds the fixtures from driver.c (Debian: clang lld llvm gcc-mingw-w64-x86-64). Run it here.
#   msvc.sys, msvc.pdb.sparse  as Microsoft's tools link a driver (clang, lld-link)
#   mingw.sys                  as MinGW links one: COFF symbols in the file, no PDB
#   flat.sys                   section alignment 0x40: several sections on one page
set -eu
# A PDB records where it was linked: always the same place, so that every build gives the same bytes.
here=$(pwd)
work=/tmp/callboard-pe-image-fixtures
rm -rf "$work"
mkdir "$work"
cp driver.c driver.rc nt.def "$work"
cd "$work"
x86_64-w64-mingw32-dlltool -d nt.def -l nt.lib
x86_64-w64-mingw32-windres -O coff driver.rc version.o
flags="-O1 -ffreestanding -fno-ident"
clang --target=x86_64-pc-windows-msvc $flags -fms-extensions -g -gcodeview -funwind-tables -fdebug-compilation-dir=. -c driver.c -o driver.obj
llvm-rc /fo version.res driver.rc
link="/nologo /subsystem:native /driver /entry:DriverEntry /nodefaultlib /dynamicbase /integritycheck /Brepro"
lld-link $link /debug /pdb:msvc.pdb /pdbaltpath:msvc.pdb /out:msvc.sys driver.obj version.res nt.lib
x86_64-w64-mingw32-gcc $flags -nostdlib -shared -Wl,--subsystem,native,--entry,DriverEntry,--dynamicbase,--no-insert-timestamp \
    driver.c nt.lib version.o -o mingw.sys
x86_64-w64-mingw32-gcc $flags -nostdlib -shared -s -Wl,--subsystem,native,--entry,DriverEntry,--dynamicbase,--no-insert-timestamp \
    -DZEROS=16 -fno-zero-initialized-in-bss -Wl,--section-alignment,64,--file-alignment,64 driver.c nt.lib -o flat.sys
# A PDB is mostly zeros: keep the other 64-byte blocks, each behind its number.
python3 - <<'PY'
import struct
pdb = open("msvc.pdb", "rb").read()
blocks = [(n // 64, pdb[n:n + 64]) for n in range(0, len(pdb), 64)]
with open("msvc.pdb.sparse", "wb") as out:
    out.write(struct.pack("<I", len(pdb)))
    for number, block in blocks:
        if any(block):
            out.write(struct.pack("<I", number) + block.ljust(64, b"\0"))
PY
chmod 644 ./*.sys
cp ./*.sys msvc.pdb.sparse "$here"
rm -rf "$work"
