//! Names that one record after the other has: they are shared.

use std::sync::Arc;

/// So many records share a name. Then it is made anew: those who read and those who are told of records seldom count
/// references to one at the same time.
const SHARED: u32 = 512;

/// The names of the record before.
#[derive(Debug, Default)]
pub(crate) struct Names {
    machine: Last,
    image: Last,
}

/// A name, as it was read and as it is shared.
#[derive(Debug, Default)]
struct Last {
    text: String,
    name: Option<Arc<str>>,
    left: u32,
}

impl Names {
    /// The name of a machine, in lower case.
    pub(crate) fn machine(&mut self, text: &str) -> Arc<str> {
        self.machine.share(text, |text| text.to_lowercase().into())
    }

    /// The image of a process.
    pub(crate) fn image(&mut self, text: &str) -> Arc<str> {
        self.image.share(text, |text| text.into())
    }
}

impl Last {
    fn share(&mut self, text: &str, name: impl FnOnce(&str) -> Arc<str>) -> Arc<str> {
        if let Some(name) = &self.name
            && self.left > 0
            && self.text == text
        {
            self.left -= 1;
            return Arc::clone(name);
        }
        text.clone_into(&mut self.text);
        self.left = SHARED;
        Arc::clone(self.name.insert(name(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_one_that_was_read() {
        let mut names = Names::default();
        for _ in 0..2 * SHARED {
            assert_eq!(&*names.machine("HOST"), "host");
            assert_eq!(&*names.image(r"C:\A.exe"), r"C:\A.exe");
        }
        assert!(Arc::ptr_eq(&names.machine("HOST"), &names.machine("HOST")));
        assert_eq!(
            (&*names.machine("host2"), &*names.machine("Host"), &*names.machine("")),
            ("host2", "host", "")
        );
    }
}
