//! Event logs that are made up: as EVTX, with templates as Windows writes them.

/// One event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who wrote it, and where.
    pub provider: &'static str,
    /// Where it is written to.
    pub channel: &'static str,
    /// Its id.
    pub id: u16,
    /// The machine.
    pub computer: String,
    /// When, in 100 ns since 1601.
    pub time: u64,
    /// Its own fields.
    pub fields: Vec<(&'static str, String)>,
}

const CHUNK: usize = 64 << 10;
const CHUNK_HEADER: usize = 512;

/// The header of a file that says it has so many chunks.
pub fn evtx_header(chunks: u16) -> Vec<u8> {
    let mut header = vec![0; 4096];
    put(&mut header, 0, b"ElfFile\0");
    put(&mut header, 16, &u64::from(chunks.saturating_sub(1)).to_le_bytes());
    put(&mut header, 32, &128_u32.to_le_bytes());
    put(&mut header, 36, &[1, 0, 3, 0, 0, 16]);
    put(&mut header, 42, &chunks.to_le_bytes());
    header
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// A log of these events, so many in each chunk at most. No event may be larger than a chunk.
pub fn evtx(entries: &[Entry], for_each_chunk: usize) -> Vec<u8> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let record = index as u64 + 1;
        let fits =
            chunks.last_mut().is_some_and(|chunk| chunk.count < for_each_chunk && chunk.add(record, entry));
        if !fits {
            let mut chunk = Chunk::new(record);
            assert!(chunk.add(record, entry), "an event that is larger than a chunk");
            chunks.push(chunk);
        }
    }
    let mut file = evtx_header(u16::try_from(chunks.len()).unwrap_or(u16::MAX));
    for chunk in chunks {
        file.extend(chunk.finish());
    }
    file
}

/// A chunk as it grows.
struct Chunk {
    bytes: Vec<u8>,
    first: u64,
    last: u64,
    last_at: usize,
    count: usize,
    /// Where the template of each kind of event is.
    templates: Vec<(Vec<&'static str>, u16, u32)>,
}

impl Chunk {
    fn new(first: u64) -> Self {
        Self {
            bytes: vec![0; CHUNK_HEADER],
            first,
            last: first,
            last_at: CHUNK_HEADER,
            count: 0,
            templates: Vec::new(),
        }
    }

    /// Adds a record, if there is room for it.
    fn add(&mut self, number: u64, entry: &Entry) -> bool {
        let (at, known) = (self.bytes.len(), self.templates.len());
        self.bytes.extend(b"\x2A\x2A\0\0\0\0\0\0");
        self.bytes.extend(number.to_le_bytes());
        self.bytes.extend(entry.time.to_le_bytes());
        self.instance(number, entry);
        let size = u32::try_from(self.bytes.len() + 4 - at).unwrap_or(u32::MAX);
        self.bytes.extend(size.to_le_bytes());
        put(&mut self.bytes, at + 4, &size.to_le_bytes());
        if self.bytes.len() > CHUNK {
            self.bytes.truncate(at);
            self.templates.truncate(known);
            return false;
        }
        (self.last, self.last_at) = (number, at);
        self.count += 1;
        true
    }

    /// The event: a template, which is defined where it is used first, and what is put in it.
    fn instance(&mut self, number: u64, entry: &Entry) {
        self.bytes.extend([0x0F, 1, 1, 0, 0x0C, 1]);
        let names: Vec<&'static str> = entry.fields.iter().map(|(name, _)| *name).collect();
        let known = self.templates.iter().find(|(known, id, _)| *known == names && *id == entry.id);
        let known = known.map(|(.., at)| *at);
        let id = known.unwrap_or(u32::from(entry.id) << 16 | self.offset());
        self.bytes.extend(id.to_le_bytes());
        match known {
            Some(at) => self.bytes.extend(at.to_le_bytes()),
            None => {
                let at = self.offset() + 4;
                self.bytes.extend(at.to_le_bytes());
                self.template(entry, id);
                self.templates.push((names, entry.id, at));
            }
        }
        let texts: Vec<(u8, Vec<u8>)> = std::iter::once(&entry.computer)
            .chain(entry.fields.iter().map(|(_, value)| value))
            .map(|text| (0x01, text.encode_utf16().flat_map(u16::to_le_bytes).collect()))
            .collect();
        let fixed = [
            (0x06, entry.id.to_le_bytes().to_vec()),
            (0x11, entry.time.to_le_bytes().to_vec()),
            (0x0A, number.to_le_bytes().to_vec()),
        ];
        let values: Vec<(u8, Vec<u8>)> = fixed.into_iter().chain(texts).collect();
        self.bytes.extend(u32::try_from(values.len()).unwrap_or(0).to_le_bytes());
        for (kind, value) in &values {
            self.bytes.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
            self.bytes.extend([*kind, 0]);
        }
        for (_, value) in values {
            self.bytes.extend(value);
        }
    }

