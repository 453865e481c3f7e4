//! Records that name a process by what was another's.
//!
//! Sysmon writes the ProcessGuid of an exited process into the first records of one that was given its id again. The id and
//! the image beside it are right: a ProcessGuid that was seen with another image says nothing, nor does one whose process
//! exited long before.

use foldhash::HashMap;
use telemetry::{Subject, Unique, What};

/// How many processes are known, twice at most.
const KNOWN: usize = 8192;

/// By which image each process was seen first: those of late, and those of before.
#[derive(Debug, Default)]
pub(super) struct Identities {
    late: HashMap<Unique, String>,
    before: HashMap<Unique, String>,
}

impl Identities {
    /// Takes from a record what names another process than its image. Answers whether it did.
    pub(super) fn check(&mut self, what: &mut What) -> bool {
        if let What::ProcessCreate(create) | What::ProcessPresent(create) = what {
            // This one is right by itself, whatever came before it.
            if let Subject { unique: Some(unique), image: Some(image), .. } = &create.subject
                && let Some((_, name)) = image.rsplit_once('\\')
            {
                self.before.remove(unique);
                self.learn(unique, name.to_owned());
            }
            return false;
        }
        if let Some(subject) = subject_mut(what)
            && let Subject { process: Some(_), unique: Some(unique), image: Some(image) } = subject
            && self.is_of_another(unique, image)
        {
            subject.unique = None;
            return true;
        }
        false
    }

    fn learn(&mut self, unique: &Unique, name: String) {
        if self.late.len() >= KNOWN {
            self.before = std::mem::take(&mut self.late);
        }
        self.late.insert(unique.clone(), name);
    }

    fn is_of_another(&mut self, unique: &Unique, image: &str) -> bool {
        if let Some(first) = self.late.get(unique) {
            return !is_named(image, first) && image.contains('\\');
        }
        // Only a path says which image it is: `System` and `<unknown process>` do not.
        let Some((_, name)) = image.rsplit_once('\\') else { return false };
        let first = self.before.remove(unique).unwrap_or_else(|| name.to_owned());
        let other = !first.eq_ignore_ascii_case(name);
        self.learn(unique, first);
        other
    }
}

/// Whether the last component of a path is a name, in whatever case.
fn is_named(path: &str, name: &str) -> bool {
    let (path, name) = (path.as_bytes(), name.as_bytes());
    let parts = path.len().checked_sub(name.len()).and_then(|at| path.split_at_checked(at));
    parts.is_some_and(|(folder, last)| folder.ends_with(b"\\") && last.eq_ignore_ascii_case(name))
}

/// Takes from a record what names a process that it cannot be of. Answers whether it did.
pub(super) fn strip(what: &mut What, is_wrong: impl Fn(&Unique) -> bool) -> bool {
    if let Some(subject) = subject_mut(what)
        && let Subject { process: Some(_), unique: Some(unique), .. } = subject
        && is_wrong(unique)
    {
        subject.unique = None;
        return true;
    }
    false
}

/// Gives a record what names the process that it is of, where that is found by its id.
pub(super) fn correct(what: &mut What, find: impl Fn(u32) -> Option<Unique>) {
    if let Some(subject) = subject_mut(what)
        && let Subject { process: Some(id), unique: None, .. } = *subject
    {
        subject.unique = find(id);
    }
}

fn subject_mut(what: &mut What) -> Option<&mut Subject> {
    match what {
        What::ProcessCreate(_) | What::ProcessPresent(_) | What::DriverLoad(_) => None,
        What::ProcessExit(exit) => Some(&mut exit.subject),
        What::ThreadCreate(thread) | What::ThreadExit(thread) => Some(&mut thread.subject),
        What::ImageLoad(image) => Some(&mut image.subject),
    }
}
