//! Images, and drivers.

use event::{Architecture, EventKind, Image, ProcessId, Time};
use telemetry::{DriverLoad, ImageLoad, What};

use super::super::account::{Absent, Cause, Synthesis};
use super::super::drives::is_path;
use super::super::processes::{Main, Who};
use super::{Machine, Reading, Refused, SYSTEM_WORKER, refuse_absent};

impl Machine {
    /// A process begins with its main image and what the kernel maps beside it (SEMANTICS C.2), of which other images may
    /// have been recorded first.
    pub(super) fn begin_first(&mut self, image: &ImageLoad, time: Time, reading: &mut Reading<'_>) {
        let Who::Live(id) = self.processes.who(&image.subject, time) else { return };
        let Some(live) = self.processes.get(id) else { return };
        let Main::Awaited(name) = live.main.clone() else { return };
        let wow64 = live.architecture == Architecture::X86;
        if is_main(image, name.as_deref()) {
            return;
        }
        let main = self.window.take(
            &image.subject,
            |other| matches!(&other.told.what, What::ImageLoad(other) if is_main(other, name.as_deref())),
        );
        let Some(main) = main else { return };
        self.tell(main, reading);
        let ntdll = [Some(r"\Windows\System32\ntdll.dll"), wow64.then_some(r"\Windows\SysWOW64\ntdll.dll")];
        for ntdll in ntdll.into_iter().flatten() {
            if ends_with(image.path.as_deref(), ntdll) {
                continue;
            }
            let found = self.window.take(&image.subject, |other| {
                matches!(&other.told.what, What::ImageLoad(other) if ends_with(other.path.as_deref(), ntdll))
            });
            if let Some(found) = found {
                self.tell(found, reading);
            }
        }
    }

    pub(super) fn image(
        &mut self,
        load: &mut ImageLoad,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> Result<(), Refused> {
        let strict = reading.options.is_strict();
        let nameless = !load.path.as_deref().is_some_and(is_path);
        if strict {
            refuse_absent(&[(Absent::Path, nameless)])?;
        }
        let who = self.processes.who(&load.subject, time);
        if let Who::Live(id) = who
            && let Some(live) = self.processes.get(id)
        {
            match &live.main {
                Main::Awaited(main) if strict && !is_main(load, main.as_deref()) => {
                    return Err((Cause::Incomplete, format!("the main image of process {id} is missing")));
                }
                Main::MadeUp(main) if is_main(load, main.as_deref()) => {
                    if let Some(live) = self.processes.get_mut(id) {
                        live.main = Main::Told;
                    }
                    return Err((Cause::AlreadyTold, format!("the main image of process {id} came first")));
                }
                _ => {}
            }
        }
        let id = self.known(&load.subject, time, reading)?;
        self.main_image(id, load, time, reading);
        for (what, absent) in [
            (Absent::Path, nameless),
            (Absent::Base, load.base.is_none()),
            (Absent::Size, load.size.is_none()),
        ] {
            if absent {
                reading.account.lacks(what);
            }
        }
        let name = load.path.take().and_then(|path| reading.options.drives.name_of(path));
        let context = self.context(id, load.thread);
        let architecture = self.processes.get(id).map(|live| live.architecture).unwrap_or_default();
        let image = Image {
            process: ProcessId(id),
            name,
            base: load.base.unwrap_or(0),
            size: load.size.unwrap_or(0),
            architecture,
            ..Image::default()
        };
        self.push(time, context, EventKind::ImageLoad(image), true);
        Ok(())
    }

    /// Before a process maps anything else, it has mapped its main image.
    pub(super) fn main_image(&mut self, id: u32, load: &ImageLoad, time: Time, reading: &mut Reading<'_>) {
        let Some(live) = self.processes.get_mut(id) else { return };
        let Main::Awaited(main) = &live.main else { return };
        if is_main(load, main.as_deref()) {
            live.main = Main::Told;
            return;
        }
        live.main = Main::MadeUp(main.clone());
        let image = Image {
            process: ProcessId(id),
            name: live.image.as_deref().and_then(|path| reading.options.drives.name(path)),
            architecture: live.architecture,
            ..Image::default()
        };
        reading.account.made(Synthesis::MainImage);
        let context = self.processes.client(id, None);
        self.push(time, context, EventKind::ImageLoad(image), false);
    }

    pub(super) fn driver(
        &mut self,
        load: &DriverLoad,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> Result<(), Refused> {
        let name = load.path.as_deref().and_then(|path| reading.options.drives.name(path));
        let absent = [
            (Absent::Path, name.is_none()),
            (Absent::Base, load.base.is_none()),
            (Absent::Size, load.size.is_none()),
        ];
        if reading.options.is_strict() {
            refuse_absent(&absent[..1])?;
        }
        for (what, _) in absent.into_iter().filter(|(_, absent)| *absent) {
            reading.account.lacks(what);
        }
        let image = Image {
            process: ProcessId::IDLE,
            name,
            base: load.base.unwrap_or(0),
            size: load.size.unwrap_or(0),
            ..Image::default()
        };
        self.push(time, SYSTEM_WORKER, EventKind::ImageLoad(image), true);
        Ok(())
    }
}

/// Whether an image is the main one of its process: by the last component of its name, since the paths of one file may be
/// written in several ways. Where the process's is not known, by what executables are called.
fn is_main(image: &ImageLoad, main: Option<&str>) -> bool {
    let Some(path) = image.path.as_deref() else { return false };
    let name = path.bytes().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(path, |at| &path[at + 1..]);
    match main {
        Some(main) if name.is_ascii() => name.bytes().map(|byte| byte.to_ascii_lowercase()).eq(main.bytes()),
        Some(main) => name.to_lowercase() == main,
        None => {
            name.len() >= 4
                && name.is_char_boundary(name.len() - 4)
                && name[name.len() - 4..].eq_ignore_ascii_case(".exe")
        }
    }
}

fn ends_with(path: Option<&str>, end: &str) -> bool {
    path.is_some_and(|path| {
        let at = path.len().checked_sub(end.len()).filter(|at| path.is_char_boundary(*at));
        at.is_some_and(|at| path[at..].eq_ignore_ascii_case(end))
    })
}
