//! Logs are read in two ways, which tell the same: from the values of templates, and from the text that is made of them.

use proptest::prelude::*;
use telemetry::oracle::{Entry, check, evtx, read_directly};

use crate::data;
use crate::support::*;

const HEADER: usize = 4096;
const CHUNK: usize = 64 << 10;

/// The bytes of a chunk that say something: its own, and those of its records.
fn used(chunk: &[u8]) -> usize {
    let free = chunk[48..52].try_into().map(u32::from_le_bytes).unwrap();
    usize::try_from(free).unwrap().clamp(512, CHUNK)
}

/// Numbers of which each seed has others.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    }
}

#[test]
fn logs_of_the_usual_form_are_read_without_making_text_of_them() {
    assert_eq!(read_directly(&evtx(&day(40), 10)), (4, 4));
    let Some(directory) = data::directory("evtx") else { return };
    let (mut direct, mut all) = (0, 0);
    for path in data::files(&directory, "evtx") {
        let (read, chunks) = read_directly(&std::fs::read(path).unwrap());
        (direct, all) = (direct + read, all + chunks);
    }
    assert!(all > 0 && direct * 2 > all, "{direct} of {all}");
}

#[test]
fn real_logs_tell_the_same_in_both_ways_also_with_bits_turned_over() {
    let Some(directory) = data::directory("evtx") else { return };
    for path in data::files(&directory, "evtx") {
        let file = std::fs::read(&path).unwrap();
        assert!(check(&file).is_some(), "{}", path.display());
        let chunks: Vec<&[u8]> =
            file[HEADER..].chunks_exact(CHUNK).filter(|chunk| chunk.starts_with(b"ElfChnk")).collect();
        for seed in 1..=60 {
            let mut random = random(seed);
            let chunk = chunks[random(chunks.len())];
            let mut damaged = [&file[..HEADER], chunk].concat();
            for _ in 0..=random(4) {
                damaged[HEADER + random(used(chunk))] ^= 1 << random(8);
            }
            check(&damaged);
        }
    }
}

/// Texts as fields may hold them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("-".into()),
        "[0-9]{1,12}",
        "0x[0-9a-f]{1,17}",
        "\\{[0-9a-f]{8}-0000-0000-0000-[0-9a-f]{12}\\}",
        "2020-1[0-9]-2[0-9] 16:58:0[0-9]\\.[0-9]{0,9}",
        "\\PC{0,20}",
        any::<String>(),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "ProcessGuid",
            "ProcessId",
            "process_id",
            "Image",
            "CommandLine",
            "ParentProcessId",
            "ImageLoaded",
            "UtcTime",
            "NewProcessId",
            "Status",
            "Data",
            "EventData",
            "EventData.Image",
        ]),
        prop::sample::select(vec!["RuleName", "", "a\"b", "a b", "Binary", "\u{1}", "Hashes"]),
    ];
    (
        prop::sample::select(vec![
            "Microsoft-Windows-Sysmon",
            "Microsoft-Windows-Security-Auditing",
            "EventLog",
            "",
        ]),
        prop::sample::select(vec!["Microsoft-Windows-Sysmon/Operational", "Security", ""]),
        prop::sample::select(vec![1_u16, 3, 5, 6, 7, 4688, 4689]),
        value(),
        prop_oneof![Just(TIME), Just(0), any::<u64>()],
        prop::collection::vec((name, value()), 0..8),
    )
        .prop_map(|(provider, channel, id, computer, time, fields)| Entry {
            provider,
            channel,
            id,
            computer,
            time,
            fields,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn made_up_logs_tell_the_same_in_both_ways(
        entries in prop::collection::vec(entry(), 1..6),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..4),
    ) {
        let mut file = evtx(&entries, 100);
        let end = used(&file[HEADER..]);
        for (at, bit) in flips {
            file[HEADER + at.index(end)] ^= 1 << bit;
        }
        check(&file);
    }
}
