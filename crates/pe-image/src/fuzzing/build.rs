//! Small PE files from parts, right or deliberately wrong.

use crate::map::DEFAULT_SECURITY_COOKIE;

/// One section of a [`Builder`].
#[derive(Debug, Clone)]
pub struct SectionSpec {
    /// At most eight bytes.
    pub name: &'static str,
    /// Where it lies in the image.
    pub rva: u32,
    /// `VirtualSize`.
    pub virtual_size: u32,
    /// Its bytes; padded to the file alignment.
    pub data: Vec<u8>,
    /// `Characteristics`.
    pub characteristics: u32,
}

/// The fields of a PE file that tests vary.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named as in the format")]
pub struct Builder {
    pub machine: u16,
    pub characteristics: u16,
    pub entry: u32,
    pub image_base: u64,
    pub section_alignment: u32,
    pub file_alignment: u32,
    pub size_of_image: u32,
    pub size_of_headers: u32,
    pub subsystem: u16,
    pub dll_characteristics: u16,
    pub directories: [(u32, u32); 16],
    pub sections: Vec<SectionSpec>,
}

impl Builder {
    /// The bytes of the file.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut file = vec![0u8; self.size_of_headers as usize];
        put(&mut file, 0, b"MZ");
        put(&mut file, 0x3C, &0x80u32.to_le_bytes());
        let mut head = b"PE\0\0".to_vec();
        let count = u16::try_from(self.sections.len()).unwrap_or(u16::MAX);
        words(&mut head, &[self.machine, count]);
        longs(&mut head, &[0x6000_0000, 0, 0]);
        words(&mut head, &[240, self.characteristics, 0x020B, 0]);
        longs(&mut head, &[0x200, 0x200, 0, self.entry, 0x1000]);
        head.extend(self.image_base.to_le_bytes());
        longs(&mut head, &[self.section_alignment, self.file_alignment]);
        words(&mut head, &[10, 0, 0, 0, 10, 0]);
        longs(&mut head, &[0, self.size_of_image, self.size_of_headers, 0]);
        words(&mut head, &[self.subsystem, self.dll_characteristics]);
        for size in [0x10_0000u64, 0x1000, 0x10_0000, 0x1000] {
            head.extend(size.to_le_bytes());
        }
        longs(&mut head, &[0, 16]);
        self.directories.iter().for_each(|&(rva, size)| longs(&mut head, &[rva, size]));
        let flat = self.section_alignment < 0x1000;
        for section in &self.sections {
            let raw = if flat { section.rva } else { u32::try_from(file.len()).unwrap_or(0) };
            let data_len = u32::try_from(section.data.len()).unwrap_or(0);
            let raw_size = data_len.next_multiple_of(self.file_alignment.max(1));
            let mut name = [0; 8];
            name[..section.name.len()].copy_from_slice(section.name.as_bytes());
            head.extend(name);
            longs(
                &mut head,
                &[section.virtual_size, section.rva, raw_size, raw, 0, 0, 0, section.characteristics],
            );
            file.resize(file.len().max((raw + raw_size) as usize), 0);
            put(&mut file, raw as usize, &section.data);
        }
        put(&mut file, 0x80, &head);
        file
    }

    /// Mutable access to the section called `name`.
    ///
    /// # Panics
    /// If there is none: a mistake in the test.
    #[must_use]
    pub fn section(&mut self, name: &str) -> &mut SectionSpec {
        let found = self.sections.iter_mut().find(|section| section.name == name);
        found.expect("the sample has this section")
    }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + what.len()) {
        place.copy_from_slice(what);
    }
}

fn words(bytes: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}

fn longs(bytes: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}

/// A driver with one of everything, and where everything is.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "RVAs, named after what is there")]
pub struct Sample {
    pub builder: Builder,
    pub text: u32,
    pub rdata: u32,
    pub data: u32,
    pub pdata: u32,
    pub init: u32,
    pub reloc: u32,
}

impl Sample {
    /// Sections on pages of their own, as almost every driver has them.
    #[must_use]
    pub fn paged() -> Self {
        Self::new(0x1000, 0x3000, 0x1000, 0x200)
    }

    /// Sections 0x200 bytes apart with an alignment of 0x80, as some old drivers have them.
    #[must_use]
    pub fn flat() -> Self {
        Self::new(0x400, 0x200, 0x80, 0x80)
    }

    fn new(first: u32, step: u32, section_alignment: u32, file_alignment: u32) -> Self {
        let [text, rdata, data, pdata, init, reloc] = [0, 1, 2, 3, 4, 5].map(|index| first + index * step);
        let image_base = 0x1_4000_0000u64;
        let va = |rva: u32| image_base + u64::from(rva);
        let sections = vec![
            section(".text", text, 0x80, text_bytes(), 0x6000_0020),
            section(".rdata", rdata, 0x200, rdata_bytes(text, rdata, va(data)), 0x4000_0040),
            // Longer than its bytes in the file: the rest is zero.
            section(
                ".data",
                data,
                if step > 0x1000 { 0x1800 } else { 0x200 },
                data_bytes(va(text)),
                0xC000_0040,
            ),
            section(".pdata", pdata, 24, pdata_bytes(text, rdata), 0x4000_0040),
            section("INIT", init, 0x100, init_bytes(rdata, init), 0xE200_0020),
            section(".reloc", reloc, 16, reloc_bytes(data), 0x4200_0040),
        ];
        let mut directories = [(0, 0); 16];
        directories[0] = (rdata + 0x100, 0x90);
        directories[1] = (init, 0x40);
        directories[3] = (pdata, 24);
        directories[5] = (reloc, 16);
        directories[6] = (rdata + 0x190, 28);
        directories[10] = (rdata + 0x40, 0x94);
        directories[12] = (rdata, 0x30);
        let mut sample = Self {
            builder: Builder {
                machine: 0x8664,
                characteristics: 0x0022,
                entry: text,
                image_base,
                section_alignment,
                file_alignment,
                size_of_image: reloc + step,
                size_of_headers: 0x400,
                subsystem: 1,
                dll_characteristics: 0x01E0,
                directories,
                sections,
            },
            text,
            rdata,
            data,
            pdata,
            init,
            reloc,
        };
        // The debug directory holds a file offset, which only the finished file knows.
        let file = sample.builder.build();
        let record = file.windows(4).position(|bytes| bytes == b"RSDS").unwrap_or(0);
        let record = u32::try_from(record).unwrap_or(0);
        put(&mut sample.builder.section(".rdata").data, 0x190 + 24, &record.to_le_bytes());
        sample
    }