    fn template(&mut self, entry: &Entry, id: u32) {
        self.bytes.extend(0_u32.to_le_bytes());
        self.bytes.extend(u128::from(id).to_le_bytes());
        let size_at = self.bytes.len();
        self.bytes.extend(0_u32.to_le_bytes());
        self.bytes.extend([0x0F, 1, 1, 0]);
        self.open("Event", &[]);
        self.open("System", &[]);
        self.open("Provider", &[("Name", Content::Text(entry.provider))]);
        self.close();
        self.element("EventID", &Content::Slot(0, 0x06));
        self.open("TimeCreated", &[("SystemTime", Content::Slot(1, 0x11))]);
        self.close();
        self.element("EventRecordID", &Content::Slot(2, 0x0A));
        // As in a real log, with the process that wrote it, which is not the one that it is about.
        self.open("Execution", &[("ProcessID", Content::Text("2"))]);
        self.close();
        self.element("Channel", &Content::Text(entry.channel));
        self.element("Computer", &Content::Slot(3, 0x01));
        self.close();
        self.open("EventData", &[]);
        for (slot, (name, _)) in (4..).zip(&entry.fields) {
            self.open("Data", &[("Name", Content::Text(name))]);
            self.content(&Content::Slot(slot, 0x01));
            self.close();
        }
        self.close();
        self.close();
        self.bytes.push(0);
        let size = u32::try_from(self.bytes.len() - size_at - 4).unwrap_or(0);
        put(&mut self.bytes, size_at, &size.to_le_bytes());
    }

    fn element(&mut self, name: &str, content: &Content<'_>) {
        self.open(name, &[]);
        self.content(content);
        self.close();
    }

    fn open(&mut self, name: &str, attributes: &[(&str, Content<'_>)]) {
        self.bytes.push(if attributes.is_empty() { 0x01 } else { 0x41 });
        self.bytes.extend([0xFF, 0xFF, 0, 0, 0, 0]);
        self.name(name);
        if !attributes.is_empty() {
            self.bytes.extend([0; 4]);
        }
        for (name, content) in attributes {
            self.bytes.push(0x06);
            self.name(name);
            self.content(content);
        }
        self.bytes.push(0x02);
    }

    fn close(&mut self) {
        self.bytes.push(0x04);
    }

    fn content(&mut self, content: &Content<'_>) {
        match content {
            Content::Text(text) => {
                self.bytes.extend([0x05, 0x01]);
                self.bytes.extend(u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
                self.bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
            }
            Content::Slot(slot, kind) => {
                self.bytes.push(0x0D);
                self.bytes.extend(slot.to_le_bytes());
                self.bytes.push(*kind);
            }
        }
    }

    /// A name, defined where it is used.
    fn name(&mut self, name: &str) {
        let at = self.offset() + 4;
        self.bytes.extend(at.to_le_bytes());
        self.bytes.extend([0; 6]);
        self.bytes.extend(u16::try_from(name.len()).unwrap_or(0).to_le_bytes());
        self.bytes.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        self.bytes.extend([0; 2]);
    }

    fn offset(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(0)
    }

    fn finish(mut self) -> Vec<u8> {
        let free = self.offset();
        self.bytes.resize(CHUNK, 0);
        let bytes = &mut self.bytes;
        put(bytes, 0, b"ElfChnk\0");
        for at in [8, 24] {
            put(bytes, at, &self.first.to_le_bytes());
            put(bytes, at + 8, &self.last.to_le_bytes());
        }
        put(bytes, 40, &128_u32.to_le_bytes());
        put(bytes, 44, &u32::try_from(self.last_at).unwrap_or(0).to_le_bytes());
        put(bytes, 48, &free.to_le_bytes());
        self.bytes
    }
}

/// What stands in an element or attribute.
enum Content<'a> {
    Text(&'a str),
    Slot(u16, u8),
}
