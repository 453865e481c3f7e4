//! Files cut anywhere, with bits turned over, and any bytes at all.

use proptest::prelude::*;
use telemetry::oracle::{check, check_evtx, check_json, evtx};
use telemetry::{Reason, Rejected, Told, open_bytes};

use crate::support::*;

fn lines(count: u32) -> Vec<String> {
    (1..=count)
        .map(|number| {
            format!(
                "{{\"EventID\":{},\"SourceName\":\"Microsoft-Windows-Sysmon\",\"ProcessId\":{number},\"Computer\":\"H\",\"Image\":\"C:\\\\x {{[\\\"\"}}",
                [1, 5, 7, 3][number as usize % 4]
            )
        })
        .collect()
}

/// What is told of a file that was cut is what was told of it before, up to there.
fn assert_is_start(cut: &[Result<Told, Rejected>], whole: &[Result<Told, Rejected>]) {
    let told = cut.iter().flatten();
    assert!(told.zip(whole.iter().flatten()).all(|(cut, whole)| cut == whole));
    assert!(cut.iter().flatten().count() <= whole.iter().flatten().count());
}

/// A file cut at any byte: of the records before nothing is lost, and that it was cut is said.
#[test]
fn a_log_cut_at_any_place_tells_all_before_it() {
    let file = evtx(&day(12), 4);
    let whole = read(&file);
    let records = whole.len();
    for end in (8..file.len()).step_by(251).chain(4_080..5_200) {
        let cut = read(&file[..end]);
        assert_is_start(&cut, &whole);
        assert!(count(&cut, Reason::Truncated) > 0 || cut.len() == records, "{end}: {:?}", kinds(&cut));
        assert_eq!(count(&cut, Reason::Damaged), 0, "{end}: {:?}", kinds(&cut));
    }
}

#[test]
fn text_cut_at_any_byte_tells_all_before_it() {
    for text in [lines(8).join("\n"), format!("[{}]", lines(8).join(","))] {
        let whole = read(text.as_bytes());
        for end in 2..text.len() {
            let Ok(reader) = open_bytes("a file", &text.as_bytes()[..end]) else { continue };
            let cut: Vec<_> = reader.collect();
            assert_is_start(&cut, &whole);
            let rejected: Vec<_> = cut
                .iter()
                .filter_map(|record| record.as_ref().err())
                .filter(|rejected| rejected.reason != Reason::OtherKind)
                .collect();
            assert!(
                rejected.iter().all(|rejected| rejected.reason == Reason::Truncated),
                "{end}: {rejected:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_line_is_a_record_whatever_stands_in_it(
        damaged in proptest::collection::vec((1_usize..60, "[ -~]{0,40}"), 0..10),
    ) {
        let mut lines = lines(60);
        for (line, text) in damaged {
            lines[line] = text;
        }
        // What stands between records is none.
        let blank = |line: &String| line.trim_matches([' ', ',', '[', ']']).is_empty();
        let expected = lines.iter().filter(|line| !blank(line)).count();
        // Two records on a line are two: a damaged line has none.
        prop_assume!(lines[1..].iter().all(|line| line.matches('{').count() <= 2));
        let (accepted, rejected) = check_json(lines.join("\n").as_bytes());
        prop_assert_eq!(accepted + rejected, expected as u64);
    }

    #[test]
    fn bits_turned_over_in_a_log_neither_end_nor_repeat_it(
        flips in proptest::collection::vec((4096_usize..4096 + 3 * 0x1_0000, 0_u8..8), 1..20),
        cut in proptest::option::of(0_usize..3 * 0x1_0000),
    ) {
        let mut file = evtx(&day(30), 10);
        for (at, bit) in flips {
            file[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            file.truncate(4096 + cut);
        }
        if let Some((accepted, _)) = check(&file) {
            prop_assert!(accepted <= 25);
        }
    }

    #[test]
    fn bits_turned_over_in_text_cost_only_where_they_are(
        flips in proptest::collection::vec((0_usize..4_000, 0_u8..8), 1..10),
        array in any::<bool>(),
    ) {
        let mut text = if array { format!("[{}]", lines(40).join(",")) } else { lines(40).join("\n") }.into_bytes();
        let length = text.len();
        for (at, bit) in &flips {
            text[at % length] ^= 1 << bit;
        }
        let (accepted, rejected) = check_json(&text);
        if !array {
            // A line that is broken may become two, or one with the next.
            prop_assert!(accepted + rejected >= 40 - 2 * flips.len() as u64);
            prop_assert!(accepted >= 30 - 2 * flips.len() as u64);
        }
    }

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        check(&bytes);
        check_json(&bytes);
        check_evtx(&bytes);
        let chunk = [&b"ElfChnk\0"[..], &bytes].concat();
        check_evtx(&chunk);
    }

    #[test]
    fn any_text_that_looks_like_json_is_read_to_its_end(text in "[\\[\\]{}:,\"\\\\ \n0-9aE]{0,200}") {
        check(text.as_bytes());
        check_json(text.as_bytes());
    }
}