    /// The bytes of the file.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        self.builder.build()
    }
}

fn section(
    name: &'static str,
    rva: u32,
    virtual_size: u32,
    data: Vec<u8>,
    characteristics: u32,
) -> SectionSpec {
    SectionSpec { name, rva, virtual_size, data, characteristics }
}

/// Two functions: `xor eax, eax; ret`, and the second of them at 0x40.
fn text_bytes() -> Vec<u8> {
    let mut bytes = vec![0xCC; 0x80];
    put(&mut bytes, 0, &[0x33, 0xC0, 0xC3]);
    put(&mut bytes, 0x40, &[0x33, 0xC0, 0xC3]);
    bytes
}

/// Import slots, load configuration, unwind data, exports, debug directory.
fn rdata_bytes(text: u32, rdata: u32, cookie: u64) -> Vec<u8> {
    let mut bytes = vec![0; 0x200];
    put(&mut bytes, 0x40, &0x94u32.to_le_bytes());
    put(&mut bytes, 0x40 + 0x58, &cookie.to_le_bytes());
    put(&mut bytes, 0x40 + 0x90, &0x0000_0500u32.to_le_bytes());
    // Leaf; then one code and its padding, and a handler.
    put(&mut bytes, 0xE0, &[1, 0, 0, 0, 0x09, 4, 1, 0, 4, 0x42, 0, 0]);
    put(&mut bytes, 0xEC, &text.to_le_bytes());
    let mut exports = Vec::new();
    longs(&mut exports, &[0, 0, 0, rdata + 0x150, 10, 4, 3, rdata + 0x128, rdata + 0x138, rdata + 0x144]);
    // Code, a gap, and two forwarders.
    longs(&mut exports, &[text + 0x40, 0, rdata + 0x168, rdata + 0x178]);
    longs(&mut exports, &[rdata + 0x15B, rdata + 0x15F, rdata + 0x163]);
    words(&mut exports, &[0, 2, 3]);
    put(&mut bytes, 0x100, &exports);
    put(&mut bytes, 0x150, b"sample.sys\0Add\0Fwd\0Ord\0");
    put(&mut bytes, 0x168, b"other.Target\0");
    put(&mut bytes, 0x178, b"other.#7\0");
    let mut debug = Vec::new();
    longs(&mut debug, &[0, 0, 0, 2, 30, rdata + 0x1B0, 0]);
    put(&mut bytes, 0x190, &debug);
    put(&mut bytes, 0x1B0, b"RSDS0123456789abcdef\x02\0\0\0s.pdb\0");
    bytes
}

/// The cookie, a 64-bit pointer and the low half of one.
fn data_bytes(text: u64) -> Vec<u8> {
    let mut bytes = vec![0; 0x40];
    put(&mut bytes, 0, &DEFAULT_SECURITY_COOKIE.to_le_bytes());
    put(&mut bytes, 0x10, &text.to_le_bytes());
    put(&mut bytes, 0x18, &text.to_le_bytes()[..4]);
    bytes
}

fn pdata_bytes(text: u32, rdata: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    longs(&mut bytes, &[text, text + 3, rdata + 0xE0, text + 0x40, text + 0x43, rdata + 0xE4]);
    bytes
}

/// Import descriptors, name tables and names; the slots are in `.rdata`.
fn init_bytes(rdata: u32, init: u32) -> Vec<u8> {
    let mut bytes = vec![0; 0x100];
    let mut descriptors = Vec::new();
    longs(&mut descriptors, &[init + 0x40, 0, 0, init + 0xC0, rdata]);
    longs(&mut descriptors, &[init + 0x60, 0, 0, init + 0xD0, rdata + 0x20]);
    put(&mut bytes, 0, &descriptors);
    let thunk = |bytes: &mut [u8], at: usize, value: u64| put(bytes, at, &value.to_le_bytes());
    thunk(&mut bytes, 0x40, (init + 0x80).into());
    thunk(&mut bytes, 0x48, (init + 0xA0).into());
    thunk(&mut bytes, 0x50, 1 << 63 | 5);
    thunk(&mut bytes, 0x60, (init + 0xE0).into());
    put(&mut bytes, 0x80, b"\x11\0ExAllocatePool2\0");
    put(&mut bytes, 0xA0, b"\x22\0DbgPrint\0");
    put(&mut bytes, 0xC0, b"ntoskrnl.exe\0");
    put(&mut bytes, 0xD0, b"HAL.dll\0");
    put(&mut bytes, 0xE0, b"\x33\0KeStall\0");
    bytes
}

/// `.data`+0x10 as DIR64, +0x18 as HIGHLOW, and padding.
fn reloc_bytes(data: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    longs(&mut bytes, &[data & !0xFFF, 16]);
    let within = u16::try_from(data & 0xFFF).unwrap_or(0);
    words(&mut bytes, &[0xA000 | (within + 0x10), 0x3000 | (within + 0x18), 0, 0]);
    bytes
}
