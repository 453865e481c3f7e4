//! Which images may not run.

use alloc::vec::Vec;

use driver_kit::{NtStr, NtString};

/// The `Deny` list.
#[derive(Default)]
pub(crate) struct Rules(Vec<NtString>);

impl Rules {
    pub(crate) fn new(deny: Vec<NtString>) -> Self {
        Self(deny)
    }

    /// The first rule that refuses an image of this name.
    pub(crate) fn refuses(&self, image: &NtStr) -> Option<&NtStr> {
        self.0.iter().map(|rule| &**rule).find(|rule| image.matches(rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_rule_is_named() {
        let rules = Rules::new(vec!["*/true".into(), "*/uname".into(), "*".into()]);
        let image = NtString::from(r"\??\C:\usr\bin\UNAME");
        assert_eq!(rules.refuses(&image).unwrap().to_string(), "*/uname");
    }

    #[test]
    fn no_rule_refuses_nothing() {
        assert!(Rules::default().refuses(&NtString::from("a")).is_none());
    }
}
