//! Colours and signs.

use anstyle::{AnsiColor, Style};

/// Text as it is.
pub(super) const PLAIN: Style = Style::new();
/// What is there to be found when looked for: times, addresses, the gutter.
pub(super) const FAINT: Style = Style::new().dimmed();
/// What a line is about.
pub(super) const STRONG: Style = Style::new().bold();
/// A driver's name. Yellow, white and blue are used nowhere: each is lost on one kind of background.
pub(super) const DRIVER: Style = AnsiColor::Cyan.on_default();
/// Something begins.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Something is refused, fails or stops.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// A driver broke a rule, or something is not as expected.
pub(super) const WARN: Style = AnsiColor::Magenta.on_default().bold();

/// The signs of one character set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs {
    pub(super) gutter: &'static str,
    pub(super) ellipsis: &'static str,
    pub(super) dot: &'static str,
    pub(super) rule: &'static str,
    pub(super) micro: &'static str,
    pub(super) created: &'static str,
    pub(super) exited: &'static str,
    pub(super) image: &'static str,
    pub(super) refused: &'static str,
    pub(super) driver: &'static str,
    pub(super) says: &'static str,
    pub(super) attention: &'static str,
    pub(super) stop: &'static str,
    pub(super) note: &'static str,
}

/// For terminals of this century.
pub(super) const UNICODE: Signs = Signs {
    gutter: "│",
    ellipsis: "…",
    dot: "·",
    rule: "─",
    micro: "µs",
    created: "+",
    exited: "−",
    image: "·",
    refused: "✗",
    driver: "•",
    says: "»",
    attention: "!",
    stop: "■",
    note: "i",
};

/// For the others.
pub(super) const ASCII: Signs = Signs {
    gutter: "|",
    ellipsis: "...",
    dot: "-",
    rule: "-",
    micro: "us",
    created: "+",
    exited: "-",
    image: ".",
    refused: "x",
    driver: "*",
    says: ">",
    attention: "!",
    stop: "#",
    note: "i",
};
