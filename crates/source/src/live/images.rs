//! Which image a mapping belongs to: from the mapping itself, never from names a tracee wrote.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use event::{Architecture, Name};
use nix::errno::Errno;

use super::{
    layout::{HEADER, Layout},
    sys::{self, Mapping, Pid},
};

/// How many layouts are remembered before all are forgotten: a bound, not a tuning.
const REMEMBERED: usize = 4096;

/// A file, in one version of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Version {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// An image in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The file's device and inode.
    pub(super) file: (u64, u64),
    /// Its path, without ` (deleted)`.
    pub(super) path: String,
    /// Where the image starts.
    pub(super) base: u64,
    /// How much address space it takes.
    pub(super) size: u64,
    /// What it is compiled for.
    pub(super) architecture: Architecture,
    /// Whether it is mapped in a way that is not its own.
    pub(super) partial: bool,
    /// Whether its path still leads to it.
    pub(super) named: bool,
    /// Where in the file the mapping starts by which it was seen.
    pub(super) offset: u64,
}

impl Seen {
    pub(super) fn name(&self) -> Name<'static> {
        Name::from_unix(self.path.clone())
    }
}

/// The mappings of one process, by an open `/proc/PID/maps`.
#[derive(Debug)]
pub(super) struct Maps {
    pid: Pid,
    file: File,
}

impl Maps {
    pub(super) fn open(pid: Pid) -> Option<Self> {
        Some(Self { pid, file: File::open(format!("/proc/{pid}/maps")).ok()? })
    }

    /// The mapping of a file that covers `address`, or the next one after it.
    pub(super) fn at(&self, address: u64, executable: bool) -> Option<Mapping> {
        match sys::query_mapping(&self.file, address, executable) {
            Ok(found) => found,
            Err(Errno::ENOTTY | Errno::EINVAL) => self.find(address, executable),
            Err(_) => None,
        }
    }

    /// The same, on kernels that answer no questions.
    fn find(&self, address: u64, executable: bool) -> Option<Mapping> {
        self.all().into_iter().find(|mapping| mapping.end > address && (mapping.executable || !executable))
    }

    /// Every mapping of a file, by address.
    pub(super) fn all(&self) -> Vec<Mapping> {
        let mut text = Vec::new();
        let mut chunk = vec![0; 1 << 16];
        while let Ok(read @ 1..) = self.file.read_at(&mut chunk, text.len() as u64) {
            text.extend_from_slice(&chunk[..read]);
        }
        parse(&String::from_utf8_lossy(&text))
    }
}

/// Reads the text of `/proc/PID/maps`, mappings of files only.
fn parse(text: &str) -> Vec<Mapping> {
    let line = |line: &str| -> Option<Mapping> {
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let rights = fields.next()?;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let offset = hex(fields.next()?)?;
        let (major, minor) = fields.next()?.split_once(':')?;
        let device =
            libc::makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        let inode = fields.next()?.parse().ok().filter(|inode| *inode != 0)?;
        Some(Mapping {
            start: hex(start)?,
            end: hex(end)?,
            offset,
            device,
            inode,
            executable: rights.contains('x'),
            path: fields.next().unwrap_or_default().trim_start().replace("\\012", "\n"),
        })
    };
    text.lines().filter_map(line).collect()
}

/// Where a process may hold a mapped file, should its path not lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// Nowhere.
    None,
    /// It is the main image.
    Main,
    /// A descriptor of the process.
    Descriptor(u64),
}

/// Knows the images of files it has seen.
#[derive(Debug, Default)]
pub(super) struct Images {
    known: HashMap<Version, Option<Layout>>,
}

impl Images {
    /// The image that the mapping of a file belongs to; `None` when the file is not an image.
    pub(super) fn of(&mut self, maps: &Maps, mapping: &Mapping, hint: Hint) -> Option<Seen> {
        let (path, named) = match mapping.path.strip_suffix(" (deleted)") {
            Some(path) => (path, false),
            None => (mapping.path.as_str(), true),
        };
        if !path.starts_with('/') || path.starts_with("/dev/") {
            return None;
        }
        let layout = self.layout(maps, mapping, named.then_some(path), hint)?;
        let ours = |other: &Mapping| (other.device, other.inode) == (mapping.device, mapping.inode);
        let whole = layout.bases(mapping.start, mapping.offset).find(|base| {
            let first = maps.at(*base, false).filter(|first| ours(first));
            first.is_some_and(|first| {
                base.wrapping_sub(first.start).wrapping_add(first.offset) == layout.first
            })
        });
        let (base, size, partial) = match whole {
            Some(base) => (base, layout.size, false),
            None => {
                let (start, end) = extent(&maps.all(), mapping);
                (start, end - start, true)
            }
        };
        Some(Seen {
            file: (mapping.device, mapping.inode),
            path: path.to_owned(),
            base,
            size,
            architecture: layout.architecture,
            partial,
            named,
            offset: mapping.offset,
        })
    }

