//! What routines are given, and what a refusal does, on every profile.

use callboard::bench::Process;
use callboard::{Error, NTSTATUS, Profile};
use event::Subsystem;

use super::suite::{EXIT_STATUS, Suite};

/// The processes that `structures.c` asks for, one after the other.
pub(super) fn act(suite: &mut Suite, profile: Profile) {
    let refusals: [(&str, Option<u32>); 7] = [
        ("plain", None),
        ("refuse", Some(0xC000_0022)),
        ("own", Some(0xE0C0_FFEE)),
        ("two", Some(0xC000_0372)),
        ("relent", None),
        ("inform", None),
        ("warn", Some(0x8000_0011)),
    ];
    for (case, refusal) in refusals {
        let path = format!(r"C:\Conformance\conformance-{case}.exe");
        let created = suite.bench.process(&path).create();
        match (created, refusal) {
            (Ok(process), None) => {
                if case == "plain" {
                    map_images(suite, &process);
                }
                suite.bench.exit_process(&process, EXIT_STATUS).unwrap();
            }
            // R-VETO-02: the creator gets exactly the status that was written last.
            (Err(Error::Refused(refused)), Some(status)) => {
                assert_eq!(refused.status, NTSTATUS(status.cast_signed()), "{case}");
            }
            (created, _) => panic!("{case}: {created:?}"),
        }
    }
    let shell = suite.bench.shell().unwrap();
    let parent = suite.bench.process(r"C:\Windows\System32\svchost.exe").existing().create().unwrap();
    let spoofed = r"C:\Conformance\conformance-spoofed.exe";
    let spoofed = suite.bench.process(spoofed).parent(parent).creator(shell).create().unwrap();
    suite.bench.exit_process(&spoofed, EXIT_STATUS).unwrap();
    let quiet = suite.bench.process(r"C:\Conformance\conformance-quiet.exe").without_command_line();
    let quiet = quiet.without_inherited_handles().create().unwrap();
    suite.bench.exit_process(&quiet, EXIT_STATUS).unwrap();
    let mixed = suite.bench.process(r"C:\Conformance\conformance-MiXeD.exe").create().unwrap();
    suite.bench.map_image(&mixed, r"C:\Conformance\conformance-MiXeD.dll").unwrap();
    suite.bench.exit_process(&mixed, EXIT_STATUS).unwrap();
    let section = suite.bench.process(r"C:\Conformance\conformance-section.exe").first_thread_by(shell);
    let section = section.create().unwrap();
    suite.bench.exit_process(&section, EXIT_STATUS).unwrap();
    if profile >= Profile::Win10_1703 {
        let pico = suite.bench.process("/bin/conformance-pico").subsystem(Subsystem::Wsl).create().unwrap();
        suite.bench.exit_process(&pico, EXIT_STATUS).unwrap();
    }
    suite.bench.load_kernel_image(r"\SystemRoot\System32\drivers\Conformance-Kernel.SYS").unwrap();
}

fn map_images(suite: &mut Suite, process: &Process) {
    let path = |name| format!(r"C:\Conformance\conformance-{name}.dll");
    suite.bench.map_image(process, &path("plain")).unwrap();
    suite.bench.image(process, &path("partial")).partial().map().unwrap();
    suite.bench.image(process, &path("signed")).signature(8, 1).map().unwrap();
    suite.bench.image(process, &path("foreign")).conflicting().map().unwrap();
    suite.bench.image(process, &path("nameless")).without_name().map().unwrap();
}

#[test]
fn r_pci_02_r_veto_04_r_ii_03_structures_conform_on_every_profile() {
    for profile in Profile::ALL {
        let mut suite = Suite::load("structures", profile, |_| {});
        act(&mut suite, profile);
        let said = suite.end();
        said.passes(800).covers(&[
            "R-CB-01",
            "S-IMGCB-2",
            "S-IMGCB-6",
            "S-IMGCB-9",
            "S-IMGCB-20",
            "R-FN-01",
            "R-CB-02",
            "R-CB-03",
            "R-CB-04",
            "R-CB-05",
            "R-PCI-02",
            "R-PCI-03",
            "R-PCI-04",
            "R-PCI-05",
            "R-PCI-06",
            "R-PCI-07",
            "R-PCI-08",
            "R-VETO-01",
            "R-VETO-03",
            "R-VETO-04",
            "R-VETO-05",
            "R-VETO-07",
            "R-VETO-08",
            "R-VETO-11",
            "R-II-01",
            "R-II-03",
            "R-II-04",
            "R-II-05",
            "R-FN-02",
            "R-FN-03",
            "R-FN-04",
            "R-FN-06",
            "R-FN-07",
            "R-FN-08",
            "R-IMG-01",
            "R-ORD-06",
            "R-EXIT-02",
            "R-EXIT-06",
        ]);
        if profile >= Profile::Win81 {
            // What the bench says of that image, bit by bit.
            said.covers(&["R-II-02"]);
            assert_eq!((said.note("signing-level"), said.note("signature-type")), (8, 1), "{profile}");
        }
        let missed: Vec<_> = said.of("skip").filter(|line| line.contains("was not")).collect();
        assert!(missed.is_empty(), "{profile}: {missed:#?}");
    }
}
