//! What text does to a terminal.

/// Text with nothing that a terminal would obey.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if is_active(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether a character does something instead of showing something: it moves a cursor, starts an escape sequence, ends a
/// line, reorders text, or cannot be seen.
pub const fn is_active(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'           // C0, DEL, C1 (among them CSI as one character)
        | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{180e}' // invisible
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' // reordering
        | '\u{2028}' | '\u{2029}'                   // line and paragraph separator
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' // annotations and tags
    )
}