    /// The layout of a mapped file, from the first place that surely is that file.
    fn layout(&mut self, maps: &Maps, mapping: &Mapping, path: Option<&str>, hint: Hint) -> Option<Layout> {
        let pid = maps.pid;
        let places = [
            path.map(str::to_owned),
            match hint {
                Hint::None => None,
                Hint::Main => Some(format!("/proc/{pid}/exe")),
                Hint::Descriptor(number) => Some(format!("/proc/{pid}/fd/{number}")),
            },
            path.map(|path| format!("/proc/{pid}/root{path}")),
        ];
        for place in places.into_iter().flatten() {
            let Ok(metadata) = fs::metadata(&place) else { continue };
            if metadata.is_file()
                && (metadata.dev(), metadata.ino()) == (mapping.device, mapping.inode)
                && let Some(known) = self.known(&place, Version::of(&metadata))
            {
                return known.clone();
            }
        }
        // Deleted, in another root, not ours to read, or on a file system whose `stat` and `maps`
        // disagree about devices: what was mapped from its start is its head.
        let first = maps.all().into_iter().find(|other| {
            other.offset == 0 && (other.device, other.inode) == (mapping.device, mapping.inode)
        })?;
        let mut head = [0; HEADER];
        let read = sys::read_memory(pid, first.start, &mut head).ok()?;
        Layout::parse(&head[..read])
    }

    fn known(&mut self, place: &str, version: Version) -> Option<&Option<Layout>> {
        if !self.known.contains_key(&version) {
            let mut head = Vec::with_capacity(HEADER);
            File::open(Path::new(place)).ok()?.take(HEADER as u64).read_to_end(&mut head).ok()?;
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
            self.known.insert(version, Layout::parse(&head));
        }
        self.known.get(&version)
    }
}

/// From the lowest to the highest of the mappings of one file that touch each other.
fn extent(all: &[Mapping], one: &Mapping) -> (u64, u64) {
    let same = |other: &&Mapping| (other.device, other.inode) == (one.device, one.inode);
    let (mut start, mut end) = (one.start, one.end);
    for other in all.iter().filter(same) {
        if other.start == end {
            end = other.end;
        }
    }
    for other in all.iter().rev().filter(same) {
        if other.end == start {
            start = other.start;
        }
    }
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
5590f0000000-5590f0001000 r--p 00000000 fe:00 1234                       /usr/bin/a b
5590f0001000-5590f0005000 r-xp 00001000 fe:00 1234                       /usr/bin/a b
5590f0005000-5590f0006000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000002000 r-xs 00000000 00:01 77                         /memfd:x (deleted)
";

    #[test]
    fn maps_are_read_as_they_are_written() {
        let all = parse(TEXT);
        assert_eq!(all.len(), 3, "the heap is no file");
        assert_eq!(all[1].path, "/usr/bin/a b");
        assert_eq!((all[1].start, all[1].end, all[1].offset), (0x5590_f000_1000, 0x5590_f000_5000, 0x1000));
        assert_eq!((all[1].device, all[1].inode, all[1].executable), (libc::makedev(0xfe, 0), 1234, true));
        assert_eq!(extent(&all, &all[1]), (0x5590_f000_0000, 0x5590_f000_5000));
        assert!(parse("nonsense\n\n1-2\n").is_empty());
    }

    #[test]
    fn this_process_is_an_image_of_itself() {
        let pid = Pid::try_from(std::process::id()).unwrap();
        let maps = Maps::open(pid).unwrap();
        let here = maps.at(this_process_is_an_image_of_itself as *const () as u64, true).unwrap();
        let seen = Images::default().of(&maps, &here, Hint::None).unwrap();
        assert_eq!(Path::new(&seen.path), fs::read_link("/proc/self/exe").unwrap());
        let (start, end) = extent(&maps.all(), &here);
        assert_eq!((seen.base, seen.base + seen.size, seen.partial), (start, end, false));
    }

    #[test]
    fn the_query_and_the_text_agree() {
        let maps = Maps::open(Pid::try_from(std::process::id()).unwrap()).unwrap();
        for mapping in maps.all() {
            for executable in [false, true] {
                match sys::query_mapping(&maps.file, mapping.start, executable) {
                    Ok(found) => assert_eq!(found, maps.find(mapping.start, executable)),
                    Err(error) => assert_eq!(error, Errno::ENOTTY),
                }
            }
        }
    }
}
